"""Where the test servers are, or ``None`` where one does not answer."""

from __future__ import annotations

import os

import sqlalchemy as sa


def _reachable(variable: str, default: str) -> str | None:
    url = os.environ.get(variable, default)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        engine.connect().close()
    except sa.exc.SQLAlchemyError:
        return None
    return url


POSTGRES_URL = _reachable("INVENTORY_TEST_POSTGRES", "postgresql+psycopg://root@127.0.0.1:5432/test")
MARIADB_URL = _reachable("INVENTORY_TEST_MYSQL", "mysql+pymysql://root@127.0.0.1:3306/test")
