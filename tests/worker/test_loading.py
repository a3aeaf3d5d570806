"""What the command line says of an engine that it cannot find, and of arguments that cannot be."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from inventory_sources import SyncEngine
from inventory_sources.__main__ import main
from inventory_sources.errors import ConfigurationError
from inventory_sources.worker._loading import load_engine

HERE = "tests.worker.stock_host"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("shop.stock", "'shop.stock' does not name an engine (Write module:name, such as shop.stock:engine.)"),
        (":engine", "does not name an engine"),
        ("no_such_shop.stock:engine", "there is no module 'no_such_shop'"),
        (f"{HERE}.py:engine", f"there is no module '{HERE}.py'"),
        (f"{HERE}:engin", f"module '{HERE}' has no 'engin' (It has no SyncEngine; make one there.)"),
        (f"{HERE}:number", "is no SyncEngine but of type 'int' (Name a SyncEngine, or a function without parameters"),
        (f"{HERE}:logging", "is no SyncEngine but a module"),
        (f"{HERE}:SyncEngine", "is no SyncEngine but of type 'type'"),
        (f"{HERE}:gives_none", "is no SyncEngine but of type 'NoneType'"),
        (f"{HERE}:needs_parameters", "needs parameters (Name one that makes the engine without any.)"),
    ],
)
def test_an_engine_that_is_not_there(place: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_engine(place)
    assert says in str(caught.value)
    assert main(["worker", place]) == 2
    assert says in capsys.readouterr().err


@pytest.fixture
def shop_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_an_engine_that_is_there(shop_module: Path) -> None:
    text = "from inventory_sources import *\nstock = SyncEngine(MemoryStateStore())\nclass At:\n    engine = stock\n"
    (shop_module / "a_shop.py").write_text(text, "utf-8")
    assert isinstance(load_engine("a_shop:stock"), SyncEngine)
    assert load_engine("a_shop:At.engine") is load_engine("a_shop:stock")
    with pytest.raises(ConfigurationError, match="It has stock"):
        load_engine("a_shop:engine")


def test_what_the_host_s_module_raises_comes_out_as_it_is(shop_module: Path) -> None:
    (shop_module / "b_shop.py").write_text("import a_driver_that_is_missing\n", "utf-8")
    with pytest.raises(ModuleNotFoundError, match="a_driver_that_is_missing"):
        load_engine("b_shop:engine")
    with pytest.raises(sqlite3.OperationalError):
        load_engine(f"{HERE}:crashes")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--threads", "0"], "threads must be at least 1"),
        (["--interval", "0"], "interval must be more than 0"),
        (["--interval", "soon"], "'soon' is no number of seconds"),
        (["--health", "8081"], "'8081' is no address to listen on (Write host:port, such as 127.0.0.1:8081.)"),
        (["--health", "127.0.0.1:99999"], "no address to listen on"),
        (["--health", "192.0.2.1:8081"], "the health endpoint cannot listen on 192.0.2.1:8081"),
    ],
    ids=" ".join,
)
def test_arguments_that_cannot_be(
    arguments: list[str], says: str, shop_module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop_module / "c_shop.py").write_text(
        "from inventory_sources import *\nengine = SyncEngine(MemoryStateStore())\n", "utf-8"
    )
    before = signal.getsignal(signal.SIGTERM)
    try:
        code = main(["worker", "c_shop:engine", "--once", *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert says in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before
