"""Canaries in every secret, and in every foreign exception: none of them is ever stored, sent, logged or raised."""

from __future__ import annotations

import logging
import pickle
import sqlite3
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from inventory_sources import (
    Columns,
    CsvDecoder,
    Feed,
    FileConnector,
    HttpConnector,
    Registry,
    Secret,
    Source,
    SqlStateStore,
    SqlStockSink,
    SyncEngine,
)
from inventory_sources.errors import ConfigurationError, InventorySourcesError
from inventory_sources.run import RunResult
from inventory_sources.secrets import CallableSecrets, EnvironmentSecrets, FileSecrets, SecretResolvers
from inventory_sources.source import Part, SourceSpec
from inventory_sources.testing import ManualClock
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .conftest import START, Mailbox, Scripted

TOKEN, HEADER, QUERY, PASSWORD = "c4nary-token", "c4nary-header", "c4nary-query", "c4nary-password"
GOOD = "sku,quantity\nA,5\n"
LOOPBACK = ("127.0.0.0/8",)


class Host:
    """A host that listens to everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "key").write_text(HEADER, "utf-8")
        vault = {"query": QUERY}
        self.secrets = SecretResolvers(
            EnvironmentSecrets({"ERP_TOKEN": TOKEN}), FileSecrets(folder), CallableSecrets("vault", vault.get)
        )
        self.database = sa.create_engine(f"sqlite:///{folder / 'shop.db'}")
        with self.database.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL)")
            connection.exec_driver_sql("INSERT INTO stock VALUES ('A', 1)")
        self.registry = Registry(self.secrets)
        self.sink = SqlStockSink(self.database, "stock", sku="sku", quantity="quantity")
        self.registry.register("sink", "shop", self.sink)
        self.clock, self.mailbox = ManualClock(START), Mailbox()
        store = SqlStateStore(str(folder / "state.db"), clock=self.clock)
        self.engine = SyncEngine(store, registry=self.registry, clock=self.clock, notifier=self.mailbox)
        self.told: list[str] = []

    def http(self, url: str) -> HttpConnector:
        """A connector with a secret in each place that takes one."""
        return HttpConnector(
            url,
            token=Secret.reference("env:ERP_TOKEN", self.secrets),
            secret_headers={"X-Api-Key": Secret.reference("file:key", self.secrets)},
            secret_query={"key": Secret.reference("vault:query", self.secrets)},
            allow_plaintext=True,
            allow_private=LOOPBACK,
        )

    def source(self, connector: Any, **changes: Any) -> Source:
        fields: dict[str, Any] = {
            "name": "erp",
            "connector": connector,
            "decoder": CsvDecoder(),
            "mapper": Columns(),
            "feed": Feed.snapshot(),
            "guards": (),
            "sink": self.sink,
            "frequency": "5min",
        }
        return Source(**{**fields, **changes})

    def live(self, source: Source) -> None:
        """Does everything that can be done with a source, until it is in Error, and keeps all that is shown of it."""
        self.note(source, self.registry.describe(source))
        self.try_to(lambda: self.engine.check(source))
        self.try_to(lambda: self.engine.add_source(source))
        for look in (self.engine.plan, self.engine.check, self.engine.sync):
            self.try_to(lambda look=look: look("erp"))
        for _ in range(4):
            self.clock.advance(timedelta(hours=1))
            self.try_to(self.engine.run_due)
        runs = self.engine.history("erp")
        self.note(runs, self.engine.status("erp"), self.mailbox.received, self.engine._store.audit("erp"))
        self.note([self.engine.rejections(run) for run in runs])

    def try_to(self, call: Callable[[], object]) -> None:
        """Keeps what a call gives, or all that a host could show of its error, which must be one of ours."""
        try:
            self.note(call())
        except InventorySourcesError as error:
            self.note(error, error.args, vars(error), *traceback.format_exception(error))
            self.note(pickle.dumps(error), repr(pickle.loads(pickle.dumps(error))))

    def note(self, *shown: object) -> None:
        self.told += [f"{value} {value!r}" for value in shown]

    def close(self) -> None:
        self.engine.close()
        self.database.dispose()

    def everything(self) -> str:
        """All that was told, and all that is on the disk of the state."""
        self.engine.sources()
        files = [path.read_bytes() for path in self.folder.glob("state.db*")]
        assert files
        return "\n".join([*self.told, *(data.decode("latin-1") for data in files), *self.tables()])

    def tables(self) -> Iterator[str]:
        with closing(sqlite3.connect(self.folder / "state.db")) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            assert len(names) > 10
            for name in names:
                yield from (str(row) for row in connection.execute(f'SELECT * FROM "{name}"'))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["structlog", "standard logging"], autouse=True)
def logged(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that the host's log has, with tracebacks."""
    caplog.set_level(logging.DEBUG)
    structlog.reset_defaults()
    capture = structlog.testing.LogCapture()
    if request.param == "structlog":
        processors = [structlog.processors.format_exc_info, capture]
        structlog.configure(processors=processors, cache_logger_on_first_use=False)

    def whole() -> str:
        records = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
        return "\n".join([caplog.text, *records, *map(str, capture.entries)])

    yield whole
    structlog.reset_defaults()


