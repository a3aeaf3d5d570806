"""Secrets among the headers, parameters and fields that a connector declares."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from attrs import Factory, frozen

from inventory_sources._http import HttpRequest, named_texts, query_of, refuse_plain_secrets
from inventory_sources.rest._auth import Auth, Both, with_headers, with_query
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.rest._session import RestSession

__all__ = ["has_secret", "plain", "refuse_plain_parts", "revealed", "signing"]


@frozen
class _SecretParts:
    """Headers and parameters that are put on each request, as an auth does: a next link need not repeat them."""

    headers: Mapping[str, Secret] = Factory(dict)
    params: Mapping[str, Secret] = Factory(dict)
    sends_secrets = True

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with both."""
        signed = with_headers(request, {name: secret.reveal() for name, secret in self.headers.items()})
        params = {name: secret.reveal() for name, secret in self.params.items()}
        return with_query(signed, params) if params else signed

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Never: there are no others."""
        return False


def signing(auth: Auth | None, headers: Mapping[str, str | Secret], params: Mapping[str, str | Secret]) -> Auth | None:
    """What signs the requests of a connector: its auth, which has the last word, and the secrets that it declares."""
    parts = _SecretParts(_secrets(headers), _secrets(params))
    if not (parts.headers or parts.params):
        return auth
    return Both(parts, auth) if auth else parts


def plain(values: Mapping[str, str | Secret]) -> dict[str, str]:
    """Those that are no secrets."""
    return {name: value for name, value in values.items() if not isinstance(value, Secret)}


def _secrets(values: Mapping[str, str | Secret]) -> dict[str, Secret]:
    return {name: value for name, value in values.items() if isinstance(value, Secret)}


def revealed(body: object) -> Any:
    """A body with the texts of its secrets."""
    if isinstance(body, Secret):
        return body.reveal()
    if isinstance(body, Mapping):
        return {name: revealed(value) for name, value in body.items()}
    return [revealed(value) for value in body] if isinstance(body, list | tuple) else body


def has_secret(body: object) -> bool:
    """Whether a body has one, however deep."""
    if isinstance(body, Mapping):
        return any(map(has_secret, body.values()))
    return isinstance(body, Secret) or (isinstance(body, list | tuple) and any(map(has_secret, body)))


def refuse_plain_parts(
    url: str,
    headers: Mapping[str, str | Secret],
    params: Mapping[str, str | Secret],
    body: object,
    not_secret: Collection[str],
) -> None:
    """Refuses a credential that is given as plain text in any part of a request.

    :raises ConfigurationError: naming where it is.
    """
    refuse_plain_secrets(
        headers.items(),
        "header",
        "Use auth, such as Bearer(...) or ApiKey(..., header=...), or give a Secret as its value.",
        not_secret,
    )
    query = "Use auth=ApiKey(..., query=...), or params with a Secret as its value."
    refuse_plain_secrets([*query_of(url), *params.items()], "parameter", query, not_secret)
    refuse_plain_secrets(
        named_texts(body), "field of the body", "Give a Secret as its value, or use auth=BodyKey(...).", not_secret
    )
