"""The library's connectors pass the hostile server, and connectors with a fault do not."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from inventory_sources import HttpConnector, Secret
from inventory_sources.errors import FetchError
from inventory_sources.rest import (
    Bearer,
    ClientCredentials,
    Cursor,
    HttpRequest,
    KeySet,
    LinkHeader,
    Manners,
    NextUrl,
    Offset,
    PageNumber,
    RestConnector,
)
from inventory_sources.testing import HostileServerSuite
from inventory_sources.testing.servers import Request, Response

STOCK = [{"id": str(number), "sku": f"A-{number}", "qty": str(number)} for number in range(1, 6)]
QUICK = Manners(tries=2, backoff=0.001)


def query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.path).query))


def answer(document: object, **headers: str) -> Response:
    return Response(json.dumps(document).encode(), headers={"Content-Type": "application/json", **headers})


def rest(url: str, kind: type = RestConnector, **options) -> RestConnector:
    given = {"records": "items", "key": "id", "auth": Bearer(Secret("s3cret")), "manners": QUICK, **options}
    return kind(url + "stock", allow_private=("127.0.0.0/8",), allow_plaintext=True, **given)


def page(at: int, **more: object) -> dict:
    return {"items": STOCK[at : at + 2], **more}


class Suite(HostileServerSuite):
    secrets = ("s3cret",)
    deadline = 0.2


class TestCsv(Suite):
    expected = (b"sku,quantity\nA,5\nB,6\n",)

    def make(self, url: str) -> HttpConnector:
        return HttpConnector(url, token=Secret("s3cret"), allow_plaintext=True, allow_private=("127.0.0.0/8",))

    def answer(self, request: Request) -> Response:
        return Response(self.expected[0], headers={"Content-Type": "text/csv"})


class TestOneAnswer(Suite):
    expected = STOCK

    def make(self, url: str) -> RestConnector:
        return rest(url)

    def answer(self, request: Request) -> Response:
        return answer({"items": STOCK})


class TestPageNumbers(TestOneAnswer):
    def make(self, url: str) -> RestConnector:
        return rest(url, pager=PageNumber(total="total"))

    def answer(self, request: Request) -> Response:
        return answer(page(2 * int(query(request)["page"]) - 2, total=5))


class TestPageNumbersAtOnce(TestPageNumbers):
    def make(self, url: str) -> RestConnector:
        return rest(url, pager=PageNumber(total="total"), concurrency=3)


class TestOffsets(TestOneAnswer):
    def make(self, url: str) -> RestConnector:
        return rest(url, pager=Offset(limit=2))

    def answer(self, request: Request) -> Response:
        return answer(page(int(query(request)["offset"])))


class TestKeySets(TestOneAnswer):
    def make(self, url: str) -> RestConnector:
        return rest(url, pager=KeySet(field="id", param="after"))

    def answer(self, request: Request) -> Response:
        return answer(page(int(query(request).get("after", "0"))))


class TestCursors(TestOneAnswer):
    def make(self, url: str) -> RestConnector:
        return rest(url, pager=Cursor(next="next", param="at"))

    def answer(self, request: Request) -> Response:
        at = int(query(request).get("at", "0"))
        return answer(page(at, next=str(at + 2) if at < 4 else None))


class TestNextUrls(TestOneAnswer):
    def make(self, url: str) -> RestConnector:
        return rest(url, pager=NextUrl("next"))

    def answer(self, request: Request) -> Response:
        at = int(query(request).get("at", "0"))
        url = f"http://{request.headers['host']}/stock?at={at + 2}"
        return answer(page(at, next=url if at < 4 else None))


class TestLinkHeaders(TestOneAnswer):
    def make(self, url: str) -> RestConnector:
        return rest(url, pager=LinkHeader())

    def answer(self, request: Request) -> Response:
        at = int(query(request).get("at", "0"))
        to, rel = (at + 2, "next") if at < 4 else (0, "first")
        return answer(page(at), Link=f'<http://{request.headers["host"]}/stock?at={to}>; rel="{rel}"')


class TestTokens(TestOffsets):
    secrets = ("s3cret", "t0k3n")

    def make(self, url: str) -> RestConnector:
        auth = ClientCredentials(
            token_url=url + "token", client_id="app", client_secret=Secret("s3cret"), allow_plaintext=True
        )
        return rest(url, pager=Offset(limit=2), auth=auth)

    def answer(self, request: Request) -> Response:
        if request.path == "/token":
            return answer({"access_token": "t0k3n", "token_type": "bearer", "expires_in": 3600})
        return super().answer(request)


class Careless(RestConnector):
    """Asks for three pages by number itself."""

    def fetch(self, context):
        with self.session(context) as session:
            for at in (0, 2, 4):
                yield from self.read(session, HttpRequest(f"{self.url}?at={at}"))

    def read(self, session, request: HttpRequest):
        return session.json(request)["items"]


class Skipping(Careless):
    def read(self, session, request):
        try:
            return super().read(session, request)
        except FetchError:
            return []


class Foreign(Careless):
    def read(self, session, request):
        return json.loads(session.send(request).body)["items"]


class Telling(Careless):
    def read(self, session, request):
        try:
            return super().read(session, request)
        except FetchError:
            raise FetchError(f"no answer for {session.auth.token.reveal()}") from None


class Chained(Careless):
    def read(self, session, request):
        try:
            return super().read(session, request)
        except FetchError:
            try:
                raise ValueError(session.auth.token.reveal())  # noqa: TRY301 - as below
            except ValueError:
                raise FetchError("no answer")  # noqa: B904 - the fault that is to be found


class Following(Careless):
    def read(self, session, request):
        with session.client.once(session.auth.sign(request, session)) as incoming:
            location = incoming.headers.get("location", "")
        if location.startswith("http://127."):
            return super().read(session, HttpRequest(location))
        return super().read(session, request)


class Stubborn(Careless):
    """Never gives up."""

    def read(self, session, request):
        while not session.context.cancelled():
            try:
                return super().read(session, request)
            except FetchError:
                continue
        return []


def at(request: Request) -> Response:
    return answer(page(int(query(request).get("at", "0"))))


def suite(kind: type, **fields: object) -> HostileServerSuite:
    made = type("Made", (Suite,), {"make": lambda _, url: rest(url, kind), "expected": STOCK, **fields})()
    made.answer = at
    return made


@pytest.mark.parametrize(
    ("kind", "test", "told"),
    [
        (Skipping, "test_refusals", r"status 404, once, at request 2 of 3: no error, but 3 of 5 parts"),
        (Skipping, "test_broken_answers", r"body cut before its length, from request 3 of 3: no error, but 4 of 5"),
        (Careless, "test_wrong_documents", r"JSON of another shape, .*: KeyError, which is none of the library's"),
        (Foreign, "test_wrong_documents", r"JSON that ends early, .*: JSONDecodeError, which is none"),
        (Foreign, "test_wrong_documents", r"JSON that is deep, .*: RecursionError, which is none"),
        (Telling, "test_refusals", r"status 404, from request 1 of 3: its error tells a secret"),
        (Chained, "test_refusals", r"status 404, from request 1 of 3: its error tells a secret"),
        (Following, "test_nothing_is_told_to_another_server", "a secret went to another server"),
        (Stubborn, "test_answers_without_end", "a byte a second, from request 1 of 3: it did not end"),
    ],
)
def test_a_careless_connector_is_found(kind: type, test: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        getattr(suite(kind, patience=2.0 if kind is Stubborn else 30.0), test)()


def test_an_expectation_that_is_wrong_is_found() -> None:
    with pytest.raises(AssertionError):
        suite(Careless, expected=STOCK[:4]).test_a_good_server()
    with pytest.raises(AssertionError, match="must give something"):
        empty = suite(Careless, expected=())
        empty.answer = lambda request: answer({"items": []})
        empty.test_a_good_server()
