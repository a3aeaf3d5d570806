"""One session with an FTP server: logged in, protected and in binary mode from its first command on.

Data connections go outwards only, to the address of the control connection and whatever port the server names there.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from inventory_sources.connectors._ftp_control import Control, Reply, no_entry, refusal, unprotected, wants_tls
from inventory_sources.connectors._ftp_server import FtpSecurity, FtpServer
from inventory_sources.errors import AccessRefused, ConnectFailed, FetchError, FetchTimeout, ServerFailed, Truncated
from inventory_sources.netguard import Resolver, dial, networks

if TYPE_CHECKING:
    import socket
    import ssl

__all__ = ["FtpSession"]

_READ_BYTES = 64 * 1024
_EXTENDED_PORT = re.compile(r"\(([!-/:-~])[^()]*?\1[^()]*?\1([0-9]{1,5})\1\)")
_PASSIVE_PORT = re.compile(r"(?:[0-9]{1,3},){4}([0-9]{1,3}),([0-9]{1,3})")


class FtpSession:
    """Connects and logs in when made.

    :param wait: how many seconds the next piece may take; raises when the sync is out of time or was cancelled.
    :ivar features: the names that FEAT gives (RFC 2389), in upper case.
    :raises AccessRefused: when the server does not let the user in.
    :raises ConnectFailed: when there is no connection, or none that is protected as declared; then neither name nor
        password was sent.
    """

    def __init__(self, server: FtpServer, wait: Callable[[], float], resolver: Resolver) -> None:
        self._server = server
        self._wait = wait
        self._allowed = networks(server.allow_private)
        self._tls = None if server.security is FtpSecurity.NONE else server.tls()
        self._extended = True
        connection = dial(server.host, server.port, wait, allowed=self._allowed, resolver=resolver)
        self._control = Control(connection, server.shown, wait, server.encoding)
        try:
            self._begin()
            self._protect()
            self.features: frozenset[str] = self._set_up()
        except BaseException:
            self.close()
            raise

    @property
    def in_step(self) -> bool:
        """Whether another command may be sent."""
        return self._control.in_step

    def command(self, line: str, *expected: int, about: str = "") -> Reply:
        """As :meth:`Control.command`."""
        return self._control.command(line, *expected, about=about)

    def close(self) -> None:
        """Hangs up without a word."""
        self._control.close()

    def transfer(
        self, line: str, about: str, *, offset: int = 0, declared: int | None = None
    ) -> Generator[bytes, None, None]:
        """What a command sends over a data connection.

        :param about: the path in question, for errors.
        :param declared: up to which byte the server says that it sends.
        :raises Truncated: when the server does not confirm that it sent all, or fewer bytes arrive than declared; under
            TLS and without a declared size, also when the end itself is not signed by the server.
        """
        received, signed = offset, False
        with closing(self._data_connection()) as plain:
            if offset:
                self.command(f"REST {offset}", 350)
            self.command(line, 125, 150, about=about)
            with closing(self._protected(plain)) as data:
                while chunk := self._piece(data):
                    received += len(chunk)
                    yield chunk
                if chunk is not None:
                    signed = self._sign_off(data)
        self._confirm(about)
        if declared is None and not signed:
            raise Truncated(f"what {self._server.shown} sent of {about!r} has no proper end, so it may have been cut")
        if declared is not None and received < declared:
            raise Truncated(f"{about!r} at {self._server.shown} ended before all of it had arrived")

    def _begin(self) -> None:
        try:
            self._greet()
            self._log_in()
        except FetchError:
            last = self._control.last
            if self._tls or last is None or not wants_tls(last):
                raise
            raise AccessRefused(
                f"{self._server.shown} lets nobody in without TLS ({last.code})",
                guidance="Declare security='explicit', then edit the source or sync it now.",
            ) from None

    def _greet(self) -> None:
        if self._server.security is FtpSecurity.IMPLICIT:
            self._control.secure(self._verified)
        self._welcome()
        if self._server.security is FtpSecurity.EXPLICIT:
            reply = self.command("AUTH TLS")
            if reply.code != 234:
                raise unprotected(reply.code, self._server.shown)
            self._control.secure(self._verified)

    def _welcome(self) -> None:
        try:
            while self._control.reply(120, 220).code != 220:
                pass
        except FetchTimeout as error:
            if self._server.security is FtpSecurity.IMPLICIT:
                raise
            raise FetchTimeout(
                error.message,
                guidance="A server that waits for TLS first says nothing: for that, declare security='implicit'.",
            ) from None

    def _log_in(self) -> None:
        reply = self.command(f"USER {self._server.username}")
        if reply.code == 331:
            password = self._server.password
            reply = self.command(f"PASS {password.reveal() if password else 'anonymous@'}")
        if reply.code in {202, 230, 232}:
            return
        # What is final, or asks for more than we have, is the same next time; and many tries lock an account.
        passing = 400 <= reply.code < 500 and reply.code != 430
        raise refusal(reply.code, self._server.shown) if passing else no_entry(reply.code, self._server.shown)

    def _protect(self) -> None:
        for line in ("PBSZ 0", "PROT P") if self._tls else ():
            reply = self.command(line)
            if reply.code != 200:
                raise unprotected(reply.code, self._server.shown)

    def _set_up(self) -> frozenset[str]:
        self.command("TYPE I", 200)
        reply = self.command("FEAT")
        told = reply.lines[1:-1] if reply.code == 211 else ()
        features = frozenset(line.split()[0].upper() for line in told if line.split())
        if "UTF8" in features and codecs.lookup(self._server.encoding).name == "utf-8":
            self.command("OPTS UTF8 ON")
        return features

    def _verified(self, connection: socket.socket, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        from inventory_sources._tls import Advice, verified

        context = self._tls or self._server.tls()
        advice = Advice(
            "If its certificate is signed by a private authority, give that authority's as ca, in PEM.",
            "security='implicit' is for a port where TLS comes first, usually 990; on port 21 it is 'explicit'.",
        )
        return verified(
            connection, self._server.host, context, self._wait, session=session, end_signed=True, advice=advice
        )

    def _protected(self, plain: socket.socket) -> socket.socket:
        if self._tls is None:
            return plain
        return self._verified(plain, self._control.session if self._server.session_reuse else None)

    def _data_connection(self) -> socket.socket:
        peer = self._control.peer
        port = self._data_port()
        if not 1 <= port <= 65535:
            raise ServerFailed(f"{self._server.shown} names no port for its data")
        return dial(self._server.host, port, self._wait, allowed=self._allowed, resolver=lambda *_: (peer,))

    def _data_port(self) -> int:
        """What EPSV (RFC 2428) or PASV says; 0 where it cannot be read."""
        if self._extended:
            reply = self.command("EPSV")
            if reply.code == 229:
                found = _EXTENDED_PORT.search(reply.lines[0])
                return int(found[2]) if found else 0
            if ":" in self._control.peer or reply.code < 500:
                raise refusal(reply.code, self._server.shown)
            self._extended = False
        found = _PASSIVE_PORT.search(self.command("PASV", 227).lines[0])
        return int(found[1]) * 256 + int(found[2]) if found else 0

    def _piece(self, data: socket.socket) -> bytes | None:
        """The next bytes; none at the end, and ``None`` where the connection was cut."""
        wait = self._wait()
        data.settimeout(wait)
        try:
            return data.recv(_READ_BYTES)
        except TimeoutError:
            self._wait()
            raise FetchTimeout(f"{self._server.shown} sent nothing for {wait:g} s") from None
        except OSError:
            return None

    def _sign_off(self, data: socket.socket) -> bool:
        # Some servers confirm only once their end was answered. It has been read, so nothing is waited for here.
        if self._tls:
            with suppress(OSError):
                data.unwrap()  # type: ignore[attr-defined]
        return True

    def _confirm(self, about: str) -> None:
        try:
            reply = self._control.reply()
        except ConnectFailed:
            raise Truncated(f"{self._server.shown} was gone before it confirmed all of {about!r}") from None
        if reply.code in {522, 534}:
            raise unprotected(reply.code, self._server.shown)
        if reply.code not in {226, 250}:
            raise Truncated(f"{self._server.shown} did not send all of {about!r} ({reply.code})")
