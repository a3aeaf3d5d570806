"""Parts of packages that are installed beside the library: found by name, imported only when a source names them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inventory_sources import Columns, Feed, MemorySink, MemoryStateStore, Registry, Source, SyncEngine
from inventory_sources.errors import ConfigurationError, UnknownPart
from inventory_sources.testing import ScriptedHttpServer
from inventory_sources.testing.servers import Response

EXAMPLE = Path(__file__).parents[2] / "examples" / "third_party"

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lays a package down as an installer does: its modules, and a dist-info with its entry points."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def lay(name: str, entries: dict[str, str], modules: dict[str, str]) -> Path:
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{entry} = {target}" for entry, target in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[inventory_sources.parts]", *lines, ""]))
        for module, text in modules.items():
            (site / f"{module}.py").write_text(text)
        return site

    yield lay
    for module in set(sys.modules) - before:
        del sys.modules[module]


def acme(install: Install) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    text = (EXAMPLE / "src" / "acme_inventory" / "__init__.py").read_text("utf-8")
    entries = project["entry-points"]["inventory_sources.parts"]
    install(project["name"], entries, {"acme_inventory": text})


def test_a_source_that_names_a_part_of_another_package_runs(install: Install, monkeypatch: pytest.MonkeyPatch):
    acme(install)
    monkeypatch.setenv("ACME_TOKEN", "t0k3n")
    parts, sink = Registry(), MemorySink({"A-1": 0})
    parts.register("sink", "shop", sink)
    assert parts.load_entry_points() == ("connector.acme",)
    assert "acme_inventory" not in sys.modules, "nothing is imported before it is used"
    with ScriptedHttpServer(
        [Response(b'{"items": [{"sku": "A-1", "quantity": 5}], "next": null}', headers={"Content-Type": "text/plain"})]
    ) as server:
        described = parts.document(parts.describe(native(sink)))
        options = {
            "url": server.url,
            "token": "env:ACME_TOKEN",
            "allow_private": ["127.0.0.0/8"],
            "allow_plaintext": True,
        }
        source = parts.build(parts.spec({**described, "connector": {"name": "acme", "options": options}}))
        assert type(source.connector).__module__ == "acme_inventory"
        again = parts.document(parts.describe(source))
        assert again["connector"]["name"] == "acme"
        assert parts.build(parts.spec(again)).connector == source.connector
        engine = SyncEngine(MemoryStateStore())
        engine.add_source(source)
        assert engine.sync("acme").products_updated == 1
        engine.close()
        assert server.requests[0].headers["authorization"] == "Bearer t0k3n"


def native(sink: MemorySink) -> Source:
    from inventory_sources.rest import RestConnector

    connector = RestConnector("https://erp.example.com/stock", records="")
    return Source(name="acme", connector=connector, mapper=Columns(), feed=Feed.partial(), guards=(), sink=sink)


def test_sources_of_other_parts_import_nothing(install: Install):
    acme(install)
    parts, sink = Registry(), MemorySink({})
    parts.register("sink", "shop", sink)
    parts.load_entry_points()
    parts.build(parts.spec(parts.document(parts.describe(native(sink)))))
    with pytest.raises(UnknownPart, match="registered: acme, file"):
        parts._find("connector", "other")
    assert "acme_inventory" not in sys.modules


def test_nothing_is_found_before_it_is_asked_for(install: Install):
    acme(install)
    with pytest.raises(UnknownPart):
        Registry()._find("connector", "acme")


def test_asking_twice_changes_nothing(install: Install):
    acme(install)
    parts = Registry()
    assert parts.load_entry_points() == parts.load_entry_points() == ("connector.acme",)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("connector.rest", "the package bad-parts 1.0 offers 'connector.rest', but the connector name 'rest' is taken"),
        ("conector.acme", "the package bad-parts 1.0 offers 'conector.acme', but there is no stage 'conector'"),
        ("acme", "the package bad-parts 1.0 offers 'acme', but there is no stage 'acme'"),
        ("connector.", "the package bad-parts 1.0 offers 'connector.', but a part needs a name"),
    ],
)
def test_a_name_that_cannot_be_is_told_with_its_package(install: Install, entry: str, told: str):
    install("bad-parts", {entry: "bad_parts:Part"}, {})
    with pytest.raises(ConfigurationError) as raised:
        Registry().load_entry_points()
    assert raised.value.message.startswith(told)


def test_two_packages_cannot_have_one_name(install: Install):
    install("one-acme", {"connector.acme": "one_acme:Acme"}, {})
    install("two-acme", {"connector.acme": "two_acme:Acme"}, {})
    with pytest.raises(ConfigurationError) as raised:
        Registry().load_entry_points()
    assert {"one-acme", "two-acme"} <= set(raised.value.message.split())


def test_two_objects_that_are_equal_are_still_two():
    parts = Registry()
    parts.register("connector", "acme", (1, 2))
    with pytest.raises(ConfigurationError, match="is taken"):
        parts.register("connector", "acme", tuple([1, 2]))  # noqa: C409 - not the same object


def test_a_name_of_the_host_is_not_taken_over(install: Install):
    acme(install)
    parts = Registry()
    parts.register("connector", "acme", MemorySink({}))
    with pytest.raises(ConfigurationError, match=r"the package acme-inventory 1\.0 offers 'connector.acme', but"):
        parts.load_entry_points()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise RuntimeError('s3cret')", "cannot be loaded (RuntimeError)"),
        ("", "cannot be loaded (AttributeError)"),
        ("class Part: pass", "Part cannot be built from options"),
    ],
)
def test_a_part_that_cannot_be_loaded_harms_nobody_until_it_is_used(install: Install, text: str, told: str):
    install("bad-parts", {"connector.bad": "bad_parts:Part"}, {"bad_parts": text})
    parts, sink = Registry(), MemorySink({})
    parts.register("sink", "shop", sink)
    parts.load_entry_points()
    described = parts.document(parts.describe(native(sink)))
    with pytest.raises(ConfigurationError) as raised:
        parts.build(parts.spec({**described, "connector": {"name": "bad", "options": {}}}))
    assert told in raised.value.message
    assert "'connector.bad' of the package bad-parts 1.0" in raised.value.message
    assert "s3cret" not in str(raised.value)


def test_the_example_passes_its_own_tests():
    found = os.pathsep.join([str(EXAMPLE / "src"), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLE), "tests"],
        cwd=EXAMPLE,
        env={**os.environ, "PYTHONPATH": found, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
