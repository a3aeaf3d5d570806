"""Doors of servers for tests: each lets in who shows a credential that is proven without the code under test."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from oauthlib.oauth1 import RequestValidator, SignatureOnlyEndpoint

from inventory_sources.rest import (
    ApiKey,
    Auth,
    Basic,
    Bearer,
    Both,
    ClientCredentials,
    HmacSigning,
    LoginToken,
    OAuth1,
    RefreshToken,
)
from inventory_sources.secrets import Secret
from inventory_sources.testing.servers import Request

#: Every secret has it.
CANARY = "c4nary"
#: The time of signatures.
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = "1772366400"


def has_query(request: Request) -> bool:
    """Whether it was sent with one."""
    return "?" in request.path


def query(request: Request) -> dict[str, str]:
    """Each parameter once: one that comes twice is a key that was added to its own copy in a link."""
    if not has_query(request):
        return {}
    given = parse_qs(urlsplit(request.path).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in given.values()), given.keys()
    return {name: values[0] for name, values in given.items()}


class Door:
    """What a server asks of a request.

    :ivar given: how many tokens it gave.
    """

    renews = False

    def __init__(self, good_for: int) -> None:
        self.good_for = good_for
        self.given = 0

    def auth(self, url: str) -> Auth:
        raise NotImplementedError

    def admits(self, request: Request) -> bool:
        raise NotImplementedError

    def grants(self, request: Request) -> str | None:
        """The document that answers a request for a token; ``None`` where it is refused."""
        return None


class BearerDoor(Door):
    def auth(self, url: str) -> Auth:
        return Bearer(Secret("c4nary-token"))

    def admits(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer c4nary-token"


class BasicDoor(Door):
    def auth(self, url: str) -> Auth:
        return Basic("stock", Secret("c4nary:pä55"))

    def admits(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Basic {b64encode('stock:c4nary:pä55'.encode()).decode()}"


class HeaderKeyDoor(Door):
    def auth(self, url: str) -> Auth:
        return ApiKey(Secret("c4nary-key"), header="X-Api-Key")

    def admits(self, request: Request) -> bool:
        return request.headers.get("x-api-key") == "c4nary-key"


class QueryKeyDoor(Door):
    def auth(self, url: str) -> Auth:
        return ApiKey(Secret("c4nary&key=/ü"), query="key")

    def admits(self, request: Request) -> bool:
        return query(request).get("key") == "c4nary&key=/ü"


class TokenDoor(Door):
    """Gives tokens, the first of which is over after some pages."""

    renews = True

    def admits(self, request: Request) -> bool:
        if not self.given or request.headers.get("authorization") != f"Bearer c4nary-token-{self.given}":
            return False
        if self.given > 1:
            return True
        self.good_for -= 1
        return self.good_for >= 0

    def grants(self, request: Request) -> str | None:
        if request.method != "POST" or not self.knows(request):
            return None
        self.given += 1
        return f"c4nary-token-{self.given}"

    def knows(self, request: Request) -> bool:
        raise NotImplementedError


def form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), strict_parsing=True))


class ClientDoor(TokenDoor):
    def auth(self, url: str) -> Auth:
        secret = Secret("c4nary-secret")
        return ClientCredentials(token_url=url + "token", client_id="id", client_secret=secret, allow_plaintext=True)

    def knows(self, request: Request) -> bool:
        basic = f"Basic {b64encode(b'id:c4nary-secret').decode()}"
        return request.headers.get("authorization") == basic and form(request) == {"grant_type": "client_credentials"}


class RefreshDoor(TokenDoor):
    """Gives another refresh token with each token, which voids the one before."""

    def auth(self, url: str) -> Auth:
        token = Secret("c4nary-refresh-0")
        return RefreshToken(token_url=url + "token", client_id="id", refresh_token=token, allow_plaintext=True)

    def knows(self, request: Request) -> bool:
        expected = {"grant_type": "refresh_token", "refresh_token": f"c4nary-refresh-{self.given}", "client_id": "id"}
        return form(request) == expected


class LoginDoor(TokenDoor):
    def auth(self, url: str) -> Auth:
        secrets = {"password": Secret("c4nary-pä55")}
        return LoginToken(
            url=url + "token", body={"user": "u"}, secrets=secrets, token="access_token", allow_plaintext=True
        )

    def knows(self, request: Request) -> bool:
        return json.loads(request.body) == {"user": "u", "password": "c4nary-pä55"}


class Consumers(RequestValidator):
    """Of oauthlib: knows one consumer and one token of it, and takes each nonce once."""

    enforce_ssl = False
    nonce_length = (20, 40)
    # The time is compared below, with that of the fetch.
    timestamp_lifetime = float("inf")
    dummy_client = "nobody"

    def __init__(self) -> None:
        super().__init__()
        self.nonces: set[str] = set()

    def validate_client_key(self, client_key: str, request: Any) -> bool:
        return client_key == "c4naryConsumerOfStock" and request.resource_owner_key == "c4naryToken"

    def validate_timestamp_and_nonce(
        self, client_key: str, timestamp: str, nonce: str, request: Any, *tokens: Any, **more: Any
    ) -> bool:
        fresh = nonce not in self.nonces
        self.nonces.add(nonce)
        return fresh and timestamp == SECONDS

    def get_client_secret(self, client_key: str, request: Any) -> str:
        return "c4nary&secret/ü"

    def get_access_token_secret(self, client_key: str, token: str, request: Any) -> str:
        return "c4nary token secret"


class OAuth1Door(Door):
    def __init__(self, good_for: int) -> None:
        super().__init__(good_for)
        self.endpoint = SignatureOnlyEndpoint(Consumers())

    def auth(self, url: str) -> Auth:
        return OAuth1(
            consumer_key=Secret("c4naryConsumerOfStock"),
            consumer_secret=Secret("c4nary&secret/ü"),
            token=Secret("c4naryToken"),
            token_secret=Secret("c4nary token secret"),
        )

    def admits(self, request: Request) -> bool:
        names = {"authorization": "Authorization", "content-type": "Content-Type"}
        headers = {names[name]: value for name, value in request.headers.items() if name in names}
        url = f"http://{request.headers['host']}{request.path}"
        try:
            good, _ = self.endpoint.validate_request(url, request.method, request.body.decode(), headers)
        except ValueError:
            # What is no OAuth header at all.
            return False
        return bool(good)


class HmacDoor(Door):
    def __init__(self, good_for: int) -> None:
        super().__init__(good_for)
        self.nonces: set[str] = set()

    def auth(self, url: str) -> Auth:
        return HmacSigning(
            key=Secret("c4nary-ké"),
            signs="{method}\n{path}?{query}\n{timestamp}\n{nonce}\n{body_sha256}",
            headers={"X-Signature": "{signature}", "X-Time": "{timestamp}", "X-Nonce": "{nonce}"},
        )

    def admits(self, request: Request) -> bool:
        nonce, time = request.headers.get("x-nonce", ""), request.headers.get("x-time")
        target = request.path if has_query(request) else f"{request.path}?"
        text = f"{request.method}\n{target}\n{time}\n{nonce}\n{hashlib.sha256(request.body).hexdigest()}"
        expected = hmac.new("c4nary-ké".encode(), text.encode(), "sha256").hexdigest()
        fresh = bool(nonce) and nonce not in self.nonces
        self.nonces.add(nonce)
        return fresh and time == SECONDS and request.headers.get("x-signature") == expected


class BothDoor(Door):
    """A gateway's key in the query, which the second credential may sign."""

    second: type[Door]

    def __init__(self, good_for: int) -> None:
        super().__init__(good_for)
        self.doors = (QueryKeyDoor(good_for), self.second(good_for))
        self.renews = self.doors[1].renews

    def auth(self, url: str) -> Auth:
        return Both(*(door.auth(url) for door in self.doors))

    def admits(self, request: Request) -> bool:
        return all(door.admits(request) for door in self.doors)

    def grants(self, request: Request) -> str | None:
        granted = self.doors[1].grants(request)
        self.given = self.doors[1].given
        return granted


class BothTokenDoor(BothDoor):
    second = ClientDoor


class BothSignedDoor(BothDoor):
    second = HmacDoor


DOORS: dict[str, type[Door]] = {
    "Bearer": BearerDoor,
    "Basic": BasicDoor,
    "ApiKey in header": HeaderKeyDoor,
    "ApiKey in query": QueryKeyDoor,
    "Both, one renewed": BothTokenDoor,
    "Both, one signed": BothSignedDoor,
    "ClientCredentials": ClientDoor,
    "RefreshToken": RefreshDoor,
    "LoginToken": LoginDoor,
    "OAuth1": OAuth1Door,
    "HmacSigning": HmacDoor,
}
