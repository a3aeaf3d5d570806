"""Joins: a second list, for what the records of the first do not say, such as the SKU behind an item's number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import Attribute, field, frozen

from inventory_sources._http import HttpRequest, refuse_plain_secrets, shown_url
from inventory_sources.errors import ConfigurationError, StructureInvalid
from inventory_sources.rest._auth import with_query
from inventory_sources.rest._calls import Call, Further
from inventory_sources.rest._markers import Markers
from inventory_sources.rest._pagers import refuse_page
from inventory_sources.rest._pages import Page, Pager
from inventory_sources.rest._records import flat, key_of, records_at
from inventory_sources.rest._walk import Walk

if TYPE_CHECKING:
    from inventory_sources._http import HttpAnswer

__all__ = ["Cells", "Join", "joined", "some", "with_columns"]

Cells: TypeAlias = "dict[str, str | None]"


def some(instance: object, attribute: Attribute[Any], value: Mapping[str, str]) -> None:
    if not value:
        raise ConfigurationError(f"{attribute.name} must name at least one column")


def _positive(instance: object, attribute: Attribute[Any], value: int) -> None:
    if value < 1:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def _known(instance: object, attribute: object, value: str) -> None:
    if value not in ("damaged", "drop"):
        raise ConfigurationError("missing must be 'damaged' or 'drop'")


@frozen(kw_only=True)
class Join:
    """Columns from a second list, which is read whole, or asked for by the first's ids.

    :param url: of the second list: a path, or a whole URL of the connector's own origin.
    :param params: added to its query.
    :param not_secret: names of these that sound like a secret's, and may be plain text.
    :param records: where in its document the list is, as of the connector.
    :param pager: leads through it.
    :param on: the column of the first list that holds what the second is known by.
    :param key: where a record of the second list has that; no two may share it.
    :param take: new columns, each with the column of the second list that it is filled from.
    :param ids_param: the parameter that asks for certain records only; ``None`` reads the whole second list.
    :param batch: ids in one request.
    :param separator: between them.
    :param missing: what becomes of a record that the second list has nothing for: ``damaged`` leaves its new columns
        blank, so that the mapper reports the row; ``drop`` leaves it out, with a warning of how many were.
    :param ignore_markers: as of the connector.
    """

    url: str = field(repr=shown_url)
    params: Mapping[str, str] = field(factory=dict, repr=False)
    records: str = ""
    pager: Pager | None = None
    on: str
    key: str
    take: Mapping[str, str] = field(validator=some)
    ids_param: str | None = None
    batch: int = field(default=50, validator=_positive)
    separator: str = ","
    missing: Literal["damaged", "drop"] = field(default="damaged", validator=_known)
    ignore_markers: tuple[str, ...] = field(default=(), converter=tuple)
    not_secret: tuple[str, ...] = field(default=(), converter=tuple)

    def __attrs_post_init__(self) -> None:
        instead = "Give it to the connector as auth, which signs this request, too."
        refuse_plain_secrets(self.params.items(), "parameter", instead, self.not_secret)

    def request(self, base: HttpRequest, ids: Sequence[str] = ()) -> HttpRequest:
        """For the list, or for the records with these ids.

        :raises ConfigurationError: when the URL is none of the connector's origin.
        """
        params = {**self.params, self.ids_param: self.separator.join(ids)} if self.ids_param else self.params
        request = Call(self.url).request(base, {}, "it")
        return with_query(request, params) if params else request

    def check(self, base: str) -> None:
        """Sees at the declaration whether it can be asked for.

        :raises ConfigurationError: when it cannot.
        """
        if Call(self.url).places:
            raise ConfigurationError("the URL of a join has braces, but there is nothing to put into them")
        self.request(HttpRequest(base))


@frozen
class _Partners:
    """What a second list says.

    :param found: new columns by key.
    :param proven: whether a record that was there all the time cannot be missing.
    """

    found: Mapping[str, Cells]
    proven: bool


@frozen
class _SecondList:
    """Reads a join's list, or parts of it, and notes which columns it has."""

    join: Join
    further: Further
    columns: set[str] = field(factory=set)

    def read(self, request: HttpRequest) -> _Partners:
        """The partners in one list."""
        walk = Walk(
            ask=self._ask,
            records=self._records,
            take=self._taken,
            pager=self.join.pager,
            key=self.join.key,
            concurrency=self.further.concurrency,
            max_pages=self.further.max_pages,
            max_records=self.further.max_records,
            markers=Markers(self.join.records, self.join.ignore_markers),
            warn=self.further.session.context.warn,
        )
        listing = walk.run(request)
        return _Partners(dict(listing.taken), self.join.pager is not None and listing.proven)

    def read_parts(self, ids: Sequence[str]) -> _Partners:
        """The partners of these ids, so many at a time."""
        found: dict[str, Cells] = {}
        # All ids are asked for, and a record without a partner stays as one that cannot be read, unless it is dropped.
        stays = self.join.missing == "damaged"
        proven = True
        for name in ids:
            if self.join.separator in name:
                raise StructureInvalid(f"the id {name[:60]!r} has the separator {self.join.separator!r} in it")
        for start in range(0, len(ids), self.join.batch):
            part = ids[start : start + self.join.batch]
            partners = self.read(self.join.request(self.further.base, part))
            for key in partners.found.keys() - set(part):
                raise StructureInvalid(
                    f"the list at {self.join.url.partition('?')[0]!r} gives {key[:60]!r}, which was not asked for",
                    guidance=f"The API may not know the parameter {self.join.ids_param!r}; leave ids_param out to "
                    "read the whole list.",
                )
            found.update(partners.found)
            proven = proven and (stays or partners.proven)
        return _Partners(found, proven)

    def _ask(self, request: HttpRequest) -> tuple[HttpAnswer, Any]:
        answer, document = self.further.ask(request)
        if self.join.pager is None:
            refuse_page(answer, document, self.join.ignore_markers)
        return answer, document

    def _records(self, page: Page) -> Sequence[Mapping[str, Any]]:
        return records_at(page.document, self.join.records, page.answer.origin)

    def _taken(self, page: Page, records: Sequence[Mapping[str, Any]]) -> list[tuple[str, Cells]]:
        return [self._partner(record, number) for number, record in enumerate(records, page.seen - len(records) + 1)]

    def _partner(self, record: Mapping[str, Any], number: int) -> tuple[str, Cells]:
        cells = flat(record, number)
        self.columns.update(cells)
        return key_of(record, self.join.key, number), {new: cells.get(old) for new, old in self.join.take.items()}


