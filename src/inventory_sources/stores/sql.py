"""The state in SQLite, PostgreSQL or MariaDB.

The tables are created on first use, and migrated when they are of an older version of the library; a database of a
later version is refused. All times come from the clock handed in, or else from the database's (for SQLite: from the
system's), so that workers on several machines agree.

**SQLite.** An engine that the store makes itself uses write-ahead logging (``journal_mode=WAL``) with
``synchronous=FULL`` and waits up to ``lock_timeout`` for another writer; many threads and processes may share one file
on a local disk. On an engine of the host's these settings stay as the host made them, and only the transactions are
the store's: it takes its connections out of the driver's implicit transactions while it holds them and opens each
writing transaction with ``BEGIN IMMEDIATE``. ``:memory:`` keeps the state in this process, one transaction at a time.

**Servers.** A transition locks its source's row (``SELECT ... FOR UPDATE``). The store's transactions run at READ
COMMITTED, also on a host's engine, whose own transactions keep their level. When the database asks for a repetition
(deadlock, serialization), the transaction is repeated up to eight times in all.

**Deliveries.** Many are put in one transaction, which holds a row of each of their sources beside the source's own,
shared with others who put. So a delivery does not wait for a transition of its source (on SQLite, which has one writer
at a time, it does), and whoever claims the source sees it or is told of it again. A key is kept once, whoever puts it
at the same time.

**Forks.** A child that inherits a store leaves its parent's connections alone and opens its own. For a host's engine
this means that its pool is replaced in the child (``Engine.dispose(close=False)``), as SQLAlchemy asks for.

**A lost COMMIT.** When the connection breaks while committing, nobody can tell what the database did. This is raised
as plain :class:`~inventory_sources.errors.StoreError`, not ``StoreUnavailable``: read the source and the run, by its
id, before going on. Writing the same transition again is harmless, because runs and notifications are kept by id.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from inventory_sources.protocols.clock import Clock
from inventory_sources.stores._changes import ChangeWriter
from inventory_sources.stores._database import Database
from inventory_sources.stores._deliveries import SqlDeliveries
from inventory_sources.stores._endpoints import SqlEndpoints
from inventory_sources.stores._history import SqlHistory
from inventory_sources.stores._inbox import SqlInbox
from inventory_sources.stores._knowledge import SqlKnowledge
from inventory_sources.stores._outbox import SqlOutbox
from inventory_sources.stores._purge import SqlPurge
from inventory_sources.stores._standings import SqlStandings
from inventory_sources.stores._transitions import SqlSources, SqlTransitions

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["SqlStateStore"]


class SqlStateStore(
    SqlTransitions,
    SqlSources,
    SqlStandings,
    SqlHistory,
    SqlKnowledge,
    SqlOutbox,
    SqlInbox,
    SqlDeliveries,
    SqlEndpoints,
    SqlPurge,
):
    """A :class:`~inventory_sources.protocols.store.StateStore` on SQLAlchemy Core.

    :param engine_or_url: the host's engine, a database URL, or the path of an SQLite file such as ``state.db``.
    :param clock: replaces the database's clock, for tests.
    :param prefix: of every table's name, so that the state can live in the host's own database.
    :param lock_timeout: how long to wait for others before raising
        :class:`~inventory_sources.errors.StoreUnavailable`; for connections of an engine that the store makes itself.
    :raises ConfigurationError: when the URL is not understood or names another kind of database.
    :raises MissingExtra: when the database's driver is not installed.
    """

    def __init__(
        self,
        engine_or_url: Engine | str,
        *,
        clock: Clock | None = None,
        prefix: str = "inventory_",
        lock_timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        self._database = Database(engine_or_url, clock, prefix, lock_timeout)
        self._writer = ChangeWriter(
            self._database.tables, self._database.chunks, self._database.pushes, self._database.dialect
        )

    def migrate(self) -> None:
        """Creates or migrates the tables now rather than on first use, for a step of a deployment.

        :raises SchemaTooNew: when they are of a later version of the library.
        :raises StoreUnavailable: when the database cannot be reached.
        """
        self._database.prepare()

    def close(self) -> None:
        """Closes the connections of an engine that the store made itself."""
        self._database.close()