def canaries(text: str) -> list[str]:
    return [canary for canary in (TOKEN, HEADER, QUERY, PASSWORD) if canary in text]


def echo(request: Request) -> Sequence[str]:
    """The secrets of a request, as its server has them."""
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["x-api-key"] == HEADER
    assert f"key={QUERY}" in request.path
    return TOKEN, HEADER, QUERY


def answers(status: int, **headers: str) -> Callable[[Request], Response]:
    """A server that says back all that it was told."""

    def answer(request: Request) -> Response:
        said = " ".join(echo(request))
        named = {name.replace("_", "-"): value.format(said=said, path=request.path) for name, value in headers.items()}
        return Response(f'{{"error": "{said}"}}'.encode(), status, named)

    return answer


def quoting(request: Request) -> Response:
    said = " ".join(echo(request))
    return Response(f'sku,quantity\nA,5\n"{said}'.encode())


@pytest.mark.parametrize(
    "script",
    [
        answers(200, Content_Encoding="{said}"),
        answers(302, Location="https://u:c4nary-token@h.example{path}"),
        answers(401, WWW_Authenticate="{said}"),
        answers(404),
        answers(429, Retry_After="{said}"),
        answers(500),
        answers(503, Retry_After="{said}"),
        quoting,
    ],
)
def test_a_server_that_echoes_its_secrets_makes_none_of_them_show(
    host: Host, logged: Callable[[], str], script: Callable[[Request], Response]
) -> None:
    with ScriptedHttpServer(script) as server:
        host.live(host.source(host.http(server.url + "stock")))
        assert len(server.requests) >= 4, "the secrets were sent"
    assert all(run.result is RunResult.FAILED for run in host.engine.history("erp"))
    assert canaries(host.everything()) == []
    assert canaries(logged()) == []


def test_a_good_sync_shows_none_either(host: Host, logged: Callable[[], str]) -> None:
    with ScriptedHttpServer([Response(GOOD.encode())]) as server:
        host.live(host.source(host.http(server.url + "stock")))
        assert echo(server.requests[-1])
    assert host.engine.history("erp")[0].result is RunResult.COMPLETED
    assert canaries(host.everything()) == []
    assert canaries(logged()) == []


class Leaking:
    """Any part of a host's own, whose exception holds a secret; the others of its methods are those of a good part."""

    def __init__(self, part: Any, method: str) -> None:
        self._part, self._method = part, method

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._part, name)

        def leak(*given: object, **named: object) -> None:
            password = PASSWORD
            raise ConnectionError(f"postgresql://app:{password}@db/shop refused {given!r:.20}")

        return leak


class Catalog:
    def known(self, skus: Sequence[str]) -> Sequence[str]:
        return skus


class Judge:
    def judge(self, figures: object) -> None:
        return None


class Mapper:
    """As `Columns`, in plain attributes that a test can replace."""

    def __init__(self) -> None:
        self.map, self.select, self.duplicates = Columns().map, Columns().select, Columns().duplicates


@pytest.mark.parametrize(
    ("field", "method"),
    [
        ("connector", "fetch"),
        ("connector", "check"),
        ("decoder", "decode"),
        ("decoder", "inspect"),
        ("mapper", "select"),
        ("mapper", "map"),
        ("catalog", "known"),
        ("guards", "judge"),
        ("sink", "describe"),
        ("sink", "levels"),
        ("sink", "apply"),
    ],
)
def test_an_exception_of_a_host_s_part_is_told_without_its_text(
    host: Host, logged: Callable[[], str], field: str, method: str
) -> None:
    (host.folder / "feed.csv").write_text("sku,quantity\nA,5\nZ,9\n", "utf-8")
    parts: dict[str, Any] = {
        "connector": FileConnector(str(host.folder / "feed.csv"), as_of="fetch"),
        "decoder": CsvDecoder(),
        "mapper": Mapper(),
        "catalog": Catalog(),
        "guards": Judge(),
        "sink": host.sink,
    }
    leaking = Leaking(parts[field], method)
    host.sink.insert_missing = True  # so that a catalog is asked
    given = {"connector": parts["connector"], field: (leaking,) if field == "guards" else leaking}
    host.live(host.source(**given))
    assert any("ConnectionError" in told for told in host.told)
    assert canaries(host.everything()) == []
    assert canaries(logged()) == []


