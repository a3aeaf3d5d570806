"""The endpoints of webhooks as views of Django.

In a ``urls.py``::

    urlpatterns = [path("hooks/<str:token>", webhook_view(engine))]
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from inventory_sources.errors import MissingExtra
from inventory_sources.integrations._mount import MAX_BODY, Endpoints, Mount, Refusal, fields
from inventory_sources.integrations._pool import Pool
from inventory_sources.integrations.wsgi import answer_to
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.webhook import Answer

__all__ = ["async_webhook_view", "webhook_view"]


def webhook_view(
    engine: Endpoints,
    *,
    public_url: str | None = None,
    max_body: int = MAX_BODY,
    body_timeout: float = 30.0,
    clock: Clock | None = None,
) -> Callable[..., Any]:
    """A view for Django under WSGI; parameters as of :class:`inventory_sources.integrations.wsgi.WebhookApp`.

    It asks for no CSRF token and reads the raw body itself: ``max_body`` counts, ``DATA_UPLOAD_MAX_MEMORY_SIZE`` does
    not.

    :raises MissingExtra: when Django is not installed.
    :raises ConfigurationError: for limits or a URL that cannot be.
    """
    mount = Mount(engine, public_url, max_body, body_timeout, clock)

    def view(request: Any, token: str) -> Any:
        return _response(_answer(mount, request))

    return _exempt(view)


def async_webhook_view(
    engine: Endpoints,
    *,
    public_url: str | None = None,
    max_body: int = MAX_BODY,
    threads: int = 16,
    queue: int = 256,
    clock: Clock | None = None,
) -> Callable[..., Awaitable[Any]]:
    """A view for Django under ASGI; parameters as of :class:`inventory_sources.integrations.asgi.WebhookApp`.

    Django has read the whole body by the time that it calls a view, however long and slow it was. Mount
    :class:`inventory_sources.integrations.asgi.WebhookApp` before Django, or have a proxy limit both.

    :raises MissingExtra: when Django is not installed.
    :raises ConfigurationError: for limits or a URL that cannot be.
    """
    mount = Mount(engine, public_url, max_body, float("inf"), clock)
    pool = Pool(threads, queue)

    async def view(request: Any, token: str) -> Any:
        try:
            return _response(await pool.run(lambda: _answer(mount, request)))
        except Refusal as refusal:
            return _response(refusal.answer)

    return _exempt(view)


def _exempt(view: Callable[..., Any]) -> Callable[..., Any]:
    try:
        from django.views.decorators.csrf import csrf_exempt
    except ImportError:
        raise MissingExtra("a view for webhooks", "django") from None
    exempt: Callable[..., Any] = csrf_exempt(view)
    return exempt


def _answer(mount: Mount, request: Any) -> Answer:
    """Django ends its stream of a body at the declared length, and takes a chunked one for empty under WSGI."""
    environ = getattr(request, "environ", None)
    if environ is None:  # under ASGI: it holds the whole body, and where that ends
        return answer_to(mount, {**request.META, "wsgi.input_terminated": True}, request.path, request)
    chunked = environ.get("HTTP_TRANSFER_ENCODING") and environ.get("wsgi.input_terminated")
    return answer_to(mount, environ, request.path, environ["wsgi.input"] if chunked else request)


def _response(answer: Answer) -> Any:
    from django.http import HttpResponse

    response = HttpResponse(answer.body, status=answer.status)
    del response["Content-Type"]  # of HTML, where nothing else is said
    for name, value in fields(answer):
        response[name] = value
    response._has_been_logged = True  # noqa: SLF001 - Django logs the path of each 4xx and 5xx, and the token is in it
    return response
