"""A server's host key that changes between two syncs: who is told, of what, and how often."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inventory_sources.connectors import SftpConnector, SftpServer
from inventory_sources.secrets import Secret
from tests.connectors.sshd import LOOPBACK, SSHD, Sshd
from tests.engine.conftest import Shop

NAME = "host_ed25519"


@pytest.fixture
def sshd(tmp_path: Path) -> Sshd:
    if SSHD is None:
        pytest.skip("no sshd here: install openssh-server")
    folder = tmp_path / "sshd"
    folder.mkdir()
    return Sshd(folder)


def fingerprint(sshd: Sshd) -> str:
    return sshd.printed(NAME).split()[1]


def new_key(sshd: Sshd, folder: Path) -> str:
    """Gives the server another host key, while it does not run."""
    for path in (folder / NAME, folder / f"{NAME}.pub"):
        path.unlink()
    sshd.make_key(NAME, "ed25519")
    return fingerprint(sshd)


def source(shop: Shop, sshd: Sshd, host_key: str):
    server = SftpServer(
        LOOPBACK,
        port=sshd.port,
        username=sshd.user,
        private_key=Secret(sshd.user_key),
        host_key=host_key,
        allow_private=[f"{LOOPBACK}/32"],
    )
    return shop.source(SftpConnector(str(shop.folder / "feed.csv"), server=server, as_of="fetch"))


def test_a_key_that_changes_is_told_once_and_so_is_each_other_one(shop, sshd, tmp_path):
    folder = tmp_path / "sshd"
    shop.stock(A=1)
    shop.feed("sku,quantity\nA,5\n")
    first = fingerprint(sshd)
    shop.engine.add_source(source(shop, sshd, sshd.printed(NAME)))
    for name in (NAME, f"{NAME}.pub"):
        shutil.copy(folder / name, tmp_path / name)
    with sshd.running():
        assert shop.engine.sync("erp").failure is None
    second = new_key(sshd, folder)
    with sshd.running():
        run = shop.engine.sync("erp")
        shop.engine.sync("erp")
    assert shop.mailbox.kinds == ["failed", "security"]
    alert = shop.mailbox.received[1]
    assert (alert.source, alert.run_id, alert.incident, alert.id) == ("erp", run.id, run.id, f"{run.id}.security")
    for told in ("Security alert", "erp", LOOPBACK, first, second, "Ask its operator"):
        assert told in alert.summary
    assert alert.failure == run.failure
    assert (run.failure.code, run.failure.alarm) == ("host_key_changed", second)
    third = new_key(sshd, folder)
    with sshd.running():
        another = shop.engine.sync("erp")
        shop.engine.sync("erp")
    assert shop.mailbox.kinds == ["failed", "security", "security"]
    last = shop.mailbox.received[2]
    assert (last.incident, last.id) == (run.id, f"{another.id}.security")
    assert third in last.summary
    for name in (NAME, f"{NAME}.pub"):
        shutil.copy(tmp_path / name, folder / name)
    with sshd.running():
        assert shop.engine.sync("erp").failure is None
    assert shop.mailbox.kinds == ["failed", "security", "security", "resolved"]


def test_an_alert_outlives_a_broken_notifier_and_the_process(shop, sshd, tmp_path):
    shop.feed("sku,quantity\nA,5\n")
    pinned = sshd.printed(NAME)
    new_key(sshd, tmp_path / "sshd")
    shop.mailbox.broken = True
    shop.engine.add_source(source(shop, sshd, pinned))
    with sshd.running():
        run = shop.engine.sync("erp")
    assert shop.mailbox.received == []
    shop.mailbox.broken = False
    shop.clock.advance(7200)
    engine = shop.new_engine()
    engine.notify()
    engine.notify()
    assert [each.id for each in shop.mailbox.received] == [f"{run.id}.failed", f"{run.id}.security"]


def test_a_key_that_is_not_pinned_is_an_error_with_its_fingerprint_and_no_alert(shop, sshd):
    shop.feed("sku,quantity\nA,5\n")
    shop.engine.add_source(source(shop, sshd, ""))
    with sshd.running():
        run = shop.engine.sync("erp")
    assert (run.failure.code, run.failure.alarm) == ("host_key_refused", None)
    assert fingerprint(sshd) in run.failure.guidance
    assert shop.mailbox.kinds == ["failed"]
    assert shop.engine.status("erp").status.value == "error"
