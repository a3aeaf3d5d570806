"""A recording plays again what a connector was told, without a network, and holds no secret of it."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from inventory_sources import Columns, CsvDecoder, Feed, HttpConnector, MemorySink, MemoryStateStore, Source, SyncEngine
from inventory_sources.errors import ConfigurationError, FetchError, FetchTimeout
from inventory_sources.payload import Payload, Proof
from inventory_sources.rest import (
    ApiKey,
    Basic,
    Bearer,
    Both,
    ClientCredentials,
    Cursor,
    HttpRequest,
    LoginToken,
    Manners,
    NextUrl,
    PageNumber,
    RestConnector,
)
from inventory_sources.secrets import Secret
from inventory_sources.testing import HttpRecording, ScriptedHttpServer, fetch_context
from inventory_sources.testing.servers import Framing, Request, Response

#: Where nobody listens: a request that is really sent fails.
NOWHERE = "http://127.0.0.1:9/"
JSON = {"Content-Type": "application/json"}


def answer(document: object, **headers: str) -> Response:
    return Response(json.dumps(document).encode(), headers={**JSON, **headers})


def rest(url: str, path: str = "stock", **options) -> RestConnector:
    given = {"records": "items", "manners": Manners(tries=1), **options}
    return RestConnector(url + path, allow_private=("127.0.0.0/8",), allow_plaintext=True, **given)


def fetched(connector, tmp_path: Path, **context) -> list:
    found = []
    for part in connector.fetch(fetch_context(tmp_path, **context)):
        if isinstance(part, Payload):
            with part.open() as stream:
                found.append((stream.read(), part.evidence.proofs))
        else:
            found.append(dict(part))
    return found


def numbered(request: Request) -> Response:
    page = int(dict(parse_qsl(urlsplit(request.path).query)).get("page", "1"))
    return answer({"items": [{"sku": f"S{page}-{n}", "qty": n} for n in range(2 if page < 3 else 1)], "pages": 3})


PAGES = PageNumber(last="pages")
EXPECTED = [
    {"sku": "S1-0", "qty": "0"},
    {"sku": "S1-1", "qty": "1"},
    {"sku": "S2-0", "qty": "0"},
    {"sku": "S2-1", "qty": "1"},
    {"sku": "S3-0", "qty": "0"},
]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_replay_needs_no_network(tmp_path: Path, concurrency: int):
    recording = HttpRecording(tmp_path / "acme.json")
    with ScriptedHttpServer(numbered) as server, recording.record():
        assert fetched(rest(server.url, pager=PAGES), tmp_path) == EXPECTED
    with HttpRecording(tmp_path / "acme.json").replay():
        assert fetched(rest(NOWHERE, pager=PAGES, concurrency=concurrency), tmp_path) == EXPECTED


def test_the_file_shows_what_was_said(tmp_path: Path):
    with ScriptedHttpServer([answer({"items": [{"sku": "A"}, {"sku": "Ä", "qty": 1.10}]})]) as server:
        with HttpRecording(tmp_path / "acme.json").record():
            fetched(rest(server.url, "stock?state=on+hand"), tmp_path)
    document = json.loads((tmp_path / "acme.json").read_text("utf-8"))
    assert document == {
        "format": "inventory_sources.http/1",
        "exchanges": [
            {
                "request": {"method": "GET", "url": f"{server.url}stock?state=on+hand"},
                "answer": {
                    "status": 200,
                    "headers": {"content-type": "application/json"},
                    "framing": "length",
                    "body": ['{"items": [{"sku": "A"},', ' {"sku": "\\u00c4", "qty": 1.1}]}'],
                },
            }
        ],
    }


def test_a_second_recording_is_the_same_file(tmp_path: Path):
    written = []
    with ScriptedHttpServer(numbered) as server:
        for token in ("t0k3n-one", "t0k3n-two"):
            with HttpRecording(tmp_path / "acme.json").record():
                fetched(rest(server.url, pager=PAGES, auth=ApiKey(Secret(token), query="k")), tmp_path)
            written.append((tmp_path / "acme.json").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("framing", "proofs"),
    [
        (Framing.LENGTH, {Proof.LENGTH}),
        (Framing.CHUNKED, {Proof.CHUNKED_END}),
        (Framing.CLOSE, set()),
    ],
)
@pytest.mark.parametrize("body", [b"sku,quantity\r\nA,5\n", bytes(range(256)), b""])
def test_files_come_again_byte_for_byte_with_what_proves_them(tmp_path: Path, framing: Framing, proofs: set, body):
    def connector(url: str) -> HttpConnector:
        return HttpConnector(url, allow_private=("127.0.0.0/8",))

    with ScriptedHttpServer([Response(body, framing=framing)]) as server:
        with HttpRecording(tmp_path / "file.json").record():
            assert fetched(connector(server.url), tmp_path) == [(body, proofs)]
    with HttpRecording(tmp_path / "file.json").replay():
        assert fetched(connector(NOWHERE), tmp_path) == [(body, proofs)]


def test_a_compressed_answer_is_kept_as_it_was_read(tmp_path: Path):
    packed = Response(gzip.compress(b'{"items": [{"sku": "A"}]}'), headers={**JSON, "Content-Encoding": "gzip"})
    with ScriptedHttpServer([packed]) as server, HttpRecording(tmp_path / "acme.json").record():
        fetched(rest(server.url), tmp_path)
    assert '{\\"sku\\": \\"A\\"}' in (tmp_path / "acme.json").read_text("utf-8")
    with HttpRecording(tmp_path / "acme.json").replay():
        assert fetched(rest(NOWHERE), tmp_path) == [{"sku": "A"}]


def test_a_refusal_is_recorded_with_its_body(tmp_path: Path):
    def refused(url: str) -> object:
        with pytest.raises(FetchError) as raised:
            fetched(rest(url), tmp_path)
        return raised.value.status

    with ScriptedHttpServer([Response(b"no such list", 404)]) as server:
        with HttpRecording(tmp_path / "acme.json").record():
            assert refused(server.url) == 404
    assert "no such list" in (tmp_path / "acme.json").read_text("utf-8")
    with HttpRecording(tmp_path / "acme.json").replay():
        assert refused(NOWHERE) == 404


def test_an_answer_that_was_cut_is_not_recorded(tmp_path: Path):
    cut = Response(b'{"items": [{"sku": "A"}]}', headers=JSON, cut_after=20)
    with ScriptedHttpServer([cut, answer({"items": [{"sku": "B"}]})]) as server:
        with HttpRecording(tmp_path / "acme.json").record():
            fetched(rest(server.url, manners=Manners(backoff=0.001)), tmp_path)
    with HttpRecording(tmp_path / "acme.json").replay():
        assert fetched(rest(NOWHERE), tmp_path) == [{"sku": "B"}]


def test_a_recording_that_fails_leaves_the_file_alone(tmp_path: Path):
    (tmp_path / "acme.json").write_text("kept")
    with pytest.raises(FetchError), HttpRecording(tmp_path / "acme.json").record():
        fetched(rest(NOWHERE), tmp_path)
    assert (tmp_path / "acme.json").read_text() == "kept"


def recorded(tmp_path: Path, script, **options) -> HttpRecording:
    recording = HttpRecording(tmp_path / "acme.json")
    with ScriptedHttpServer(script) as server, recording.record():
        fetched(rest(server.url, **options), tmp_path)
    return recording


@pytest.mark.parametrize(
    ("path", "options", "told"),
    [
        ("levels", {}, r"GET /levels is not in the recording; the nearest .* path '/stock', not '/levels'"),
        ("stock?page=2", {}, r"query '', not 'page=2'"),
        ("stock", {"method": "POST", "body": {"a": 1}}, r"method 'GET', not 'POST' and the body '', not '{\"a\": 1}'"),
    ],
)
def test_a_request_that_is_not_in_the_recording(tmp_path: Path, path: str, options: dict, told: str):
    recording = recorded(tmp_path, [answer({"items": [{"sku": "A"}]})])
    with pytest.raises(AssertionError, match=told), recording.replay():
        with pytest.raises(FetchError, match=told):
            fetched(rest(NOWHERE, path, **options), tmp_path)


def test_an_exchange_is_used_once(tmp_path: Path):
    recording = recorded(tmp_path, [answer({"items": [{"sku": "A"}]})])
    with pytest.raises(AssertionError, match="nothing is left"), recording.replay():
        fetched(rest(NOWHERE), tmp_path)
        with pytest.raises(FetchError):
            fetched(rest(NOWHERE), tmp_path)


def test_exchanges_that_nobody_asked_for_are_told(tmp_path: Path):
    recording = recorded(tmp_path, numbered, pager=PAGES)
    with pytest.raises(AssertionError, match=r"^2 recorded exchanges were not asked for: GET .*page=2, GET .*page=3$"):
        with recording.replay():
            fetched(rest(NOWHERE, "stock?page=1"), tmp_path)


def test_the_same_request_gets_its_answers_in_order(tmp_path: Path):
    with ScriptedHttpServer([answer({"items": [{"sku": sku}]}) for sku in "ABC"]) as server:
        with HttpRecording(tmp_path / "acme.json").record():
            for _ in "ABC":
                fetched(rest(server.url), tmp_path)
    with HttpRecording(tmp_path / "acme.json").replay():
        assert [fetched(rest(NOWHERE), tmp_path)[0]["sku"] for _ in "ABC"] == ["A", "B", "C"]


def test_a_parameter_that_changes_each_time_is_not_compared(tmp_path: Path):
    def asked(url: str, moment: str) -> list:
        return fetched(rest(url, f"stock?at={moment}"), tmp_path)

    with ScriptedHttpServer([answer({"items": [{"sku": "A"}]})]) as server:
        with HttpRecording(tmp_path / "acme.json", names=("at",)).record():
            asked(server.url, "12:00")
    with HttpRecording(tmp_path / "acme.json", names=("at",)).replay():
        assert asked(NOWHERE, "12:05") == [{"sku": "A"}]


def test_a_replay_keeps_the_deadline(tmp_path: Path):
    recording = recorded(tmp_path, [answer({"items": [{"sku": "A"}]})])
    with pytest.raises(AssertionError, match="not asked for"), recording.replay():
        with pytest.raises(FetchTimeout):
            fetched(rest(NOWHERE), tmp_path, timeout=0.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "there is no recording"), ("{", "is not a recording"), ('{"format": "other"}', "is not a recording")],
)
def test_a_file_that_is_no_recording(tmp_path: Path, text: str | None, told: str):
    if text is not None:
        (tmp_path / "acme.json").write_text(text)
    with pytest.raises(ConfigurationError, match=told), HttpRecording(tmp_path / "acme.json").replay():
        pass


def test_a_whole_sync_from_a_recording(tmp_path: Path):
    def levels(url: str) -> dict:
        sink, engine = MemorySink({"A": 0}), SyncEngine(MemoryStateStore())
        connector = HttpConnector(url, token=Secret("t0k3n"), allow_plaintext=True, allow_private=("127.0.0.0/8",))
        engine.add_source(
            Source(
                name="api",
                connector=connector,
                decoder=CsvDecoder(),
                mapper=Columns(),
                feed=Feed.snapshot(),
                guards=(),
                sink=sink,
            )
        )
        engine.sync("api")
        engine.close()
        return {level.sku: int(level.quantity) for level in sink.levels(None)}

    with ScriptedHttpServer([Response(b"sku,quantity\nA,5\n")]) as server:
        with HttpRecording(tmp_path / "file.json").record():
            assert levels(server.url) == {"A": 5}
    with HttpRecording(tmp_path / "file.json").replay():
        assert levels(NOWHERE) == {"A": 5}


#: One for each place; of odd spelling where a place spells otherwise.
CANARIES = {
    name: f'c4nary/{name}+"ü' if name in {"body", "query"} else f"c4nary-{name}-9f"
    for name in ("bearer", "query", "password", "body", "path", "plain", "cookie", "given", "link", "nested", "xml")
}


def leaky(request: Request) -> Response:
    """An API that quotes everything that it is told, and gives more secrets itself."""
    if request.path.startswith("/login"):
        return answer(
            {"access_token": CANARIES["given"], "expires_in": 60}, **{"Set-Cookie": "sid=c4nary-cookie-9f; Path=/"}
        )
    quoted = {
        "said": list(request.headers.values()),
        "asked": request.path,
        "body": request.body.decode("latin-1"),
        "nested": json.dumps({"client_secret": CANARIES["nested"]}),
        "xml": f"<auth><Password>{CANARIES['xml']}</Password></auth>",
        "spelled": CANARIES["body"],
        "coded": base64.b64encode(CANARIES["bearer"].encode()).decode(),
    }
    page = 1 + ("page=2" in request.path)
    link = f"/{CANARIES['path']}/stock?page=2&X-Amz-Signature={CANARIES['link']}&api_key=q9z" if page == 1 else None
    document = {"items": [{"sku": f"A{page}", "key": "K-1", "qty": 7}], "next": link, "echo": quoted}
    return answer(document, **{"X-Auth-Token": CANARIES["given"], "X-Echo": request.path})


def canary(url: str, canaries: dict) -> RestConnector:
    secret = {name: Secret(text) for name, text in canaries.items()}
    return rest(
        url,
        f"{canaries['path']}/stock",
        method="POST",
        body={"user": "u", "plain": canaries["body"]},
        headers={"X-Gateway-Key": canaries["plain"]},
        auth=Both(Bearer(secret["bearer"]), ApiKey(secret["query"], query="k")),
        pager=NextUrl("next"),
    )


def login(url: str, password: str) -> LoginToken:
    return LoginToken(url=url + "login", secrets={"pass": Secret(password)}, token="access_token", allow_plaintext=True)


def test_no_secret_is_in_the_file(tmp_path: Path):
    other = {name: f"other-{name}" for name in CANARIES}
    declared = [CANARIES[name] for name in ("path", "body")]
    recording = HttpRecording(tmp_path / "acme.json", secrets=declared)
    with ScriptedHttpServer(leaky) as server, recording.record():
        read = fetched(canary(server.url, CANARIES), tmp_path)
        logins = login(server.url, CANARIES["password"])
        read += fetched(rest(server.url, "more", auth=logins), tmp_path)
    assert [row["sku"] for row in read] == ["A1", "A2", "A1"]
    text = (tmp_path / "acme.json").read_text("utf-8")
    assert "c4nary" not in text
    assert "q9z" not in text, "too short to be looked for, but its name tells"
    assert base64.b64encode(b"c4nary")[:7].decode() not in text
    assert '\\"key\\": \\"K-1\\"' in text, "the key of a record is no secret"
    with HttpRecording(tmp_path / "acme.json", secrets=[other["path"], other["body"]]).replay():
        again = fetched(canary(NOWHERE, other), tmp_path)
        logins = login(NOWHERE, "other")
        again += fetched(rest(NOWHERE, "more", auth=logins), tmp_path)
    assert [row["sku"] for row in again] == ["A1", "A2", "A1"]


def test_tokens_of_pages_stay_different(tmp_path: Path):
    def script(request: Request) -> Response:
        at = dict(parse_qsl(urlsplit(request.path).query)).get("pageToken", "")
        following = {"": "token-of-page-2", "token-of-page-2": "token-of-page-3"}.get(at)
        return answer({"items": [{"sku": at or "first"}], "nextPageToken": following})

    options = {"pager": Cursor(next="nextPageToken", param="pageToken")}
    recorded(tmp_path, script, **options)
    assert "token-of-page" not in (tmp_path / "acme.json").read_text("utf-8").replace('"sku', "")
    with HttpRecording(tmp_path / "acme.json").replay():
        assert len(fetched(rest(NOWHERE, **options), tmp_path)) == 3


def test_credentials_of_another_kind(tmp_path: Path):
    def script(request: Request) -> Response:
        if request.path == "/token":
            return answer({"access_token": "c4nary-token", "expires_in": 60})
        return answer({"items": [{"sku": "A"}], "echo": request.headers["authorization"]})

    def auth(url: str, text: str) -> ClientCredentials:
        return ClientCredentials(
            token_url=url + "token", client_id="app", client_secret=Secret(text), allow_plaintext=True
        )

    with ScriptedHttpServer(script) as server, HttpRecording(tmp_path / "acme.json").record():
        fetched(rest(server.url, auth=auth(server.url, "c4nary-secret")), tmp_path)
        fetched(rest(server.url, auth=Basic("app", Secret("c4nary-basic"))), tmp_path)
    text = (tmp_path / "acme.json").read_text("utf-8")
    assert "c4nary" not in text
    assert base64.b64encode(b"app:c4nary-basic").decode() not in text
    with HttpRecording(tmp_path / "acme.json").replay():
        for auths in (auth(NOWHERE, "any"), Basic("app", Secret("any"))):
            assert fetched(rest(NOWHERE, auth=auths), tmp_path) == [{"sku": "A"}]


class Session(RestConnector):
    """Sends by the session itself."""

    def fetch(self, context):
        with self.session(context) as session:
            yield from session.json(HttpRequest(self.url))["items"]


def test_a_connector_that_sends_by_a_session(tmp_path: Path):
    def own(url: str) -> Session:
        return Session(url + "own", allow_private=("127.0.0.0/8",), allow_plaintext=True, auth=Bearer(Secret("t0k3n")))

    with ScriptedHttpServer([answer({"items": [{"sku": "A"}]})]) as server:
        with HttpRecording(tmp_path / "acme.json").record():
            fetched(own(server.url), tmp_path)
    with HttpRecording(tmp_path / "acme.json").replay():
        assert fetched(own(NOWHERE), tmp_path) == [{"sku": "A"}]


@pytest.mark.parametrize("coding", ["utf-16", "latin-1"])
def test_a_file_that_is_no_utf8_holds_no_secret_either(tmp_path: Path, coding: str):
    body = "sku,quantity,ü\nA,5,c4nary-key\n".encode(coding)
    with ScriptedHttpServer([Response(body)]) as server, HttpRecording(tmp_path / "file.json").record():
        connector = HttpConnector(
            server.url, token=Secret("c4nary-key"), allow_plaintext=True, allow_private=("127.0.0.0/8",)
        )
        fetched(connector, tmp_path)
    [exchange] = json.loads((tmp_path / "file.json").read_text())["exchanges"]
    assert base64.b64decode(exchange["answer"]["base64"]).decode(coding) == "sku,quantity,ü\nA,5,SCRUBBED-1\n"
