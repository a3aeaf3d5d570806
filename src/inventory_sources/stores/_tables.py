"""The tables of the state, the same on SQLite, PostgreSQL and MariaDB.

Times are BIGINT microseconds since 1970-01-01 UTC. Names and identifiers compare and sort exactly, by code point, on
every database. What is only ever read as a whole is one JSON document; a column of its own is what is searched by.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from inventory_sources.stores._codec import from_micros, to_micros
from inventory_sources.stores._transaction import NAME_LENGTH

__all__ = ["Tables", "build_tables"]


class Moment(TypeDecorator[datetime]):
    """A time as microseconds since 1970-01-01 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class Name(TypeDecorator[str]):
    """Text that is equal only when every code point is.

    MariaDB's collations ignore trailing spaces, even the binary one, so it keeps the UTF-8 bytes.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.VARBINARY(4 * NAME_LENGTH))
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(String(NAME_LENGTH, collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return value.encode() if value is not None and dialect.name in ("mysql", "mariadb") else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        return value.decode() if isinstance(value, bytes) else value


_Document = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
_Bytes = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
_Counter = BigInteger().with_variant(Integer(), "sqlite")
_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


@frozen
class Tables:
    """Every table, under one prefix."""

    prefix: str
    metadata: MetaData
    meta: Table
    sources: Table
    pushes: Table
    runs: Table
    rejections: Table
    chunks: Table
    unmapped: Table
    held: Table
    overrides: Table
    outbox: Table
    inbox: Table
    endpoints: Table
    audit: Table


def build_tables(prefix: str) -> Tables:
    """The current schema."""
    metadata = MetaData()
    parts = {name: Table(prefix + name, metadata, *columns, **_OPTIONS) for name, columns in _columns(prefix).items()}
    return Tables(prefix=prefix, metadata=metadata, **parts)


def _columns(prefix: str) -> dict[str, tuple[Any, ...]]:
    return {**_source_columns(prefix), **_knowledge_columns(), **_outbox_columns(prefix), **_inbox_columns(prefix)}


def _source_columns(prefix: str) -> dict[str, tuple[Any, ...]]:
    return {
        "meta": (
            Column("id", Integer, primary_key=True, autoincrement=False),
            Column("schema_version", Integer, nullable=False),
        ),
        "sources": (
            Column("name", Name, primary_key=True),
            Column("spec", _Document, nullable=False),
            Column("state", _Document, nullable=False),
            Column("status", String(16), nullable=False),
            Column("epoch", BigInteger, nullable=False),
            Column("wake_at", Moment),
            Column("takes_pushes", Boolean),
            Index(f"{prefix}sources_due", "wake_at", "name"),
        ),
        "runs": (
            Column("id", Name, primary_key=True),
            Column("source", Name, nullable=False),
            Column("started_at", Moment, nullable=False),
            Column("epoch", BigInteger, nullable=False),
            Column("result", String(16), nullable=False),
            Column("document", _Document, nullable=False),
            Index(f"{prefix}runs_of_source", "source", "started_at"),
            Index(f"{prefix}runs_by_age", "started_at"),
        ),
        "rejections": (
            Column("id", _Counter, primary_key=True),
            Column("run_id", Name, nullable=False),
            Column("kind", String(16), nullable=False),
            Column("resolved_at", Moment),
            Column("document", _Document, nullable=False),
            Index(f"{prefix}rejections_of_run", "run_id", "id"),
        ),
    }


def _knowledge_columns() -> dict[str, tuple[Any, ...]]:
    return {
        "chunks": (
            Column("source", Name, primary_key=True),
            Column("kind", String(16), primary_key=True),
            Column("number", BigInteger, primary_key=True, autoincrement=False),
            Column("part", Integer, primary_key=True, autoincrement=False),
            Column("data", _Bytes, nullable=False),
        ),
        "unmapped": (
            Column("source", Name, primary_key=True),
            Column("sku", Name, primary_key=True),
            Column("first_seen", Moment, nullable=False),
            Column("last_seen", Moment, nullable=False),
            Column("document", _Document, nullable=False),
        ),
        "held": (
            Column("source", Name, primary_key=True),
            Column("digest", Name, nullable=False),
            Column("run_id", Name, nullable=False),
            Column("held_at", Moment, nullable=False),
            Column("document", _Document, nullable=False),
        ),
        "overrides": (
            Column("source", Name, primary_key=True),
            Column("external_sku", Name, primary_key=True),
            Column("sku", Name, nullable=False),
        ),
    }


def _outbox_columns(prefix: str) -> dict[str, tuple[Any, ...]]:
    return {
        "outbox": (
            Column("id", Name, primary_key=True),
            Column("source", Name, nullable=False),
            Column("document", _Document, nullable=False),
            Column("attempts", Integer, nullable=False),
            Column("next_attempt_at", Moment),
            Column("settled_at", Moment),
            Index(f"{prefix}outbox_due", "next_attempt_at"),
            Index(f"{prefix}outbox_of_source", "source"),
        ),
        "audit": (
            Column("id", _Counter, primary_key=True),
            Column("source", Name, nullable=False),
            Column("recorded_at", Moment, nullable=False),
            Column("document", _Document, nullable=False),
            Index(f"{prefix}audit_of_source", "source", "id"),
        ),
    }


def _inbox_columns(prefix: str) -> dict[str, tuple[Any, ...]]:
    return {
        "pushes": (
            Column("source", Name, primary_key=True),
            Column("pushed_at", Moment),
            _index_where(f"{prefix}pushes_due", "pushed_at", "source"),
        ),
        "inbox": (
            Column("number", _Counter, primary_key=True),
            Column("id", Name, nullable=False, unique=True),
            Column("source", Name, nullable=False),
            Column("dedup_key", Name, nullable=False),
            Column("digest", Name, nullable=False),
            Column("received_at", Moment, nullable=False),
            Column("sequence", BigInteger),
            Column("sequence_of", Name, nullable=False),
            Column("status", String(16), nullable=False),
            Column("attempts", Integer, nullable=False),
            Column("next_attempt_at", Moment),
            Column("settled_at", Moment),
            Column("run_id", Name),
            Column("reason", _Document, nullable=False),
            Column("headers", _Document, nullable=False),
            Column("body", _Bytes),
            UniqueConstraint("source", "dedup_key"),
            Index(f"{prefix}inbox_of_status", "source", "status", "received_at", "number"),
            _index_where(f"{prefix}inbox_in_sequence", "sequence", "source", "sequence_of", last=True),
            _index_where(f"{prefix}inbox_by_age", "settled_at"),
        ),
        "endpoints": (
            Column("number", _Counter, primary_key=True),
            Column("token_hash", Name, nullable=False, unique=True),
            Column("source", Name, nullable=False),
            Column("created_at", Moment, nullable=False),
            Column("expires_at", Moment),
            Index(f"{prefix}endpoints_of_source", "source"),
        ),
    }


def _index_where(name: str, column: str, *others: str, last: bool = False) -> Index:
    """An index of the rows where ``column`` is not null, on the databases that have such; of all rows elsewhere."""
    there = text(f"{column} IS NOT NULL")
    columns = (*others, column) if last else (column, *others)
    return Index(name, *columns, sqlite_where=there, postgresql_where=there)