def test_plain_records_with_a_mapper_that_leaks(host: Host, logged: Callable[[], str]) -> None:
    class Records:
        def fetch(self, context: object) -> list[dict[str, object]]:
            return [{"sku": "A", "quantity": 5}]

    host.live(host.source(Records(), decoder=None, mapper=Leaking(Mapper(), "select")))
    assert any("ConnectionError" in told for told in host.told)
    assert canaries(host.everything()) == []
    assert canaries(logged()) == []


def test_a_resolver_that_raises_is_told_without_its_text(host: Host, logged: Callable[[], str]) -> None:
    def lookup(name: str) -> str:
        raise KeyError(f"https://vault.example/?auth={PASSWORD}")

    secret = Secret.reference("vault:erp", SecretResolvers(CallableSecrets("vault", lookup)))
    connector = HttpConnector("https://erp.example/", token=secret)
    host.live(host.source(connector))
    assert canaries(host.everything()) == []
    assert canaries(logged()) == []


def test_a_notifier_scheduler_and_progress_callback_that_raise_are_told_without_their_text(
    host: Host, logged: Callable[[], str]
) -> None:
    def leak(*given: object) -> None:
        raise ConnectionError(PASSWORD)

    host.engine._notifier = Leaking(host.mailbox, "notify")
    host.engine._wakes.scheduler = Leaking(host.mailbox, "wake_at")
    host.engine.add_source(host.source(Scripted(GOOD), name="good"))
    host.try_to(lambda: host.engine.sync("good", progress=leak))
    host.live(host.source(Leaking(None, "fetch")))
    for event in ("notification_failed", "scheduler_failed", "progress_callback_failed"):
        assert event in logged()
    assert canaries(host.everything()) == []
    assert canaries(logged()) == []


@pytest.mark.parametrize(
    "declare",
    [
        lambda host: host.http(f"https://app:{PASSWORD}@erp.example/stock"),
        lambda host: spec(host, {"url": f"https://app:{PASSWORD}@erp.example/stock"}),
        lambda host: spec(host, {"url": "https://erp.example/", "token": [TOKEN]}),
        lambda host: spec(host, {"url": "https://erp.example/", "token": {"text": TOKEN}}),
        lambda host: spec(host, {"url": "https://erp.example/", "timeout": PASSWORD}),
        lambda host: spec(host, {"url": "https://erp.example/", "secret_headers": [HEADER]}),
    ],
)
def test_a_declaration_that_is_refused_is_not_quoted(
    host: Host, logged: Callable[[], str], declare: Callable[[Host], object]
) -> None:
    with pytest.raises(ConfigurationError):
        declare(host)
    host.try_to(lambda: declare(host))
    shown = "\n".join(line for line in host.everything().splitlines() if "lambda host" not in line)
    assert canaries(shown) == []
    assert canaries(logged()) == []


def spec(host: Host, options: dict[str, object]) -> None:
    host.engine.add_source(
        SourceSpec(
            name="erp",
            connector=Part("http", options),
            mapper=Part("columns"),
            feed=Feed.snapshot(),
            sink=Part("shop"),
        )
    )


@pytest.mark.parametrize("text", [TOKEN, f"app:{TOKEN}", f"{TOKEN}:", f":{TOKEN}", f"https://{TOKEN}"])
def test_a_secret_written_where_a_reference_belongs_is_refused_and_not_kept(
    host: Host, logged: Callable[[], str], text: str
) -> None:
    options: dict[str, object] = {"url": "https://erp.example/", "token": text}
    with pytest.raises(ConfigurationError):
        spec(host, options)
    host.try_to(lambda: spec(host, options))
    host.try_to(lambda: host.http("https://erp.example/"))
    assert host.engine.sources() == []
    assert canaries(host.everything()) == []
    assert canaries(logged()) == []


def test_a_database_that_refuses_is_told_without_its_password(host: Host, logged: Callable[[], str]) -> None:
    url = f"postgresql+psycopg://app:{PASSWORD}@127.0.0.1:1/shop"
    gone = sa.create_engine(url)
    sink = SqlStockSink(gone, "stock", sku="sku", quantity="quantity")
    host.live(host.source(Scripted(GOOD), sink=sink))
    away = SyncEngine(url)
    for call in (away.sources, away.run_due, lambda: away.sync("erp"), lambda: away.add_source(host.source(None))):
        host.try_to(call)
    host.note(away, sink, away._store)
    assert any("SinkUnavailable" in told for told in host.told)
    assert any("StoreUnavailable" in told for told in host.told)
    assert canaries(host.everything()) == []
    assert canaries(logged()) == []
    away.close()
    gone.dispose()
