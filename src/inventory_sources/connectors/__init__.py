"""Connectors: get a source's input onto this machine."""

from __future__ import annotations

from inventory_sources.connectors._file import FileConnector, FileTime
from inventory_sources.connectors._http import HttpConnector, HttpRequest, HttpResponse, HttpTime

__all__ = ["FileConnector", "FileTime", "HttpConnector", "HttpRequest", "HttpResponse", "HttpTime"]
