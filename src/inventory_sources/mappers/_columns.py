"""`Columns`: the mapper for a feed with one row a SKU and location."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast
from zoneinfo import ZoneInfo

from attrs import Attribute, field, frozen

from inventory_sources.batch import RawBatch, StockBatch
from inventory_sources.errors import ConfigurationError
from inventory_sources.headings import find, fold
from inventory_sources.mappers._identifiers import STEPS
from inventory_sources.mappers._identity import CallableIdentity, EqualSku, Identity, TableIdentity
from inventory_sources.mappers._times import ISO8601
from inventory_sources.protocols.mapper import DuplicatePolicy, MapContext
from inventory_sources.quantities import NegativePolicy, QuantityFormat

__all__ = ["Columns"]


def _quantity_format(value: QuantityFormat | str) -> QuantityFormat:
    return QuantityFormat.of(value) if isinstance(value, str) else value


def _identity(
    value: Identity | Mapping[str, str] | Callable[[Sequence[str]], Mapping[str, str]],
) -> EqualSku | TableIdentity:
    if isinstance(value, Mapping):
        return TableIdentity(dict(value))
    if not hasattr(value, "translate"):
        if callable(value):
            return cast("EqualSku | TableIdentity", CallableIdentity(value))
        raise ConfigurationError("identity must be a table, a function of identifiers, or an object with `translate`")
    # Any identity will do; the field's type names those that a stored source can have.
    return cast("EqualSku | TableIdentity", value)


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _known_zone(_mapper: Columns, _attribute: Attribute[Any], name: str | None) -> None:
    try:
        if name is not None:
            ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(f"there is no time zone {name!r}", guidance="Use an IANA name.") from None


def _known_steps(_mapper: Columns, _attribute: Attribute[Any], names: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        raise ConfigurationError(f"there is no step {unknown[0]!r}", guidance=f"Known steps: {', '.join(STEPS)}.")


def _known_pattern(_mapper: Columns, _attribute: Attribute[Any], pattern: str | None) -> None:
    if pattern is None:
        return
    if not isinstance(pattern, str) or not pattern:
        raise ConfigurationError(f"the sku_pattern {pattern!r} is no text that could match an identifier")
    from inventory_sources.mappers._reading import check_pattern

    check_pattern(pattern)


@frozen
class Columns:
    """Reads a SKU, a quantity and, where there are any, a location and a time of observation from named columns.

    Headings match without regard to case, spaces, ``_`` and ``-``; those of JSON records are dotted paths such as
    ``variant.sku``. White space around identifiers is dropped, everything else of them kept: ``00123`` stays ``00123``.

    :param location: the column of the location; a feed of one location declares ``fixed_location`` instead.
    :param as_of: the column of the time of observation; a blank cell leaves it to the input's own time.
    :param quantity_format: how numbers are written, or the name of a locale: see
        :meth:`~inventory_sources.quantities.QuantityFormat.of`.
    :param identity: which product an identifier means: by default its SKU is the identifier itself; a plain mapping is
        a table; any other :class:`Identity` will do, though a source with one is not stored.
    :param steps: names out of ``STEPS``, applied to the identifier in this order before ``identity`` is asked.
    :param sku_pattern: a regular expression, as of Rust's ``regex`` crate, which takes linear time; an identifier that
        it does not match as a whole, as the feed writes it, is refused (``sku_pattern``).
    :param duplicates: what several rows for one SKU and location mean.
    :param negative: what a quantity below zero means: refused by default.
    :param as_of_format: ``iso8601``, or a format of :meth:`datetime.datetime.strptime`.
    :param as_of_zone: IANA name of the zone of times without an offset; without it they are refused.
    :raises ConfigurationError: for an unknown locale, step or zone, a pattern that is none, or two options that name
        the same column.
    """

    row_by_row: ClassVar[bool] = True

    sku: str = "sku"
    quantity: str = "quantity"
    location: str | None = None
    as_of: str | None = None
    quantity_format: QuantityFormat = field(factory=QuantityFormat, converter=_quantity_format, kw_only=True)
    identity: EqualSku | TableIdentity = field(factory=EqualSku, converter=_identity, kw_only=True)
    steps: tuple[str, ...] = field(default=(), converter=_names, validator=_known_steps, kw_only=True)
    sku_pattern: str | None = field(default=None, validator=_known_pattern, kw_only=True)
    duplicates: DuplicatePolicy = field(default=DuplicatePolicy.ERROR, converter=DuplicatePolicy, kw_only=True)
    negative: NegativePolicy = field(default=NegativePolicy.REJECT, converter=NegativePolicy, kw_only=True)
    as_of_format: str = field(default=ISO8601, kw_only=True)
    as_of_zone: str | None = field(default=None, validator=_known_zone, kw_only=True)
    fixed_location: str = field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        keys = [fold(name) for name in self.wanted]
        if "" in keys or len(set(keys)) < len(keys):
            raise ConfigurationError("each of sku, quantity, location and as_of needs a column of its own")
        if self.location is not None and self.fixed_location:
            raise ConfigurationError("a mapping has either a location column or a fixed location, not both")

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns to read, as declared."""
        return tuple(name for name in (self.sku, self.quantity, self.location, self.as_of) if name is not None)

    def may_be_at(self, location: str) -> bool:
        """Whether a level can be at this location: a row is never at none if there is a column of locations."""
        return location == self.fixed_location if self.location is None else bool(location)

    def select(self, headings: Sequence[str]) -> Sequence[str]:
        """The headings to read.

        :raises HeadingInvalid: when one is missing or more than one could be meant.
        """
        return [find(name, headings) for name in self.wanted]

    def map(self, raw: RawBatch, context: MapContext) -> StockBatch:
        """The rows as levels and rejections.

        :raises HeadingInvalid: when a column is not in the batch.
        """
        from inventory_sources.mappers._mapping import map_columns

        return map_columns(self, raw, context)
