"""Gets one answer of an HTTP endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import Attribute, evolve, field, frozen

from inventory_sources._http import (
    Dialling,
    HttpClient,
    HttpLimits,
    HttpRequest,
    Validators,
    check_header_names,
    check_header_values,
    patience,
    query_of,
    read_date,
    refusal,
    refuse_plain_secrets,
    refuse_plaintext,
    shown_url,
    unchanged,
)
from inventory_sources._unpacking import Unpack, unpacked, unpacked_head
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError, FetchError, Recovery
from inventory_sources.netguard import networks, system_resolver
from inventory_sources.payload import Payload
from inventory_sources.protocols.connector import Head
from inventory_sources.secrets import Secret
from inventory_sources.spool import read_head

if TYPE_CHECKING:
    import ssl

    from inventory_sources._http import Incoming
    from inventory_sources.protocols.connector import FetchContext, Fetched

__all__ = ["HttpConnector", "HttpRequest", "HttpResponse", "HttpTime"]


class HttpTime(Enum):
    """Which time stands for the moment at which an answer's stock was observed.

    ``FETCH`` is the moment before the request. ``LAST_MODIFIED`` and ``DATE`` are the headers of that name
    (RFC 9110, sections 8.8.2 and 6.6.1); an answer without the declared one is refused.
    """

    FETCH = "fetch"
    LAST_MODIFIED = "last-modified"
    DATE = "date"


@frozen
class HttpResponse:
    """An answer whose body has arrived whole.

    :param status: 200, 203 or 204; 304 for a request with a condition, whose payload is then empty.
    :param headers: by name in lower case; values of repeated ones are joined by commas.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    payload: Payload


def _valid_url(instance: HttpConnector, attribute: object, url: str) -> None:
    WebAddress.parse(url)


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    """As `tuple`, which type checkers do not understand in a subclass."""
    return tuple(values)


def _valid_networks(instance: HttpConnector, attribute: object, ranges: tuple[str, ...]) -> None:
    networks(ranges)