def joined(records: list[Cells], join: Join, further: Further) -> tuple[list[Cells], bool]:
    """The records with the join's columns, in order, and whether the second list is proven whole.

    :raises StructureInvalid: when a declared column is in no record, or no record has a partner.
    :raises FetchError: when the second list cannot be had.
    """
    if not records:
        return records, True
    if further.whole and not any(join.on in record for record in records):
        raise StructureInvalid(f"no record has {join.on!r}, by which the second list is joined")
    second = _SecondList(join, further)
    ids = list(dict.fromkeys(value for record in records if (value := record.get(join.on))))
    partners = second.read_parts(ids) if join.ids_param else second.read(join.request(further.base))
    for old in join.take.values():
        if further.whole and partners.found and old not in second.columns:
            raise StructureInvalid(f"no record of the second list has {old!r}")
    if further.whole and partners.found.keys().isdisjoint(ids):
        raise StructureInvalid(
            f"no record's {join.on!r} is a {join.key!r} of the second list",
            guidance="Look at both lists; the join may be declared by the wrong columns.",
        )
    rows = list(_rows(records, join, partners.found))
    if len(rows) < len(records):
        left_out = len(records) - len(rows)
        further.session.context.warn(f"{left_out} records were left out: the second list has nothing for them")
    return rows, partners.proven


def _rows(records: list[Cells], join: Join, found: Mapping[str, Cells]) -> Iterator[Cells]:
    blank: Cells = dict.fromkeys(join.take)
    for number, record in enumerate(records, 1):
        partner = found.get(record.get(join.on) or "")
        if partner is not None or join.missing == "damaged":
            yield with_columns(record, blank if partner is None else partner, number)


def with_columns(record: Cells, more: Cells, number: int) -> Cells:
    """The record with more columns.

    :raises StructureInvalid: when it has one of them already.
    """
    for name in more.keys() & record.keys():
        raise StructureInvalid(
            f"record {number} has its own {name!r}", guidance="Give the column that is taken another name."
        )
    return {**record, **more}
