"""Which host a source's syncs are counted at."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_sources import FileConnector, HttpConnector, Secret
from inventory_sources.connectors import FtpConnector, FtpServer, SftpConnector, SftpServer
from inventory_sources.rest import RestConnector
from inventory_sources.webhooks import StandardWebhooks, Webhook

PIN = "SHA256:uNiVztksCsDhcc0u9e8BrrcXVDWTM3CJEGlJlMn2ZcU"
HOOK = StandardWebhooks(secrets=Secret("whsec_YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyBsZW5ndGg="))


@pytest.mark.parametrize(
    ("connector", "host"),
    [
        (HttpConnector("https://ERP.example.com:8443/stock?a=1"), "erp.example.com"),
        (RestConnector("https://api.example.com/v1/stock"), "api.example.com"),
        (
            SftpConnector(
                "/a.csv", server=SftpServer("Files.example.com", username="u", password=Secret("p"), host_key=PIN)
            ),
            "files.example.com",
        ),
        (FtpConnector("/a.csv", server=FtpServer(host="ftp.example.com")), "ftp.example.com"),
        (Webhook(signature=HOOK, pull=HttpConnector("https://erp.example.com/a")), "erp.example.com"),
        (Webhook(signature=HOOK), None),
        (FileConnector("stock.csv"), None),
    ],
    ids=lambda part: type(part).__name__,
)
def test_the_host_of_a_connector(connector: Any, host: str | None) -> None:
    assert getattr(connector, "host", None) == host
