"""Reports: a file that the API makes on request, asked after until it is ready."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from attrs import Attribute, evolve, field, frozen

from inventory_sources._http import HttpRequest
from inventory_sources._url import WebAddress
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    FetchError,
    InputIncomplete,
    Recovery,
    SourceMissing,
    StructureInvalid,
)
from inventory_sources.rest._calls import Call, Further
from inventory_sources.rest._pages import value_at
from inventory_sources.rest._records import flat
from inventory_sources.rest._session import json_of

if TYPE_CHECKING:
    from inventory_sources.payload import Payload
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["Report", "reported"]

_BEGUN = frozenset({201, 202})


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ConfigurationError("a list of texts is needed, not one text")
    return tuple(values)


def _positive(instance: object, attribute: Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def _lasting(instance: object, attribute: Attribute[Any], value: timedelta) -> None:
    if not value > timedelta(0):
        raise ConfigurationError(f"{attribute.name} must be more than 0")


@frozen(kw_only=True)
class Report:
    """A report job: created, asked after until it is ready, then its file is the input.

    A job that is not ready in time is remembered, and the next fetch asks after it instead of creating another. The
    stock counts as observed at the fetch that created the job.

    :param create: creates it.
    :param id: where the answer to that has what the job is known by.
    :param poll: asks after it, with ``{id}`` in it.
    :param status: where the answer to that says how far it is.
    :param ready: what stands there when it is ready.
    :param failed: what stands there when it never will be; with anything else the job is still at work.
    :param document: asks for what is ready, with ``{id}`` or a column of the last answer such as ``{documentId}`` in
        it; ``None`` where that answer itself has the link.
    :param link: where the answer has the URL of the file; ``None`` where the answer to ``document`` is the file.
    :param origins: to which ``link`` may lead beside the connector's own, such as ``https://files.example.com`` or
        ``https://*.s3.amazonaws.com``. No credentials and no headers of the connector go there.
    :param every: seconds between two times of asking.
    :param wait: seconds that a fetch goes on asking, at most half of those it has left.
    :param lasts: how long a job is remembered.
    """

    create: Call
    id: str
    poll: Call
    status: str
    ready: tuple[str, ...] = field(converter=_texts)
    failed: tuple[str, ...] = field(default=(), converter=_texts)
    document: Call | None = None
    link: str | None = None
    origins: tuple[str, ...] = field(default=(), converter=_texts)
    every: float = field(default=30.0, validator=_positive)
    wait: float = field(default=300.0, validator=_positive)
    lasts: timedelta = field(default=timedelta(hours=12), validator=_lasting)

    def __attrs_post_init__(self) -> None:
        if not self.ready or set(self.ready) & set(self.failed):
            raise ConfigurationError(
                "a report needs to know by which values it is ready, and by which others it failed"
            )
        if self.document is None and self.link is None:
            raise ConfigurationError("a report needs document or link, to know where its file is")
        if "id" not in self.poll.places:
            raise ConfigurationError("the request that asks after a report needs {id} in it")
        for origin in self.origins:
            _origin(origin)

    def check(self, base: str) -> None:
        """Sees at the declaration whether it can be asked for.

        :raises ConfigurationError: when it cannot.
        """
        if self.create.places:
            raise ConfigurationError("the request that creates a report has braces, with nothing to put into them")
        for call in filter(None, (self.create, self.poll, self.document)):
            call.check(base)
        if base.startswith("https:") and any(origin.startswith("http:") for origin in self.origins):
            raise ConfigurationError("a report's file would come in the clear over http://")


@frozen
class _Job:
    """A job that was created.

    :param since: when, so that what it tells was observed no earlier.
    """

    id: str
    since: datetime

    @classmethod
    def remembered(cls, context: FetchContext, lasts: timedelta) -> _Job | None:
        """The one that an earlier fetch noted, unless that was too long ago."""
        try:
            noted = json.loads(context.memo or "")
            job = cls(str(noted["job"]), datetime.fromisoformat(noted["since"]))
            age = context.started_at - job.since
        except (ValueError, KeyError, TypeError):
            return None
        return job if timedelta(0) <= age < lasts else None

    def __str__(self) -> str:
        return json.dumps({"job": self.id, "since": self.since.isoformat()})


def reported(report: Report, further: Further) -> Payload:
    """The report's file, in the run's spool.

    :raises InputIncomplete: when it is not ready yet.
    :raises FetchError: when the job failed, or an answer cannot be had.
    :raises StructureInvalid: when an answer is not as declared.
    """
    context = further.session.context
    job, document = _Job.remembered(context, report.lasts), None
    if job is not None:
        with suppress(SourceMissing):  # the server has forgotten it
            document = _awaited(job, report, further)
    if job is None or document is None:
        job = _created(report, further)
        document = _awaited(job, report, further)
    try:
        payload = _file(job, document, report, further)
    except SourceMissing:
        context.note("")
        raise
    # The next fetch wants another one.
    context.note("")
    return evolve(payload, as_of=job.since)


def _created(report: Report, further: Further) -> _Job:
    context = further.session.context
    context.checkpoint()
    answer = further.session.send(report.create.request(further.base, {}, "it"), also=_BEGUN)
    job = _Job(_text_at(json_of(answer), report.id, answer.origin), context.started_at)
    context.note(str(job))
    return job


def _awaited(job: _Job, report: Report, further: Further) -> Any:
    """What is answered once the job is ready."""
    session, clock = further.session, further.session.context.clock
    request = evolve(report.poll.request(further.base, {"id": job.id}, "the report job"), repeatable=True)
    end = clock.monotonic() + min(report.wait, session.client.left() / 2)
    while True:
        session.context.checkpoint()
        answer = session.send(request, also=_BEGUN)
        document = json_of(answer)
        status = _text_at(document, report.status, answer.origin)
        if status in report.ready:
            return document
        if status in report.failed:
            session.context.note("")
            raise FetchError(f"{answer.origin}: the report job ended with {status!r}")
        if clock.monotonic() + report.every > end:
            raise InputIncomplete(
                f"{answer.origin}: the report is not ready yet",
                guidance="It is asked after again shortly; the job is remembered, no other is created.",
            )
        session.pace.rest(report.every)


def _file(job: _Job, document: Any, report: Report, further: Further) -> Payload:
    if report.document is not None:
        request = report.document.request(further.base, {**_cells(document), "id": job.id}, "the report job")
        if report.link is None:
            return further.session.download(_for_file(request, further.base))[1]
        document = further.ask(evolve(request, repeatable=True))[1]
    link = _text_at(document, str(report.link), "the report job")
    return _linked(link, report, further)


def _linked(link: str, report: Report, further: Further) -> Payload:
    here, there = WebAddress.parse(further.base.url), None
    try:
        there = WebAddress.parse(urljoin(further.base.url, link.partition("#")[0]))
    except (ConfigurationError, ValueError):
        raise StructureInvalid(f"what stands at {report.link!r} is no URL of a file") from None
    url = f"{there.scheme}://{there.authority}{there.target}"
    if there.server == here.server:
        return further.session.download(evolve(further.base, url=url, method="GET", content=None))[1]
    if not any(_leads(origin, there) for origin in report.origins):
        raise FetchError(
            f"the report's file is at {there.scheme}://{there.authority}, which is not one of the declared origins",
            recovery=Recovery.STOP,
            guidance="Name it in the report's origins if that is where the API keeps its files.",
        )
    try:
        return further.session.download(HttpRequest(url), signed=False)[1]
    except AccessRefused:
        # No credentials were sent that could be wrong: such a link is good for some minutes.
        raise SourceMissing(f"{there.origin}: the link to the report's file is not good any more") from None


def _for_file(request: HttpRequest, base: HttpRequest) -> HttpRequest:
    """What asks for a file, not for JSON, unless the connector says otherwise."""
    asked = {name.lower() for name in base.headers}
    kept = {name: value for name, value in request.headers.items() if name != "Accept" or "accept" in asked}
    return evolve(request, headers=kept)


def _origin(origin: str) -> tuple[bool, WebAddress]:
    """Whether it stands for all hosts below it, and its address."""
    address = WebAddress.parse(origin.replace("://*.", "://", 1))
    below = "://*." in origin
    if address.path != "/" or address.query or (below and "." not in address.host):
        raise ConfigurationError("an origin is of the form https://host, or https://*.example.com")
    return below, address


def _leads(origin: str, there: WebAddress) -> bool:
    below, address = _origin(origin)
    if below and there.host.endswith(f".{address.host}"):
        return (there.scheme, there.port) == (address.scheme, address.port)
    return not below and there.server == address.server


def _text_at(document: Any, path: str, origin: str) -> str:
    try:
        found = value_at(document, path)
    except StructureInvalid as error:
        raise StructureInvalid(f"{origin}: {error.message}") from None
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, str) or not found:
        raise StructureInvalid(f"{origin}: {path!r} is no text or number")
    return found


def _cells(document: Any) -> Mapping[str, str | None]:
    return flat(document) if isinstance(document, dict) else {}
