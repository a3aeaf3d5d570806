"""State stores: where the state, history and knowledge of every source are kept.

Import them by their path, so that SQLAlchemy is loaded only where it is used:

* :class:`inventory_sources.stores.memory.MemoryStateStore` for tests and single processes that may forget,
* :class:`inventory_sources.stores.sql.SqlStateStore` for SQLite, PostgreSQL and MariaDB.
"""

from __future__ import annotations

__all__: list[str] = []
