"""Mappers: rows of text become stock levels of the platform's products."""

from inventory_sources.mappers._columns import Columns
from inventory_sources.mappers._duplicates import concat_batches, newest_of_each, resolve_duplicates
from inventory_sources.mappers._identifiers import STEPS
from inventory_sources.mappers._identity import CallableIdentity, EqualSku, Identity, TableIdentity

__all__ = [
    "STEPS",
    "CallableIdentity",
    "Columns",
    "EqualSku",
    "Identity",
    "TableIdentity",
    "concat_batches",
    "newest_of_each",
    "resolve_duplicates",
]
