"""The control connection of an FTP session (RFC 959): commands out, replies in, each within a time and a size.

``ftplib`` is not used: its timeout starts anew with each byte, so that a reply may drip for ever, a reply of many lines
has no end for it, and its exceptions quote the server, which may repeat a password.
Nothing here logs, and what a server says beyond its three digits reaches no message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import field, frozen

from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    ConnectFailed,
    FetchError,
    FetchTimeout,
    Recovery,
    ServerFailed,
    SourceMissing,
)

if TYPE_CHECKING:
    import socket
    import ssl

__all__ = ["Control", "Reply", "no_entry", "refusal", "unprotected", "wants_tls"]

_READ_BYTES = 4096
_MAX_LINE_BYTES = 8192
_MAX_REPLY_BYTES = 64 * 1024
_MAX_REPLY_LINES = 512
_FIRST_LINE = re.compile(rb"([1-5][0-9]{2})(?:([ -]).*)?", re.DOTALL)
_TLS_WORDS = re.compile(r"\b(?:TLS|SSL|FTPS|AUTH|encrypt\w*|cleartext|secure (?:connection|session))\b", re.IGNORECASE)
#: What other servers say first.
_OTHERS = {b"SSH-": ("SSH", "Use SftpConnector for it."), b"HTTP/": ("HTTP", "Use HttpConnector for it.")}
_UNSENDABLE = re.compile(r"[\r\n\0]")


@frozen
class Reply:
    """A whole reply; its text is the server's, to be read and never to be shown."""

    code: int
    lines: tuple[str, ...] = field(repr=False)


class Control:
    """One control connection.

    :ivar in_step: whether every command so far has had its last reply, so that another may be sent.
    :ivar last: the last reply.
    :param shown: what to call the server in errors.
    :param wait: how many seconds the next piece may take; raises when the sync is out of time or was cancelled.
    """

    def __init__(self, connection: socket.socket, shown: str, wait: Callable[[], float], encoding: str) -> None:
        self._socket = connection
        self._shown = shown
        self._wait = wait
        self._encoding = encoding
        self._buffer = bytearray()
        self.in_step = False
        self.last: Reply | None = None

    @property
    def peer(self) -> str:
        """The address at the other end."""
        return str(self._socket.getpeername()[0])

    @property
    def session(self) -> ssl.SSLSession | None:
        """The TLS session, to be resumed by data connections; ``None`` in the clear."""
        return getattr(self._socket, "session", None)

    def secure(self, wrap: Callable[[socket.socket], socket.socket]) -> None:
        """Goes on under TLS.

        :raises ConnectFailed: when something was said in the clear that would pass for the server's words under TLS.
        """
        if self._buffer:
            raise ConnectFailed(f"{self._shown} spoke out of turn before TLS began")
        self._socket = wrap(self._socket)

    def command(self, line: str, *expected: int, about: str = "") -> Reply:
        """Sends a command and returns its first reply.

        :param expected: codes that mean success; without any, every reply is returned.
        :param about: the path in question, for the error.
        :raises ConfigurationError: when the line cannot be sent as one command.
        :raises FetchError: for another code, as :func:`refusal`.
        """
        data = self._encoded(line)
        if self._buffer:
            self.in_step = False
            raise ConnectFailed(f"{self._shown} ended the session, or answered what was not asked")
        self.in_step = False
        self._send(data)
        return self.reply(*expected, about=about)

    def reply(self, *expected: int, about: str = "") -> Reply:
        """The next reply, as :meth:`command`."""
        self.last = reply = self._whole_reply()
        self.in_step = reply.code >= 200 and reply.code != 421
        if reply.code == 421 or (expected and reply.code not in expected):
            raise refusal(reply.code, self._shown, about)
        return reply

    def close(self) -> None:
        """Hangs up."""
        self.in_step = False
        self._socket.close()

    def _encoded(self, line: str) -> bytes:
        # What an encoder raises repeats the line, which may hold the password; it must not even hang on our error.
        data = None
        if not _UNSENDABLE.search(line):
            with suppress(UnicodeEncodeError):
                data = line.encode(self._encoding, "surrogateescape")
        if data is None:
            raise ConfigurationError(
                f"a path, user name or password for {self._shown} has a line break, a NUL "
                f"or a character that {self._encoding} does not have"
            )
        return data + b"\r\n"

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(self._wait())
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise FetchTimeout(f"{self._shown} did not take a command in time") from None
        except OSError:
            raise ConnectFailed(f"{self._shown} closed the connection") from None

    def _whole_reply(self) -> Reply:
        lines = [self._line()]
        first = _FIRST_LINE.fullmatch(lines[0])
        if first is None:
            raise self._not_ftp(lines[0])
        size = 0
        last = first[1] + b" "
        while first[2] == b"-" and not (len(lines) > 1 and (lines[-1] + b" ").startswith(last)):
            lines.append(self._line())
            size += len(lines[-1])
            if len(lines) > _MAX_REPLY_LINES or size > _MAX_REPLY_BYTES:
                raise ServerFailed(f"{self._shown} sends a reply without end")
        return Reply(int(first[1]), tuple(line.decode(self._encoding, "surrogateescape") for line in lines))

    def _not_ftp(self, line: bytes) -> ServerFailed:
        for start, (protocol, advice) in _OTHERS.items():
            if line.startswith(start):
                return ServerFailed(
                    f"{self._shown} speaks {protocol}, not FTP",
                    recovery=Recovery.STOP,
                    guidance=f"{advice} Otherwise correct the port: FTP is usually on 21.",
                )
        return ServerFailed(f"{self._shown} does not answer in valid FTP")

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _MAX_LINE_BYTES:
                raise ServerFailed(f"{self._shown} sends a reply without end")
            self._buffer += self._read()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def _read(self) -> bytes:
        wait = self._wait()
        self._socket.settimeout(wait)
        try:
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            self._wait()
            raise FetchTimeout(f"{self._shown} said nothing for {wait:g} s") from None
        except OSError:
            data = b""
        if not data:
            raise ConnectFailed(f"{self._shown} closed the connection")
        return data


