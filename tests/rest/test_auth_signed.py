from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import attrs
import oauthlib.oauth1
import pytest

from inventory_sources._documents import document_converter, plain_document
from inventory_sources._http import HttpRequest
from inventory_sources.errors import AccessRefused, ConfigurationError
from inventory_sources.rest import HmacSigning, OAuth1
from inventory_sources.rest._oauth1 import _signed_text
from inventory_sources.secrets import EnvironmentSecrets, Secret, SecretResolvers
from inventory_sources.testing import ManualClock
from inventory_sources.testing.servers import Response, ScriptedHttpServer

from .sessions import session

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
SECONDS = "1772366400"


@attrs.frozen(kw_only=True)
class Fixed(OAuth1):
    def nonce(self) -> str:
        return "n0nce"


@attrs.frozen(kw_only=True)
class FixedHmac(HmacSigning):
    def nonce(self) -> str:
        return "n0nce"


def secrets(**texts: str) -> dict[str, Secret]:
    return {name: Secret(text) for name, text in texts.items()}


TOKENS = secrets(consumer_key="ck", consumer_secret="c&s/ü", token="tk", token_secret="t s")


def signed(auth, request: HttpRequest) -> HttpRequest:
    with session(auth, ManualClock(NOON)) as made:
        return auth.sign(request, made)


def authorization(request: HttpRequest) -> dict[str, str]:
    kind, _, rest = request.headers["Authorization"].partition(" ")
    assert kind == "OAuth"
    return dict(part.split("=", 1) for part in rest.replace('"', "").split(", "))


def test_the_text_that_is_signed_is_that_of_rfc_5849():
    # Section 3.4.1.1.
    request = HttpRequest(
        "http://example.com/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
        {"content-type": "application/x-www-form-urlencoded"},
        "POST",
        b"c2&a3=2+q",
    )
    oauth = {
        "oauth_consumer_key": "9djdj82h48djs9d2",
        "oauth_token": "kkk9d7dh3k39sjv7",
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": "137131201",
        "oauth_nonce": "7d8f3e4a",
    }
    assert _signed_text(request, oauth) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D"
        "%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1"
        "%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


def test_a_signature_of_rfc_5849():
    # Section 1.2.
    auth = OAuth1(
        **secrets(
            consumer_key="dpf43f3p2l4k3l03",
            consumer_secret="kd94hf93k423kf44",
            token="nnch734d00sl2jdk",
            token_secret="pfkkdhi9sl3r4s00",
        ),
        signature="HMAC-SHA1",
    )
    oauth = {
        "oauth_consumer_key": "dpf43f3p2l4k3l03",
        "oauth_token": "nnch734d00sl2jdk",
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": "137131202",
        "oauth_nonce": "chapoH",
    }
    request = HttpRequest("http://photos.example.net/photos?file=vacation.jpg&size=original")
    assert auth._signature(_signed_text(request, oauth)) == "MdpQcU8iPSUjWoN/UDMsK2sui9I="


def test_a_request_as_netsuite_wants_it():
    auth = Fixed(**secrets(consumer_key="ck", consumer_secret="cs", token="tk", token_secret="ts"), realm="1234567_SB1")
    url = "https://1234567-sb1.suitetalk.api.example/services/rest/query/v1/suiteql"
    request = signed(auth, HttpRequest(url + "?limit=1000&offset=0", {"Prefer": "transient"}, "POST", b'{"q": "x"}'))
    base = (
        "POST&https%3A%2F%2F1234567-sb1.suitetalk.api.example%2Fservices%2Frest%2Fquery%2Fv1%2Fsuiteql&"
        "limit%3D1000%26oauth_consumer_key%3Dck%26oauth_nonce%3Dn0nce%26oauth_signature_method%3DHMAC-SHA256%26"
        f"oauth_timestamp%3D{SECONDS}%26oauth_token%3Dtk%26oauth_version%3D1.0%26offset%3D0"
    )
    expected = base64.b64encode(hmac.new(b"cs&ts", base.encode(), "sha256").digest()).decode()
    escaped = expected.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    assert request.headers["Authorization"] == (
        'OAuth realm="1234567_SB1", oauth_consumer_key="ck", oauth_token="tk", oauth_signature_method="HMAC-SHA256", '
        f'oauth_timestamp="{SECONDS}", oauth_nonce="n0nce", oauth_version="1.0", oauth_signature="{escaped}"'
    )
    assert request.headers["Prefer"] == "transient"
    assert request.url == url + "?limit=1000&offset=0"


