"""An OpenSSH server of the test's own on the loopback, and a man in the middle who counts, waits and cuts.

The server runs as whoever runs the tests, with host keys and a user's key made for it; it knows no passwords, for it
would need the system's for that. `PasswordServer`, which is paramiko's, stands in where OpenSSH cannot: for passwords,
and for lies.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import paramiko

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
LOOPBACK = "127.0.0.1"

CONFIG = """
ListenAddress {address}:{port}
ListenAddress {address}:{strict_port}
HostKey {folder}/host_ed25519
HostKey {folder}/host_rsa
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
Subsystem sftp internal-sftp
Match LocalPort {strict_port}
    ForceCommand internal-sftp -R -P opendir
"""


class Sshd:
    """The server: each connection is served by a process of its own, which can be killed.

    At its `strict_port` nothing may be changed or listed.
    """

    def __init__(self, folder: Path) -> None:
        self.user = getpass.getuser()
        self._folder = folder
        for name, options in (
            ("host_ed25519", ["ed25519"]),
            ("host_rsa", ["rsa", "-b", "2048"]),
            ("user", ["ed25519"]),
        ):
            self.make_key(name, *options)
        shutil.copy(folder / "user.pub", folder / "authorized_keys")
        self.port, self.strict_port = free_ports(2)
        values = {"address": LOOPBACK, "port": self.port, "strict_port": self.strict_port, "folder": folder}
        (folder / "config").write_text(CONFIG.format(**values))
        self._process: subprocess.Popen[bytes] | None = None

    def make_key(self, name: str, kind: str, *options: str, passphrase: str = "") -> str:
        """Makes a pair of keys and gives the private one."""
        path = self._folder / name
        command = ["ssh-keygen", "-q", "-t", kind, *options, "-N", passphrase, "-C", name, "-f", path]
        subprocess.run(command, check=True)
        return path.read_text()

    def authorize(self, name: str) -> None:
        """Lets the holder of a key in."""
        with (self._folder / "authorized_keys").open("a") as keys:
            keys.write((self._folder / f"{name}.pub").read_text())

    @property
    def user_key(self) -> str:
        """The private key of the user who may log in."""
        return (self._folder / "user").read_text()

    def printed(self, name: str) -> str:
        """What `ssh-keygen -lf` prints for a key."""
        command = ["ssh-keygen", "-lf", self._folder / f"{name}.pub"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def public(self, name: str) -> str:
        """Type and base64 of a public key, as in a known_hosts line."""
        return " ".join((self._folder / f"{name}.pub").read_text().split()[:2])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serves until the end."""
        assert SSHD is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [SSHD, "-D", "-e", "-f", self._folder / "config"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stderr=log)
        try:
            self._await(self._process)
            yield
        finally:
            self._process.terminate()
            self._process.wait(10)

    def kill_sessions(self) -> None:
        """Kills the processes that serve connections, but not the server."""
        assert self._process is not None
        for child in _descendants(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(500):
            with suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=10):
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
                break
        raise RuntimeError((self._folder / "log").read_text())


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [descendant for child in children for descendant in (*_descendants(child), child)]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody uses now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


class Middle:
    """Stands between a client and a server: counts what the client sends, and on a word stops passing or cuts.

    :param pace: bytes that are passed at once to the client.
    :param gate: asked before anything more is passed to the client, with how many bytes it was passed so far; gives
        "pass", "hang" or "cut".
    """

    def __init__(self, port: int, *, pace: int = 65536, gate: Callable[[int], str] = lambda passed: "pass") -> None:
        self.sent = bytearray()
        self.passed = 0
        self._pace = pace
        self._gate = gate
        self._target = port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._ends: list[socket.socket] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def after_new_keys(self) -> int:
        """Bytes that the client sent once packets are encrypted: a login is among them, and nothing before is secret.

        Packets before are read as RFC 4253, section 6, has them.
        """
        at = self.sent.index(b"\r\n") + 2
        while at + 6 <= len(self.sent):
            size, kind = int.from_bytes(self.sent[at : at + 4], "big"), self.sent[at + 5]
            at += 4 + size
            if kind == 21:
                return len(self.sent) - at
        raise AssertionError("the keys were not agreed on")

    def cut(self) -> None:
        """Ends the connections in both directions, without a word of SSH."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection((LOOPBACK, self._target))
                self._ends += [client, server]
                for task in (self._record, self._pass):
                    thread = threading.Thread(target=task, args=(client, server))
                    self._threads.append(thread)
                    thread.start()

    def _record(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                self.sent += data
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(self._pace):
                word = self._gate(self.passed)
                if word == "hang":
                    self._over.wait(60)
                if word != "pass":
                    break
                client.sendall(data)
                self.passed += len(data)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class _Door(paramiko.ServerInterface):
    def __init__(self, owner: PasswordServer) -> None:
        self._owner = owner

    def get_allowed_auths(self, username: str) -> str:
        return self._owner.methods

    def check_auth_password(self, username: str, password: str) -> int:
        self._owner.logins.append((username, password))
        right = (username, password) == (self._owner.user, self._owner.password)
        allowed = "password" in self._owner.methods
        return paramiko.AUTH_SUCCESSFUL if right and allowed else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL

    def check_auth_interactive(self, username: str, submethods: str) -> object:
        return paramiko.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        return paramiko.AUTH_SUCCESSFUL if responses == [self._owner.password] else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self._owner.starts.wait(60)
        return super().check_channel_subsystem_request(channel, name)


class PasswordServer:
    """A server that takes a password, and shows what its `files` (a `paramiko.SFTPServerInterface`) has.

    :param methods: ways to log in that it offers; a key alone is not enough.
    """

    user, password = "merchant", "c4nary-password"

    def __init__(self, files: type[paramiko.SFTPServerInterface], *, methods: str = "password") -> None:
        self.key = paramiko.RSAKey.generate(2048)
        self.logins: list[tuple[str, str]] = []
        self.methods = methods
        self.starts = threading.Event()
        self.starts.set()
        self._files = files
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.starts.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for transport in self._transports:
            transport.close()
            transport.join(10)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                transport = paramiko.Transport(connection)
                transport.add_server_key(self.key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, self._files)
                self._transports.append(transport)
                with suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=_Door(self))
