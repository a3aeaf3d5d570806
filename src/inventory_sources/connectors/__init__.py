"""Connectors: get a source's input onto this machine."""

from __future__ import annotations

from inventory_sources._unpacking import Compression, Unpack
from inventory_sources.connectors._copying import FileTime
from inventory_sources.connectors._file import FileConnector
from inventory_sources.connectors._ftp_server import FtpSecurity, FtpServer
from inventory_sources.connectors._http import HttpConnector, HttpRequest, HttpResponse, HttpTime
from inventory_sources.connectors._pick_up import PickUp
from inventory_sources.connectors._remote import FtpConnector, SftpConnector
from inventory_sources.connectors._sftp import SftpServer

__all__ = [
    "Compression",
    "FileConnector",
    "FileTime",
    "FtpConnector",
    "FtpSecurity",
    "FtpServer",
    "HttpConnector",
    "HttpRequest",
    "HttpResponse",
    "HttpTime",
    "PickUp",
    "SftpConnector",
    "SftpServer",
    "Unpack",
]
