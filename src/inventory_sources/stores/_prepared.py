"""Statements that are compiled once, for the road on which SQLAlchemy's work for each execution would show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect
    from sqlalchemy.sql import ClauseElement

__all__ = ["Prepared"]

_COUNTED = {"preserve_rowcount": True}


@frozen
class Prepared:
    """A statement as the driver takes it.

    :param text: all of whose values are bound by names of ours.
    :param places: the name of the value at each place, with what makes the driver's value of it.
    :param positional: whether the driver takes values by place rather than by name.
    :param direct: whether it goes to the driver's own cursor. A host's engine may have listeners that are to see each
        statement, so there it goes through SQLAlchemy.
    """

    text: str
    places: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    positional: bool
    direct: bool

    @classmethod
    def of(
        cls, statement: ClauseElement, dialect: Dialect, columns: Sequence[str] | None = None, *, direct: bool
    ) -> Prepared:
        """Compiles a statement for a database that has been connected to.

        :param columns: of an insert, those that each row gives.
        """
        compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
        names = compiled.positiontup if compiled.positional else compiled.binds
        types = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
        places = tuple((name, types[name].bind_processor(dialect)) for name in names)
        return cls(str(compiled), places, bool(compiled.positional), direct)

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Runs it, and gives the rows as the driver reads them."""
        if not self.direct:
            return connection.exec_driver_sql(self.text, self._given(values)).fetchall()
        found: Sequence[Sequence[Any]] = self._run(connection, [values], lambda cursor: cursor.fetchall())
        return found

    def count(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Runs it once for each of ``rows``, in one call of the driver, and gives how many rows it wrote."""
        if self.direct:
            return int(self._run(connection, rows, lambda cursor: cursor.rowcount))
        given = [self._given(row) for row in rows]
        return connection.exec_driver_sql(self.text, given if len(given) > 1 else given[0], _COUNTED).rowcount

    def _run(self, connection: Connection, rows: Sequence[Mapping[str, Any]], then: Callable[[Any], Any]) -> Any:
        if not connection.in_transaction():
            connection.begin()  # for SQLAlchemy to know that there is something to commit
        given = [self._given(row) for row in rows]
        cursor = connection.connection.cursor()
        try:
            if len(given) == 1:
                cursor.execute(self.text, given[0])
            else:
                cursor.executemany(self.text, given)
            return then(cursor)
        except connection.dialect.loaded_dbapi.Error as error:
            raise _of_sqlalchemy(error, connection) from error
        finally:
            cursor.close()

    def _given(self, values: Mapping[str, Any]) -> Any:
        if self.positional:
            return tuple([values[name] if made is None else made(values[name]) for name, made in self.places])
        return {name: values[name] if made is None else made(values[name]) for name, made in self.places}


def _of_sqlalchemy(error: Exception, connection: Connection) -> BaseException:
    """The error as SQLAlchemy would raise it; a connection that is lost is used no more."""
    dialect: Any = connection.dialect
    lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    if lost:
        connection.invalidate(error)
    base = dialect.loaded_dbapi.Error
    return DBAPIError.instance(None, None, error, base, connection_invalidated=lost, dialect=dialect)
