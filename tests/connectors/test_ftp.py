"""FTP and FTPS against a real server, and against servers that refuse, lie, hang, drip, cut and never end."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from inventory_sources import netguard
from inventory_sources.connectors._ftp import FtpFiles, FtpSecurity, FtpServer
from inventory_sources.errors import (
    AccessRefused,
    AddressDenied,
    ConfigurationError,
    ConnectFailed,
    FetchError,
    FetchTimeout,
    InputTooLarge,
    InventorySourcesError,
    Recovery,
    ServerFailed,
    SourceMissing,
    SyncCancelled,
    Truncated,
)
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteKind
from inventory_sources.secrets import Secret
from tests.connectors.ftpd import (
    PASSWORD,
    USER,
    Answer,
    FTPHandler,
    Implicit,
    Leaf,
    RealServer,
    ReuseOnly,
    Scene,
    ScriptedServer,
    TLS_FTPHandler,
    real_tls,
)

NAME = "ftp.example"
STOCK = b"sku,quantity\r\nA,5\r\n\x00\xff\n"
MODIFIED = datetime(2024, 3, 1, 12, 30, tzinfo=UTC)
MakeContext = Callable[..., FetchContext]
Server = RealServer | ScriptedServer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    (folder / "in").mkdir(parents=True)
    stock = folder / "in" / "stock levels.csv"
    stock.write_bytes(STOCK)
    os.utime(stock, (MODIFIED.timestamp(), MODIFIED.timestamp()))
    return folder


def serving(authority: trustme.CA, **options: object) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME, **options).configure_cert(context)
    return context


def session(server: Server, context: FetchContext, ca: trustme.CA | None = None, **options: object) -> FtpFiles:
    """A session with a server that is called `ftp.example`; without an authority, in the clear."""
    security = FtpSecurity.EXPLICIT if ca else FtpSecurity.NONE
    defaults = {
        "port": server.port,
        "username": USER,
        "password": Secret(PASSWORD),
        "security": security,
        "ca": ca.cert_pem.bytes().decode() if ca else None,
        "allow_private": ("127.0.0.0/8",),
        "timeout": 20,
    }
    return FtpFiles(FtpServer(NAME, **{**defaults, **options}), context, resolver=lambda *_: ["127.0.0.1"])


def lists(handler: type[FTPHandler], *left_out: str) -> dict[str, object]:
    """A real server without some commands."""
    return {"proto_cmds": {name: spec for name, spec in handler.proto_cmds.items() if name not in left_out}}


# A real server


@pytest.fixture(params=["explicit", "implicit", "explicit, sessions resumed", "none"])
def real(request: pytest.FixtureRequest, root: Path, authority: trustme.CA) -> Iterator[tuple[RealServer, dict]]:
    tls = real_tls(authority.issue_cert(NAME))
    kinds = {
        "explicit": (TLS_FTPHandler, {"ssl_context": tls, "tls_control_required": True, "tls_data_required": True}),
        "implicit": (Implicit, {"ssl_context": tls, "tls_data_required": True}),
        "explicit, sessions resumed": (TLS_FTPHandler, {"ssl_context": tls, "dtp_handler": ReuseOnly}),
        "none": (FTPHandler, {}),
    }
    handler, options = kinds[request.param]
    security = request.param.partition(",")[0]
    with RealServer(root, handler, **options) as server:
        yield server, {"ca": authority if security != "none" else None, "security": security}


def test_a_file_is_listed_looked_at_read_moved_and_deleted(
    real: tuple[RealServer, dict], root: Path, context: FetchContext
) -> None:
    server, options = real
    entry = RemoteEntry("/in/stock levels.csv", "stock levels.csv", RemoteKind.FILE, len(STOCK), MODIFIED)
    (root / "done").mkdir()
    with session(server, context, **options) as files:
        assert list(files.entries("/in")) == [entry]
        assert files.look(entry.path) == entry
        assert b"".join(files.read(entry.path)) == STOCK
        assert b"".join(files.read(entry.path, 7)) == STOCK[7:]
        assert b"".join(files.read(entry.path, len(STOCK))) == b""
        files.put_away(entry.path, "/done/stock levels.csv")
        assert list(files.entries("/in")) == []
        files.put_away("/done/stock levels.csv", None)
        assert list(files.entries("done")) == []
    assert not any((root / "done").iterdir())
    assert server.commands.count(f"USER {USER}") == server.commands.count("TYPE I") == 1
    assert server.commands[-1] == "QUIT"


def test_a_server_that_wants_sessions_resumed_is_not_read_without(
    root: Path, authority: trustme.CA, context: FetchContext
) -> None:
    tls = real_tls(authority.issue_cert(NAME))
    with RealServer(root, TLS_FTPHandler, ssl_context=tls, dtp_handler=ReuseOnly) as server:
        with session(server, context, authority, session_reuse=False) as files:
            with pytest.raises(ConnectFailed, match="522"):
                files.entries("in")


def test_a_large_file_arrives_whole(root: Path, authority: trustme.CA, context: FetchContext) -> None:
    content = os.urandom(3_000_001)
    (root / "large").write_bytes(content)
    with RealServer(root, TLS_FTPHandler, ssl_context=real_tls(authority.issue_cert(NAME))) as server:
        with session(server, context, authority) as files:
            assert b"".join(files.read("large")) == content


def test_a_server_with_list_alone(root: Path, context: FetchContext) -> None:
    (root / "in" / "-a").mkdir()
    (root / "in" / "latest").symlink_to("stock levels.csv")
    with RealServer(root, FTPHandler, **lists(FTPHandler, "MLST", "MLSD", "EPSV")) as server:
        with session(server, context) as files:
            found = {entry.name: entry for entry in files.entries("in")}
            assert found == {
                "-a": RemoteEntry("in/-a", "-a", RemoteKind.FOLDER),
                "latest": RemoteEntry("in/latest", "latest", RemoteKind.LINK),
                "stock levels.csv": RemoteEntry("in/stock levels.csv", "stock levels.csv", RemoteKind.FILE, len(STOCK)),
            }
            assert list(files.entries("in/-a")) == []
            assert files.look("in/stock levels.csv").modified == MODIFIED
            assert [entry.path for entry in files.entries("")] == ["in"]
            with pytest.raises(SourceMissing):
                files.entries("elsewhere")
            assert b"".join(files.read("in/stock levels.csv")) == STOCK


def test_without_size_a_look_is_a_line_of_the_listing(root: Path, context: FetchContext) -> None:
    with RealServer(root, FTPHandler, **lists(FTPHandler, "MLST", "MLSD", "SIZE", "MDTM")) as server:
        with session(server, context) as files:
            assert files.look("/in/stock levels.csv").size == len(STOCK)
            assert files.look("/in").kind is RemoteKind.FOLDER
            assert b"".join(files.read("in/stock levels.csv")) == STOCK
            with pytest.raises(SourceMissing):
                files.look("in/other")


@pytest.mark.parametrize("left_out", [(), ("MLST", "MLSD"), ("MLST", "MLSD", "SIZE")])
def test_nothing_is_renamed_over_what_is_there(left_out: tuple[str, ...], root: Path, context: FetchContext) -> None:
    (root / "old.csv").write_bytes(b"old")
    with RealServer(root, FTPHandler, **lists(FTPHandler, *left_out)) as server:
        with session(server, context) as files:
            with pytest.raises(FetchError, match="something is already") as raised:
                files.put_away("in/stock levels.csv", "old.csv")
            assert raised.value.recovery is Recovery.STOP
    assert (root / "old.csv").read_bytes() == b"old"
    assert (root / "in" / "stock levels.csv").exists()


def test_what_is_not_there_is_missing_and_the_session_goes_on(root: Path, context: FetchContext) -> None:
    with RealServer(root, FTPHandler) as server, session(server, context) as files:
        for call in (
            lambda: files.entries("none"),
            lambda: files.look("none"),
            lambda: list(files.read("none")),
            lambda: files.put_away("none", None),
            lambda: files.put_away("none", "other"),
        ):
            with pytest.raises(SourceMissing, match=r"'none'.*5[05][01]"):
                call()
        assert len(list(files.entries("in"))) == 1
        assert server.commands.count(f"USER {USER}") == 1


def test_a_wrong_password_is_refused_once(root: Path, context: FetchContext) -> None:
    with RealServer(root, FTPHandler, auth_failed_timeout=0) as server:
        with pytest.raises(AccessRefused) as raised, session(server, context, password=Secret("wr0ng-c4nary")):
            pass
        assert raised.value.recovery is Recovery.BLOCK
        assert len([line for line in server.commands if line.startswith("PASS")]) == 1


@pytest.mark.parametrize("command", ["USER", "PASS"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"430 No\r\n", AccessRefused),
        (b"530 No\r\n", AccessRefused),
        (b"550 TLS first\r\n", AccessRefused),
        (b"332 And an account?\r\n", AccessRefused),
        (b"421 Full\r\n", ConnectFailed),
        (b"450 Not now\r\n", ServerFailed),
    ],
)
def test_a_login_is_tried_again_only_where_that_may_help(
    command: str, answer: bytes, error: type[FetchError], context: FetchContext
) -> None:
    with ScriptedServer({command: answer}) as server:
        with pytest.raises(error) as raised, session(server, context):
            pass
        assert raised.value.may_pass is (error is not AccessRefused)


@pytest.mark.parametrize("command", ["USER", "PASS"])
@pytest.mark.parametrize(
    "answer",
    [
        b"530 Non-anonymous sessions must use encryption.\r\n",
        b"534 Policy requires SSL.\r\n",
        b"503 Use AUTH first.\r\n",
        b"421-Sorry, cleartext sessions\r\n421 are not accepted on this server.\r\n",
        b"522 No\r\n",
    ],
)
def test_a_server_that_wants_tls_before_the_login_is_told_as_such(
    command: str, answer: bytes, context: FetchContext
) -> None:
    with ScriptedServer({command: answer}) as server:
        with pytest.raises(AccessRefused, match="without TLS") as raised, session(server, context):
            pass
    assert "security='explicit'" in raised.value.guidance
    assert raised.value.recovery is Recovery.BLOCK


def test_a_real_server_that_wants_tls_before_the_login(
    root: Path, authority: trustme.CA, context: FetchContext
) -> None:
    tls = real_tls(authority.issue_cert(NAME))
    with RealServer(root, TLS_FTPHandler, ssl_context=tls, tls_control_required=True) as server:
        with pytest.raises(AccessRefused, match="without TLS"), session(server, context):
            pass


@pytest.mark.parametrize("answer", [b"530 Login authentication failed\r\n", b"530 Who?\r\n"])
def test_wrong_credentials_are_not_blamed_on_tls(answer: bytes, context: FetchContext) -> None:
    with ScriptedServer({"PASS": answer}) as server:
        with pytest.raises(AccessRefused, match="the password") as raised, session(server, context):
            pass
    assert "security" not in raised.value.guidance


def test_a_session_that_the_server_ended_fails_once_and_is_begun_anew_with_its_protection(
    authority: trustme.CA, context: FetchContext
) -> None:
    ends = iter([b"421 Idle\r\n"])

    def size(scene: Scene, argument: str) -> None:
        scene.say(next(ends, b"213 5\r\n"))

    with ScriptedServer({"SIZE": size}, serving(authority)) as server:
        with session(server, context, authority) as files:
            with pytest.raises(ConnectFailed, match="421"):
                list(files.read("a"))
            assert b"".join(files.read("a")) == b"A,5\r\n"
        assert server.connections == 2
        logins = bytes(server.received).split(b"AUTH TLS\r\n")[1:]
        assert [login.index(b"PROT P\r\n") < login.index(b"TYPE I\r\n") for login in logins] == [True, True]


def test_a_read_left_early_costs_no_one_else_its_session(root: Path, context: FetchContext) -> None:
    (root / "large").write_bytes(bytes(3_000_000))
    with RealServer(root, FTPHandler) as server, session(server, context) as files:
        chunks = files.read("large")
        next(chunks)
        assert len(list(files.entries("in"))) == 1
        chunks.close()
        assert b"".join(files.read("in/stock levels.csv")) == STOCK
        assert server.commands.count(f"USER {USER}") == 2


# Who is at the other end


@pytest.mark.parametrize("security", ["explicit", "implicit"])
@pytest.mark.parametrize("certificate", ["expired", "wrong name", "self-signed", "unknown authority"])
def test_nothing_is_told_to_a_server_that_is_not_verified(
    certificate: str, security: str, root: Path, authority: trustme.CA, context: FetchContext, tmp_path: Path
) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    leaf = {
        "expired": lambda: authority.issue_cert(NAME, not_before=past - timedelta(days=9), not_after=past),
        "wrong name": lambda: authority.issue_cert("other.example", "127.0.0.1"),
        "self-signed": lambda: Leaf(NAME, tmp_path),
        "unknown authority": lambda: trustme.CA().issue_cert(NAME),
    }[certificate]()
    handler = {"explicit": TLS_FTPHandler, "implicit": Implicit}[security]
    with RealServer(root, handler, ssl_context=real_tls(leaf)) as server:
        with pytest.raises(ConnectFailed, match="certificate") as raised:
            session(server, context, authority, security=security).__enter__()
    assert raised.value.recovery is Recovery.STOP
    assert ("give that authority's as ca" in raised.value.guidance) is (
        certificate in {"self-signed", "unknown authority"}
    )
    assert server.commands == (["AUTH TLS"] if security == "explicit" else [])


def test_without_an_authority_of_its_own_the_system_s_are_asked(
    root: Path, authority: trustme.CA, context: FetchContext
) -> None:
    with RealServer(root, TLS_FTPHandler, ssl_context=real_tls(authority.issue_cert(NAME))) as server:
        with pytest.raises(ConnectFailed, match="certificate"), session(server, context, security="explicit"):
            pass
    assert server.commands == ["AUTH TLS"]


def test_tls_from_the_first_byte_where_it_is_asked_for_later(authority: trustme.CA, context: FetchContext) -> None:
    with ScriptedServer() as server:
        with pytest.raises(ConnectFailed, match="something else than TLS") as raised:
            session(server, context, authority, security="implicit").__enter__()
    assert "it is 'explicit'" in raised.value.guidance
    assert raised.value.recovery is Recovery.STOP


@pytest.mark.parametrize("security", ["explicit", "none"])
def test_a_server_that_waits_for_tls_first(security: str, authority: trustme.CA, context: FetchContext) -> None:
    with ScriptedServer({"WELCOME": lambda scene, _: scene.hang()}) as server:
        with pytest.raises(FetchTimeout, match="said nothing") as raised:
            session(server, context, authority, security=security, timeout=0.2).__enter__()
    assert "security='implicit'" in raised.value.guidance


@pytest.mark.parametrize("answer", [b"502 No\r\n", b"534 No\r\n", b"200 Fine\r\n", b"334 Go on\r\n", b"421 No\r\n"])
def test_nothing_is_told_to_a_server_that_refuses_tls(
    answer: bytes, authority: trustme.CA, context: FetchContext
) -> None:
    with ScriptedServer({"AUTH": answer}) as server:
        with pytest.raises(ConnectFailed), session(server, context, authority):
            pass
    assert bytes(server.received) == b"AUTH TLS\r\n"


def test_words_said_before_tls_are_not_taken_for_the_server_s(authority: trustme.CA, context: FetchContext) -> None:
    with ScriptedServer({"AUTH": b"234 Go on\r\n230 You are in\r\n"}) as server:
        with pytest.raises(ConnectFailed, match="out of turn"), session(server, context, authority):
            pass
    assert bytes(server.received) == b"AUTH TLS\r\n"


def test_tls_older_than_1_2_is_refused(authority: trustme.CA) -> None:
    assert FtpServer(NAME).tls().minimum_version is ssl.TLSVersion.TLSv1_2
    assert FtpServer(NAME).tls().verify_mode is ssl.CERT_REQUIRED
    assert FtpServer(NAME).tls().check_hostname


@pytest.mark.parametrize("answer", [b"534 No\r\n", b"536 No\r\n", b"502 What\r\n", b"431 Not now\r\n"])
def test_files_are_not_asked_for_where_their_protection_is_refused(
    answer: bytes, authority: trustme.CA, context: FetchContext
) -> None:
    with ScriptedServer({"PROT": answer}, serving(authority)) as server:
        with pytest.raises(ConnectFailed, match="TLS") as raised, session(server, context, authority):
            pass
        assert raised.value.recovery is Recovery.STOP
        assert b"EPSV" not in server.received


@pytest.mark.parametrize("call", [lambda files: files.entries("in"), lambda files: b"".join(files.read("a"))])
def test_data_that_is_clear_although_protection_was_promised_is_not_used(
    call: Callable[[FtpFiles], object], authority: trustme.CA, context: FetchContext
) -> None:
    def clear(scene: Scene, argument: str) -> None:
        scene.send([b"type=file;size=5; stock.csv\r\n"], clear=True)

    with ScriptedServer({"MLSD": clear, "RETR": clear}, serving(authority)) as server:
        with session(server, context, authority) as files, pytest.raises(ConnectFailed, match="TLS"):
            call(files)


@pytest.mark.parametrize("declared", [True, False])
def test_an_end_that_the_server_did_not_sign_ends_only_what_has_a_size(
    declared: bool, authority: trustme.CA, context: FetchContext
) -> None:
    answers: dict[str, Answer] = {"RETR": lambda scene, _: scene.send([b"A,5\r\n"], ragged=True)}
    answers["MLSD"] = lambda scene, _: scene.send([b"type=file; a\r\n"], ragged=True)
    if not declared:
        answers["SIZE"] = b"502 Not here\r\n"
    with ScriptedServer(answers, serving(authority)) as server, session(server, context, authority) as files:
        if declared:
            assert b"".join(files.read("a")) == b"A,5\r\n"
        else:
            with pytest.raises(Truncated):
                list(files.read("a"))
        with pytest.raises(Truncated):
            files.entries("in")


# Where data comes from


@pytest.mark.parametrize("extended", [True, False])
def test_data_comes_from_the_server_s_own_address_whatever_it_names(
    extended: bool, context: FetchContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def epsv(scene: Scene, argument: str) -> None:
        scene.say(b"229 Entering (|1|127.0.0.9|%d|)\r\n" % scene.listen() if extended else b"500 What\r\n")

    def pasv(scene: Scene, argument: str) -> None:
        scene.say(b"227 Entering (127,0,0,9,%d,%d)\r\n" % divmod(scene.listen(), 256))

    dialled: list[str] = []
    connect = socket.create_connection

    def recorded(address: tuple[str, int], **options: object) -> socket.socket:
        dialled.append(address[0])
        return connect(address, **options)

    monkeypatch.setattr(netguard.socket, "create_connection", recorded)
    with ScriptedServer({"EPSV": epsv, "PASV": pasv}) as server, session(server, context) as files:
        assert b"".join(files.read("a")) == b"A,5\r\n"
        assert b"".join(files.read("a")) == b"A,5\r\n"
        assert bytes(server.received).count(b"EPSV") == (2 if extended else 1)
        assert b"PORT" not in server.received
    assert dialled == ["127.0.0.1"] * 3


def test_a_refusal_for_now_is_no_reason_to_ask_in_the_older_way(context: FetchContext) -> None:
    with ScriptedServer({"EPSV": b"425 Not now\r\n"}) as server, session(server, context) as files:
        with pytest.raises(ConnectFailed, match="425"):
            files.entries("in")
        assert b"PASV" not in server.received


@pytest.mark.parametrize(
    "answers",
    [
        {"EPSV": b"229 Entering (|||0|)\r\n"},
        {"EPSV": b"229 Entering (|||65536|)\r\n"},
        {"EPSV": b"229 Entering\r\n"},
        {"EPSV": b"500 What\r\n", "PASV": b"227 Entering (127,0,0,1,256,1)\r\n"},
        {"EPSV": b"500 What\r\n", "PASV": b"227 Entering (127,0,0,1)\r\n"},
        {"EPSV": b"500 What\r\n", "PASV": b"502 What\r\n"},
    ],
)
def test_a_port_that_cannot_be_is_an_error(answers: dict[str, Answer], context: FetchContext) -> None:
    with ScriptedServer(answers) as server, session(server, context) as files, pytest.raises(ServerFailed):
        files.entries("in")


def test_an_address_that_may_not_be_reached_is_not_dialled(context: FetchContext) -> None:
    with ScriptedServer() as server:
        with pytest.raises(AddressDenied), session(server, context, allow_private=()):
            pass
        assert server.connections == 0


# Servers that lie, cut, hang and never end


def cut(scene: Scene, argument: str) -> None:
    with scene.data() as connection:
        connection.sendall(b"type=file;size=5; stock.csv\r\n")
    scene.connection.shutdown(socket.SHUT_RDWR)


def aborted(scene: Scene, argument: str) -> None:
    scene.send([b"type=file;size=5; stock.csv\r\n"], last=b"426 Cut\r\n")


@pytest.mark.parametrize("how", [cut, aborted])
@pytest.mark.parametrize("tls", [True, False])
def test_what_the_server_does_not_confirm_is_cut(
    how: Answer, tls: bool, authority: trustme.CA, context: FetchContext
) -> None:
    answers = {"MLSD": how, "RETR": how, "SIZE": b"213 29\r\n"}
    with ScriptedServer(answers, serving(authority) if tls else None) as server:
        with session(server, context, authority if tls else None) as files:
            with pytest.raises(Truncated):
                files.entries("in")
            with pytest.raises(Truncated):
                list(files.read("a"))


def test_a_listing_without_a_data_connection_is_an_error(context: FetchContext) -> None:
    with ScriptedServer({"MLSD": b"226 Done\r\n"}) as server, session(server, context) as files:
        with pytest.raises(ServerFailed, match="226"):
            files.entries("in")


@pytest.mark.parametrize(
    ("sizes", "sent", "whole"),
    [
        ([b"213 6\r\n"], b"A,5\r\n", False),
        ([b"213 4\r\n"], b"A,5\r\n", False),
        ([b"213 4\r\n", b"213 5\r\n"], b"A,5\r\n", True),
        ([b"213 5\r\n"], b"A,5\r\n", True),
        ([b"213 5\r\n"], b"", False),
        ([b"502 What\r\n"], b"A,5\r\n", True),
    ],
)
def test_the_size_is_compared_with_what_arrived(
    sizes: list[bytes], sent: bytes, whole: bool, context: FetchContext
) -> None:
    answers = iter(sizes)
    last = sizes[-1]
    server = ScriptedServer(
        {"SIZE": lambda scene, _: scene.say(next(answers, last)), "RETR": lambda scene, _: scene.send([sent])}
    )
    with server, session(server, context) as files:
        if whole:
            assert b"".join(files.read("a")) == sent
        else:
            with pytest.raises(Truncated):
                list(files.read("a"))


def test_a_file_that_became_shorter_is_not_read_on(context: FetchContext) -> None:
    with ScriptedServer() as server, session(server, context) as files, pytest.raises(Truncated, match="shorter"):
        list(files.read("a", 6))


@pytest.mark.parametrize("size", [b"213 -5\r\n", b"213 5 bytes\r\n", b"213\r\n", b"213 \xd9\xa5\r\n"])
def test_a_size_that_cannot_be_read_is_an_error(size: bytes, context: FetchContext) -> None:
    with ScriptedServer({"SIZE": size}) as server, session(server, context) as files:
        with pytest.raises(ServerFailed, match="size"):
            list(files.read("a"))


def without_end(line: bytes) -> Answer:
    def play(scene: Scene, argument: str) -> None:
        with scene.data() as connection:
            while not scene.server.stopped.is_set():
                connection.sendall(line * 100)

    return play


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"type=file;size=5; stock.csv\r\n", InputTooLarge),
        (b"type=cdir; .\r\n", InputTooLarge),
        (b"type=file;size=5;", ServerFailed),
    ],
)
def test_a_listing_without_end_is_given_up(line: bytes, error: type[FetchError], context: FetchContext) -> None:
    with ScriptedServer({"MLSD": without_end(line)}) as server, session(server, context, max_entries=500) as files:
        with pytest.raises(error):
            files.entries("in")


@pytest.mark.parametrize("count", [500, 501])
def test_the_cap_on_names_is_exact(count: int, context: FetchContext) -> None:
    lines = [b"type=cdir; .\r\n", b"type=pdir; ..\r\n", *(b"type=file; %d\r\n" % n for n in range(count))]
    with ScriptedServer({"MLSD": lambda scene, _: scene.send(lines)}) as server:
        with session(server, context, max_entries=500) as files:
            if count == 500:
                assert [entry.name for entry in files.entries("in")] == [str(n) for n in range(500)]
            else:
                with pytest.raises(InputTooLarge):
                    files.entries("in")


@pytest.mark.parametrize(
    "welcome",
    [
        b"220" * 10_000,
        b"220-Hello\r\n" + b" more\r\n" * 600,
        b"220-" + b" x" * 3_000 + b"\r\n" + b" " * 5_000 + b"\r\n",
    ],
)
def test_a_reply_without_end_is_given_up(welcome: bytes, context: FetchContext) -> None:
    def pour(scene: Scene, argument: str) -> None:
        scene.say(welcome)
        while not scene.server.stopped.is_set():
            scene.say(b" " * 1000 + b"\r\n")

    with ScriptedServer({"WELCOME": pour}) as server, pytest.raises(ServerFailed, match="without end"):
        session(server, context).__enter__()


@pytest.mark.parametrize(
    "welcome", [b"Hello\r\n", b"\r\n", b"22 Hello\r\n", b"720 Hello\r\n", b"\xff\xfe\r\n", b"2200\r\n"]
)
def test_what_is_not_ftp_is_an_error(welcome: bytes, context: FetchContext) -> None:
    with ScriptedServer({"WELCOME": welcome}) as server, pytest.raises(ServerFailed, match="valid FTP"):
        session(server, context).__enter__()


@pytest.mark.parametrize(
    ("welcome", "protocol", "connector"),
    [(b"SSH-2.0-OpenSSH_9.6\r\n", "SSH", "SftpConnector"), (b"HTTP/1.1 400 Bad Request\r\n", "HTTP", "HttpConnector")],
)
def test_a_server_of_another_protocol_is_named(
    welcome: bytes, protocol: str, connector: str, context: FetchContext
) -> None:
    with ScriptedServer({"WELCOME": welcome}) as server:
        with pytest.raises(ServerFailed, match=f"speaks {protocol}, not FTP") as raised:
            session(server, context).__enter__()
    assert connector in raised.value.guidance
    assert raised.value.recovery is Recovery.STOP


def test_a_reply_too_many_is_not_taken_for_the_next_one(context: FetchContext) -> None:
    with ScriptedServer({"SIZE": b"213 5\r\n229 Entering (|||9|)\r\n"}) as server, session(server, context) as files:
        with pytest.raises(ConnectFailed, match="not asked"):
            list(files.read("a"))


def test_a_reply_of_many_lines_may_hold_lines_that_look_like_its_end(context: FetchContext) -> None:
    welcome = b"120-Soon\r\n120\r\n220-Hello\r\n 220 not yet\r\n230 nor now\r\n220-nor here\r\n220 \xff\r\n"
    with ScriptedServer({"WELCOME": welcome}) as server, session(server, context) as files:
        assert len(list(files.entries("in"))) == 1


def hang(scene: Scene, argument: str) -> None:
    scene.hang()


def hang_in_data(scene: Scene, argument: str) -> None:
    with scene.data() as connection:
        connection.sendall(b"type=file;")
        scene.hang()


def drip(scene: Scene, argument: str) -> None:
    while not scene.server.stopped.wait(0.01):
        scene.say(b"2")


def drip_in_data(scene: Scene, argument: str) -> None:
    with scene.data() as connection:
        while not scene.server.stopped.wait(0.01):
            connection.sendall(b"t")


SLOW = {
    "welcome": {"WELCOME": hang},
    "login": {"PASS": hang},
    "command": {"MLSD": hang},
    "data": {"MLSD": hang_in_data},
    "confirmation": {"MLSD": lambda scene, _: scene.send([], last=b"")},
    "dripping welcome": {"WELCOME": drip},
    "dripping command": {"MLSD": drip},
    "dripping data": {"MLSD": drip_in_data},
}


@pytest.mark.parametrize(
    ("where", "limit"),
    [*((where, "deadline") for where in SLOW), *((where, "step") for where in SLOW if "drip" not in where)],
)
def test_nothing_is_waited_for_longer_than_allowed(where: str, limit: str, make_context: MakeContext) -> None:
    context = make_context()
    if limit == "deadline":
        context.deadline = context.clock.monotonic() + 0.3
    with ScriptedServer(SLOW[where]) as server, pytest.raises(FetchTimeout):
        with session(server, context, timeout=0.3 if limit == "step" else 30) as files:
            files.entries("in")


def test_a_server_that_never_shakes_hands_ends_at_the_timeout(authority: trustme.CA, context: FetchContext) -> None:
    def agree(scene: Scene, argument: str) -> None:
        scene.say(b"234 Go on\r\n")
        scene.hang()

    with ScriptedServer({"AUTH": agree}) as server, pytest.raises(FetchTimeout, match="handshake"):
        session(server, context, authority, timeout=0.3).__enter__()
    assert bytes(server.received) == b"AUTH TLS\r\n"


def test_a_cancelled_sync_stops_between_two_chunks(make_context: MakeContext) -> None:
    cancelled = threading.Event()
    context = make_context(cancelled=cancelled.is_set)
    with ScriptedServer({"RETR": without_end(b"A,5\r\n")}) as server, session(server, context) as files:
        chunks = files.read("a")
        next(chunks)
        cancelled.set()
        with pytest.raises(SyncCancelled):
            next(chunks)


# Names


def test_a_name_is_opaque(context: FetchContext) -> None:
    server = ScriptedServer({"MLSD": lambda scene, _: scene.send([b"type=file;size=5; ../../x\r\n"])})
    with server, session(server, context) as files:
        (entry,) = files.entries("in")
        assert (entry.path, entry.name) == ("in/../../x", "../../x")
        assert b"".join(files.read(entry.path)) == b"A,5\r\n"
        assert b"RETR in/../../x\r\n" in server.received


@pytest.mark.parametrize("path", ["a\r\nDELE b", "a\nDELE b", "a\rb", "a\0b"])
@pytest.mark.parametrize(
    "call",
    [
        lambda files, path: files.entries(path),
        lambda files, path: files.look(path),
        lambda files, path: list(files.read(path)),
        lambda files, path: files.put_away(path, None),
        lambda files, path: files.put_away("a", path),
        lambda files, path: files.put_away(path, "b"),
    ],
)
def test_a_path_cannot_hold_a_second_command(
    call: Callable[[FtpFiles, str], object], path: str, context: FetchContext
) -> None:
    answers: dict[str, Answer] = {"DELE": b"250 Gone\r\n", "MLST": b"550 None\r\n"}
    with ScriptedServer(answers) as server, session(server, context) as files:
        with pytest.raises(ConfigurationError, match="line break"):
            call(files, path)
        assert b"DELE" not in server.received
        assert len(list(files.entries(""))) == 1
        assert server.connections == 1


@pytest.mark.parametrize("line", [b"-rw-r--r-- 1 a b 5 Jan 01 2020 caf\xe9\r\n", b"whatever it is\r\n"])
def test_a_listing_with_a_line_that_cannot_be_read_is_refused(line: bytes, context: FetchContext) -> None:
    lines = [b"total 2\r\n", b"-rw-r--r-- 1 a b 5 Jan 01 2020 stock.csv\r\n", line]
    server = ScriptedServer({"FEAT": b"500 What\r\n", "LIST": lambda scene, _: scene.send(lines)})
    with server, session(server, context) as files:
        with pytest.raises(FetchError, match="line 3 ") as raised:
            files.entries("in")
        assert raised.value.recovery is Recovery.STOP


def test_names_are_read_and_written_in_the_declared_encoding(root: Path, context: FetchContext) -> None:
    (root / "caf\u00e9").write_bytes(STOCK)
    with RealServer(root, FTPHandler, encoding="latin-1") as server:
        with session(server, context, encoding="latin-1") as files:
            assert "caf\u00e9" in [entry.name for entry in files.entries("")]
            assert b"".join(files.read("caf\u00e9")) == STOCK
        with session(server, context) as files, pytest.raises(FetchError, match="line"):
            files.entries("")


# What never shows


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


ECHO = f" {PASSWORD} {USER}\r\n".encode()


@pytest.mark.parametrize(
    "answers",
    [
        {"PASS": b"530" + ECHO},
        {"PASS": b"530-" + ECHO + b"530" + ECHO},
        {"PASS": ECHO},
        {"TYPE": b"500" + ECHO},
        {"FEAT": b"211-" + ECHO + b"211" + ECHO, "PWD": b"257" + ECHO},
        {"EPSV": b"229" + ECHO},
        {"MLSD": b"550" + ECHO},
        {"MLSD": b"421" + ECHO},
        {"MLSD": lambda scene, _: scene.send([ECHO])},
        {"MLSD": lambda scene, _: scene.send([b"\xff" + ECHO])},
        {"MLSD": lambda scene, _: scene.send([], last=b"451" + ECHO)},
        {"MLST": b"250-" + ECHO + ECHO + b"250" + ECHO},
    ],
)
def test_the_password_shows_nowhere(
    answers: dict[str, Answer], context: FetchContext, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(answers) as server:
        with pytest.raises(InventorySourcesError) as raised:
            with session(server, context) as files:
                files.entries("in")
                files.look("in/a")
        assert PASSWORD.encode() in server.received
    shown = [*map(str, chain(raised.value)), *map(repr, chain(raised.value)), caplog.text, *capfd.readouterr()]
    shown += traceback.format_exception(raised.value)
    assert not [text for text in shown if PASSWORD in text]


def test_a_password_that_cannot_be_sent_shows_nowhere(context: FetchContext) -> None:
    for password, encoding in ((f"{PASSWORD}\r\nDELE a", "utf-8"), (f"{PASSWORD}€", "latin-1")):
        with ScriptedServer() as server:
            with pytest.raises(ConfigurationError) as raised:
                session(server, context, password=Secret(password), encoding=encoding).__enter__()
            assert b"PASS" not in server.received
        assert not [error for error in chain(raised.value) if PASSWORD in repr(error) + str(error)]


# What is declared


@pytest.mark.parametrize(
    "options",
    [
        {"host": ""},
        {"host": "a\r\nb"},
        {"port": 0},
        {"port": 65536},
        {"username": "a\nDELE b"},
        {"username": ""},
        {"security": "perhaps"},
        {"ca": "no certificate"},
        {"ca": ""},
        {"ca": "é"},
        {"encoding": "utf-16"},
        {"encoding": "no such"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_entries": 0},
        {"allow_private": ("somewhere",)},
    ],
)
def test_what_cannot_be_used_is_refused_when_declared(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        FtpServer(**{"host": NAME, **options})


def test_the_port_is_the_usual_one() -> None:
    ports = {security: FtpServer(NAME, security=security).port for security in FtpSecurity}
    assert ports == {FtpSecurity.EXPLICIT: 21, FtpSecurity.IMPLICIT: 990, FtpSecurity.NONE: 21}
    assert FtpServer(NAME, security="implicit", port=2121).port == 2121
    assert FtpServer(NAME).security is FtpSecurity.EXPLICIT
