"""One SSH connection to a server that proved who it is, over a socket that was judged.

It is built on paramiko's ``Transport`` alone: nothing is read from ``~/.ssh``, no agent is asked and no host key is
added. paramiko waits for some answers for ever, so each step is given its time here. This module is loaded at the
first connection.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from paramiko.packet import Packetizer

from inventory_sources.connectors._host_keys import key_family, pinned, verify
from inventory_sources.errors import AccessRefused, ConnectFailed, FetchError, FetchTimeout, Recovery
from inventory_sources.netguard import Resolver, dial, networks

if TYPE_CHECKING:
    from inventory_sources.connectors._sftp import SftpServer

__all__ = ["sftp_channel"]

_Result = TypeVar("_Result")

# paramiko logs tracebacks of what is raised here anyway; without a logging set-up they would go to stderr. Below
# paramiko's own name, so that a host that listens to that one hears it.
_LOGGER = "paramiko.transport.inventory_sources"
logging.getLogger(_LOGGER).addHandler(logging.NullHandler())

_GREETING_SHOWN = 60
_KEEPALIVE_SECONDS = 15
# Bytes that the server may send ahead, and in one packet: the usual 32 KiB cost a third of the speed.
_LEAST_WINDOW = 2 * 1024**2
_PACKET_BYTES = 256 * 1000
_KINDS: dict[type, type[paramiko.PKey]] = {
    Ed25519PrivateKey: paramiko.Ed25519Key,
    EllipticCurvePrivateKey: paramiko.ECDSAKey,
    RSAPrivateKey: paramiko.RSAKey,
}


class _Listener(Packetizer):
    """Keeps the first line that a server says, for one that does not speak SSH."""

    greeting = ""

    def readline(self, timeout: float) -> str:
        line = super().readline(timeout)
        self.greeting = self.greeting or line
        return line


@contextmanager
def sftp_channel(server: SftpServer, wait: Callable[[], float], resolver: Resolver) -> Iterator[paramiko.Channel]:
    """A channel to the server's SFTP subsystem; the connection is closed with it.

    :param wait: how many seconds the next step may take; raises when the sync is out of time or was cancelled.
    :raises HostKeyRefused: before anything of the credentials was sent.
    :raises FetchError: when there is no connection or the credentials are refused.
    """
    key = _private_key(server)
    allowed = networks(server.allow_private)
    with closing(dial(server.host, server.port, wait, allowed=allowed, resolver=resolver)) as connection:
        # Requests are small: held back until the last one is acknowledged, they would leave the server idle.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = _Session(server, paramiko.Transport(connection, packetizer_class=_Listener), wait)
        with closing(session.transport):
            session.meet()
            session.log_in(key)
            yield session.open()


class _Session:
    def __init__(self, server: SftpServer, transport: paramiko.Transport, wait: Callable[[], float]) -> None:
        self.transport = transport
        self._server = server
        self._wait = wait
        transport.set_log_channel(_LOGGER)
        self._pins = pinned(server.host_key, server.host, server.port)
        # Longer than any step may take here, so that it is ours that ends one.
        longest = 2 * server.timeout
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = longest
        families = {pin.family for pin in self._pins}
        options = transport.get_security_options()
        options.key_types = sorted(options.key_types, key=lambda name: key_family(name) not in families)
        # One pass over the bytes where a cipher and a MAC take two.
        options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)

    def meet(self) -> None:
        """Agrees on keys, then looks at whose they are."""
        self._step("agree on keys", self.transport.start_client)
        key = self.transport.get_remote_server_key()
        verify(key.asbytes(), key.get_name(), self._pins, self._server.shown)

    def log_in(self, key: paramiko.PKey | None) -> None:
        """Shows the key, then the password where the server wants that too or instead."""
        user, password = self._server.username, self._server.password
        if key:
            self._try(lambda: self.transport.auth_publickey(user, key))
        if password and not self.transport.is_authenticated():
            revealed = password.reveal()
            self._try(lambda: self.transport.auth_password(user, revealed))
        if not self.transport.is_authenticated():
            offered = " and ".join(["a private key"] * bool(key) + ["a password"] * bool(password))
            raise AccessRefused(f"{self._server.shown} refused the login of {user!r} with {offered}")

    def open(self) -> paramiko.Channel:
        """A channel to the SFTP subsystem."""
        self.transport.set_keepalive(_KEEPALIVE_SECONDS)
        window = max(2 * self._server.prefetch, _LEAST_WINDOW)
        channel = self._step("open a channel", lambda: self.transport.open_session(window, _PACKET_BYTES))
        self._step("start SFTP", lambda: channel.invoke_subsystem("sftp"))
        return channel

    def _try(self, login: Callable[[], object]) -> None:
        try:
            self._step("log in", login)
        except AccessRefused:
            self._wait()

    def _step(self, what: str, action: Callable[[], _Result]) -> _Result:
        seconds, late = self._wait(), threading.Event()

        def give_up() -> None:
            late.set()
            self.transport.close()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        # Raised outside of the except: what paramiko raises may quote the server, and its frames hold the password.
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - paramiko hands on whatever its thread ended with
            failed = self._failure(what, error, refused=self.transport.is_active())
        finally:
            timer.cancel()
        if late.is_set() and not self._other_greeting:
            raise FetchTimeout(f"{self._server.shown} took longer than {seconds:g} s to {what}")
        raise failed

    @property
    def _other_greeting(self) -> str:
        """What a server said first that never came to speak SSH, printable."""
        said = "" if self.transport.remote_version else getattr(self.transport.packetizer, "greeting", "")
        return "".join(character if character.isprintable() else "?" for character in said[:_GREETING_SHOWN])

    def _failure(self, what: str, error: Exception, *, refused: bool) -> FetchError:
        if self._other_greeting:
            return ConnectFailed(
                f"{self._server.shown} does not speak SSH: its greeting is {self._other_greeting!r}",
                recovery=Recovery.STOP,
                guidance="Correct the port: SFTP is usually on 22. For FTP and FTPS there is FtpConnector.",
            )
        # A server that hangs up at the login may have had enough of it or may be gone; the next attempt tells.
        if isinstance(error, paramiko.BadAuthenticationType):
            refused = True
        if isinstance(error, paramiko.AuthenticationException) and refused:
            return AccessRefused(f"{self._server.shown} refused to {what}")
        return ConnectFailed(f"no SSH connection to {self._server.shown}: failed to {what} ({type(error).__name__})")


def _private_key(server: SftpServer) -> paramiko.PKey | None:
    if server.private_key is None:
        return None
    content = server.private_key.reveal().encode()
    passphrase = server.passphrase.reveal().encode() if server.passphrase else None
    key = None
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        key = key or _loaded(load, content, passphrase)
    if key is None:
        raise AccessRefused(
            "the private key cannot be read",
            guidance="Give it whole, as OpenSSH or PEM (Ed25519, ECDSA or RSA), with its passphrase if it has one.",
        )
    return key


def _loaded(
    load: Callable[[bytes, bytes | None], object], content: bytes, passphrase: bytes | None
) -> paramiko.PKey | None:
    try:
        key = load(content, passphrase)
        written = key.private_bytes(  # type: ignore[attr-defined]
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
        return next(
            known.from_private_key(io.StringIO(written)) for kind, known in _KINDS.items() if isinstance(key, kind)
        )
    except Exception:  # noqa: BLE001 - each format has its own errors, and they may quote the key
        return None
