"""REST APIs: requests, credentials, pages, and what of them is a stock list."""

from inventory_sources._http import HttpAnswer, HttpLimits, HttpRequest
from inventory_sources.rest._auth import ApiKey, Auth, Basic, Bearer, Both
from inventory_sources.rest._pages import Page, Pager
from inventory_sources.rest._session import RestSession

__all__ = [
    "ApiKey",
    "Auth",
    "Basic",
    "Bearer",
    "Both",
    "HttpAnswer",
    "HttpLimits",
    "HttpRequest",
    "Page",
    "Pager",
    "RestSession",
]
