"""Sessions for tests of credentials: real requests to servers on the loopback, on a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience
from inventory_sources.protocols.clock import Clock
from inventory_sources.rest import Auth, Manners, RestSession
from inventory_sources.testing import ManualClock, fetch_context
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer


@contextmanager
def session(auth: Auth | None = None, clock: Clock | None = None, *, limits: HttpLimits | None = None) -> Iterator:
    """A session of one fetch that may reach the loopback and tries once; nothing of it is spooled."""
    context = fetch_context(Path("/nonexistent"), clock=clock or ManualClock())
    limits = limits or HttpLimits()
    dialling = Dialling(allow_private=("127.0.0.0/8",))
    with HttpClient(limits, patience(limits, context.clock, context), dialling) as client:
        yield RestSession(client, context, auth, Manners(tries=1))


def asked(auth: Auth, url: str = "stock", script=None, **parts) -> Request:
    """What a server gets for a signed request."""
    with ScriptedHttpServer(script or [Response(b"{}")]) as server, session(auth) as made:
        made.send(HttpRequest(server.url + url, **parts))
    return server.requests[-1]


def answer(document: object, status: int = 200, **headers: str) -> Response:
    """A JSON answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(json.dumps(document).encode(), status, {"Content-Type": "application/json", **named})


def at(**answers: Response | Callable[[Request], Response]) -> Callable[[Request], Response]:
    """A script with one answer for each path's first step."""

    def script(request: Request) -> Response:
        found = answers[request.path.lstrip("/").partition("?")[0].partition("/")[0]]
        return found(request) if callable(found) else found

    return script
