"""The database's errors, told without the database's text: that may hold values, statements and passwords."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from inventory_sources.errors import SinkError, SinkUnavailable

__all__ = ["in_our_words", "is_refusal"]

# Constraints and triggers that drivers do not report as IntegrityError: MariaDB's and MySQL's CHECK, a SIGNAL there,
# and RAISE in PL/pgSQL.
_REFUSING_CODES = {4025, 3819, 1644}
_REFUSING_STATES = {"P0001"}

_UNAVAILABLE = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, exc.DisconnectionError)


@contextmanager
def in_our_words(doing: str) -> Iterator[None]:
    """Raises what goes wrong inside as one of our errors; ``doing`` completes "could not"."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        kind = type(getattr(error, "orig", None) or error).__name__
        gone = isinstance(error, _UNAVAILABLE) or getattr(error, "connection_invalidated", False)
        raised = SinkUnavailable if gone else SinkError
        raise raised(
            f"could not {doing}: the database answered with {kind}",
            guidance="Nothing was written; check the database, its locks and this user's rights.",
        ) from None


def is_refusal(error: exc.DBAPIError) -> bool:
    """Whether the database understood and refuses these values: a constraint, a trigger, a number out of range."""
    if isinstance(error, exc.IntegrityError | exc.DataError):
        return True
    code = next(iter(getattr(error.orig, "args", ())), None)
    return code in _REFUSING_CODES or getattr(error.orig, "sqlstate", None) in _REFUSING_STATES
