"""Runs a connector against a server that does, at each of its requests, what servers in the field do.

In five lines::

    class TestAcme(HostileServerSuite):
        secrets = ("s3cret",)
        expected = ({"sku": "A-1", "qty": "5"},)
        def make(self, url): return Acme(url, token=Secret("s3cret"))
        def answer(self, request): return Response(b'{"items": [{"sku": "A-1", "qty": 5}]}')
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import ClassVar

from attrs import define, evolve, field

from inventory_sources.errors import InventorySourcesError
from inventory_sources.payload import Payload
from inventory_sources.protocols.connector import Connector, FetchContext
from inventory_sources.testing._http_faults import (
    BROKEN,
    DOCUMENTS,
    ENDLESS,
    LIES,
    QUOTED,
    REFUSALS,
    Fault,
    Turn,
    elsewhere,
    redirects,
)
from inventory_sources.testing.connectors import content_of, fetch_context, spool_folder
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

__all__ = ["HostileServerSuite"]

#: Where clouds keep the credentials of a machine.
_PRIVATE = "http://169.254.169.254/latest/meta-data/"


class HostileServerSuite:
    """Inherit it and say how to make the connector, how the API answers, and what is then fetched.

    Each fault comes in place of the answer to each request of the good run: once, and from there on. What is fetched
    must be exactly what is expected, or the fetch must end in one of the library's errors: never in another exception,
    never in a part, and never with a secret. The body of a file that arrives whole is left to its decoder; where an
    honest server could have said the same, other records may come of it if nothing proves that they are all.

    :cvar expected: all records in order, or the bytes of each file.
    :cvar secrets: texts that must show in no error, and go to no other server.
    :cvar deadline: seconds that a fetch is given where the server never ends.
    :cvar patience: seconds that any other is given; one that goes on beyond its time for so long never ends.
    """

    expected: ClassVar[Sequence[Mapping[str, object] | bytes]] = ()
    secrets: ClassVar[tuple[str, ...]] = ()
    deadline: ClassVar[float] = 0.5
    patience: ClassVar[float] = 30.0

    def make(self, url: str) -> Connector:
        """A connector for the server at ``url`` (ends in a slash); it may reach 127.0.0.1 and tries again quickly."""
        raise NotImplementedError

    def answer(self, request: Request) -> Response:
        """What the API answers, whatever was asked before."""
        raise NotImplementedError

    def test_a_good_server(self) -> None:
        """What is expected is what comes."""
        ran, _ = self._run(self.answer, self.patience)
        assert ran.error is None, f"a good server gave {ran.error!r}"
        assert ran.found == list(self.expected)
        assert ran.found, "a good server must give something"

    def test_refusals(self) -> None:
        """Statuses that are no answer, with and without Retry-After."""
        self._suffer(REFUSALS)

    def test_broken_answers(self) -> None:
        """Connections that close too early, and bodies that are not whole."""
        self._suffer(BROKEN)

    def test_wrong_documents(self) -> None:
        """Login pages, and JSON that is none or another."""
        self._suffer(DOCUMENTS)

    def test_pages_that_lie(self) -> None:
        """Pages that are empty, or that came before."""
        self._suffer(LIES)

    def test_answers_without_end(self) -> None:
        """Bodies that never end, or a byte at a time."""
        self._suffer(ENDLESS, timeout=self.deadline)

    def test_redirects_to_a_private_address(self) -> None:
        """Are not followed."""
        self._suffer(redirects(f"{_PRIVATE}?key={'-'.join(self.secrets)}"), timeout=self.deadline * 10)

    def test_nothing_is_told_to_another_server(self) -> None:
        """Neither by redirects nor by links to it."""
        with ScriptedHttpServer(self.answer) as other:
            problems = self._problems((*redirects(other.url), elsewhere(other.url)), self.patience)
            told = " ".join(f"{one.path} {dict(one.headers)} {one.body!r}" for one in other.requests)
            assert not any(secret in told for secret in self.secrets), "a secret went to another server"
            signed = [name for one in other.requests for name in one.headers if name in ("authorization", "cookie")]
            assert not signed, f"{signed[0]} went to another server"
        assert not problems, "\n".join(problems)

    def _suffer(self, faults: Sequence[Fault], *, timeout: float | None = None) -> None:
        problems = self._problems(faults, timeout or self.patience)
        assert not problems, "\n".join(problems)

    def _problems(self, faults: Sequence[Fault], timeout: float) -> list[str]:
        rehearsed, requests = self._run(self.answer, self.patience)
        assert rehearsed.error is None, f"a good server gave {rehearsed.error!r}"
        problems = []
        for fault in faults:
            for position, lasting in product(range(1, requests + 1), fault.lasting):
                ran, _ = self._run(_Spoiled(self, fault, position, lasting), timeout)
                where = f"{fault.name}, {'from' if lasting else 'once, at'} request {position} of {requests}"
                assert ran.ended, f"{where}: it did not end"
                if problem := self._problem(ran, fault):
                    problems.append(f"{where}: {problem}")
        return problems

    def _run(self, script: Callable[[Request], Response], timeout: float) -> tuple[_Fetch, int]:
        """One fetch, and how many requests it took."""
        with ScriptedHttpServer(script, keep_alive=True) as server, spool_folder() as spool:
            fetch = _Fetch(self.make(server.url))
            context = fetch_context(spool, timeout=timeout, cancelled=fetch.left.is_set)
            thread = threading.Thread(target=fetch.run, args=(context,), name="hostile-server", daemon=True)
            thread.start()
            thread.join(timeout + self.patience)
            fetch.left.set()
            fetch.ended = not thread.is_alive()
            return fetch, len(server.requests)

    def _problem(self, ran: _Fetch, fault: Fault) -> str | None:
        if ran.error is not None:
            return self._problem_of(ran.error)
        if ran.found == list(self.expected):
            return None
        files = all(isinstance(part, bytes) for part in ran.found)
        if (fault.document and files) or (fault.doubtful and not ran.proven):
            return None
        return f"no error, but {len(ran.found)} of {len(self.expected)} parts, or others: {str(ran.found)[:200]}"

    def _problem_of(self, error: BaseException) -> str | None:
        if not isinstance(error, InventorySourcesError):
            return f"{type(error).__qualname__}, which is none of the library's errors"
        told = " ".join(_told(error))
        return "its error tells a secret" if any(secret in told for secret in self.secrets) else None


@define(eq=False)
class _Spoiled:
    """The answers of the suite, with the fault in place of one, or of all from there on."""

    _suite: HostileServerSuite
    _fault: Fault
    _position: int
    _lasting: bool
    _asked: int = 0
    _before: Response | None = None

    def __call__(self, request: Request) -> Response:
        self._asked += 1
        good = self._suite.answer(request)
        if self._asked < self._position or (self._asked > self._position and not self._lasting):
            self._before = good
            return good
        fault = self._fault.spoil(Turn(request, good, self._before or good))
        quoted = " ".join(self._suite.secrets)
        return evolve(
            fault,
            body=fault.body.replace(QUOTED, quoted.encode()),
            raw=fault.raw and fault.raw.replace(QUOTED, quoted.encode()),
            headers={**fault.headers, **({"X-Quoted": quoted} if quoted else {})},
        )


@define(eq=False)
class _Fetch:
    """A fetch and what came of it.

    :ivar proven: whether what came is claimed to be all of it.
    """

    _connector: Connector
    left: threading.Event = field(factory=threading.Event)
    ended: bool = False
    found: list[object] = field(factory=list)
    proven: bool = False
    error: BaseException | None = None

    def run(self, context: FetchContext) -> None:
        """In a thread of its own: what never ends must not stop the tests."""
        evidence = []
        try:
            for part in self._connector.fetch(context):
                evidence.append(part.evidence if isinstance(part, Payload) else None)
                self.found.append(content_of(part))
        except BaseException as error:  # noqa: BLE001 - a connector may raise its own
            self.error = error
        self.proven = any((one or context.evidence).proves_end for one in evidence) or context.evidence.proves_end


def _told(error: BaseException | None) -> Iterator[str]:
    """All that a traceback would show of an error."""
    while error is not None:
        yield f"{error} {error!r} {getattr(error, 'guidance', '')}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
