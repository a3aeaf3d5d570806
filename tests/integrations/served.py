"""Applications that a test has a real server serve; the engine is a stand-in that keeps what it takes in a database.

`DELIVERIES` names the database, `LIMITS` the options of the mounts as JSON.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import sqlite3
import threading
from typing import Any

from inventory_sources.integrations import asgi, wsgi
from inventory_sources.protocols.webhook import Answer, Delivery

TOKEN = "t0k3n-of-the-erp_0123456789"
KEY = b"k3y"
LIMITS: dict[str, Any] = json.loads(os.environ.get("LIMITS", "{}"))

logging.basicConfig(level=logging.DEBUG)


def signature(body: bytes) -> str:
    return hmac.new(KEY, body, hashlib.sha256).hexdigest()


class StandIn:
    """Knows one token and one key, and answers as the engine does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.webhooks = self
        self.local = threading.local()
        self.writing = threading.Lock()

    def source_of(self, token: str) -> str | None:
        return "erp" if token == TOKEN else None

    def receive(self, source: str, delivery: Delivery) -> Answer:
        if delivery.method != "POST":
            return Answer(200, (), delivery.url.partition("?")[2].encode())
        if delivery.header("x-signature") != signature(delivery.body):
            return Answer(401)
        name = delivery.header("x-name") or ""
        with self.writing, self.connection() as connection:
            connection.execute(
                "INSERT INTO deliveries VALUES (?, ?, ?, ?)", (source, delivery.body, delivery.url, name.encode())
            )
        return Answer(202, (), b"kept")

    def connection(self) -> sqlite3.Connection:
        if not hasattr(self.local, "connection"):
            self.local.connection = sqlite3.connect(self.path, timeout=60)
            self.local.connection.execute("PRAGMA synchronous = OFF")
        return self.local.connection


engine = StandIn(os.environ.get("DELIVERIES", ""))


def asgi_app() -> Any:
    return asgi.WebhookApp(engine, **LIMITS)


def wsgi_app() -> Any:
    return wsgi.WebhookApp(engine, **LIMITS)


def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/hooks", asgi_app())])


def fastapi_app() -> Any:
    from fastapi import FastAPI
    from starlette.middleware.base import BaseHTTPMiddleware

    app = FastAPI()
    app.mount("/hooks", asgi_app())
    app.add_middleware(BaseHTTPMiddleware, dispatch=lambda request, call_next: call_next(request))
    return app


def litestar_app() -> Any:
    from litestar import Litestar, asgi

    return Litestar([asgi("/hooks", is_mount=True, copy_scope=True)(asgi_app())])


def flask_app() -> Any:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = Flask("shop")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/hooks": wsgi_app()})  # type: ignore[method-assign]
    return app


def django_wsgi_app() -> Any:
    from django.core.wsgi import get_wsgi_application

    from inventory_sources.integrations.django import webhook_view

    configure_django(webhook_view(engine, **LIMITS))
    return get_wsgi_application()


def django_asgi_app() -> Any:
    from django.core.asgi import get_asgi_application

    from inventory_sources.integrations.django import async_webhook_view

    limits = {name: value for name, value in LIMITS.items() if name != "body_timeout"}
    configure_django(async_webhook_view(engine, **limits))
    return get_asgi_application()


def configure_django(view: Any) -> None:
    from types import ModuleType

    from django.conf import settings
    from django.urls import path

    urls = ModuleType("urls")
    urls.urlpatterns = [path("hooks/<str:token>", view)]  # type: ignore[attr-defined]
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=urls,
        DATA_UPLOAD_MAX_MEMORY_SIZE=1000,
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", "django.middleware.common.CommonMiddleware"],
    )
