"""Files that an API answers with: packed ones, and those that have not changed."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from typing import Any

import pytest

from inventory_sources import CsvDecoder, Feed
from inventory_sources.connectors import Compression, Unpack
from inventory_sources.errors import ConfigurationError, FetchError, StructureInvalid, Truncated
from inventory_sources.payload import Payload, Proof
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.rest import Bearer, Call, LinkHeader, Report, RestConnector
from inventory_sources.secrets import Secret
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .rows import Shop, answer, fetched, rest, stored_again

CSV = b"sku,available\nA,5\nB,0\n"


def text(payload: Payload) -> bytes:
    with payload.open() as stream:
        return stream.read()


def zipped(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.csv", data)
    return made.getvalue()


@pytest.mark.parametrize(("kind", "pack"), [("gzip", gzip.compress), ("bz2", bz2.compress)])
def test_a_packed_file_is_unpacked(kind: str, pack: Any) -> None:
    with ScriptedHttpServer([Response(pack(CSV))]) as server:
        (payload,), context = fetched(rest(server, unpack=Unpack(kind)))
        assert text(payload) == CSV
        head = rest(server, unpack=Unpack(kind)).check(context)
    assert {Proof.LENGTH, Proof.CHECKSUM} <= payload.evidence.proofs
    assert (head.data, head.complete) == (CSV, True)


def test_each_chosen_member_of_an_archive_is_a_file() -> None:
    with ScriptedHttpServer([Response(zipped(b=b"two", a=b"one", c=b"no"))]) as server:
        payloads, _ = fetched(rest(server, unpack=Unpack("zip", members="[ab].csv")))
        assert [(text(payload), payload.origin.rpartition("/")[2]) for payload in payloads] == [
            (b"one", "a.csv"),
            (b"two", "b.csv"),
        ]


def test_packed_pages_prove_their_own_end_and_not_the_list_s() -> None:
    def pages(request: Request) -> Response:
        first = "page" not in request.path
        link = f'<{server.url}levels?page=2>; rel="next"' if first else f'<{server.url}levels>; rel="first"'
        return Response(gzip.compress(b"sku\nA\n" if first else b"sku\nB\n"), headers={"Link": link})

    with ScriptedHttpServer(pages) as server:
        payloads, _ = fetched(rest(server, unpack=Unpack("gzip"), pager=LinkHeader()))
        assert [text(payload) for payload in payloads] == [b"sku\nA\n", b"sku\nB\n"]
    assert not any(payload.evidence.proofs & {Proof.CHECKSUM, Proof.LENGTH} for payload in payloads)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (CSV, StructureInvalid),
        (gzip.compress(CSV)[:-4], Truncated),
        (gzip.compress(gzip.compress(CSV)), StructureInvalid),
        (b"<html>login</html>", FetchError),
    ],
)
def test_what_is_not_packed_as_declared_is_refused(body: bytes, error: type[Exception]) -> None:
    with ScriptedHttpServer([Response(body)]) as server, pytest.raises(error):
        fetched(rest(server, unpack=Unpack("gzip")))


@pytest.mark.parametrize("links", [True, False])
def test_the_file_of_a_report_is_unpacked(links: bool) -> None:
    def api(request: Request) -> Response:
        if request.path == "/reports":
            return answer({"id": "1"}, 202)
        if request.path == "/file":
            return Response(gzip.compress(CSV), headers={"Content-Type": "application/gzip"})
        return answer({"state": "DONE", "url": "/file"})

    place: dict[str, Any] = {"link": "url"} if links else {"document": Call("/file")}
    report = Report(
        create=Call("/reports", method="POST"),
        id="id",
        poll=Call("/reports/{id}"),
        status="state",
        ready=["DONE"],
        **place,
    )
    with ScriptedHttpServer(api) as server:
        connector = rest(server, report=report, unpack=Unpack("gzip"), auth=Bearer(Secret("t")))
        (payload,), context = fetched(connector)
        assert text(payload) == CSV
        assert payload.as_of == context.started_at
        assert connector.check(context).data == CSV


def test_a_declared_unpack_is_stored() -> None:
    connector = RestConnector("https://erp.example/stock", unpack=Unpack("zip", members="*.csv"), conditional=True)
    again = stored_again(connector)
    assert again == connector
    assert isinstance(again, RestConnector) and again.unpack and again.unpack.compression is Compression.ZIP


@pytest.mark.parametrize(
    "options",
    [
        {"unpack": Unpack("gzip"), "records": "items"},
        {"conditional": True, "records": "items"},
        {"conditional": True, "pager": LinkHeader()},
    ],
)
def test_options_for_files_are_refused_where_there_is_none(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RestConnector("https://erp.example/stock", **options)


class Versions:
    """A server that knows the version of its file."""

    def __init__(self) -> None:
        self.version, self.body = '"1"', CSV

    def __call__(self, request: Request) -> Response:
        if request.headers.get("if-none-match") == self.version:
            return Response(b"", 304)
        return Response(self.body, headers={"ETag": self.version, "Last-Modified": "Mon, 02 Mar 2026 10:00:00 GMT"})


def test_a_file_is_asked_for_only_if_it_has_changed_since_its_levels_were_applied() -> None:
    served = Versions()
    shop = Shop("A", "B")
    with ScriptedHttpServer(served) as server:
        shop.add(rest(server, conditional=True), feed=Feed.snapshot("available"), decoder=CsvDecoder())
        runs = [shop.engine.sync("api"), shop.engine.sync("api")]
        served.version, served.body = '"2"', b"sku;available\n"  # cannot be read
        runs.append(shop.engine.sync("api"))
        served.body = b"sku,available\nA,7\nB,0\n"
        runs += [shop.engine.sync("api"), shop.engine.sync("api")]
        asked = [request.headers.get("if-none-match") for request in server.requests]
        since = [request.headers.get("if-modified-since") for request in server.requests]
    assert asked == [None, '"1"', '"1"', '"1"', '"2"']
    assert since[1:] == ["Mon, 02 Mar 2026 10:00:00 GMT"] * 4
    assert [bool(run.skipped) for run in runs] == [False, True, False, False, True]
    assert shop.quantities == {"A": 7, "B": 0}


def test_what_has_not_changed_is_an_answer_only_to_those_who_ask() -> None:
    with ScriptedHttpServer([Response(b"", 304)]) as server:
        with pytest.raises(FetchError, match="304"):
            fetched(rest(server))
        with pytest.raises(FetchError, match="304"):
            fetched(rest(server, conditional=True))
        with pytest.raises(FetchError, match="304"):
            fetched(rest(server, headers={"If-None-Match": '"1"'}))


def test_a_check_asks_for_the_file_itself() -> None:
    def context_of(cursor: str | None) -> FetchContext:
        _, context = fetched(rest(server, conditional=True), cursor=cursor)
        return context

    with ScriptedHttpServer(Versions()) as server:
        context = context_of(None)
        context.cursor = context.next_cursor
        assert rest(server, conditional=True).check(context).data == CSV
