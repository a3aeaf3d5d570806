"""SFTP version 3 over a channel: requests by number, answers in any order.

The protocol is that of https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02, which every server speaks.
paramiko's own client is not used: a name that is not UTF-8 ends its listings, it keeps what it has read ahead without
a bound, and its errors repeat what the server says.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from stat import S_IFMT
from typing import TYPE_CHECKING, NoReturn

from attrs import frozen

from inventory_sources.errors import ConnectFailed, FetchTimeout, ServerFailed

if TYPE_CHECKING:
    from paramiko import Channel

__all__ = ["Answer", "Attributes", "Kind", "Status", "Wire", "number", "text", "unreadable"]

_VERSION = 3
_LIMITS = b"limits@openssh.com"
# What every server must be able to give at once (section 3 of the draft), and what is asked of one that can give more.
_READ_BYTES = 32 * 1024
_MOST_READ_BYTES = 128 * 1024
_RECEIVE_BYTES = 256 * 1024
# OpenSSH sends at most 256 KiB; a longer claim is not an answer of a file server.
_MAX_PACKET_BYTES = 256 * 1024


class Kind(IntEnum):
    """Packet types (section 3 of the draft)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """Status codes that mean something of their own here (section 7)."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3


def number(value: int, size: int = 4) -> bytes:
    """A number as it is sent."""
    return value.to_bytes(size, "big")


def text(value: bytes) -> bytes:
    """A text as it is sent."""
    return number(len(value)) + value


@frozen
class Attributes:
    """What a server says of a file (section 5).

    :param type: the file type bits of its mode, 0 where it does not say.
    """

    size: int | None = None
    type: int = 0
    modified: datetime | None = None


class Answer:
    """One answer, read field by field.

    :raises ServerFailed: when a field goes beyond its end.
    """

    def __init__(self, packet: bytes, host: str) -> None:
        self.kind = packet[0]
        self._packet = packet
        self._at = 1
        self._host = host

    @property
    def has_more(self) -> bool:
        """Whether there are fields left."""
        return self._at < len(self._packet)

    def number(self, size: int = 4) -> int:
        """The next number."""
        return int.from_bytes(self._take(size), "big")

    def text(self) -> bytes:
        """The next text, as bytes: the protocol does not say how names are encoded."""
        return self._take(self.number())

    def attributes(self) -> Attributes:
        """The next attributes."""
        flags = self.number()
        size = self.number(8) if flags & 0x1 else None
        if flags & 0x2:
            self._take(8)
        mode = self.number() if flags & 0x4 else 0
        times = (self.number(), self.number()) if flags & 0x8 else None
        for _ in range(2 * self.number() if flags & 0x80000000 else 0):
            self.text()
        return Attributes(size, S_IFMT(mode), datetime.fromtimestamp(times[1], UTC) if times else None)

    def _take(self, size: int) -> bytes:
        taken = self._packet[self._at : self._at + size]
        if len(taken) < size:
            unreadable(self._host)
        self._at += size
        return taken


def unreadable(host: str) -> NoReturn:
    """Says that the server broke the protocol."""
    raise ServerFailed(f"{host} does not answer in valid SFTP")


class Wire:
    """Numbers requests and finds their answers.

    :param wait: how many seconds the next bytes may take; raises when the sync is out of time or was cancelled.
    :ivar read_bytes: how much to ask for at once.
    """

    def __init__(self, channel: Channel, host: str, wait: Callable[[], float]) -> None:
        self.host = host
        self.read_bytes = _READ_BYTES
        self._channel = channel
        self._wait = wait
        self._received = bytearray()
        self._last = 0
        self._awaited: set[int] = set()
        self._answers: dict[int, Answer] = {}

    def greet(self) -> None:
        """Agrees on the version, and on how much may be read at once where the server tells.

        The extension is described in https://github.com/openssh/openssh-portable/blob/master/PROTOCOL, section 4.8.

        :raises ServerFailed: when the server does not speak ours.
        """
        self._send(number(Kind.INIT, 1) + number(_VERSION))
        answer = self._receive()
        if answer.kind != Kind.VERSION or answer.number() < _VERSION:
            unreadable(self.host)
        extensions = set()
        while answer.has_more:
            extensions.add(answer.text())
            answer.text()
        if _LIMITS in extensions:
            self._limit(self.call(Kind.EXTENDED, text(_LIMITS)))

    def _limit(self, answer: Answer) -> None:
        if answer.kind == Kind.EXTENDED_REPLY:
            _packet, most = answer.number(8), answer.number(8)
            self.read_bytes = min(most or _READ_BYTES, _MOST_READ_BYTES)

    def call(self, kind: Kind, *fields: bytes) -> Answer:
        """Sends a request and waits for its answer."""
        return self.answer(self.ask(kind, *fields))

    def ask(self, kind: Kind, *fields: bytes) -> int:
        """Sends a request; the number is to be given to :meth:`answer` or :meth:`forget`."""
        self._last = asked = (self._last + 1) & 0xFFFFFFFF
        self._awaited.add(asked)
        self._send(number(kind, 1) + number(asked) + b"".join(fields))
        return asked

    def answer(self, asked: int) -> Answer:
        """Waits for the answer to a request.

        :raises FetchError: when it does not come.
        """
        while asked not in self._answers:
            answer = self._receive()
            found = answer.number()
            if found in self._awaited:
                self._answers[found] = answer
        self._awaited.discard(asked)
        return self._answers.pop(asked)

    def forget(self, asked: int) -> None:
        """Gives up on an answer; it is thrown away when it comes."""
        self._awaited.discard(asked)
        self._answers.pop(asked, None)

    def _receive(self) -> Answer:
        size = int.from_bytes(self._bytes(4), "big")
        if not 1 <= size <= _MAX_PACKET_BYTES:
            unreadable(self.host)
        return Answer(self._bytes(size), self.host)

    def _bytes(self, size: int) -> bytes:
        while len(self._received) < size:
            self._received += self._more()
        taken = bytes(memoryview(self._received)[:size])
        del self._received[:size]
        return taken

    def _more(self) -> bytes:
        wait = self._wait()
        try:
            self._channel.settimeout(wait)
            data = self._channel.recv(_RECEIVE_BYTES)
        except TimeoutError:
            self._wait()
            raise FetchTimeout(f"{self.host} sent nothing for {wait:g} s") from None
        except Exception:  # noqa: BLE001 - paramiko's are among them, and it is not loaded for their names
            data = b""
        if not data:
            raise ConnectFailed(f"the connection to {self.host} was lost")
        return data

    def _send(self, packet: bytes) -> None:
        wait = self._wait()
        try:
            self._channel.settimeout(wait)
            self._channel.sendall(text(packet))
        except TimeoutError:
            raise FetchTimeout(f"{self.host} took no request for {wait:g} s") from None
        except Exception:  # noqa: BLE001 - as above
            raise ConnectFailed(f"the connection to {self.host} was lost") from None
