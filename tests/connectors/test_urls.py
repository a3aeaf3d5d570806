"""Web addresses are taken in one spelling; every other is refused before anything is resolved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources._url import WebAddress
from inventory_sources.connectors import HttpConnector
from inventory_sources.errors import ConfigurationError

REFUSED = [
    "",
    "erp.example/stock",
    "//erp.example/stock",
    "ftp://erp.example/stock",
    "file:///etc/passwd",
    "HTTPS://erp.example/",
    "https:/erp.example/",
    "https:erp.example",
    "https://",
    "https:///stock",
    "https://user@erp.example/",
    "https://user:pass@erp.example/",
    "https://erp.example@evil.example/",
    "https://erp.example\\@evil.example/",
    "https://erp.example/stock#part",
    "https://erp.example/stock#",
    "https://erp.example/a b",
    "https://erp.example/a\tb",
    "https://erp.example/a\r\nHost: evil",
    "https://erp.example/\x00",
    " https://erp.example/",
    "https://erp.example./",
    "https://erp..example/",
    "https://.erp.example/",
    "https://-erp.example/",
    "https://erp.example:/",
    "https://erp.example:0/",
    "https://erp.example:65536/",
    "https://erp.example:+80/",
    "https://erp.example:8\u0660/",
    "https://erp.example:80:80/",
    "https://\u00e9rp.example/",
    "https://\uff45\uff52\uff50.example/",
    "https://erp\u3002example/",
    "https://127.0.0.\u0661/",
    "https://\u2460\u2461\u2466.0.0.1/",
    "https://%31%32%37.0.0.1/",
    "https://erp%2eexample/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://127.1/",
    "https://127.0.0.0x1/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://127.0.0.256/",
    "https://erp.1/",
    "https://erp.0x/",
    "https://::1/",
    "https://[::1/",
    "https://[::1]x/",
    "https://[fe80::1%eth0]/",
    "https://[fe80::1%25eth0]/",
    "https://[127.0.0.1]/",
    "https://[]/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "example/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_odd_spelling_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        HttpConnector(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://erp.example",
        "https://erp.example/",
        "http://erp.example:8080/a/b.csv?x=1&y=%20#"[:-1],
        "https://ERP.Example/",
        "https://xn--rp-bja.example/",
        "https://erp_1.example/",
        "https://localhost/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]:8443/",
        "https://1and1.example/",
        "https://erp.example/?url=https://other.example/",
        "https://erp.example/@me",
    ],
)
def test_a_plain_spelling_is_taken(url: str) -> None:
    HttpConnector(url)


def test_credentials_in_a_url_are_told_as_such() -> None:
    with pytest.raises(ConfigurationError, match="user name or password"):
        HttpConnector("https://user:pass@erp.example/")


def test_the_parts_show_no_query() -> None:
    parts = WebAddress.parse("https://erp.example/stock?key=s3cret")
    assert "s3cret" not in f"{parts!r} {parts}"
    assert parts.target == "/stock?key=s3cret"


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_no_text_as_host_breaks_the_reader(host: str) -> None:
    try:
        shown = repr(HttpConnector(f"https://{host}/"))
    except ConfigurationError:
        return
    assert "https://" in shown
    assert shown.isascii()
