"""What a server can do to a client in place of a good answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from inventory_sources.testing.servers import Drip, Framing, Request, Response

__all__ = ["BROKEN", "DOCUMENTS", "ENDLESS", "LIES", "QUOTED", "REFUSALS", "Fault", "Turn", "elsewhere", "redirects"]

#: Stands where a server would quote the credentials that it was given.
QUOTED = b"QUOTED-CREDENTIALS"

_LOGIN = b"<!doctype html><title>Sign in</title>%b" % QUOTED
_JSON = {"Content-Type": "application/json"}
_BOMB_BYTES = 64 * 1024 * 1024
_DEEP = 100_000


@frozen
class Turn:
    """A request, its good answer, and the good answer to the request before."""

    request: Request
    good: Response
    before: Response


Spoil: TypeAlias = Callable[[Turn], Response]


@frozen
class Fault:
    """What is answered in place of a good answer.

    :param document: the answer is whole as far as HTTP tells, so a connector of files may leave it to the decoder.
    :param doubtful: an honest server could have said it: other records may come of it, if nothing proves them whole.
    :param lasting: whether it comes once, and whether it comes from one request on.
    """

    name: str
    spoil: Spoil
    document: bool = field(default=False, kw_only=True)
    doubtful: bool = field(default=False, kw_only=True)
    lasting: tuple[bool, ...] = field(default=(False, True), kw_only=True)


def _always(response: Response) -> Spoil:
    return lambda turn: response


def _of_body(make: Callable[[bytes], Response]) -> Spoil:
    return lambda turn: make(turn.good.body)


def _status(status: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(b'{"error": "%b"}' % QUOTED, status, {**_JSON, **named})


def _raw(data: bytes) -> Response:
    return Response(raw=data, hang_up=True)


def _json(body: bytes) -> Response:
    return Response(body, headers=_JSON)


def _half(good: Response, framing: Framing) -> Response:
    """The first half of the body; told by the framing that there was more, where it can."""
    half = good.body[: len(good.body) // 2]
    if framing is Framing.CHUNKED:
        # Without the chunk of size 0 that would end it.
        return evolve(good, framing=framing, cut_after=len(b"%x\r\n" % len(good.body)) + len(half))
    if framing is Framing.LENGTH:
        return evolve(good, cut_after=len(half))
    return evolve(good, body=half, framing=framing)


def _emptied(turn: Turn) -> Response:
    try:
        return evolve(turn.good, body=json.dumps(_without_rows(json.loads(turn.good.body))).encode())
    except ValueError:
        return evolve(turn.good, body=b"")


def _without_rows(document: Any) -> Any:
    if isinstance(document, Mapping):
        return {name: _without_rows(value) for name, value in document.items()}
    return [] if isinstance(document, list) else document


@cache
def _bomb() -> Response:
    return Response(gzip.compress(b" " * _BOMB_BYTES), headers={**_JSON, "Content-Encoding": "gzip"})


REFUSALS = (
    Fault("429 with Retry-After", _always(_status(429, Retry_After="3600"))),
    *(
        Fault(f"status {status}", _always(_status(status)))
        for status in (202, 206, 304, 401, 403, 404, 410, 500, 502, 503, 504)
    ),
    Fault("status 204", _always(Response(status=204)), document=True),
)

BROKEN = (
    Fault("connection closed before an answer", _always(_raw(b""))),
    Fault("connection closed in the head", _always(_raw(b"HTTP/1.1 200 OK\r\nContent-Le"))),
    Fault("no HTTP", _always(_raw(b"\x00\x01 " + QUOTED + b"\r\n\r\n"))),
    Fault("body cut before its length", lambda turn: _half(turn.good, Framing.LENGTH)),
    Fault("body cut in a chunk", lambda turn: _half(turn.good, Framing.CHUNKED)),
    Fault("body cut, without a length", lambda turn: _half(turn.good, Framing.CLOSE), doubtful=True),
    Fault("gzip cut", _of_body(lambda body: Response(gzip.compress(body)[:-4], headers={"Content-Encoding": "gzip"}))),
    Fault("gzip that is none", _of_body(lambda body: Response(body or b"x", headers={"Content-Encoding": "gzip"}))),
    Fault("64 MiB in 64 KiB", lambda turn: _bomb()),
)

DOCUMENTS = tuple(
    Fault(name, spoil, document=True)
    for name, spoil in (
        ("a page of HTML", _always(Response(_LOGIN, headers={"Content-Type": "text/html"}))),
        ("HTML that is called JSON", _always(_json(_LOGIN))),
        (
            "a wrong content type",
            lambda turn: evolve(turn.good, headers={**turn.good.headers, "Content-Type": "text/html"}),
        ),
        ("nothing at all", _always(_json(b""))),
        ("JSON that ends early", _of_body(lambda body: _json(body[: len(body) // 2]))),
        ("JSON with NaN", _always(_json(b'{"items": NaN, "for": "%b"}' % QUOTED))),
        ("JSON that is null", _always(_json(b"null"))),
        ("JSON that is a text", _always(_json(b'"%b"' % QUOTED))),
        ("JSON of another shape", _always(_json(b'{"error": {"code": 17}}'))),
        ("JSON that is deep", _always(_json(b"[" * _DEEP))),
        ("bytes that are no text", _always(_json(b'{"items": ["\xff\xfe"]}'))),
    )
)

LIES = (
    # A server that says so each time is no other than one whose list ends there.
    Fault("an empty page", _emptied, document=True, doubtful=True, lasting=(False,)),
    Fault("the page before again", lambda turn: turn.before, document=True, doubtful=True),
)

ENDLESS = (
    Fault(
        "a byte a second",
        lambda turn: evolve(turn.good, body=turn.good.body + b" " * 1000, drip=Drip(1, 1.0)),
        lasting=(True,),
    ),
    Fault("a head of a byte a second", lambda turn: evolve(turn.good, drip=Drip(1, 1.0, head=True)), lasting=(True,)),
    Fault(
        "a body without end",
        _always(Response(b" " * 65536, headers=_JSON, framing=Framing.CHUNKED, endless=True)),
        lasting=(True,),
    ),
)


def redirects(target: str) -> tuple[Fault, ...]:
    """Redirects of all kinds to another server."""
    return tuple(
        Fault(f"status {status} to another server", _always(Response(status=status, headers={"Location": target})))
        for status in (301, 302, 303, 307, 308)
    )


def elsewhere(there: str) -> Fault:
    """Every link in a document and in its headers leads to another server."""

    def moved(turn: Turn) -> Response:
        here = f"http://{turn.request.headers['host']}/"
        headers = {name: value.replace(here, there) for name, value in turn.good.headers.items()}
        return evolve(turn.good, body=turn.good.body.replace(here.encode(), there.encode()), headers=headers)

    return Fault("links to another server", moved)