def _positive(instance: HttpConnector, attribute: Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def _time(value: HttpTime | str) -> HttpTime:
    try:
        return HttpTime(value)
    except ValueError:
        raise ConfigurationError("as_of must be fetch, last-modified or date") from None


@frozen(kw_only=True)
class HttpConnector:
    """Gets the answer of one GET, bounded in time and size, from an address that may be reached.

    To adapt it, subclass and override :meth:`request` (other headers or query), :meth:`payloads` (what to make of the
    answer), :meth:`resolve` or :meth:`tls`.

    Redirects are not followed: a token could end up elsewhere. Proxies and other settings of the environment are not
    used, apart from where the system keeps its certificates.

    :param url: ``https://host/path?query``, without user name and fragment; shown without its query.
    :param token: sent as ``Authorization: Bearer``.
    :param headers: sent as they are.
    :param secret_headers: sent like ``headers``, for keys such as ``X-Api-Key``.
    :param secret_query: added to the URL's query, for endpoints that want their key there.
    :param not_secret: names of headers and parameters that sound like a secret's, and may be plain text.
    :param timeout: seconds for each step: to resolve, to connect, and for each piece to arrive.
    :param deadline: seconds for all of it; the sync's own deadline counts too.
    :param max_bytes: of the body as sent.
    :param max_decoded_bytes: of the body after decompression.
    :param max_ratio: decoded bytes for each byte sent, looked at from 1 MiB decoded on.
    :param allow_private: ranges such as ``10.1.0.0/16`` that may be reached although they are not public. For an
        operator to set, never for whoever names the URL.
    :param allow_plaintext: whether secrets may be sent over ``http://``.
    :param as_of: which time stands for the observation.
    :param conditional: whether the server is asked for its answer only if it has changed since the last sync that was
        applied, by its ``ETag`` and ``Last-Modified``. If it has not, nothing is read, not even when a person asked for
        the sync; an edit of the source has it read again. Uses the source's cursor.
    :param unpack: what the body is packed with, apart from a ``Content-Encoding``, for one that is to be unpacked.
    :raises ConfigurationError: when one of these cannot be used.
    """

    url: str = field(kw_only=False, repr=shown_url, validator=_valid_url)
    token: Secret | None = None
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    secret_headers: Mapping[str, Secret] = field(factory=dict)
    secret_query: Mapping[str, Secret] = field(factory=dict)
    not_secret: tuple[str, ...] = field(default=(), converter=_texts)
    timeout: float = field(default=30.0, validator=_positive)
    deadline: float = field(default=900.0, validator=_positive)
    max_bytes: int = field(default=256 * 1024**2, validator=_positive)
    max_decoded_bytes: int = field(default=1024**3, validator=_positive)
    max_ratio: float = field(default=200.0, validator=_positive)
    allow_private: tuple[str, ...] = field(default=(), converter=_texts, validator=_valid_networks)
    allow_plaintext: bool = False
    as_of: HttpTime = field(default=HttpTime.FETCH, converter=_time)
    conditional: bool = False
    unpack: Unpack | None = None

    def __attrs_post_init__(self) -> None:
        secret = self.token or self.secret_headers or self.secret_query
        if secret:
            refuse_plaintext(self.url, allowed=self.allow_plaintext)
        in_header = "Give it as a Secret, by secret_headers or token."
        refuse_plain_secrets(self.headers.items(), "header", in_header, self.not_secret)
        in_query = "Give it as a Secret, by secret_query."
        refuse_plain_secrets(query_of(self.url), "parameter", in_query, self.not_secret)
        names = ["authorization"] * bool(self.token) + [n.lower() for n in (*self.headers, *self.secret_headers)]
        if len(set(names)) < len(names):
            raise ConfigurationError("a header is given twice")
        check_header_names((*self.headers, *self.secret_headers))
        check_header_values(self.headers)

    @property
    def host(self) -> str:
        """The server's name, by which a worker counts the syncs that it has there at once."""
        return WebAddress.parse(self.url).host

    def fetch(self, context: FetchContext) -> Iterator[Fetched]:
        """Yields what :meth:`payloads` makes of the answer.

        :raises FetchError: when it cannot be had whole; see :mod:`inventory_sources.errors`.
        """
        request = self.request(context)
        if self.conditional:
            known = Validators.load(context.cursor).headers()
            request = evolve(request, headers={**request.headers, **known})
        response = self.get(request, context)
        if response.status == 304:
            context.nothing_new(f"{response.payload.origin} has not changed since it was read last")
            return
        if self.conditional:
            context.next_cursor = Validators.of(response.headers).dump()
        yield from self.payloads(response, context)

    def check(self, context: FetchContext) -> Head:
        """The head of the answer, decompressed; sends the same request as :meth:`fetch`.

        :raises FetchError: as :meth:`fetch` would.
        """
        if self.unpack:
            return unpacked_head(self.get(self.request(context), context).payload, self.unpack, context)
        with self._open(self.request(context), context) as (_, incoming):
            data, complete = read_head(incoming.chunks)
            coded = incoming.headers.get("content-encoding")
            size = None if coded else incoming.exchange.declared_size
            media_type = incoming.headers.get("content-type")
            return Head(incoming.origin, data, complete, media_type, len(data) if complete else size)

    def request(self, context: FetchContext) -> HttpRequest:
        """What to ask for; override to add a header or a parameter that depends on the sync."""
        headers = {**self.headers, **{name: secret.reveal() for name, secret in self.secret_headers.items()}}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        query = {name: secret.reveal() for name, secret in self.secret_query.items()}
        url = WebAddress.parse(self.url).with_query(query)
        return HttpRequest(f"{url.scheme}://{url.authority}{url.target}", headers)

    def payloads(self, response: HttpResponse, context: FetchContext) -> Iterable[Fetched]:
        """What of the answer is the input: what is packed in it where ``unpack`` says so; override to yield records."""
        return unpacked(response.payload, self.unpack, context)

    def resolve(self, host: str, port: int) -> Iterable[str]:
        """The addresses of a name, each of which is judged; override to use a resolver of one's own.

        :raises OSError: when there are none.
        """
        return system_resolver(host, port)

    def tls(self) -> ssl.SSLContext:
        """How servers are verified: by the system's certificates; override to trust a private authority."""
        import ssl

        return ssl.create_default_context()

    def get(self, request: HttpRequest, context: FetchContext) -> HttpResponse:
        """One request and its whole answer, in the spool.

        :raises FetchError: when it cannot be had whole, and for every status but 200, 203 and 204, and 304 where the
            request has a condition.
        """
        with self._open(request, context) as (client, incoming):
            as_of = None if incoming.status == 304 else self._observed(incoming.headers, incoming.origin)
            payload = evolve(client.download(incoming, context), as_of=as_of)
            return HttpResponse(incoming.status, incoming.headers, payload)

    @contextmanager
    def _open(self, request: HttpRequest, context: FetchContext) -> Iterator[tuple[HttpClient, Incoming]]:
        limits = HttpLimits(
            timeout=self.timeout,
            deadline=self.deadline,
            max_bytes=self.max_bytes,
            max_decoded_bytes=self.max_decoded_bytes,
            max_ratio=self.max_ratio,
        )
        dialling = Dialling(allow_private=self.allow_private, resolver=self.resolve, tls=self.tls)
        wait = patience(limits, context.clock, context)
        with HttpClient(limits, wait, dialling) as client, client.open(request) as incoming:
            refused = refusal(incoming.status, incoming.headers, incoming.origin, context.clock.now())
            if refused and not unchanged(request, incoming.status):
                raise refused
            yield client, incoming

    def _observed(self, headers: Mapping[str, str], origin: str) -> datetime | None:
        if self.as_of is HttpTime.FETCH:
            return None
        moment = read_date(headers.get(self.as_of.value, ""))
        if moment is None:
            raise FetchError(
                f"{origin} has no readable {self.as_of.value} header, which is declared as the time of its stock",
                recovery=Recovery.STOP,
                guidance="Declare as_of='fetch', or have the server send the header.",
            )
        return moment