@pytest.mark.parametrize("method", ["HMAC-SHA256", "HMAC-SHA1"])
@pytest.mark.parametrize("place", ["header", "query"])
@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("https://erp.example/stock"),
        HttpRequest("https://ERP.example:443/a%20b/~c?x=%C3%BC&x=a+b&empty=&y=%7E%2A!'()"),
        HttpRequest("http://erp.example:8080/stock?page=2&a=1&a=0", method="POST", content=b"a=1"),
        HttpRequest(
            "https://erp.example/s?z=1",
            {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"},
            "POST",
            b"a=1&b=+x%2B",
        ),
        HttpRequest("https://erp.example/s", {"Content-Type": "application/json"}, "POST", b'{"a=b": "c&d"}'),
    ],
)
def test_signatures_agree_with_oauthlib(method, place, request_):
    request = signed(Fixed(**TOKENS, signature=method, place=place), request_)
    oracle = oauthlib.oauth1.Client(
        "ck",
        "c&s/ü",
        "tk",
        "t s",
        signature_method=method,
        timestamp=SECONDS,
        nonce="n0nce",
        signature_type="AUTH_HEADER" if place == "header" else "QUERY",
    )
    # Of a body that is no form it would send a hash, which is no part of RFC 5849.
    form = request_.headers.get("Content-Type", "").startswith("application/x-www")
    body = request_.content.decode() if form else None
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    address = request_.url.replace("!'()", "%21%27%28%29")
    url, headers, _ = oracle.sign(address, request_.method, body, headers)
    if place == "header":
        oauthlibs = HttpRequest(request_.url, {"Authorization": headers["Authorization"]})
        assert authorization(request) == authorization(oauthlibs)
    else:
        ours, theirs = (dict(parse_qsl(urlsplit(address).query)) for address in (request.url, url))
        assert ours == theirs
        assert "Authorization" not in request.headers


def test_the_consumer_alone_signs_in_the_query_as_woocommerce_wants_it_over_http():
    auth = Fixed(**secrets(consumer_key="ck_1", consumer_secret="cs_1"), place="query")
    assert not auth.sends_secrets
    with ScriptedHttpServer([Response(b"[]")]) as server, session(auth, ManualClock(NOON)) as made:
        url = server.url + "wp-json/wc/v3/products?per_page=100&page=1"
        made.send(HttpRequest(url))
        # As a link to the next page has it, which repeats what was asked.
        again = server.url.rstrip("/") + server.requests[0].path
        made.send(HttpRequest(again))
    base = (
        f"GET&http%3A%2F%2F127.0.0.1%3A{server.port}%2Fwp-json%2Fwc%2Fv3%2Fproducts&oauth_consumer_key%3Dck_1%26"
        "oauth_nonce%3Dn0nce%26oauth_signature_method%3DHMAC-SHA256%26"
        f"oauth_timestamp%3D{SECONDS}%26oauth_version%3D1.0%26page%3D1%26per_page%3D100"
    )
    expected = base64.b64encode(hmac.new(b"cs_1&", base.encode(), "sha256").digest()).decode()
    for request in server.requests:
        pairs = parse_qsl(urlsplit(request.path).query)
        assert dict(pairs)["oauth_signature"] == expected
        assert len(pairs) == len(dict(pairs)) == 8
        assert "cs_1" not in f"{request.path}{request.headers}"


