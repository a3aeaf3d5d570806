"""The connectors of file servers: the contract suite, the spec, and whole syncs from real servers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from inventory_sources import Columns, CsvDecoder, Feed, MemorySink, MemoryStateStore, Source, SyncEngine
from inventory_sources.connectors import FtpConnector, FtpServer, SftpConnector, SftpServer
from inventory_sources.errors import ConfigurationError, InputIncomplete, Recovery
from inventory_sources.payload import Payload, Proof
from inventory_sources.protocols.remote_files import RemoteFiles
from inventory_sources.registry import Registry
from inventory_sources.secrets import Secret
from inventory_sources.status import Reason
from inventory_sources.testing.connectors import ConnectorContract, fetch_context
from tests.connectors.ftpd import PASSWORD, USER, RealServer, TLS_FTPHandler, real_tls
from tests.connectors.sshd import LOOPBACK, SSHD, Sshd

STOCK = b"sku,quantity\nA,5\n"
PRIVATE = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if SSHD is None:
        pytest.skip("no sshd here: install openssh-server")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    with server.running():
        yield server


def sftp(server: Sshd, **changes: Any) -> SftpServer:
    """Where the test's own server is."""
    known: dict[str, Any] = {
        "port": server.port,
        "username": server.user,
        "private_key": Secret(server.user_key),
        "host_key": server.printed("host_ed25519").split()[1],
        "allow_private": PRIVATE,
    }
    return SftpServer(LOOPBACK, **{**known, **changes})


class TestSftp(ConnectorContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, sshd: Sshd) -> None:
        self.server = sftp(sshd)
        self.file = tmp_path / "stock.csv"
        self.file.write_bytes(STOCK)

    def make(self) -> SftpConnector:
        return SftpConnector(str(self.file), server=self.server)

    def make_broken(self) -> SftpConnector:
        return SftpConnector(f"{self.file}.gone", server=self.server)


@pytest.fixture
def ftps(tmp_path: Path) -> Iterator[FtpServer]:
    (tmp_path / "root").mkdir()
    authority = trustme.CA()
    options = {"ssl_context": real_tls(authority.issue_cert("localhost"))}
    with RealServer(tmp_path / "root", TLS_FTPHandler, **options) as server:
        yield FtpServer(
            "localhost",
            port=server.port,
            username=USER,
            password=Secret(PASSWORD),
            ca=authority.cert_pem.bytes().decode(),
            allow_private=(*PRIVATE, "::1/128"),
        )


class TestFtps(ConnectorContract):
    secrets = (PASSWORD,)

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, ftps: FtpServer) -> None:
        self.server = ftps
        (tmp_path / "root" / "stock.csv").write_bytes(STOCK)

    def make(self) -> FtpConnector:
        return FtpConnector("stock.csv", server=self.server)

    def make_broken(self) -> FtpConnector:
        return FtpConnector("gone.csv", server=self.server)


def test_a_file_carries_its_time_and_is_only_stable(tmp_path: Path, sshd: Sshd) -> None:
    file = tmp_path / "stock.csv"
    file.write_bytes(STOCK)
    moment = datetime(2026, 3, 2, 10, tzinfo=UTC)
    os.utime(file, (moment.timestamp(), moment.timestamp()))
    spool = tmp_path / "spool"
    spool.mkdir()
    (payload,) = SftpConnector(str(file), server=sftp(sshd)).fetch(fetch_context(spool))
    assert isinstance(payload, Payload)
    with payload.open() as spooled:
        assert spooled.read() == STOCK
    assert (payload.as_of, payload.evidence.proofs) == (moment, {Proof.STABLE})
    assert payload.origin == f"sftp://{LOOPBACK}{file}"


