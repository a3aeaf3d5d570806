"""Transfers that are cut: read on at the byte where they were, in the same fetch, and never from another version."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inventory_sources.connectors import FtpConnector, FtpServer, SftpConnector, SftpServer
from inventory_sources.errors import ConnectFailed, FetchError, InputIncomplete, SyncCancelled, Truncated
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.secrets import Secret
from tests.connectors.ftpd import PASSWORD, USER, Scene, ScriptedServer
from tests.connectors.sshd import LOOPBACK, SSHD, Middle, Sshd

MakeContext = Callable[..., FetchContext]
MEGABYTE = 1_000_000
CONTENT = random.Random(5).randbytes(12 * MEGABYTE)
PRIVATE = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if SSHD is None:
        pytest.skip("no sshd here: install openssh-server")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    with server.running():
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stock.csv"
    path.write_bytes(CONTENT)
    return path


def sftp(server: Sshd, file: Path, **changes: Any) -> SftpConnector:
    known = {
        "port": server.port,
        "username": server.user,
        "private_key": Secret(server.user_key),
        "host_key": server.printed("host_ed25519").split()[1],
        "allow_private": PRIVATE,
    }
    return SftpConnector(str(file), server=SftpServer(LOOPBACK, **{**known, **changes}))


class At:
    """Does something when that many bytes have arrived, once for each number."""

    def __init__(self, action: Callable[[], None], *sizes: int) -> None:
        self._action, self._sizes = action, list(sizes)

    def __call__(self, stage: str, unit: str, done: int) -> None:
        while self._sizes and done >= self._sizes[0]:
            self._sizes.pop(0)
            self._action()


def spooled(context: FetchContext) -> list[Path]:
    return list(context.spool.iterdir())


@pytest.mark.parametrize("times", [1, 3])
def test_a_transfer_goes_on_where_its_server_was_killed(
    times: int, sshd: Sshd, file: Path, make_context: MakeContext
) -> None:
    sizes = [2 * MEGABYTE * number for number in range(1, times + 1)]
    context = make_context(progress=At(sshd.kill_sessions, *sizes))
    (payload,) = sftp(sshd, file, prefetch=300_000).fetch(context)
    assert payload.body.read_bytes() == CONTENT
    assert payload.size == len(CONTENT)
    assert len(spooled(context)) == 1


def test_what_arrived_is_not_sent_again(sshd: Sshd, file: Path, make_context: MakeContext) -> None:
    with Middle(sshd.port, gate=lambda _: "pass") as middle:
        context = make_context(progress=At(middle.cut, 9 * MEGABYTE))
        (payload,) = sftp(sshd, file, port=middle.port, prefetch=300_000).fetch(context)
        assert middle.connections == 2
        assert middle.passed < len(CONTENT) + 2 * MEGABYTE
    assert payload.body.read_bytes() == CONTENT


def test_a_line_that_fails_too_often_is_given_up(sshd: Sshd, file: Path, make_context: MakeContext) -> None:
    sizes = [2 * MEGABYTE * number for number in range(1, 5)]
    context = make_context(progress=At(sshd.kill_sessions, *sizes))
    with pytest.raises(ConnectFailed):
        list(sftp(sshd, file, prefetch=300_000).fetch(context))
    assert spooled(context) == []


def test_a_server_that_is_gone_is_told_so(sshd: Sshd, file: Path, make_context: MakeContext) -> None:
    with Middle(sshd.port) as middle:

        def stop() -> None:
            middle._listener.shutdown(socket.SHUT_RDWR)
            middle.cut()

        context = make_context(progress=At(stop, MEGABYTE))
        with pytest.raises(ConnectFailed, match=r"could not be opened again \(connect_failed\)"):
            list(sftp(sshd, file, port=middle.port, prefetch=300_000, timeout=2).fetch(context))
    assert spooled(context) == []


def test_a_sync_that_was_asked_to_stop_is_not_resumed(sshd: Sshd, file: Path, make_context: MakeContext) -> None:
    asked: list[bool] = []

    def stop() -> None:
        sshd.kill_sessions()
        asked.append(True)

    context = make_context(progress=At(stop, MEGABYTE), cancelled=lambda: bool(asked))
    with pytest.raises(SyncCancelled):
        list(sftp(sshd, file, prefetch=300_000).fetch(context))
    assert spooled(context) == []


OTHER = random.Random(6).randbytes(len(CONTENT))


@pytest.mark.parametrize("other", [OTHER, OTHER[:-1], CONTENT + b"B,6\n", CONTENT[:MEGABYTE]])
def test_two_versions_are_never_merged(other: bytes, sshd: Sshd, file: Path, make_context: MakeContext) -> None:
    def replace() -> None:
        fresh = file.with_name("fresh")
        fresh.write_bytes(other)
        os.utime(fresh, (1_700_000_000, 1_700_000_000))
        fresh.replace(file)
        sshd.kill_sessions()

    context = make_context(progress=At(replace, 3 * MEGABYTE))
    with pytest.raises(InputIncomplete, match="changed while it was read"):
        list(sftp(sshd, file, prefetch=300_000).fetch(context))
    assert spooled(context) == []


# FTP, by a server that plays its part

STOCK = b"sku,quantity\n" + b"".join(b"SKU-%04d,%d\n" % (number, number % 7) for number in range(500))
TIME = b"213 20240301123000\r\n"


class Cutting:
    """Sends a file from where it is asked to, and cuts it after so many bytes; then what comes next, and so on."""

    def __init__(self, *lengths: int | None, honours_rest: bool = True) -> None:
        self.asked: list[int] = []
        self._lengths = list(lengths)
        self._honours_rest = honours_rest
        self._rest = 0

    def rest(self, scene: Scene, argument: str) -> None:
        self._rest = int(argument)
        scene.say(b"350 From there\r\n")

    def retrieve(self, scene: Scene, argument: str) -> None:
        self.asked.append(self._rest)
        data, self._rest = STOCK[self._rest if self._honours_rest else 0 :], 0
        length = self._lengths.pop(0)
        last = b"226 Done\r\n" if length is None else b"426 Cut\r\n"
        scene.send([data if length is None else data[:length]], last=last)


def ftp(server: ScriptedServer, **options: Any) -> FtpConnector:
    at = FtpServer(
        LOOPBACK, port=server.port, username=USER, password=Secret(PASSWORD), security="none", allow_private=PRIVATE
    )
    return FtpConnector("stock.csv", server=at, **options)


def playing(cutting: Cutting, **answers: Any) -> ScriptedServer:
    usual = {
        "FEAT": b"211 None\r\n",
        "SIZE": b"213 %d\r\n" % len(STOCK),
        "MDTM": TIME,
        "REST": cutting.rest,
        "RETR": cutting.retrieve,
    }
    return ScriptedServer({**usual, **answers})


def test_a_cut_ftp_transfer_goes_on_at_its_byte(context: FetchContext) -> None:
    cutting = Cutting(1000, 17, None)
    with playing(cutting) as server:
        (payload,) = ftp(server).fetch(context)
    assert payload.body.read_bytes() == STOCK
    assert cutting.asked == [0, 1000, 1017]


@pytest.mark.parametrize(
    ("lengths", "asked"), [((1000, 1, 1, 1, None), [0, 1000, 1001, 1002]), ((1000, 0, None), [0, 1000]), ((0,), [0])]
)
def test_a_cut_ftp_transfer_is_given_up(
    lengths: tuple[int | None, ...], asked: list[int], context: FetchContext
) -> None:
    cutting = Cutting(*lengths)
    with playing(cutting) as server, pytest.raises(Truncated):
        list(ftp(server).fetch(context))
    assert cutting.asked == asked
    assert spooled(context) == []


def test_a_server_that_begins_anew_each_time_is_not_believed(context: FetchContext) -> None:
    with playing(Cutting(1000, None, None, None, honours_rest=False)) as server, pytest.raises(FetchError):
        list(ftp(server).fetch(context))
    assert spooled(context) == []


def test_a_server_that_cannot_read_from_the_middle_ends_the_fetch(context: FetchContext) -> None:
    cutting = Cutting(1000, None)
    with playing(cutting, REST=b"502 What?\r\n") as server, pytest.raises(FetchError):
        list(ftp(server).fetch(context))
    assert cutting.asked == [0]
    assert spooled(context) == []


def test_a_file_whose_changes_would_not_show_is_not_read_on(context: FetchContext) -> None:
    cutting = Cutting(1000, None)
    with playing(cutting, MDTM=b"502 What?\r\n") as server, pytest.raises(Truncated):
        list(ftp(server, as_of="fetch").fetch(context))
    assert cutting.asked == [0]


def test_a_file_of_another_time_is_not_read_on(context: FetchContext) -> None:
    cutting = Cutting(1000, None)

    def modified(scene: Scene, argument: str) -> None:
        scene.say(TIME if not cutting.asked else b"213 20240301123001\r\n")

    with playing(cutting, MDTM=modified) as server, pytest.raises(InputIncomplete):
        list(ftp(server).fetch(context))
    assert cutting.asked == [0]
    assert spooled(context) == []
