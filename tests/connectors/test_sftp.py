"""SFTP against a real OpenSSH server: who it talks to, what it reads, and how everything that breaks is told."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import random
import re
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import paramiko
import pytest

from inventory_sources.connectors._host_keys import Pin, fingerprint, pinned
from inventory_sources.connectors._sftp import SftpFiles, SftpServer
from inventory_sources.errors import (
    AccessRefused,
    AddressDenied,
    ConfigurationError,
    ConnectFailed,
    FetchError,
    FetchTimeout,
    HostKeyChanged,
    HostKeyRefused,
    InputTooLarge,
    Recovery,
    ServerFailed,
    SourceMissing,
    SyncCancelled,
    Truncated,
)
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteFiles, RemoteKind
from inventory_sources.secrets import Secret
from tests.connectors.conftest import MakeContext
from tests.connectors.sshd import LOOPBACK, SSHD, Middle, PasswordServer, Sshd

# By name, for a traceback shows the line that it went through.
CANARY = PasswordServer.password
WRONG = "c4nary-wrong"
Open = Callable[..., AbstractContextManager[SftpFiles]]


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if SSHD is None:
        pytest.skip("no sshd here: install openssh-server")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    with server.running():
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "outgoing"
    made.mkdir()
    return made


@pytest.fixture
def opened(sshd: Sshd, make_context: MakeContext) -> Open:
    """Opens a session with the real server; keyword arguments replace what is given, `context` the context."""

    def open_(context: object = None, **fields: object) -> AbstractContextManager[SftpFiles]:
        defaults = {
            "port": sshd.port,
            "username": sshd.user,
            "private_key": Secret(sshd.user_key),
            "host_key": sshd.printed("host_ed25519"),
            "allow_private": [f"{LOOPBACK}/32"],
        }
        return SftpFiles.open(SftpServer(LOOPBACK, **{**defaults, **fields}), context or make_context())

    return open_


@pytest.fixture
def by_password(make_context: MakeContext) -> Open:
    """Opens a session with a server that takes a password."""

    def open_(server: PasswordServer, **fields: object) -> AbstractContextManager[SftpFiles]:
        defaults = {
            "port": server.port,
            "username": server.user,
            "password": Secret(server.password),
            "host_key": fingerprint(server.key.asbytes()),
            "allow_private": [f"{LOOPBACK}/32"],
        }
        return SftpFiles.open(SftpServer(LOOPBACK, **{**defaults, **fields}), make_context())

    return open_


def whole(files: RemoteFiles, path: Path | str, offset: int = 0) -> bytes:
    return b"".join(files.read(str(path), offset))


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def whole_story(error: BaseException | None) -> str:
    """An error with everything that hangs on it, as a log of the host would show it."""
    parts = []
    while error is not None:
        parts += [str(error), repr(error), "".join(traceback.format_exception(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


class Shelf(paramiko.SFTPServerInterface):
    """Files of a server that lies."""

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes]:
        names = [".", "..", "../../x", "/etc/passwd", "a\0b", "stock.csv"]
        return [self._named(name) for name in names] if path == "/out" else []

    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        return self._named(path) if path == "/out/stock.csv" else paramiko.SFTP_NO_SUCH_FILE

    def open(self, path: str, flags: int, attr: object) -> paramiko.SFTPHandle:
        handle = paramiko.SFTPHandle()
        handle.readfile = io.BytesIO(b"sku,quantity\n")
        handle.stat = lambda: self._named(path)
        return handle

    def rename(self, oldpath: str, newpath: str) -> int:
        raise AssertionError("this server would replace what is there")

    @staticmethod
    def _named(name: str, size: int = 1000) -> paramiko.SFTPAttributes:
        attributes = paramiko.SFTPAttributes()
        attributes.filename = name
        attributes.st_mode = 0o100644
        attributes.st_size = size
        return attributes


class Miser(Shelf):
    """A server that gives at most 1000 bytes at once."""

    SIZE = 100_000

    def open(self, path: str, flags: int, attr: object) -> paramiko.SFTPHandle:
        handle = super().open(path, flags, attr)
        handle.readfile = io.BytesIO(content(self.SIZE))
        given = handle.read
        handle.read = lambda offset, length: given(offset, min(length, 1000))
        handle.stat = lambda: self._named(path, self.SIZE)
        return handle


class TestHostKey:
    def test_the_helper_and_ssh_keygen_agree(self, sshd: Sshd) -> None:
        printed = sshd.printed("host_rsa").split()
        (pin,) = pinned(f"server {sshd.public('host_rsa')}", "server", 22)
        assert (pin.fingerprint, f"({pin.family})") == (printed[1], printed[-1])

    @pytest.mark.parametrize("name", ["host_ed25519", "host_rsa"])
    @pytest.mark.parametrize("form", ["printed", "known_hosts", "hashed"])
    def test_a_pinned_key_of_any_type_is_the_one_that_is_asked_for(
        self, name: str, form: str, sshd: Sshd, opened: Open, tmp_path: Path
    ) -> None:
        line = f"[{LOOPBACK}]:{sshd.port} {sshd.public(name)}"
        (tmp_path / "known_hosts").write_text(f"{line}\n")
        if form == "hashed":
            subprocess.run(["ssh-keygen", "-q", "-H", "-f", tmp_path / "known_hosts"], check=True, capture_output=True)
        text = sshd.printed(name) if form == "printed" else (tmp_path / "known_hosts").read_text()
        assert (LOOPBACK in text) is (form == "known_hosts")
        with opened(host_key=text) as files:
            assert files.look("/").kind is RemoteKind.FOLDER

    def test_one_of_several_fingerprints_is_enough(self, sshd: Sshd, opened: Open) -> None:
        both = [sshd.printed(name).split()[1] for name in ("host_rsa", "host_ed25519")]
        with opened(host_key=", ".join(both)) as files:
            assert files.look("/").kind is RemoteKind.FOLDER

    def test_an_unknown_key_is_refused_with_its_fingerprint_before_any_login(self, sshd: Sshd, opened: Open) -> None:
        with Middle(sshd.port) as middle, pytest.raises(HostKeyRefused) as caught:
            with opened(port=middle.port, host_key=""):
                pass
        assert caught.value.code == "host_key_refused"
        assert caught.value.recovery is Recovery.BLOCK
        assert sshd.printed("host_ed25519").split()[1] in caught.value.guidance
        assert middle.after_new_keys() == 0

    def test_keys_of_other_hosts_count_for_nothing(self, sshd: Sshd, opened: Open) -> None:
        with pytest.raises(HostKeyRefused) as caught, opened(host_key=f"elsewhere {sshd.public('host_ed25519')}"):
            pass
        assert caught.value.code == "host_key_refused"

    def test_a_changed_key_is_refused_before_any_login(self, sshd: Sshd, opened: Open) -> None:
        other = fingerprint(b"another key")
        with Middle(sshd.port) as middle, pytest.raises(HostKeyChanged) as caught:
            with opened(port=middle.port, host_key=other):
                pass
        assert caught.value.code == "host_key_changed"
        assert caught.value.recovery is Recovery.BLOCK
        assert other in caught.value.guidance
        assert sshd.printed("host_ed25519").split()[1] in caught.value.guidance
        assert middle.after_new_keys() == 0

    def test_the_recorder_does_see_a_login(self, sshd: Sshd, opened: Open) -> None:
        with Middle(sshd.port) as middle:
            with opened(port=middle.port):
                pass
        assert middle.after_new_keys() > 0

    def test_no_password_reaches_a_server_whose_key_is_another_one(self, by_password: Open) -> None:
        with PasswordServer(Shelf) as server, Middle(server.port) as middle:
            with pytest.raises(HostKeyChanged):
                with by_password(server, port=middle.port, host_key=fingerprint(b"another key")):
                    pass
            assert server.logins == []
        assert middle.after_new_keys() == 0

    @pytest.mark.parametrize(
        ("names", "host", "port", "counts"),
        [
            ("sftp.example", "sftp.example", 22, True),
            ("SFTP.example", "sftp.Example", 22, True),
            ("other,sftp.example", "sftp.example", 22, True),
            ("*.example", "sftp.example", 22, True),
            ("*.example,!sftp.example", "sftp.example", 22, False),
            ("sft?.example", "sftp.example", 22, True),
            ("sftp.example", "sftpXexample", 22, False),
            ("[sftp.example]:2022", "sftp.example", 2022, True),
            ("[sftp.example]:2022", "sftp.example", 22, False),
            ("sftp.example", "sftp.example", 2022, True),
            ("example", "sftp.example", 22, False),
            ("|1|!!|AAAA", "sftp.example", 22, False),
            ("|1|AAAA", "sftp.example", 22, False),
            ("@cert-authority sftp.example", "sftp.example", 22, False),
            ("@revoked sftp.example", "sftp.example", 22, False),
        ],
    )
    def test_a_line_counts_for_the_hosts_that_it_names(self, names: str, host: str, port: int, counts: bool) -> None:
        key = paramiko.RSAKey.generate(1024)
        text = f"# a comment\n\n{names} ssh-rsa {key.get_base64()} someone@somewhere\n"
        assert pinned(text, host, port) == ((Pin(fingerprint(key.asbytes()), "RSA"),) if counts else ())

    def test_the_line_of_the_port_outranks_that_of_the_host(self) -> None:
        key, other = paramiko.RSAKey.generate(1024), paramiko.RSAKey.generate(1024)
        text = f"h ssh-rsa {other.get_base64()}\n[h]:2022 ssh-rsa {key.get_base64()}"
        assert [pin.fingerprint for pin in pinned(text, "h", 2022)] == [fingerprint(key.asbytes())]

    def test_a_revoked_key_is_not_pinned_by_another_line(self) -> None:
        key = paramiko.RSAKey.generate(1024)
        line = f"h ssh-rsa {key.get_base64()}"
        assert pinned(f"{line}\n@revoked {line}\n{fingerprint(key.asbytes())}", "h", 22) == ()

    @pytest.mark.parametrize(
        "text",
        [
            "SHA256:short",
            f"{fingerprint(b'a')} SHA256:short",
            "MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
            "host ssh-rsa",
            "host ssh-rsa not*base64",
            "host ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "@revoked",
        ],
    )
    def test_a_text_that_pins_nothing_is_refused_when_it_is_declared(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="host_key"):
            SftpServer("h", username="u", password=Secret("p"), host_key=text)


class TestLogin:
    @pytest.mark.parametrize(
        "options",
        [
            ["ed25519"],
            ["ecdsa", "-b", "384"],
            ["rsa", "-b", "2048"],
            ["rsa", "-b", "2048", "-m", "PEM"],
            ["ecdsa", "-m", "PEM"],
            ["rsa", "-b", "2048", "-m", "PKCS8"],
        ],
        ids=" ".join,
    )
    @pytest.mark.parametrize("passphrase", ["", "c4nary phrase"])
    def test_keys_of_every_form(self, options: list[str], passphrase: str, sshd: Sshd, opened: Open) -> None:
        name = f"{'-'.join(options)}{'-locked' * bool(passphrase)}"
        text = sshd.make_key(name, *options, passphrase=passphrase)
        sshd.authorize(name)
        secret = Secret(passphrase) if passphrase else None
        with opened(private_key=Secret(text), passphrase=secret) as files:
            assert files.look("/").kind is RemoteKind.FOLDER

    @pytest.mark.parametrize("passphrase", [None, Secret(WRONG)])
    def test_a_locked_key_needs_its_passphrase(self, passphrase: Secret | None, sshd: Sshd, opened: Open) -> None:
        text = sshd.make_key(f"locked-{passphrase is None}", "ed25519", passphrase="right")
        with pytest.raises(AccessRefused, match="private key cannot be read") as caught:
            with opened(private_key=Secret(text), passphrase=passphrase):
                pass
        assert "c4nary" not in whole_story(caught.value)

    def test_a_text_that_is_no_key(self, opened: Open) -> None:
        with pytest.raises(AccessRefused) as caught, opened(private_key=Secret(WRONG)):
            pass
        assert "c4nary" not in whole_story(caught.value)

    def test_a_key_that_the_server_does_not_know(self, sshd: Sshd, opened: Open) -> None:
        told = rf"\(port {sshd.port}\) refused the login of '{sshd.user}' with a private key$"
        with pytest.raises(AccessRefused) as caught:
            with opened(private_key=Secret(sshd.make_key("stranger", "ed25519"))):
                pass
        assert re.search(told, caught.value.message)
        assert caught.value.recovery is Recovery.BLOCK

    @pytest.mark.parametrize("methods", ["password", "keyboard-interactive"])
    def test_a_password(self, methods: str, by_password: Open) -> None:
        with PasswordServer(Shelf, methods=methods) as server, by_password(server) as files:
            assert files.look("/out/stock.csv").size == 1000

    @pytest.mark.parametrize("methods", ["password", "keyboard-interactive", "hostbased"])
    def test_a_wrong_password(self, methods: str, by_password: Open) -> None:
        with PasswordServer(Shelf, methods=methods) as server, pytest.raises(AccessRefused) as caught:
            with by_password(server, password=Secret(WRONG)):
                pass
        assert "c4nary" not in whole_story(caught.value)
        assert caught.value.__context__ is None

    def test_a_key_and_then_a_password(self, sshd: Sshd, by_password: Open) -> None:
        with PasswordServer(Shelf, methods="publickey,password") as server:
            with by_password(server, private_key=Secret(sshd.user_key)) as files:
                assert files.look("/out/stock.csv").size == 1000
            with pytest.raises(AccessRefused):
                with by_password(server, private_key=Secret(sshd.user_key), password=None):
                    pass
            with pytest.raises(AccessRefused, match="with a private key and a password "):
                with by_password(server, private_key=Secret(sshd.user_key), password=Secret(WRONG)):
                    pass

    def test_no_password_is_logged_at_debug(self, by_password: Open, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, logger="paramiko"), PasswordServer(Shelf) as server:
            with by_password(server):
                pass
            with pytest.raises(AccessRefused), by_password(server, password=Secret(WRONG)):
                pass
            assert [password for _, password in server.logins] == [CANARY, WRONG]
        assert "userauth" in caplog.text
        records = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
        assert "c4nary" not in records

    def test_secrets_do_not_show_in_the_declaration(self) -> None:
        server = SftpServer("h", username="u", password=Secret("c4nary"), passphrase=Secret("c4nary"))
        assert "c4nary" not in repr(server)

    @pytest.mark.parametrize(
        "fields",
        [
            {"password": None},
            {"username": ""},
            {"port": 0},
            {"timeout": 0},
            {"prefetch": 0},
            {"max_entries": 0},
            {"allow_private": ["10.0.0.1/8"]},
        ],
        ids=str,
    )
    def test_what_cannot_work_is_refused_when_it_is_declared(self, fields: dict[str, object]) -> None:
        with pytest.raises(ConfigurationError):
            SftpServer("h", **{"username": "u", "password": Secret("p"), **fields})


class TestAddress:
    def test_a_private_address_is_not_dialled_unless_allowed(self, sshd: Sshd, opened: Open) -> None:
        with Middle(sshd.port) as middle, pytest.raises(AddressDenied):
            with opened(port=middle.port, allow_private=()):
                pass
        assert middle.connections == 0

    def test_the_address_that_was_judged_is_the_one_that_is_dialled(
        self, sshd: Sshd, make_context: MakeContext
    ) -> None:
        asked = []

        def resolver(host: str, port: int) -> list[str]:
            asked.append((host, port))
            return [LOOPBACK]

        server = SftpServer(
            "sftp.invalid",
            port=sshd.port,
            username=sshd.user,
            private_key=Secret(sshd.user_key),
            host_key=sshd.printed("host_ed25519"),
            allow_private=("127.0.0.1/32",),
        )
        with SftpFiles.open(server, make_context(), resolver=resolver) as files:
            assert files.look("/").kind is RemoteKind.FOLDER
        assert asked == [("sftp.invalid", sshd.port)]

    def test_nobody_listens(self, opened: Open, unused: int) -> None:
        with pytest.raises(ConnectFailed), opened(port=unused):
            pass

    @pytest.fixture
    def unused(self, sshd: Sshd) -> int:
        with Middle(sshd.port) as middle:
            return middle.port


class TestRead:
    @pytest.mark.parametrize("size", [0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 20_000_000])
    def test_the_bytes_are_those_of_the_file(self, size: int, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(content(size))
        with opened() as files:
            read = whole(files, folder / "stock.csv")
        assert hashlib.sha256(read).digest() == hashlib.sha256(content(size)).digest()

    @pytest.mark.parametrize("offset", [0, 1, 99_999, 100_000])
    @pytest.mark.parametrize("prefetch", [999, 64 * 1024, 4 * 1024**2])
    def test_reading_goes_on_at_an_offset(self, offset: int, prefetch: int, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(content(100_000))
        with opened(prefetch=prefetch) as files:
            assert whole(files, folder / "stock.csv", offset) == content(100_000)[offset:]

    def test_an_offset_beyond_the_end_is_a_file_that_shrank(self, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(b"12345")
        with opened() as files, pytest.raises(Truncated, match="has 5 bytes, fewer than the 6"):
            whole(files, folder / "stock.csv", 6)

    def test_a_file_that_grows_is_read_to_its_end_as_it_is_then(self, opened: Open, folder: Path) -> None:
        path = folder / "stock.csv"
        path.write_bytes(content(8_000_000))
        with opened(prefetch=1024**2) as files:
            pieces = files.read(str(path))
            read = next(pieces)
            with path.open("ab") as writer:
                writer.write(content(300_000))
            read += b"".join(pieces)
        assert read == content(8_000_000) + content(300_000)

    def test_a_file_that_shrinks_is_truncated(self, opened: Open, folder: Path) -> None:
        path = folder / "stock.csv"
        path.write_bytes(content(8_000_000))
        with opened() as files, pytest.raises(Truncated, match="of 8000000 bytes"):
            for _ in files.read(str(path)):
                os.truncate(path, 10)

    def test_a_size_that_is_a_lie_is_truncated(self, by_password: Open) -> None:
        with PasswordServer(Shelf) as server, by_password(server) as files:
            with pytest.raises(Truncated, match="ended at 13 of 1000 bytes"):
                whole(files, "/out/stock.csv")

    def test_reads_that_are_left_disturb_no_other(self, opened: Open, folder: Path) -> None:
        for name in ("a", "b", "c"):
            (folder / name).write_bytes(name.encode() * 3_000_000)
        with opened() as files:
            left = files.read(str(folder / "a"))
            assert set(next(left)) == {ord("a")}
            other = files.read(str(folder / "b"))
            first = next(other)
            left.close()
            assert whole(files, folder / "c") == b"c" * 3_000_000
            assert first + b"".join(other) == b"b" * 3_000_000
            assert len(list(files.entries(str(folder)))) == 3
            assert files._wire._answers == {}

    def test_a_server_that_gives_less_than_was_asked_for(self, by_password: Open) -> None:
        with PasswordServer(Miser) as server, by_password(server) as files:
            assert whole(files, "/out/stock.csv") == content(Miser.SIZE)

    def test_what_is_read_ahead_is_bounded(self, sshd: Sshd, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(content(20_000_000))
        with Middle(sshd.port) as middle, opened(port=middle.port, prefetch=256 * 1024) as files:
            pieces = files.read(str(folder / "stock.csv"))
            used = sum(len(next(pieces)) for _ in range(10))
            # An answer comes after what was asked for before it.
            files.look("/")
            passed = middle.passed
        assert used < passed < used + 256 * 1024 + 65536

    def test_a_link_is_not_followed(self, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(b"secret of another folder")
        (folder / "link").symlink_to(folder / "stock.csv")
        with opened() as files:
            assert files.look(str(folder / "link")).kind is RemoteKind.LINK
            with pytest.raises(FetchError, match="not a regular file"):
                whole(files, folder / "link")

    def test_a_folder_is_not_a_file(self, opened: Open, folder: Path) -> None:
        with opened() as files, pytest.raises(FetchError, match="not a regular file"):
            whole(files, folder)

    def test_a_file_that_is_not_there(self, opened: Open, folder: Path) -> None:
        with opened() as files:
            with pytest.raises(SourceMissing, match=r"no '.*stock\.csv'"):
                whole(files, folder / "stock.csv")
            with pytest.raises(SourceMissing):
                list(files.entries(str(folder / "nowhere")))

    @pytest.mark.parametrize("path", ["a\0b", "\ud800"])
    def test_a_path_that_cannot_be_sent(self, path: str, opened: Open) -> None:
        with opened() as files, pytest.raises(ConfigurationError):
            files.look(path)


class TestEntries:
    def test_a_thousand_names(self, opened: Open, folder: Path) -> None:
        for number in range(1000):
            (folder / f"stock-{number:04}.csv").touch()
        with opened(max_entries=1000) as files:
            found = [entry.name for entry in files.entries(str(folder))]
        assert sorted(found) == [f"stock-{number:04}.csv" for number in range(1000)]

    def test_more_names_than_the_cap(self, opened: Open, folder: Path) -> None:
        for number in range(301):
            (folder / str(number)).touch()
        with opened(max_entries=300) as files:
            with pytest.raises(InputTooLarge, match="more than 300 names"):
                list(files.entries(str(folder)))
            assert files.look(str(folder)).kind is RemoteKind.FOLDER

    def test_an_empty_folder_is_empty(self, opened: Open, folder: Path) -> None:
        with opened() as files:
            assert list(files.entries(str(folder))) == []

    def test_what_a_name_stands_for(self, opened: Open, folder: Path) -> None:
        (folder / "file").write_bytes(b"12345")
        os.utime(folder / "file", (0, 1_700_000_000))
        (folder / "folder").mkdir()
        (folder / "link").symlink_to("folder")
        (folder / "dead").symlink_to("nowhere")
        os.mkfifo(folder / "pipe")
        with opened() as files:
            found = {entry.name: entry for entry in files.entries(f"{folder}/")}
            looked = files.look(str(folder / "file"))
        at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        assert found["file"] == looked == RemoteEntry(str(folder / "file"), "file", RemoteKind.FILE, 5, at)
        kinds = {name: entry.kind.value for name, entry in found.items()}
        assert kinds == {"file": "file", "folder": "folder", "link": "link", "dead": "link", "pipe": "other"}

    @pytest.mark.parametrize(
        "name",
        [
            b"new\nline",
            "Bestände €.csv".encode(),
            b"caf\xe9.csv",
            b"a\\b",
            b"..%2f..%2fx",
            b" ",
            b"-rf",
            b"...",
            b"\x1b[2J",
        ],
    )
    def test_weird_names_are_handed_back_as_they_are(self, name: bytes, opened: Open, folder: Path) -> None:
        (folder / os.fsdecode(name)).write_bytes(b"12345")
        with opened() as files:
            (entry,) = files.entries(str(folder))
            assert entry.name == os.fsdecode(name)
            assert whole(files, entry.path) == b"12345"
            files.put_away(entry.path, f"{entry.path}.done")
        assert [os.fsencode(path.name) for path in folder.iterdir()] == [name + b".done"]

    def test_a_name_that_no_folder_holds_is_no_file(self, by_password: Open) -> None:
        with PasswordServer(Shelf) as server, by_password(server) as files:
            kinds = {entry.name: entry.kind for entry in files.entries("/out")}
        other = dict.fromkeys(["../../x", "/etc/passwd", "a\0b"], RemoteKind.OTHER)
        assert kinds == {**other, "stock.csv": RemoteKind.FILE}


class TestPutAway:
    def test_a_file_is_renamed(self, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(b"12345")
        (folder / "done").mkdir()
        with opened() as files:
            files.put_away(str(folder / "stock.csv"), str(folder / "done" / "stock.csv"))
        assert [path.name for path in folder.iterdir()] == ["done"]
        assert (folder / "done" / "stock.csv").read_bytes() == b"12345"

    def test_nothing_is_replaced(self, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(b"new")
        (folder / "done.csv").write_bytes(b"old")
        with opened() as files, pytest.raises(FetchError, match="there already") as caught:
            files.put_away(str(folder / "stock.csv"), str(folder / "done.csv"))
        assert caught.value.recovery is Recovery.STOP
        assert ((folder / "stock.csv").read_bytes(), (folder / "done.csv").read_bytes()) == (b"new", b"old")

    def test_nothing_is_replaced_that_came_in_between(
        self, opened: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "stock.csv").write_bytes(b"new")
        (folder / "done.csv").write_bytes(b"old")
        monkeypatch.setattr(SftpFiles, "_must_be_free", lambda *_: None)
        with opened() as files, pytest.raises(ServerFailed):
            files.put_away(str(folder / "stock.csv"), str(folder / "done.csv"))
        assert ((folder / "stock.csv").read_bytes(), (folder / "done.csv").read_bytes()) == (b"new", b"old")

    def test_a_server_that_would_replace_is_not_asked_to(self, by_password: Open) -> None:
        with PasswordServer(Shelf) as server, by_password(server) as files:
            with pytest.raises(FetchError, match="there already"):
                files.put_away("/out/new.csv", "/out/stock.csv")

    def test_a_file_is_deleted(self, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").touch()
        with opened() as files:
            files.put_away(str(folder / "stock.csv"), None)
            with pytest.raises(SourceMissing):
                files.put_away(str(folder / "stock.csv"), None)
        assert list(folder.iterdir()) == []

    def test_a_link_is_deleted_and_not_what_it_points_to(self, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").touch()
        (folder / "link").symlink_to("stock.csv")
        with opened() as files:
            files.put_away(str(folder / "link"), None)
        assert [path.name for path in folder.iterdir()] == ["stock.csv"]

    def test_what_may_not_be_done(self, sshd: Sshd, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").touch()
        with opened(port=sshd.strict_port) as files:
            for attempt in (
                lambda: files.put_away(str(folder / "stock.csv"), None),
                lambda: files.put_away(str(folder / "stock.csv"), str(folder / "done.csv")),
                lambda: list(files.entries(str(folder))),
            ):
                with pytest.raises(AccessRefused, match="may not be used") as caught:
                    attempt()
                assert sshd.user in caught.value.guidance
        assert [path.name for path in folder.iterdir()] == ["stock.csv"]


class TestBrokenLink:
    @pytest.mark.parametrize("passed", [0, 30, 500, 1500])
    @pytest.mark.parametrize(("word", "error"), [("hang", FetchTimeout), ("cut", ConnectFailed)])
    def test_while_the_session_is_opened(
        self, passed: int, word: str, error: type[FetchError], sshd: Sshd, opened: Open
    ) -> None:
        with Middle(sshd.port, pace=10, gate=lambda so_far: "pass" if so_far < passed else word) as middle:
            with pytest.raises(error), opened(port=middle.port, timeout=0.5):
                pass

    def test_a_subsystem_that_never_starts(self, by_password: Open) -> None:
        with PasswordServer(Shelf) as server:
            server.starts.clear()
            with pytest.raises(FetchTimeout, match="to start SFTP"), by_password(server, timeout=0.5):
                pass

    def test_a_server_that_speaks_no_ssh(self, opened: Open) -> None:
        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 ftp.example ready\r\n" * 200)

        with socket.create_server((LOOPBACK, 0)) as listener:
            thread = threading.Thread(target=greet)
            thread.start()
            with pytest.raises(ConnectFailed), opened(port=listener.getsockname()[1]):
                pass
            thread.join()

    def test_a_read_that_hangs(self, sshd: Sshd, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(content(20_000_000))
        stop = threading.Event()
        with Middle(sshd.port, gate=lambda _: "hang" if stop.is_set() else "pass") as middle:
            with opened(port=middle.port, timeout=0.5) as files:
                with pytest.raises(FetchTimeout, match=r"sent nothing for 0\.5 s"):
                    for _ in files.read(str(folder / "stock.csv")):
                        stop.set()

    def test_a_read_that_drips_ends_at_the_deadline(
        self, sshd: Sshd, opened: Open, folder: Path, make_context: MakeContext
    ) -> None:
        (folder / "stock.csv").write_bytes(content(20_000_000))
        context, drips = make_context(), threading.Event()

        def gate(_: int) -> str:
            if drips.is_set():
                # Not a rest for the test: this is the pace of the line.
                threading.Event().wait(0.001)
            return "pass"

        with Middle(sshd.port, pace=64, gate=gate) as middle, opened(context, port=middle.port) as files:
            with pytest.raises(FetchTimeout, match="deadline"):
                for _ in files.read(str(folder / "stock.csv")):
                    if not drips.is_set():
                        context.deadline = context.clock.monotonic() + 0.5
                    drips.set()

    def test_a_read_that_is_cut(self, sshd: Sshd, opened: Open, folder: Path) -> None:
        (folder / "stock.csv").write_bytes(content(20_000_000))
        with Middle(sshd.port) as middle, opened(port=middle.port) as files:
            with pytest.raises(ConnectFailed, match="was lost"):
                for _ in files.read(str(folder / "stock.csv")):
                    middle.cut()

    def test_a_read_that_is_cancelled(self, opened: Open, folder: Path, make_context: MakeContext) -> None:
        (folder / "stock.csv").write_bytes(content(20_000_000))
        asked = threading.Event()
        with opened(make_context(cancelled=asked.is_set)) as files, pytest.raises(SyncCancelled):
            for _ in files.read(str(folder / "stock.csv")):
                asked.set()

    def test_a_listing_whose_server_dies_is_never_short(self, sshd: Sshd, opened: Open, folder: Path) -> None:
        for number in range(1000):
            (folder / f"stock-{number:04}.csv").touch()
        with opened() as files:
            entries = files.entries(str(folder))
            assert next(entries).kind is RemoteKind.FILE
            sshd.kill_sessions()
            with pytest.raises(ConnectFailed):
                list(entries)

    def test_a_listing_on_a_dead_link_is_never_empty(self, sshd: Sshd, opened: Open, folder: Path) -> None:
        with opened() as files:
            assert list(files.entries(str(folder))) == []
            sshd.kill_sessions()
            with pytest.raises(ConnectFailed):
                list(files.entries(str(folder)))
            with pytest.raises(ConnectFailed):
                files.look(str(folder))
            with pytest.raises(ConnectFailed):
                files.put_away(str(folder / "a"), None)


def test_the_client_is_loaded_at_the_first_connection() -> None:
    script = "import sys, inventory_sources.connectors._sftp; sys.exit('paramiko' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
