"""Importing the package costs nothing that is not used, and the shape check sees what it is there for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from tests import shape

HEAVY = ("cattrs", "cronsim", "fsspec", "httpx", "paramiko", "polars", "sqlalchemy", "structlog")


def modules_after(statement: str) -> set[str]:
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_client_and_no_engine() -> None:
    loaded = modules_after("import inventory_sources")
    assert "inventory_sources" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("package", ["inventory_sources", "inventory_sources.testing"])
def test_every_public_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "module",
    ["errors", "batch", "feed", "frequency", "payload", "plan", "retry", "run", "secrets", "status"],
)
def test_words_load_nothing_heavy(module: str) -> None:
    loaded = modules_after(f"import inventory_sources.{module}")
    assert f"inventory_sources.{module}" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_host_s_logging_and_settings_stay_as_they_are() -> None:
    script = """
import decimal, locale, logging, signal, socket, warnings
def settings():
    return (list(logging.root.handlers), logging.root.level, decimal.getcontext().prec, locale.setlocale(locale.LC_ALL),
            socket.getdefaulttimeout(), list(warnings.filters), signal.getsignal(signal.SIGTERM))
before = settings()
import inventory_sources
for name in inventory_sources.__all__: getattr(inventory_sources, name)
assert settings() == before, (before, settings())
"""
    assert "inventory_sources" in modules_after(script)


LONG_FUNCTION = "def f():\n" + "    x = 1\n" * 51
MANY_PARAMETERS = "def f(a, b, c, d, e, f, g, h): ..."
WIDE_PROTOCOL = "class P(Protocol):\n" + "".join(f"    def m{n}(self): ...\n" for n in range(5))


@pytest.mark.parametrize(
    ("where", "source", "told"),
    [
        ("a.py", LONG_FUNCTION, "51 lines"),
        ("a.py", MANY_PARAMETERS, "8 parameters"),
        ("a.py", WIDE_PROTOCOL, "5 methods"),
        ("a.py", "x = 1\n" * 501, "501 lines"),
        ("sinks/utils.py", "", "says nothing"),
        ("core/a.py", "", "says nothing"),
    ],
)
def test_the_shape_check_finds(where: str, source: str, told: str) -> None:
    (found,) = shape.breaches(where, source)
    assert told in found


def test_the_shape_check_counts_neither_self_nor_docstrings() -> None:
    fits = 'class A:\n    def f(self, a, b, c, d, e, f, g):\n        """' + "\n" * 60 + '"""\n' + "        x = 1\n" * 50
    assert list(shape.breaches("a.py", fits)) == []


def test_the_shape_check_finds_long_functions_in_the_middle() -> None:
    nine = "def f():\n" + "    x = 1\n" * 9
    assert list(shape.median_breach([nine]))
    assert not list(shape.median_breach([nine, "def f():\n    x = 1\n"]))