def refusal(code: int, shown: str, about: str = "") -> FetchError:
    """What a code means that is none of those hoped for (RFC 959, section 4.2).

    550 (and 501, of a folder to MLSD) says both that a path is missing and that it may not be used; as a missing one
    may yet be delivered, that is what it is taken for.
    """
    subject = f"{about!r} at {shown}" if about else shown
    if code in {421, 425}:
        return ConnectFailed(f"{shown} ended the session or could not open a connection for data ({code})")
    if about and code in {501, 550}:
        return SourceMissing(f"{subject} is not there, or may not be used by this user ({code})")
    if code == 553:
        return AccessRefused(f"{subject} is not a name that may be used ({code})")
    if code in {530, 532}:
        return no_entry(code, shown)
    if code in {522, 534}:
        return unprotected(code, shown)
    return ServerFailed(f"{subject} was answered with {code}")


def no_entry(code: int, shown: str) -> AccessRefused:
    """The user may not come in."""
    return AccessRefused(f"{shown} refuses the user name or the password, or wants more than those ({code})")


def unprotected(code: int, shown: str) -> ConnectFailed:
    """The server does not do TLS as declared (RFC 4217)."""
    return ConnectFailed(
        f"{shown} does not agree to TLS for commands or data as it is declared ({code})",
        recovery=Recovery.STOP,
        guidance="Declare security='explicit' if it wants TLS. Otherwise have FTPS set up there; "
        "security='none' is for a network that is itself trusted.",
    )


def wants_tls(reply: Reply) -> bool:
    """Whether a server that refuses the user in the clear says that it is for want of TLS."""
    return reply.code in {522, 534} or (reply.code >= 400 and bool(_TLS_WORDS.search(" ".join(reply.lines))))
