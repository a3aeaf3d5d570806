"""RestConnector: a list of records, or files, from a REST or GraphQL API, as declared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import Attribute, evolve, field, frozen

from inventory_sources._http import (
    Dialling,
    HttpAnswer,
    HttpClient,
    HttpLimits,
    HttpRequest,
    Validators,
    check_header_names,
    check_header_values,
    patience,
    refuse_plaintext,
    shown_url,
    unchanged,
)
from inventory_sources._unpacking import Unpack, unpacked, unpacked_head
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError, StructureInvalid
from inventory_sources.netguard import networks, system_resolver
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.rest._auth import Auth
from inventory_sources.rest._calls import Further
from inventory_sources.rest._details import Details, completed
from inventory_sources.rest._files import head_of, refuse_html
from inventory_sources.rest._graphql import GraphQl, refuse_errors
from inventory_sources.rest._joins import Cells, Join
from inventory_sources.rest._manners import Manners
from inventory_sources.rest._markers import Markers
from inventory_sources.rest._pagers import refuse_page
from inventory_sources.rest._pages import Page, Pager, sequential
from inventory_sources.rest._records import flat, lists_in, records_at, reshaped, shape
from inventory_sources.rest._report import Report, reported
from inventory_sources.rest._secret_parts import has_secret, plain, refuse_plain_parts, revealed, signing
from inventory_sources.rest._session import RestSession, json_of
from inventory_sources.rest._walk import Listing, Walk
from inventory_sources.rest._watermark import Pull, Watermark
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    import ssl

    from inventory_sources.protocols.connector import FetchContext, Fetched, Head

__all__ = ["RestConnector"]

_NOT_MODIFIED = 304


def _valid_url(instance: object, attribute: object, url: str) -> None:
    WebAddress.parse(url)


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    """As `tuple`, which would take a text for a list of its letters."""
    if isinstance(values, str):
        raise ConfigurationError("a list of texts is needed, not one text")
    return tuple(values)


def _joins(values: Iterable[Join]) -> tuple[Join, ...]:
    return tuple(values)


def _valid_networks(instance: object, attribute: object, ranges: tuple[str, ...]) -> None:
    networks(ranges)


def _positive(instance: object, attribute: Attribute[Any], value: int) -> None:
    if value < 1:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def _valid_shape(instance: object, attribute: object, expression: str | None) -> None:
    if expression is not None:
        shape(expression)


@frozen(kw_only=True)
class RestConnector:
    """Asks an API for a list, page after page, and yields its records; or, without ``records``, its files.

    Records are flat texts: nested keys are joined by dots, numbers keep their spelling, booleans are ``true`` and
    ``false``, lists are left out. Nothing is yielded before the whole list was read and found to be whole.

    To adapt it, subclass and override :meth:`request`, :meth:`page_records`, :meth:`record`, :meth:`session`,
    :meth:`resolve` or :meth:`tls`.

    :param url: ``https://host/path?query``, without user name and fragment; shown without its query.
    :param params: added to the query; a :class:`~inventory_sources.secrets.Secret` among them, to each request's.
    :param headers: sent with each request; a value may be a ``Secret``.
    :param body: sent as JSON; any value in it may be a ``Secret``.
    :param not_secret: names of headers, parameters and fields that sound like a secret's, and may be plain text.
    :param graphql: sent by POST in place of ``body``.
    :param auth: signs the requests.
    :param records: where in the document the list is, as a dotted path or JSON Pointer, ``""`` for the document
        itself; ``None`` leaves each answer to the source's decoder.
    :param reshape: a JMESPath expression (extra ``jmespath``) that is applied to the document before that.
    :param keep: columns to keep; all unless given.
    :param pager: leads from one page to the next; ``None`` reads one answer, which then may be a part of the list, so
        that absent SKUs mean nothing: declare ``OnePage()`` where it is known to be all of it.
    :param key: where a record has what it is known by, which no two share: one that comes twice shows that the list
        moved while it was read.
    :param verify: reads the list twice, which must give the same keys: for pages that shift when the list changes.
    :param ignore_markers: what in an answer does not say that there is more of the list although it looks so, by the
        name that the error tells: ``total`` or ``meta.total`` of the document, ``X-Total-Count`` or ``Link`` of the
        headers, or ``full page``.
    :param concurrency: requests at the same time: for pages, where all are known after the first, and for details.
    :param manners: how fast they are asked for, and which requests are sent again.
    :param joins: columns from second lists, one after the other.
    :param details: columns from a request of its own for each record, after the joins.
    :param watermark: asks only for what changed; the source's feed is then partial.
    :param report: has the API make the input as a file, which goes to the source's decoder; ``url`` is then only where
        its paths begin.
    :param unpack: what the files are packed with, apart from a ``Content-Encoding``, where they are to be unpacked.
    :param conditional: whether the server is asked for the one file only if it has changed since the last sync that was
        applied; see :class:`~inventory_sources.connectors.HttpConnector`. Uses the source's cursor.
    :param limits: on time and size, of each answer and of all together.
    :param max_pages: more are refused.
    :param max_records: more are refused.
    :param allow_html: whether a file may be HTML, which otherwise is taken for a login or error page.
    :param allow_private: ranges such as ``10.1.0.0/16`` that may be reached although they are not public. For an
        operator to set, never for whoever names the URL.
    :param allow_plaintext: whether secrets may be sent over ``http://``.
    :raises ConfigurationError: when one of these cannot be used.
    """

    url: str = field(kw_only=False, repr=shown_url, validator=_valid_url)
    method: str = "GET"
    params: Mapping[str, str | Secret] = field(factory=dict, repr=False)
    headers: Mapping[str, str | Secret] = field(factory=dict, repr=False)
    body: object | Secret = field(default=None, repr=False)
    not_secret: tuple[str, ...] = field(default=(), converter=_texts)
    graphql: GraphQl | None = None
    auth: Auth | None = None
    records: str | None = None
    reshape: str | None = field(default=None, validator=_valid_shape)
    keep: tuple[str, ...] = field(default=(), converter=_texts)
    pager: Pager | None = None
    key: str | None = None
    verify: bool = False
    ignore_markers: tuple[str, ...] = field(default=(), converter=_texts)
    concurrency: int = field(default=1, validator=_positive)
    manners: Manners = field(factory=Manners)
    joins: tuple[Join, ...] = field(default=(), converter=_joins)
    details: Details | None = None
    watermark: Watermark | None = None
    report: Report | None = None
    unpack: Unpack | None = None
    conditional: bool = False
    limits: HttpLimits = field(factory=HttpLimits)
    max_pages: int = field(default=100_000, validator=_positive)
    max_records: int = field(default=20_000_000, validator=_positive)
    allow_html: bool = False
    allow_private: tuple[str, ...] = field(default=(), converter=_texts, validator=_valid_networks)
    allow_plaintext: bool = False

    def __attrs_post_init__(self) -> None:
        check_header_names(self.headers)
        check_header_values(plain(self.headers))
        sent = self.graphql.body if self.graphql else self.body
        refuse_plain_parts(self.url, self.headers, self.params, sent, self.not_secret)
        auth = self._signing
        if has_secret(sent) or (auth and auth.sends_secrets):
            refuse_plaintext(self.url, allowed=self.allow_plaintext)
        if fault := self._fault() or self._idle():
            raise ConfigurationError(fault)
        for join in self.joins:
            join.check(self.url)
        if self.details:
            self.details.check(self.url)
        if self.report:
            self.report.check(self.url)

    @property
    def gives_changes(self) -> bool:
        """Whether most fetches give only what changed, so that the source's feed must be partial."""
        return self.watermark is not None

    def _fault(self) -> str | None:
        if self.body is not None and self.graphql:
            return "body and graphql are both given"
        if self.method not in ("GET", "POST"):
            return "method must be GET or POST"
        if self.key is None and (self.verify or getattr(self.pager, "needs_key", False)):
            return "verify and overlap need key, to know a record again"
        if self.report and (self.records is not None or self.pager):
            return "a report is a file for the source's decoder: it has neither records nor pager"
        if self.unpack and self.records is not None:
            return "unpack is for files, which records are not"
        # A row that slips to a page that was read is behind the mark then, and not asked for again.
        if self.watermark and self.pager and not (self.verify or getattr(self.pager, "stable", False)):
            return "a watermark misses rows where pages shift: declare verify and key, or a pager whose pages stay"
        if self.conditional and (self.records is not None or self.pager or self.report):
            return "conditional is for one file: it goes with neither records nor pager nor report"
        return self._file_fault() if self.records is None else None

    def _file_fault(self) -> str | None:
        for name in ("reshape", "keep", "key", "graphql", "joins", "details", "watermark"):
            if getattr(self, name):
                return f"{name} needs records: where in the document the list is"
        if self.pager and not getattr(self.pager, "by_headers", False):
            return "this pager reads JSON documents; give records, or use LinkHeader or HeaderTotal"
        return None

    def _idle(self) -> str | None:
        """What is wrong with a concurrency that no request would make use of."""
        pagers = [self.pager, *(join.pager for join in self.joins)]
        if self.concurrency == 1 or self.details or not all(map(sequential, pagers)):
            return None
        return (
            f"concurrency={self.concurrency} has no use here, as each request waits for the answer before: it is for "
            "details, and for pages whose number is known: PageNumber, HeaderTotal or Offset with last or total"
        )

    @property
    def _signing(self) -> Auth | None:
        return signing(self.auth, self.headers, self.params)

    @property
    def host(self) -> str:
        """The server's name, by which a worker counts the syncs that it has there at once."""
        return WebAddress.parse(self.url).host

    def fetch(self, context: FetchContext) -> Iterator[Fetched]:
        """Yields all records of the list, or all its files.

        :raises FetchError: when a page cannot be had.
        :raises StructureInvalid: when a document is not as declared.
        :raises InputIncomplete: when the list went on changing while it was read.
        """
        with self.session(context) as session:
            if self.report is not None:
                yield from unpacked(self._reported(self.report, session), self.unpack, context)
            elif self.records is None:
                yield from self._files(session)
            else:
                yield from self._rows(session)

    def check(self, context: FetchContext) -> Head:
        """The head of the first answer; sends the first request of :meth:`fetch`. A report is made for it.

        :raises FetchError: as :meth:`fetch` would.
        """
        with self.session(context) as session:
            if self.report is not None:
                return self._head(self._reported(self.report, session), context)
            request = self.request(context)
            answer, document = self._ask(session, self.pager.first(request) if self.pager else request)
        if isinstance(document, Payload):
            return self._head(document, context)
        whole = Payload(
            answer.origin, answer.body, media_type=answer.headers.get("content-type"), size=len(answer.body)
        )
        return evolve(head_of(whole), lists=self._lists(Page(1, request, answer, document)))

    def request(self, context: FetchContext) -> HttpRequest:
        """What to ask for, without what the pager and the auth add; override to add what depends on the sync."""
        body = self.graphql.body if self.graphql else self.body
        url = WebAddress.parse(self.url).with_query(plain(self.params))
        defaults = {"Accept": "application/json"} if self.records is not None else {}
        if body is not None:
            defaults["Content-Type"] = "application/json"
        headers = plain(self.headers)
        given = {name.lower() for name in headers}
        return HttpRequest(
            f"{url.scheme}://{url.authority}{url.target}",
            {**{name: value for name, value in defaults.items() if name.lower() not in given}, **headers},
            "POST" if self.graphql else self.method,
            None if body is None else json.dumps(revealed(body)).encode(),
            repeatable=self.graphql is not None,
        )

    def page_records(self, page: Page) -> Sequence[Mapping[str, Any]]:
        """What of a page is the list, as in its document; override where no path leads there.

        :raises StructureInvalid: when it is not there.
        """
        document = page.document if self.reshape is None else reshaped(page.document, self.reshape)
        return records_at(document, self.records or "", page.answer.origin)

    def record(self, record: dict[str, str | None]) -> Mapping[str, object] | None:
        """What is yielded of a flat record; override to change it, or to leave it out by ``None``."""
        return record

    @contextmanager
    def session(self, context: FetchContext) -> Iterator[RestSession]:
        """What sends the requests of one fetch; override to wrap it."""
        dialling = Dialling(allow_private=self.allow_private, resolver=self.resolve, tls=self.tls)
        with HttpClient(self.limits, patience(self.limits, context.clock, context), dialling) as client:
            yield RestSession(client, context, self._signing, self.manners)

    def resolve(self, host: str, port: int) -> Iterable[str]:
        """The addresses of a name, each of which is judged; override to use a resolver of one's own.

        :raises OSError: when there are none.
        """
        return system_resolver(host, port)

    def tls(self) -> ssl.SSLContext:
        """How servers are verified: by the system's certificates; override to trust a private authority."""
        import ssl

        return ssl.create_default_context()

    def _rows(self, session: RestSession) -> Iterable[Mapping[str, object]]:
        """The records of the list, in order."""
        context, base = session.context, self.request(session.context)
        pull = Pull.begin(self.watermark, context) if self.watermark else None
        if not (self.joins or self.details or pull):
            listing = self._walk(session, lambda *page: self._finished(self._flat(*page))).run(base)
            context.evidence = self._evidence(listing)
            return listing.taken
        listing = self._walk(session, self._flat).run(pull.request(base) if pull else base)
        changes = pull is not None and pull.since is not None
        further = evolve(self._further(session), whole=not changes)
        rows, whole = completed(listing.taken, self.joins, self.details, further)
        if pull:
            pull.end(listing)
        if whole and not changes:
            context.evidence = self._evidence(listing)
        return self._finished(rows)

    def _reported(self, report: Report, session: RestSession) -> Payload:
        payload = reported(report, self._further(session))
        if not self.allow_html:
            refuse_html(payload)
        return payload

    def _further(self, session: RestSession) -> Further:
        return Further(
            session=session,
            base=self.request(session.context),
            concurrency=self.concurrency,
            max_pages=self.max_pages,
            max_records=self.max_records,
        )

    def _files(self, session: RestSession) -> Iterator[Payload]:
        context, request = session.context, self.request(session.context)
        if self.conditional:
            known = Validators.load(context.cursor).headers()
            request = evolve(request, headers={**request.headers, **known})
        listing = self._walk(session, lambda page, _: [page.document]).run(request)
        if self.conditional and listing.last.status == _NOT_MODIFIED:
            context.nothing_new(f"{listing.last.origin} has not changed since it was read last")
            return
        if self.conditional:
            context.next_cursor = Validators.of(listing.last.headers).dump()
        for payload in listing.taken:
            for file in unpacked(payload, self.unpack, context):
                yield file if self.pager is None else evolve(file, evidence=self._evidence(listing))

    def _head(self, payload: Payload, context: FetchContext) -> Head:
        return unpacked_head(payload, self.unpack, context) if self.unpack else head_of(payload)

    def _walk(self, session: RestSession, take: Any) -> Walk[Any]:
        return Walk(
            ask=lambda request: self._ask(session, request),
            records=None if self.records is None else self.page_records,
            take=take,
            pager=self.pager,
            key=self.key,
            verify=self.verify,
            concurrency=self.concurrency,
            max_pages=self.max_pages,
            max_records=self.max_records,
            markers=Markers(self.records or "", self.ignore_markers),
            warn=session.context.warn,
        )

    def _ask(self, session: RestSession, request: HttpRequest) -> tuple[HttpAnswer, Any]:
        session.context.checkpoint()
        document: Any
        if self.records is None:
            conditional = self.conditional and unchanged(request, _NOT_MODIFIED)
            answer, document = session.download(request, also=frozenset({_NOT_MODIFIED} if conditional else ()))
            if not self.allow_html:
                refuse_html(document)
        else:
            answer = session.send(request)
            document = json_of(answer)
        if self.graphql:
            refuse_errors(document, answer.origin)
        if self.pager is None:
            refuse_page(answer, document, self.ignore_markers)
        return answer, document

    def _flat(self, page: Page, records: Sequence[Mapping[str, Any]]) -> list[Cells]:
        return [flat(record, number) for number, record in enumerate(records, page.seen - len(records) + 1)]

    def _lists(self, page: Page) -> Mapping[str, int]:
        """Where its lists are, unless one is where it is declared to be."""
        try:
            self.page_records(page)
        except StructureInvalid:
            return lists_in(page.document, self.reshape)
        return {}

    def _finished(self, records: Iterable[Cells]) -> list[Mapping[str, object]]:
        kept = [record for record in map(self.record, records) if record is not None]
        if self.keep:
            kept = [{name: record[name] for name in self.keep if name in record} for record in kept]
        return kept

    def _evidence(self, listing: Listing[Any]) -> Evidence:
        # The length of an answer proves its body, and not that there is no further page.
        if self.pager is None or not listing.proven:
            return Evidence(declared_records=listing.declared)
        counted = frozenset() if listing.declared is None else frozenset({Proof.COUNT})
        return Evidence(counted | {Proof.LAST_PAGE}, listing.declared)
