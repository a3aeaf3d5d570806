"""Creating the tables, and bringing those of an older version up to date.

A new database gets the current tables at once. An older one goes through the steps it lacks, in order and under a
lock, so that of several processes that open it at once one migrates and the others wait. Each step can be repeated,
because MariaDB commits every schema change by itself: a step that was cut off there is simply run again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, insert, inspect, select, update
from sqlalchemy.schema import CreateColumn

from inventory_sources.errors import RecordInvalid, SchemaTooNew
from inventory_sources.stores._tables import Tables

if TYPE_CHECKING:
    from inventory_sources.stores._dialect import Dialect

__all__ = ["SCHEMA_VERSION", "prepare_schema", "schema_is_current"]


def _index(table: Table, suffix: str, connection: Connection) -> None:
    for index in table.indexes:
        if str(index.name).endswith(suffix):
            index.create(connection, checkfirst=True)


def _index_runs_by_age(connection: Connection, tables: Tables) -> None:
    """Purging looked at every run there is."""
    _index(tables.runs, "runs_by_age", connection)


def _index_outbox_of_source(connection: Connection, tables: Tables) -> None:
    """Removing a source looked at every notification there is."""
    _index(tables.outbox, "outbox_of_source", connection)


def _receive_deliveries(connection: Connection, tables: Tables) -> None:
    """No version before put anything into its inbox, so that what a migration was cut off from is made anew."""
    columns = {column["name"] for column in inspect(connection).get_columns(tables.sources.name)}
    if "takes_pushes" not in columns:
        column = CreateColumn(tables.sources.c.takes_pushes).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {tables.sources.name} ADD COLUMN {column}")
    connection.execute(update(tables.sources).values(takes_pushes=tables.sources.c.status != "syncing"))
    for table in (tables.inbox, tables.pushes, tables.endpoints):
        table.drop(connection, checkfirst=True)
        table.create(connection)
    connection.execute(insert(tables.pushes).from_select(["source"], select(tables.sources.c.name)))


#: The step at position n leads from version n + 1 to version n + 2.
_STEPS: tuple[Callable[[Connection, Tables], None], ...] = (
    _index_runs_by_age,
    _index_outbox_of_source,
    _receive_deliveries,
)
SCHEMA_VERSION = len(_STEPS) + 1


def schema_is_current(connection: Connection, tables: Tables) -> bool:
    """Whether the tables are there in the version of this library.

    :raises SchemaTooNew: when they are of a later one.
    """
    return _version(connection, tables) == SCHEMA_VERSION


def prepare_schema(connection: Connection, tables: Tables, dialect: Dialect) -> None:
    """Creates or migrates the tables, in an open transaction; the caller commits it and then unlocks the schema.

    :raises SchemaTooNew: when they are of a later version.
    """
    dialect.lock_schema(connection, tables.prefix)
    version = _version(connection, tables)
    if version is None:
        tables.metadata.create_all(connection)
        connection.execute(tables.meta.insert().values(id=1, schema_version=SCHEMA_VERSION))
    elif version < SCHEMA_VERSION:
        for step in _STEPS[version - 1 :]:
            step(connection, tables)
        connection.execute(tables.meta.update().values(schema_version=SCHEMA_VERSION))


def _version(connection: Connection, tables: Tables) -> int | None:
    if not inspect(connection).has_table(tables.meta.name):
        return None
    version = connection.execute(select(tables.meta.c.schema_version)).scalar()
    if version is None:
        return None
    if version < 1:
        raise RecordInvalid(f"table {tables.meta.name!r} names no schema version of this library: {version}")
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"the tables {tables.prefix}* are of schema version {version}; this library knows up to {SCHEMA_VERSION}"
        )
    return int(version)