def test_a_file_that_grows_while_it_is_read_waits(tmp_path: Path, sshd: Sshd) -> None:
    file = tmp_path / "stock.csv"
    file.write_bytes(STOCK)

    class WhileReading(SftpConnector):
        def session(self, context: Any) -> Any:
            return _Growing(super().session(context), file)

    spool = tmp_path / "spool"
    spool.mkdir()
    with pytest.raises(InputIncomplete) as raised:
        list(WhileReading(str(file), server=sftp(sshd)).fetch(fetch_context(spool)))
    assert raised.value.recovery is Recovery.WAIT


class _Growing:
    """A session during which somebody writes to the file, after its first look."""

    def __init__(self, session: Any, file: Path) -> None:
        self._session, self._file = session, file

    def __enter__(self) -> Any:
        self._files: RemoteFiles = self._session.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self._session.__exit__(*error)

    def look(self, path: str) -> Any:
        return self._files.look(path)

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        yield from self._files.read(path, offset)
        with self._file.open("ab") as writer:
            writer.write(b"B,6\n")


@pytest.mark.parametrize("path", ["", "stock/", "a\nb"])
def test_a_path_names_one_file(path: str) -> None:
    with pytest.raises(ConfigurationError):
        SftpConnector(path, server=SftpServer("files.example", username="erp"))


@pytest.mark.parametrize(
    "connector",
    [
        SftpConnector(
            "/out/stock.csv",
            server=SftpServer(
                "files.example",
                username="erp",
                private_key=Secret.reference("env:KEY"),
                host_key="SHA256:" + "A" * 43,
            ),
            as_of="fetch",
        ),
        FtpConnector(
            "stock.csv", server=FtpServer("files.example", username="erp", password=Secret.reference("env:P"))
        ),
    ],
)
def test_a_connector_survives_storage(connector: SftpConnector | FtpConnector) -> None:
    registry = Registry()
    source = Source(
        name="erp",
        connector=connector,
        decoder=CsvDecoder(),
        mapper=Columns(),
        feed=Feed.snapshot(),
        sink=_sink(registry),
    )
    spec = registry.describe(source)
    assert spec.portable
    assert registry.build(registry.spec(registry.document(spec))).connector == connector


def _sink(registry: Registry) -> MemorySink:
    sink = MemorySink()
    registry.register("sink", "memory", sink)
    return sink


def test_a_source_syncs_from_a_real_server(tmp_path: Path, sshd: Sshd, ftps: FtpServer) -> None:
    (tmp_path / "root" / "stock.csv").write_bytes(b"sku,quantity\nB,7\n")
    (tmp_path / "stock.csv").write_bytes(STOCK)
    sink = MemorySink({"A": 1, "B": 1})
    engine = SyncEngine(MemoryStateStore())
    connectors = {
        "sftp": SftpConnector(str(tmp_path / "stock.csv"), server=sftp(sshd)),
        "ftps": FtpConnector("stock.csv", server=ftps),
    }
    for name, connector in connectors.items():
        parts: dict[str, Any] = {"decoder": CsvDecoder(), "mapper": Columns(), "feed": Feed.partial(), "sink": sink}
        engine.add_source(Source(name=name, connector=connector, **parts))
        assert engine.check(name).ok
        assert engine.sync(name).products_updated == 1
    assert (sink.quantity("A"), sink.quantity("B")) == (5, 7)


def test_another_host_key_goes_to_error_and_waits_for_an_edit(tmp_path: Path, sshd: Sshd) -> None:
    connector = SftpConnector(str(tmp_path / "stock.csv"), server=sftp(sshd, host_key="SHA256:" + "A" * 43))
    engine = SyncEngine(MemoryStateStore())
    engine.add_source(
        Source(
            name="erp", connector=connector, decoder=CsvDecoder(), mapper=Columns(), feed=Feed.snapshot(),
            sink=MemorySink(),
        )
    )  # fmt: skip
    run = engine.sync("erp")
    assert run.failure is not None
    assert run.failure.code.startswith("host_key")
    assert sshd.printed("host_ed25519").split()[1] in run.failure.guidance
    assert engine.status("erp").reason is Reason.BLOCKED
