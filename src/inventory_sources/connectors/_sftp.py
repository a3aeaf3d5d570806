"""Files of a server that speaks SFTP."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import Attribute, field, frozen

from inventory_sources.connectors._host_keys import pinned
from inventory_sources.connectors._looks import not_a_file, taken
from inventory_sources.connectors._sftp_wire import Answer, Attributes, Kind, Status, Wire, number, text, unreadable
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    InputTooLarge,
    InventorySourcesError,
    ServerFailed,
    SourceMissing,
    Truncated,
)
from inventory_sources.netguard import Resolver, networks, system_resolver
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteKind
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["SftpFiles", "SftpServer"]

_USUAL_PORT = 22
_KINDS = {stat.S_IFREG: RemoteKind.FILE, stat.S_IFDIR: RemoteKind.FOLDER, stat.S_IFLNK: RemoteKind.LINK}


def _positive(instance: SftpServer, attribute: Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def _given(instance: SftpServer, attribute: Attribute[Any], value: str) -> None:
    if not value:
        raise ConfigurationError(f"{attribute.name} must not be empty")


def _ranges(values: Iterable[str]) -> tuple[str, ...]:
    """As `tuple`, which type checkers do not understand in a subclass."""
    return tuple(values)


@frozen(kw_only=True)
class SftpServer:
    """Where to log in, and which host key proves that it is the right place.

    Nothing is read from ``~/.ssh`` and no agent is asked. Where a key and a password are given, the key is shown first,
    and the password when the server wants it too or refuses the key.

    :param password: also the answer where the server asks for one interactively.
    :param private_key: its text, OpenSSH or PEM: Ed25519, ECDSA or RSA.
    :param passphrase: of the private key.
    :param host_key: SHA-256 fingerprints as ``ssh-keygen -lf`` prints them, or lines of a known_hosts file. A server
        with keys of several types shows the one whose type is pinned where the lines tell it, as both do when they are
        given whole. Empty, every server is refused, and the error's guidance tells the fingerprint that it showed.
    :param timeout: seconds for each step: to resolve, to connect, to agree on keys, to log in, and for the next bytes
        to arrive.
    :param allow_private: ranges such as ``10.1.0.0/16`` that may be reached although they are not public. For an
        operator to set, never for whoever names the host.
    :param max_entries: names in one folder.
    :param prefetch: bytes that are asked for ahead of what is read; they bound the memory of a read.
    :raises ConfigurationError: when one of these cannot be used.
    """

    host: str = field(kw_only=False, validator=_given)
    port: int = field(default=_USUAL_PORT, validator=_positive)
    username: str = field(validator=_given)
    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    host_key: str = field(default="", repr=False)
    timeout: float = field(default=30.0, validator=_positive)
    allow_private: tuple[str, ...] = field(default=(), converter=_ranges)
    max_entries: int = field(default=100_000, validator=_positive)
    prefetch: int = field(default=1024**2, validator=_positive)

    @property
    def shown(self) -> str:
        """What errors call it."""
        return self.host if self.port == _USUAL_PORT else f"{self.host} (port {self.port})"

    def __attrs_post_init__(self) -> None:
        if self.password is None and self.private_key is None:
            raise ConfigurationError("an SFTP server needs a password or a private key")
        networks(self.allow_private)
        pinned(self.host_key, self.host, self.port)


class SftpFiles:
    """One session with an SFTP server; see :class:`~inventory_sources.protocols.remote_files.RemoteFiles`.

    For one thread. Names that are not UTF-8 are kept by ``surrogateescape``, so that they can be handed back; one with
    a slash or NUL, which no folder holds, is listed as ``OTHER``. The folder that is listed may be a link itself.
    """

    def __init__(self, wire: Wire, server: SftpServer) -> None:
        self._wire = wire
        self._server = server

    @classmethod
    @contextmanager
    def open(
        cls, server: SftpServer, context: FetchContext, *, resolver: Resolver = system_resolver
    ) -> Iterator[SftpFiles]:
        """A session for the time of a ``with``; the sync's deadline and cancellation end it at any point.

        :param resolver: finds the addresses of the server's name; each is judged, and one that was judged is dialled.
        :raises HostKeyRefused: when the server's key is not pinned; nothing of the credentials was sent.
        :raises AccessRefused: when it refuses the credentials, or the private key cannot be read.
        :raises FetchError: when there is no session for another reason.
        """
        from inventory_sources.connectors._ssh import sftp_channel

        def wait() -> float:
            context.checkpoint()
            return min(server.timeout, context.remaining())

        with sftp_channel(server, wait, resolver) as channel:
            wire = Wire(channel, server.shown, wait)
            wire.greet()
            yield cls(wire, server)

    def entries(self, folder: str) -> Iterator[RemoteEntry]:
        """The names in a folder, in the server's order; ``""`` is the folder that a session starts in.

        :raises InputTooLarge: when there are more than ``max_entries``.
        """
        found = 0
        for name, attributes in self._names(folder or "."):
            if name in (b".", b".."):
                continue
            found += 1
            if found > self._server.max_entries:
                raise InputTooLarge(f"{self._called(folder)} has more than {self._server.max_entries} names")
            yield _entry(folder, name, attributes)

    def look(self, path: str) -> RemoteEntry:
        """What the server says of one path now."""
        answer = self._expected(self._wire.call(Kind.LSTAT, text(_encoded(path))), Kind.ATTRS, path)
        attributes = answer.attributes()
        return RemoteEntry(path, path.rpartition("/")[2], _kind(attributes), attributes.size, attributes.modified)

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """A file's bytes from ``offset``, in pieces of at most 128 KiB.

        :raises Truncated: when it ends before the size that the server declared when it was opened.
        """
        if self.look(path).kind is not RemoteKind.FILE:
            raise not_a_file(self._called(path))
        with self._handle(path, Kind.OPEN, text(_encoded(path)), number(1), number(0)) as handle:
            opened = self._expected(self._wire.call(Kind.FSTAT, handle), Kind.ATTRS, path)
            declared = opened.attributes().size or 0
            if declared < offset:
                raise Truncated(f"{self._called(path)} has {declared} bytes, fewer than the {offset} read before")
            position = offset
            for data in self._pieces(path, handle, offset, declared):
                position += len(data)
                yield data
            if position < declared:
                raise Truncated(f"{self._called(path)} ended at {position} of {declared} bytes")

    def put_away(self, path: str, to: str | None) -> None:
        """Renames a file to another path on the server; ``None`` deletes it.

        :raises FetchError: when there is something under the new path already; not to be tried again as it is.
        """
        if to is None:
            answer = self._wire.call(Kind.REMOVE, text(_encoded(path)))
        else:
            self._must_be_free(to)
            answer = self._wire.call(Kind.RENAME, text(_encoded(path)), text(_encoded(to)))
        code = self._expected(answer, Kind.STATUS, path).number()
        if code != Status.OK:
            self._refuse(code, path)

    def _must_be_free(self, path: str) -> None:
        # The draft has the server refuse, but some replace what is there.
        with suppress(SourceMissing):
            self.look(path)
            raise taken(self._called(path))

    def _names(self, folder: str) -> Iterator[tuple[bytes, Attributes]]:

        with self._handle(folder, Kind.OPENDIR, text(_encoded(folder))) as handle:
            while answer := self._until_end(self._wire.call(Kind.READDIR, handle), Kind.NAME, folder):
                count = answer.number()
                if not count:
                    unreadable(self._server.shown)
                for _ in range(count):
                    name, _shown = answer.text(), answer.text()
                    yield name, answer.attributes()

    def _pieces(self, path: str, handle: bytes, offset: int, declared: int) -> Iterator[bytes]:
        """Asks ahead up to the declared size and for one piece more, which finds the end or that the file grew."""

        def ask(start: int, length: int) -> tuple[int, int, int]:
            return self._wire.ask(Kind.READ, handle, number(start, 8), number(length)), start, length

        most = min(self._wire.read_bytes, self._server.prefetch)
        pending: deque[tuple[int, int, int]] = deque()
        ahead = offset
        try:
            while True:
                while len(pending) < self._server.prefetch // most and (ahead <= declared or not pending):
                    length = min(most, declared - ahead) if ahead < declared else most
                    pending.append(ask(ahead, length))
                    ahead += length
                asked, start, length = pending.popleft()
                answer = self._until_end(self._wire.answer(asked), Kind.DATA, path)
                if answer is None:
                    return
                data = answer.text()
                if not 0 < len(data) <= length:
                    unreadable(self._server.shown)
                yield data
                if len(data) < length:
                    pending.appendleft(ask(start + len(data), length - len(data)))
        finally:
            for asked, _, _ in pending:
                self._wire.forget(asked)

    @contextmanager
    def _handle(self, path: str, kind: Any, *fields: bytes) -> Iterator[bytes]:

        handle = text(self._expected(self._wire.call(kind, *fields), Kind.HANDLE, path).text())
        try:
            yield handle
        finally:
            # Nothing depends on the answer, and the session may be what ended.
            with suppress(InventorySourcesError):
                self._wire.forget(self._wire.ask(Kind.CLOSE, handle))

    def _until_end(self, answer: Answer, kind: int, path: str) -> Answer | None:

        if answer.kind != Kind.STATUS:
            return self._expected(answer, kind, path)
        code = answer.number()
        return None if code == Status.EOF else self._refuse(code, path)

    def _expected(self, answer: Answer, kind: int, path: str) -> Answer:

        if answer.kind == kind:
            return answer
        if answer.kind == Kind.STATUS:
            self._refuse(answer.number(), path)
        return unreadable(self._server.shown)

    def _refuse(self, code: int, path: str) -> NoReturn:

        if code == Status.NO_SUCH_FILE:
            raise SourceMissing(f"there is no {self._called(path)}")
        if code == Status.PERMISSION_DENIED:
            raise AccessRefused(
                f"{self._called(path)} may not be used",
                guidance=f"Give {self._server.username!r} the right to it on the server, then sync it now.",
            )
        raise ServerFailed(f"{self._called(path)} could not be used: SFTP status {code}")

    def _called(self, path: str) -> str:
        return f"{path!r} on {self._server.shown}"


def _encoded(path: str) -> bytes:
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise ConfigurationError(f"{path!r} cannot be a path")
    return encoded


def _kind(attributes: Attributes) -> RemoteKind:
    return _KINDS.get(attributes.type, RemoteKind.OTHER)


def _entry(folder: str, name: bytes, attributes: Attributes) -> RemoteEntry:
    shown = name.decode("utf-8", "surrogateescape")
    kind = RemoteKind.OTHER if {"/", "\0"} & set(shown) else _kind(attributes)
    path = f"{folder.rstrip('/')}/{shown}" if folder else shown
    return RemoteEntry(path, shown, kind, attributes.size, attributes.modified)
