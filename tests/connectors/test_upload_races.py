"""No half file is ever applied: real servers, and a sender in another process that uploads while the test polls.

Which poll meets an upload where is up to the machine's scheduler, and different in every run; what may come of it is
not. Each test counts the polls that provably overlapped an upload, and fails if they are too few.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inventory_sources import Columns, CsvDecoder, Feed, Source, SqlStockSink, SyncEngine
from inventory_sources.connectors import FileConnector, FtpConnector, FtpServer, PickUp, SftpConnector, SftpServer
from inventory_sources.errors import InputIncomplete
from inventory_sources.formats import Trailer
from inventory_sources.secrets import Secret
from tests.connectors.ftpd import PASSWORD, USER, FTPHandler, RealServer
from tests.connectors.races import Races, context, raced
from tests.connectors.sshd import LOOPBACK, SSHD, Sshd
from tests.connectors.upload_writer import NAME, Sender

PRIVATE = ("127.0.0.0/8",)

MARKER = {"marker": "{name}.done"}
#: The sender's way, what is declared for it, and whether the sender's times are those of a clock of its own.
WAYS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "marker": ("marked", MARKER, False),
    "marker, by the second": ("marked", MARKER, True),
    "marker touched again": ("retouched", MARKER, True),
    "renamed": ("renamed", {"renamed": True}, False),
    "checksum": ("summed", {"checksum": "{name}.sha256"}, False),
    "trailer": ("trailer", {}, False),
}
SKUS = 500
TRAILER = CsvDecoder(trailer=Trailer("END", count=2, sum=("quantity", 3)))


def race(connector: Any, way: str, folder: Path, races: int) -> None:
    """Polls while the sender uploads, and judges what was applied."""
    sent, _, own_clock = WAYS[way]
    spool = folder.with_name("spool")
    spool.mkdir()
    with Sender(folder, sent, seed=len(way), own_clock=own_clock) as sender, raced(connector, sender, spool) as polled:
        done = Races(polled, sender, spool, TRAILER if way == "trailer" else CsvDecoder())
        # Over the wire times are told by the second, and so a marker releases one upload a second at most.
        done.run(races, versions=1 if way == "marker" else 3)
    assert done.halves == [], f"{done}"
    assert done.applied == sorted(done.applied), "an older upload came after a newer one"
    assert done.waited or way == "renamed", f"no upload was met halfway: {done}"
    assert not done.failed, f"an upload under way costs a retry: {done}"
    assert way == "trailer" or not done.refused, f"a half file was taken for a whole one: {done}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    return tmp_path / "served"


@pytest.mark.parametrize("way", WAYS)
def test_no_half_file_of_this_machine_is_applied(way: str, folder: Path) -> None:
    connector = FileConnector(folder / NAME, pick_up=PickUp(**WAYS[way][1]))
    race(connector, way, folder, 100)


def test_a_file_that_was_emptied_a_moment_ago_is_not_released_by_its_old_marker(folder: Path, tmp_path: Path) -> None:
    """As ext4 shows one while it waits for the disk: without content, and with the time from before."""
    (folder / NAME).touch()
    (folder / f"{NAME}.done").touch()
    connector = FileConnector(folder / NAME, pick_up=PickUp(marker="{name}.done"))
    with pytest.raises(InputIncomplete, match="is empty"):
        list(connector.fetch(context(tmp_path)))


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    if SSHD is None:
        pytest.skip("no sshd here: install openssh-server")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    with server.running():
        yield SftpServer(
            LOOPBACK,
            port=server.port,
            username=server.user,
            private_key=Secret(server.user_key),
            host_key=server.printed("host_ed25519"),
            allow_private=PRIVATE,
        )


@pytest.mark.parametrize("way", WAYS)
def test_no_half_file_is_applied_over_sftp(way: str, folder: Path, sshd: SftpServer) -> None:
    connector = SftpConnector(str(folder / NAME), server=sshd, pick_up=PickUp(**WAYS[way][1]))
    race(connector, way, folder, 60)


@pytest.mark.parametrize("way", ["marker, by the second", "marker touched again", "renamed", "checksum"])
def test_no_half_file_is_applied_over_ftp(way: str, folder: Path) -> None:
    with RealServer(folder, FTPHandler) as server:
        known = FtpServer(
            LOOPBACK, port=server.port, username=USER, password=Secret(PASSWORD), security="none", allow_private=PRIVATE
        )
        connector = FtpConnector(NAME, server=known, pick_up=PickUp(**WAYS[way][1]))
        race(connector, way, folder, 25)


@pytest.mark.parametrize("way", ["marker touched again", "renamed", "checksum", "trailer"])
def test_no_half_file_reaches_a_table(way: str, folder: Path, tmp_path: Path) -> None:
    """Whole syncs: whatever a run says of itself, all quantities of the table are those of one upload."""
    sent, declared, own_clock = WAYS[way]
    table = stock_table(tmp_path)
    engine = SyncEngine(str(tmp_path / "state.db"))
    with (
        Sender(folder, sent, seed=7, fixed=SKUS, own_clock=own_clock) as sender,
        raced(FileConnector(folder / NAME, pick_up=PickUp(**declared)), sender, tmp_path) as connector,
    ):
        engine.add_source(
            Source(
                name="erp",
                connector=connector,
                decoder=TRAILER if way == "trailer" else CsvDecoder(),
                mapper=Columns(),
                feed=Feed.snapshot("available"),
                sink=SqlStockSink(table, "stock", sku="sku", quantity="quantity"),
                guards=(),
            )
        )
        overlapped, applied = 0, [0]
        for _ in range(200):
            ended = sender.counters.ended
            engine.sync("erp")
            overlapped += sender.counters.begun > ended
            quantities = quantities_of(table)
            assert len(quantities) == 1, f"{way}: a half file was applied: {quantities}"
            applied.append(quantities.pop() - 1000)
            if overlapped >= 25 and len(set(applied)) > 3:
                break
            sender.let_end()
    assert applied[1:] == sorted(applied[1:])
    assert overlapped >= 25
    assert len(set(applied)) > 3, f"too little was applied: {applied}"


def stock_table(folder: Path) -> sa.Engine:
    """A table of all products, at 1000 pieces each."""
    table = sa.create_engine(f"sqlite:///{folder / 'stock.db'}")
    with table.begin() as connection:
        connection.execute(sa.text("CREATE TABLE stock (sku VARCHAR(64) PRIMARY KEY, quantity INTEGER NOT NULL)"))
        levels = [{"sku": f"S{number:05}", "quantity": 1000} for number in range(SKUS)]
        connection.execute(sa.text("INSERT INTO stock VALUES (:sku, :quantity)"), levels)
    return table


def quantities_of(table: sa.Engine) -> set[int]:
    """The quantities that any product has."""
    with table.begin() as connection:
        return set(connection.execute(sa.text("SELECT quantity FROM stock")).scalars())
