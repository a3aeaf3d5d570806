"""HTTP as every part of the library speaks it: see :class:`HttpClient`. Loaded at the first request."""

from inventory_sources._http._client import Dialling, HttpClient, Incoming
from inventory_sources._http._conditions import Validators, unchanged
from inventory_sources._http._messages import (
    HttpAnswer,
    HttpLimits,
    HttpRequest,
    check_header_names,
    check_header_values,
    shown_url,
)
from inventory_sources._http._patience import Patience, patience
from inventory_sources._http._secrecy import named_texts, query_of, refuse_plain_secrets, refuse_plaintext
from inventory_sources._http._statuses import read_date, refusal, retry_after

__all__ = [
    "Dialling",
    "HttpAnswer",
    "HttpClient",
    "HttpLimits",
    "HttpRequest",
    "Incoming",
    "Patience",
    "Validators",
    "check_header_names",
    "check_header_values",
    "named_texts",
    "patience",
    "query_of",
    "read_date",
    "refusal",
    "refuse_plain_secrets",
    "refuse_plaintext",
    "retry_after",
    "shown_url",
    "unchanged",
]
