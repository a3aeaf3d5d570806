"""FTP and FTPS servers on the loopback: a real one, and one that plays any part it is given."""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL
from OpenSSL._util import lib

if TYPE_CHECKING:
    import trustme

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # before Python 3.12 it uses the library's own asyncore
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler, TLS_DTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

USER, PASSWORD = "stock", "c4nary-pass-w0rd"


class ReuseOnly(TLS_DTPHandler):
    """Data connections that must resume a TLS session, as ProFTPD and vsftpd want them."""

    def handle_ssl_established(self) -> None:
        if not lib.SSL_session_reused(self.socket._ssl):
            self.cmd_channel.respond("522 SSL connection failed: session reuse required")
            self.close()


class Implicit(TLS_FTPHandler):
    """TLS from the first byte."""

    def handle(self) -> None:
        self.secure_connection(self.get_ssl_context())

    def handle_ssl_established(self) -> None:
        FTPHandler.handle(self)


class RealServer:
    """pyftpdlib serving a folder in a thread; ``commands`` are the lines that reached it."""

    def __init__(self, root: Path, handler: type[FTPHandler], **options: object) -> None:
        authorizer = DummyAuthorizer()
        authorizer.add_user(USER, PASSWORD, str(root), perm="elradfmwMT")
        self.commands: list[str] = []
        record = self.commands

        def pre_process_command(this: FTPHandler, line: str, cmd: str, arg: str) -> None:
            record.append(line)
            handler.pre_process_command(this, line, cmd, arg)

        members = {"authorizer": authorizer, "use_sendfile": False, "pre_process_command": pre_process_command}
        self.handler = type("Served", (handler,), {**members, **options})
        self._loop = IOLoop()
        self._server = FTPServer(("127.0.0.1", 0), self.handler, ioloop=self._loop)
        self.port: int = self._server.address[1]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._loop.loop(timeout=0.01, blocking=False)
        self._server.close_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


def real_tls(leaf: trustme.LeafCert) -> SSL.Context:
    """A server's context of pyOpenSSL, with sessions that can be resumed."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    leaf.configure_cert(context)
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context.set_session_id(b"ftpd")
    return context


class Leaf:
    """A certificate that signed itself, with its key; stands in for a `trustme.LeafCert`."""

    def __init__(self, name: str, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self._file = folder / "self-signed.pem"
        self._file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )

    def configure_cert(self, context: SSL.Context) -> None:
        context.use_privatekey_file(str(self._file))
        context.use_certificate_file(str(self._file))


Answer = bytes | Callable[["Scene", str], None]

FEATURES = b"211-Features\r\n MLST type*;size*;modify*;\r\n SIZE\r\n MDTM\r\n211 End\r\n"


class Scene:
    """One control connection of a :class:`ScriptedServer`, for its answers to play on."""

    def __init__(self, server: ScriptedServer, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self.listener: socket.socket | None = None

    def say(self, data: bytes) -> None:
        self.connection.sendall(data)

    def hang(self) -> NoReturn:
        """Says nothing more until the server is stopped."""
        self.server.stopped.wait()
        raise ConnectionError

    def secure(self) -> None:
        assert self.server.tls
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)

    def listen(self) -> int:
        self.listener = self.server.keep(socket.create_server(("127.0.0.1", 0)))
        return int(self.listener.getsockname()[1])

    @contextmanager
    def data(self, *, clear: bool = False, ragged: bool = False) -> Iterator[socket.socket]:
        """The client's data connection, after a 150; closed at the end."""
        assert self.listener
        self.say(b"150 Here it comes\r\n")
        connection = self.server.keep(self.listener.accept()[0])
        if self.server.tls and not clear:
            connection = self.server.keep(self.server.tls.wrap_socket(connection, server_side=True))
        try:
            yield connection
        finally:
            if isinstance(connection, ssl.SSLSocket) and not ragged:
                with suppress(OSError):
                    connection.unwrap()
            connection.close()

    def send(self, chunks: Iterable[bytes], *, last: bytes = b"226 Done\r\n", **how: bool) -> None:
        with self.data(**how) as connection:
            for chunk in chunks:
                connection.sendall(chunk)
        self.say(last)


class ScriptedServer:
    """Answers each command as told, the usual way otherwise, and keeps what it received under TLS or without.

    :param answers: by command: bytes to say, or what to do with the scene and the command's argument.
    :ivar received: all bytes of all control connections, after decryption.
    """

    def __init__(self, answers: dict[str, Answer] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.received = bytearray()
        self.connections = 0
        self.stopped = threading.Event()
        self._answers = {**USUAL, **(answers or {})}
        self._kept = ExitStack()
        self._listener = self.keep(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    def keep(self, connection: socket.socket) -> socket.socket:
        self._kept.callback(_shut, connection)
        return connection

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._kept.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection = self.keep(self._listener.accept()[0])
                self.connections += 1
                self._threads.append(threading.Thread(target=self._play, args=(Scene(self, connection),)))
                self._threads[-1].start()

    def _play(self, scene: Scene) -> None:
        # A client that hangs up, or a server that is stopped, ends the play.
        with suppress(OSError):
            self._answer("WELCOME", "", scene)
            while line := self._line(scene):
                verb, _, argument = line.partition(" ")
                self._answer(verb.upper(), argument, scene)
            scene.connection.close()

    def _line(self, scene: Scene) -> str:
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = scene.connection.recv(1)
            self.received += byte
            if not byte:
                return ""
            line += byte
        return line.decode(errors="replace").rstrip("\r\n")

    def _answer(self, verb: str, argument: str, scene: Scene) -> None:
        answer = self._answers.get(verb, b"502 Not here\r\n")
        if isinstance(answer, bytes):
            scene.say(answer)
        else:
            answer(scene, argument)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _auth(scene: Scene, argument: str) -> None:
    if not scene.server.tls:
        scene.say(b"502 No TLS\r\n")
        return
    scene.say(b"234 Go on\r\n")
    scene.secure()


def _epsv(scene: Scene, argument: str) -> None:
    scene.say(b"229 Entering (|||%d|)\r\n" % scene.listen())


USUAL: dict[str, Answer] = {
    "WELCOME": b"220 Hello\r\n",
    "AUTH": _auth,
    "USER": b"331 And?\r\n",
    "PASS": b"230 In\r\n",
    "PBSZ": b"200 Yes\r\n",
    "PROT": b"200 Yes\r\n",
    "TYPE": b"200 Yes\r\n",
    "FEAT": FEATURES,
    "EPSV": _epsv,
    "SIZE": b"213 5\r\n",
    "REST": b"350 From there\r\n",
    "RETR": lambda scene, _: scene.send([b"A,5\r\n"]),
    "MLSD": lambda scene, _: scene.send([b"type=file;size=5; stock.csv\r\n"]),
    "LIST": lambda scene, _: scene.send([b"-rw-r--r-- 1 a b 5 Jan 01 2020 stock.csv\r\n"]),
    "PWD": b'257 "/"\r\n',
    "CWD": b"250 There\r\n",
    "QUIT": b"221 Bye\r\n",
}
