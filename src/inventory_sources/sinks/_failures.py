"""The database's errors, told without the database's text: that may hold values, statements and passwords."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from inventory_sources.errors import SinkError, SinkUnavailable

__all__ = ["REFUSED", "in_our_words"]

#: The database understood and refuses these values: a constraint, or a number out of range.
REFUSED = (exc.IntegrityError, exc.DataError)

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
        message = f"could not {doing}: the database answered with {kind}"
    else:
        return
    raise raised(message, guidance="Nothing was written; check the database, its locks and this user's rights.")
