"""FileConnector on this machine's files and on fsspec filesystems."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from attrs import frozen
from fsspec.implementations.memory import MemoryFileSystem

from inventory_sources.connectors import FileConnector, _local
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    ConnectFailed,
    FetchError,
    FetchTimeout,
    InputIncomplete,
    InputTooLarge,
    Recovery,
    SourceMissing,
    SyncCancelled,
)
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.connector import CheckableConnector, FetchContext, Fetched
from inventory_sources.secrets import Secret
from inventory_sources.testing.clock import ManualClock

MakeContext = Callable[..., FetchContext]
STOCK = b"sku,quantity\nA-1,5\nA-2,0\n"
STABLE = Evidence(frozenset({Proof.STABLE}))


class Vault(MemoryFileSystem):
    """A filesystem that wants a key, shows it in its errors, and can be told to change or break a file."""

    protocol = "vault"
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    keys: ClassVar[list[str]] = []
    between: ClassVar[list[Callable[[Vault], None]]] = []

    def __init__(self, key: str = "", region: str = "", **options: object) -> None:
        super().__init__(**options)
        self.keys.append(f"{key}@{region}")
        if key == "wrong":
            raise RuntimeError(f"bad key {key}")

    def open(self, path: str, mode: str = "rb", **options: object) -> object:
        file = super().open(path, mode, **options)
        if mode == "rb" and self.between:
            self.between.pop()(self)
        return file

    def info(self, path: str, **options: object) -> dict[str, object]:
        if "broken" in path:
            raise RuntimeError("connection with key s3cret failed")
        if "forbidden" in path:
            raise PermissionError("key s3cret")
        return super().info(path, **options)


@pytest.fixture
def vault() -> Vault:
    fsspec.register_implementation("vault", Vault, clobber=True)
    Vault.store.clear()
    Vault.keys.clear()
    Vault.between.clear()
    return Vault(skip_instance_cache=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stock.csv"
    path.write_bytes(STOCK)
    return path


def fetched(source: FileConnector, context: FetchContext) -> Payload:
    (payload,) = source.fetch(context)
    assert isinstance(payload, Payload)
    return payload


def text(payload: Payload) -> bytes:
    with payload.open() as stream:
        return stream.read()


def left_behind(context: FetchContext) -> list[Path]:
    return list(context.spool.iterdir())


def failing(source: FileConnector, context: FetchContext, expected: type[Exception]) -> Exception:
    with pytest.raises(expected) as caught:
        fetched(source, context)
    assert type(caught.value) is expected
    assert left_behind(context) == []
    return caught.value


# --- this machine's files -----------------------------------------------------------------------------------------


def test_a_file_is_copied_with_its_time_and_digest(file: Path, context: FetchContext) -> None:
    os.utime(file, (1_767_600_000.25, 1_767_600_000.25))
    payload = fetched(FileConnector(str(file)), context)
    assert text(payload) == STOCK
    assert payload.origin == str(file)
    assert payload.as_of == datetime(2026, 1, 5, 8, tzinfo=UTC) + timedelta(milliseconds=250)
    assert (payload.size, payload.sha256) == (len(STOCK), hashlib.sha256(STOCK).hexdigest())
    assert payload.evidence == STABLE
    assert not payload.evidence.proves_end
    assert isinstance(payload.body, Path)
    assert payload.body.parent == context.spool
    assert payload.body.stat().st_mode & 0o777 == 0o600


def test_a_path_object_and_a_link_to_a_file_will_do(file: Path, context: FetchContext) -> None:
    link = file.with_name("latest.csv")
    link.symlink_to(file)
    assert text(fetched(FileConnector(link), context)) == STOCK


def test_the_fetch_can_stand_for_the_time(file: Path, context: FetchContext) -> None:
    assert fetched(FileConnector(file, as_of="fetch"), context).as_of is None


def test_a_path_is_no_pattern(tmp_path: Path, context: FetchContext) -> None:
    for name in ("stock[1].csv", "stock1.csv"):
        (tmp_path / name).write_text(name)
    assert text(fetched(FileConnector(tmp_path / "stock[1].csv"), context)) == b"stock[1].csv"
    with pytest.raises(SourceMissing, match=r"stock\*\.csv"):
        fetched(FileConnector(tmp_path / "stock*.csv"), context)


def test_a_missing_file_is_named(tmp_path: Path, file: Path, context: FetchContext) -> None:
    assert "gone.csv" in str(failing(FileConnector(tmp_path / "gone.csv"), context, SourceMissing))
    failing(FileConnector(file / "below.csv"), context, SourceMissing)


def test_a_folder_pipe_or_device_is_refused(tmp_path: Path, context: FetchContext) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, Path("/dev/zero"), Path("/dev/null")):
        error = failing(FileConnector(path), context, FetchError)
        assert str(path) in str(error)
        assert getattr(error, "recovery", None) is Recovery.STOP


def test_a_pipe_that_takes_the_files_place_is_not_waited_for(
    file: Path, context: FetchContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(path: str, flags: int) -> int:
        file.unlink()
        os.mkfifo(file)
        return opened(path, flags)

    opened = _local.open_without_waiting
    monkeypatch.setattr(_local, "open_without_waiting", swap)
    error = failing(FileConnector(file), context, FetchError)
    assert "regular file" in str(error)


def test_a_file_without_permission_waits_for_a_person(
    file: Path, context: FetchContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    # Tests may run as root, who reads everything.
    monkeypatch.setattr(_local, "open_without_waiting", refuse)
    failing(FileConnector(file), context, AccessRefused)


def test_a_name_too_long_is_a_failed_connection(tmp_path: Path, context: FetchContext) -> None:
    failing(FileConnector(tmp_path / ("x" * 300)), context, ConnectFailed)


def replaced_by_a_twin(file: Path) -> None:
    """By another file of the same size and time, as an upload tool does that keeps times."""
    seen = file.stat()
    twin = file.with_name("twin")
    twin.write_bytes(STOCK)
    os.utime(twin, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    twin.replace(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(STOCK + b"A-3,7\n"),
        lambda file: file.write_bytes(STOCK[:20]),
        lambda file: os.utime(file, (1, 1)),
        replaced_by_a_twin,
    ],
    ids=["grown", "shrunk", "touched", "replaced"],
)
def test_a_file_that_changes_meanwhile_waits(
    change: Callable[[Path], object], file: Path, make_context: MakeContext
) -> None:
    context = make_context(progress=lambda stage, unit, done: change(file))
    error = failing(FileConnector(file), context, InputIncomplete)
    assert getattr(error, "recovery", None) is Recovery.WAIT


def test_a_file_that_is_deleted_meanwhile_is_missing(file: Path, make_context: MakeContext) -> None:
    context = make_context(progress=lambda stage, unit, done: file.unlink())
    failing(FileConnector(file), context, SourceMissing)


def test_a_file_over_the_cap_is_refused_unread(file: Path, make_context: MakeContext) -> None:
    seen: list[int] = []
    context = make_context(progress=lambda stage, unit, done: seen.append(done))
    failing(FileConnector(file, max_bytes=len(STOCK) - 1), context, InputTooLarge)
    assert seen == []
    fetched(FileConnector(file, max_bytes=len(STOCK)), context)


def test_a_file_that_grows_without_end_stops_at_the_cap(file: Path, make_context: MakeContext) -> None:
    def grow(stage: str, unit: str, done: int) -> None:
        with file.open("ab") as stream:
            stream.write(bytes(1000))

    failing(FileConnector(file, max_bytes=10_000), make_context(progress=grow), InputTooLarge)


def test_an_empty_file_is_an_empty_payload(tmp_path: Path, context: FetchContext) -> None:
    (tmp_path / "empty.csv").touch()
    assert text(fetched(FileConnector(tmp_path / "empty.csv"), context)) == b""


@pytest.mark.parametrize("content", [STOCK, b"", b"x" * 1_000_000])
def test_a_cancelled_sync_stops(content: bytes, file: Path, make_context: MakeContext) -> None:
    file.write_bytes(content)
    failing(FileConnector(file), make_context(cancelled=lambda: True), SyncCancelled)


def test_a_deadline_in_the_middle_stops(file: Path, make_context: MakeContext) -> None:
    file.write_bytes(b"x" * 1_000_000)
    clock = ManualClock()
    context = make_context(clock=clock, deadline=3.5, progress=lambda stage, unit, done: clock.advance(2))
    failing(FileConnector(file), context, FetchTimeout)


def test_a_spool_folder_that_cannot_be_written_is_told(file: Path, make_context: MakeContext) -> None:
    context = make_context(spool=file.parent / "gone")
    with pytest.raises(FetchError, match="spool folder"):
        fetched(FileConnector(file), context)


def test_check_shows_the_head_and_leaves_nothing_behind(file: Path, context: FetchContext) -> None:
    source: CheckableConnector = FileConnector(file)
    head = source.check(context)
    assert (head.data, head.complete, head.size, head.origin) == (STOCK, True, len(STOCK), str(file))
    file.write_bytes(b"x" * 200_000)
    head = source.check(context)
    assert (len(head.data), head.complete, head.size) == (64 * 1024, False, 200_000)
    assert left_behind(context) == []


def test_check_raises_as_fetch_does(tmp_path: Path, context: FetchContext) -> None:
    with pytest.raises(SourceMissing):
        FileConnector(tmp_path / "gone.csv").check(context)


# --- fsspec filesystems -------------------------------------------------------------------------------------------


def test_a_remote_file_is_copied_with_its_time(vault: Vault, context: FetchContext) -> None:
    vault.pipe("/in/stock.csv", STOCK)
    payload = fetched(FileConnector("in/stock.csv", filesystem="vault"), context)
    assert text(payload) == STOCK
    assert payload.origin == "vault://in/stock.csv"
    assert payload.as_of == vault.modified("/in/stock.csv")
    assert payload.evidence == STABLE


def test_options_and_secrets_reach_a_filesystem_of_the_runs_own(vault: Vault, context: FetchContext) -> None:
    vault.pipe("/stock.csv", STOCK)
    Vault.keys.clear()
    source = FileConnector(
        "stock.csv", filesystem="vault", storage_options={"region": "eu"}, secrets={"key": Secret("k3y")}
    )
    fetched(source, context)
    fetched(source, context)
    assert Vault.keys == ["k3y@eu", "k3y@eu"]


def test_a_remote_path_is_no_pattern(vault: Vault, context: FetchContext) -> None:
    vault.pipe("/stock1.csv", STOCK)
    failing(FileConnector("stock*.csv", filesystem="vault"), context, SourceMissing)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("gone.csv", SourceMissing), ("folder", FetchError), ("broken.csv", ConnectFailed), ("forbidden", AccessRefused)],
)
def test_remote_failures_are_ours_and_show_no_secret(
    path: str, expected: type[FetchError], vault: Vault, context: FetchContext
) -> None:
    vault.pipe("/folder/stock.csv", STOCK)
    error = failing(FileConnector(path, filesystem="vault"), context, expected)
    assert path in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "s3cret" not in str(error)


def test_a_remote_file_that_changes_meanwhile_waits(vault: Vault, context: FetchContext) -> None:
    vault.pipe("/stock.csv", STOCK)
    Vault.between.append(lambda filesystem: filesystem.pipe("/stock.csv", STOCK[:-1] + b" "))
    failing(FileConnector("stock.csv", filesystem="vault"), context, InputIncomplete)


def test_a_filesystem_that_cannot_be_opened_is_a_configuration_error(vault: Vault, context: FetchContext) -> None:
    for source in (
        FileConnector("stock.csv", filesystem="nosuch"),
        FileConnector("stock.csv", filesystem="vault", secrets={"key": Secret("wrong")}),
    ):
        with pytest.raises(ConfigurationError) as caught:
            fetched(source, context)
        assert "wrong" not in str(caught.value)
        assert caught.value.__context__ is None


def test_a_filesystem_without_times_needs_the_fetch_as_time(
    vault: Vault, context: FetchContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untold(self: Vault, path: str) -> datetime:
        raise NotImplementedError

    monkeypatch.setattr(Vault, "modified", untold)
    vault.pipe("/stock.csv", STOCK)
    failing(FileConnector("stock.csv", filesystem="vault"), context, FetchError)
    payload = fetched(FileConnector("stock.csv", filesystem="vault", as_of="fetch"), context)
    assert payload.as_of is None
    assert payload.evidence == Evidence()


# --- a connector of one's own -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Nightly(FileConnector):
    """A typed example: a file named by the day, in which an export tool writes one record a line."""

    prefix: str

    def locate(self, context: FetchContext) -> str:
        return f"{self.path}/{self.prefix}-{context.started_at:%Y%m%d}.txt"

    def payloads(self, payload: Payload, context: FetchContext) -> Iterable[Fetched]:
        for line in text(payload).splitlines():
            sku, quantity = line.decode().split("=")
            yield {"sku": sku, "quantity": quantity}


def test_a_connector_of_ones_own_changes_path_and_payloads(tmp_path: Path, make_context: MakeContext) -> None:
    (tmp_path / "stock-20260105.txt").write_text("A=5\nB=0\n")
    context = make_context(started_at=datetime(2026, 1, 5, tzinfo=UTC))
    records = list(Nightly(tmp_path, prefix="stock").fetch(context))
    assert records == [{"sku": "A", "quantity": "5"}, {"sku": "B", "quantity": "0"}]


def test_a_path_of_ones_own_is_judged_too(tmp_path: Path, context: FetchContext) -> None:
    with pytest.raises(ConfigurationError):
        list(Nightly(tmp_path, prefix="http://x").fetch(context))


# --- declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"path": ""},
        {"path": "a\x00b"},
        {"path": "a\nb"},
        {"path": "s3://bucket/stock.csv"},
        {"path": "simplecache::s3://bucket/stock.csv"},
        {"path": "zip://stock.csv::/in/stock.zip"},
        *({"filesystem": name} for name in ("ftp", "sftp", "ssh", "http", "https", "smb", "github", "webhdfs")),
        *({"filesystem": name} for name in ("zip", "tar", "simplecache", "filecache", "reference", "dir", "generic")),
        {"filesystem": "simplecache::s3"},
        {"filesystem": "s3://"},
        {"filesystem": ""},
        {"filesystem": "s3", "storage_options": {"fo": "http://169.254.169.254/"}},
        {"filesystem": "s3", "storage_options": {"target_protocol": "http"}},
        {"filesystem": "s3", "secrets": {"fo": Secret("x")}},
        {"filesystem": "s3", "storage_options": {"key": "a"}, "secrets": {"key": Secret("b")}},
        {"filesystem": "s3", "storage_options": {"client": object()}},
        {"storage_options": {"auto_mkdir": True}},
        {"max_bytes": 0},
        {"as_of": "guess"},
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        FileConnector(**{"path": "stock.csv", **options})


def test_a_repr_shows_no_secret() -> None:
    source = FileConnector(
        "a.csv", filesystem="s3", storage_options={"old": "s3cret"}, secrets={"key": Secret("s3cret")}
    )
    assert "s3cret" not in repr(source)
