"""Records what a connector and a real API say to each other, and plays it again without a network."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

from attrs import define, evolve, field, frozen

from inventory_sources._http import HttpClient, HttpRequest, Incoming
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError, FetchError, Recovery
from inventory_sources.payload import Evidence, Proof
from inventory_sources.secrets import Secret
from inventory_sources.testing._scrubbing import Scrubber

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from inventory_sources._http._wire import Exchange

__all__ = ["HttpRecording"]

_FORMAT = "inventory_sources.http/1"
_FRAMINGS = {"length": Proof.LENGTH, "chunked": Proof.CHUNKED_END, "close": None}
#: Belong to the bytes as they were sent; what is kept is the body as it was read.
_OF_THE_WIRE = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})
#: Behind these a body is broken into pieces, so that a change of one record shows as such.
_BREAK = re.compile(r"(?<=\n)|(?<=\},)|(?<=\],)")

_Once: TypeAlias = "Callable[[HttpClient, HttpRequest], AbstractContextManager[Incoming]]"


@define
class _Taken:
    """A request and its answer; ``status`` 0 stands for none that came whole."""

    method: str
    url: str
    body: bytes
    status: int = 0
    headers: Mapping[str, str] = field(factory=dict)
    framing: str = "close"
    answer: bytes = b""


class HttpRecording:
    """Exchanges over HTTP in a file of JSON, recorded from any connector that uses the library's HTTP.

    In two lines each::

        with HttpRecording("acme.json").record():
            list(Acme("https://api.acme.example", token=token).fetch(context))

        with HttpRecording("acme.json").replay():
            assert list(Acme("https://api.acme.example", token=Secret("any")).fetch(context)) == LEVELS

    The file has no request headers at all. In the rest ``SCRUBBED-1``, ``SCRUBBED-2`` and so on stand for every
    :class:`~inventory_sources.Secret` that was revealed while it was recorded, for the credentials in request headers,
    for cookies, and for what stands under a telling name (token, secret, password, signature, an API key) in a query,
    a form, JSON or XML; each wherever it stands. What a compressed file inside a body holds is not looked into.

    In a replay a request is answered by the first exchange that is left and has its method, path, query and body; the
    host is not compared, nor are secrets. What is answered is the body as it was read: decompressed, and whole. An
    exchange that failed without an answer is not recorded.

    For the time of the ``with`` every request of the process is recorded or answered: one recording at a time.

    :param path: of the file.
    :param secrets: further texts to be replaced.
    :param names: of further parameters and keys whose values are to be replaced and not compared, such as a time or a
        nonce.
    """

    def __init__(self, path: Path | str, *, secrets: Iterable[Secret | str] = (), names: Iterable[str] = ()) -> None:
        self._path = Path(path)
        self._scrubber = Scrubber(names)
        for secret in secrets:
            self._scrubber.learn(secret.reveal() if isinstance(secret, Secret) else secret)

    @contextmanager
    def record(self) -> Iterator[Self]:
        """Sends every request as ever; writes the file at the end, unless the ``with`` ends by an error."""
        taken: list[_Taken] = []
        real = HttpClient.once

        @contextmanager
        def once(client: HttpClient, request: HttpRequest) -> Iterator[Incoming]:
            exchange = _Taken(request.method, request.url, request.content or b"")
            taken.append(exchange)
            self._scrubber.look_at_headers(request.headers)
            with real(client, request) as incoming, _copied(incoming, exchange) as copied:
                yield copied

        with self._in_place(once):
            yield self
        document = {"format": _FORMAT, "exchanges": self._scrubbed([one for one in taken if one.status])}
        self._path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")

    @contextmanager
    def replay(self) -> Iterator[Self]:
        """Answers every request from the file; nothing is sent.

        :raises ConfigurationError: when the file is not there or is none of these.
        :raises AssertionError: at the end, when a request was not in the file (its connector gets a
            :class:`~inventory_sources.errors.FetchError` that says what differs), or an exchange was not asked for.
        """
        tape = _Tape(self._scrubber, self._read())

        @contextmanager
        def once(client: HttpClient, request: HttpRequest) -> Iterator[Incoming]:
            client.left()
            url = WebAddress.parse(request.url)
            replayed = cast("Exchange", _Replayed(tape.answer(request)))
            yield Incoming(replayed, url.origin, client.chunks(replayed, url))

        with self._in_place(once):
            yield self
        tape.finish()

    @contextmanager
    def _in_place(self, once: _Once) -> Iterator[None]:
        """Has requests go through ``once``, and learns each secret that is revealed."""
        scrubber, real = self._scrubber, Secret.reveal

        def reveal(secret: Secret) -> str:
            text = real(secret)
            scrubber.learn(text)
            return text

        with patch.object(HttpClient, "once", once), patch.object(Secret, "reveal", reveal):
            yield

    def _scrubbed(self, taken: Sequence[_Taken]) -> list[dict[str, object]]:
        for one in taken:
            self._scrubber.look_at_headers(one.headers)
            for text in (one.url, *one.headers.values(), _text(one.body), _text(one.answer)):
                self._scrubber.look(text or "")
        return [
            {
                "request": {"method": one.method, "url": self._scrubber.scrub(one.url), **self._body(one.body)},
                "answer": {
                    "status": one.status,
                    "headers": self._scrubber.scrub_headers(one.headers),
                    "framing": one.framing,
                    **self._body(one.answer),
                },
            }
            for one in taken
        ]

    def _body(self, body: bytes) -> dict[str, object]:
        text = _text(body)
        if text is None:
            return {"base64": b64encode(self._scrubber.scrub_bytes(body)).decode()}
        pieces = [piece for piece in _BREAK.split(self._scrubber.scrub(text)) if piece]
        return {"body": pieces} if pieces else {}

    def _read(self) -> list[_Taken]:
        try:
            document = json.loads(self._path.read_text("utf-8"))
            if document["format"] == _FORMAT:
                return [_loaded(one["request"], one["answer"]) for one in document["exchanges"]]
        except OSError:
            raise ConfigurationError(f"there is no recording {self._path}", guidance="Record it first.") from None
        except (ValueError, KeyError, TypeError):
            pass
        raise ConfigurationError(f"{self._path} is not a recording of the format {_FORMAT}", guidance="Record it anew.")


@contextmanager
def _copied(incoming: Incoming, taken: _Taken) -> Iterator[Incoming]:
    """The answer, of which a copy is kept once it was read to its end."""
    body = bytearray()
    whole = False

    def copied() -> Iterator[bytes]:
        nonlocal whole
        for chunk in incoming.chunks:
            body.extend(chunk)
            yield chunk
        whole = True

    chunks = copied()
    try:
        yield evolve(incoming, chunks=chunks)
    finally:
        with suppress(FetchError):
            # Of a refused answer nobody reads the body, but it belongs into the recording.
            for _ in chunks:
                pass
        if whole:
            taken.headers = {name: text for name, text in incoming.headers.items() if name not in _OF_THE_WIRE}
            proofs = incoming.exchange.evidence.proofs
            taken.framing = next(name for name, proof in _FRAMINGS.items() if proof is None or proof in proofs)
            taken.answer, taken.status = bytes(body), incoming.status


@frozen
class _Replayed:
    """A recorded answer with the face of one from the wire."""

    _taken: _Taken

    @property
    def status(self) -> int:
        return self._taken.status

    @property
    def headers(self) -> Mapping[str, str]:
        framing = {"length": {"content-length": str(self.declared_size)}, "chunked": {"transfer-encoding": "chunked"}}
        return {**self._taken.headers, **framing.get(self._taken.framing, {})}

    @property
    def declared_size(self) -> int | None:
        return len(self._taken.answer) if self._taken.framing == "length" else None

    @property
    def evidence(self) -> Evidence:
        proof = _FRAMINGS[self._taken.framing]
        return Evidence() if proof is None else Evidence(frozenset({proof}))

    def body(self) -> Iterator[bytes]:
        yield self._taken.answer


@define
class _Tape:
    """Exchanges that are left, and the requests for which there was none."""

    _scrubber: Scrubber
    _left: list[_Taken]
    _missed: list[str] = field(factory=list)

    def answer(self, request: HttpRequest) -> _Taken:
        """The exchange for a request, which is then used up."""
        self._scrubber.look_at_headers(request.headers)
        self._scrubber.look(request.url)
        asked = self._parts(_Taken(request.method, request.url, request.content or b""))
        for taken in list(self._left):
            # Of two threads that ask the same, each takes another one.
            with suppress(ValueError):
                if self._parts(taken) == asked:
                    self._left.remove(taken)
                    return taken
        self._missed.append(self._difference(asked))
        raise FetchError(self._missed[-1], recovery=Recovery.STOP, guidance="Record it anew.")

    def finish(self) -> None:
        """Says what did not fit."""
        assert not self._missed, "; ".join(dict.fromkeys(self._missed))
        left = [f"{taken.method} {self._scrubber.alike(taken.url)}" for taken in self._left]
        assert not left, f"{len(left)} recorded exchanges were not asked for: {', '.join(left)}"

    def _parts(self, taken: _Taken) -> dict[str, object]:
        url = urlsplit(self._scrubber.alike(taken.url))
        text = _text(taken.body)
        return {
            "method": taken.method,
            "path": url.path,
            "query": sorted(parse_qsl(url.query, keep_blank_values=True)),
            "body": taken.body if text is None else self._scrubber.alike(text),
        }

    def _difference(self, asked: Mapping[str, object]) -> str:
        what = f"{asked['method']} {asked['path']} is not in the recording"
        if not self._left:
            return f"{what}, of which nothing is left"

        def alike(parts: Mapping[str, object]) -> list[bool]:
            return [parts[name] == asked[name] for name in ("path", "method", "query", "body")]

        nearest = max(map(self._parts, self._left), key=alike)
        differs = [
            f"{name} {_shown(nearest[name])}, not {_shown(asked[name])}"
            for name in asked
            if nearest[name] != asked[name]
        ]
        return f"{what}; the nearest that is left has the {' and the '.join(differs)}"


def _shown(part: object) -> str:
    if isinstance(part, list):
        part = "&".join(f"{name}={value}" for name, value in part)
    text = repr(part)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _loaded(request: Mapping[str, Any], answer: Mapping[str, Any]) -> _Taken:
    return _Taken(
        request["method"],
        request["url"],
        _bytes(request),
        answer["status"],
        answer["headers"],
        next(framing for framing in _FRAMINGS if framing == answer["framing"]),
        _bytes(answer),
    )


def _bytes(part: Mapping[str, Any]) -> bytes:
    return b64decode(part["base64"]) if "base64" in part else "".join(part.get("body", ())).encode()