def test_each_signature_has_a_nonce_of_its_own():
    auth = OAuth1(**TOKENS)
    nonces = {authorization(signed(auth, HttpRequest("https://erp.example/")))["oauth_nonce"] for _ in range(100)}
    assert len(nonces) == 100
    hmacs = HmacSigning(key=Secret("k"), signs="{nonce}", headers={"X": "{signature}"})
    assert len({signed(hmacs, HttpRequest("https://erp.example/")).headers["X"] for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "options",
    [
        {"token": None},
        {"token_secret": None},
        {"realm": 'a"b'},
        {"realm": "a\nb"},
        {"signature": "PLAINTEXT"},
        {"place": "body"},
    ],
)
def test_an_oauth1_declaration_that_cannot_be_used_is_refused(options):
    with pytest.raises(ConfigurationError):
        OAuth1(**{**TOKENS, **options})


POST = HttpRequest("https://erp.example:8443/v1/stock?b=2&a=%20", {}, "POST", b'{"a": "\xc3\xbc"}')
BODY_HASH = hashlib.sha256(b'{"a": "\xc3\xbc"}').hexdigest()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{method}\n{path}\n{timestamp}\n{body_sha256}", f"POST\n/v1/stock\n{SECONDS}\n{BODY_HASH}".encode()),
        ("{query}", b"b=2&a=%20"),
        ("{url}|{host}|{body}", b'https://erp.example:8443/v1/stock?b=2&a=%20|erp.example:8443|{"a": "\xc3\xbc"}'),
        ("{milliseconds} {date} {iso}", b"1772366400250 Sun, 01 Mar 2026 12:00:00 GMT 2026-03-01T12:00:00Z"),
        ("{{{nonce}}}", b"{n0nce}"),
    ],
)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_an_hmac_is_that_of_its_template(template, text, algorithm, encoding):
    auth = FixedHmac(
        key=Secret("ké"),
        signs=template,
        algorithm=algorithm,
        encoding=encoding,
        headers={"X-Signature": "v1={signature}", "X-Time": "{timestamp}", "X-Id": "app"},
    )
    digest = hmac.new("ké".encode(), text, algorithm).digest()
    expected = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    assert signed(auth, POST).headers == {"X-Signature": f"v1={expected}", "X-Time": SECONDS, "X-Id": "app"}


@pytest.mark.parametrize(
    "place", ["{key}", "{}", "{0}", "{method!r}", "{path:>9}", "{method.upper}", "{path[0]}", "{", "}"]
)
def test_an_unknown_place_in_a_template_is_refused(place):
    for options in ({"signs": place, "headers": {"X": "{signature}"}}, {"signs": "x", "headers": {"X": place}}):
        with pytest.raises(ConfigurationError, match="a template has"):
            HmacSigning(key=Secret("k"), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"X": "{timestamp}"}},
        {"headers": {}},
        {"headers": {"X Y": "{signature}"}},
        {"signs": "{signature}"},
        {"algorithm": "md5"},
        {"encoding": "base32"},
    ],
)
def test_an_hmac_declaration_that_cannot_be_used_is_refused(options):
    with pytest.raises(ConfigurationError):
        HmacSigning(**{"key": Secret("k"), "signs": "{path}", "headers": {"X": "{signature}"}, **options})


@pytest.mark.parametrize(
    "auth",
    [OAuth1(**TOKENS), HmacSigning(key=Secret("k"), signs="{path}", headers={"X": "{signature}"})],
)
def test_a_refused_signature_is_tried_once(auth):
    with ScriptedHttpServer([Response(b"", 401)]) as server, session(auth) as made:
        with pytest.raises(AccessRefused):
            made.send(HttpRequest(server.url))
    assert len(server.requests) == 1


def test_declarations_are_stored_by_their_references():
    secrets_ = SecretResolvers(EnvironmentSecrets({"A": "c4nary"}))
    secret = Secret.reference("env:A", secrets_)
    converter = document_converter(secrets_)
    for auth in (
        OAuth1(consumer_key=secret, consumer_secret=secret, realm="1", place="query"),
        HmacSigning(key=secret, signs="{path}", headers={"X": "{signature}"}, encoding="base64"),
    ):
        document = plain_document(auth, converter)
        assert converter.structure(document, type(auth)) == auth
        assert "c4nary" not in f"{auth!r} {document}"
