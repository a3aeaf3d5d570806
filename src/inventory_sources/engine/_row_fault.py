"""What is wrong with a rejected row, and where, in one line for a person."""

from __future__ import annotations

from collections.abc import Mapping

from inventory_sources.batch import Rejection
from inventory_sources.headings import fold
from inventory_sources.protocols.mapper import Mapper

__all__ = ["declared_columns", "row_fault"]

_ROLES = ("sku", "quantity", "location", "as_of")


def declared_columns(mapper: Mapper) -> dict[str, str]:
    """The heading of each of a level's values, as far as the mapper names it by an attribute as ``Columns`` does."""
    named = {role: getattr(mapper, role, None) for role in _ROLES}
    return {role: heading for role, heading in named.items() if isinstance(heading, str)}


def row_fault(rejection: Rejection, columns: Mapping[str, str], *, origin: bool = True) -> str:
    """As in ``stock.csv, line 3, column 'Qty': the quantity is blank``.

    :param columns: as :func:`declared_columns` gives them.
    :param origin: whether to name the input.
    """
    place = rejection.place
    where = str(place) if origin else f"{place.unit} {place.number}"
    for role, declared in columns.items():
        if rejection.reason.startswith(f"{role}_"):
            heading = next((name for name in rejection.cells if fold(name) == fold(declared)), declared)
            where += f", column {heading!r}"
    return f"{where}: {rejection.message}"
