"""What the pages state about the code is true: errors, the tests that show a promise, public nouns, examples."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import inventory_sources
from inventory_sources.errors import AccessRefused, ServerFailed

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_the_table_of_errors_is_that_of_the_classes() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "errors_table.py"))
    table = script["table"]()
    assert "`rate_limited`" in table
    assert script["with_table"](page("docs/reference/errors.md")) == page("docs/reference/errors.md"), (
        "run python docs/errors_table.py"
    )


def named_tests() -> list[str]:
    return re.findall(r"`(tests/[^`]+::test_[^`]+)`", page("docs/explanation/promises.md"))


@pytest.mark.parametrize("named", named_tests())
def test_a_promise_names_a_test_that_is_there(named: str) -> None:
    path, _, test = named.partition("::")
    assert f"def {test}(" in page(path)


def test_every_promise_names_a_test() -> None:
    sections = page("docs/explanation/promises.md").split("\n## ")[1:-1]
    assert len(sections) > 10
    assert [section.splitlines()[0] for section in sections if "::test_" not in section] == []


def test_every_public_noun_is_in_the_glossary_or_a_kind_of_one() -> None:
    glossary = page("docs/explanation/glossary.md")
    kinds = re.compile(
        r"(File|Http)Connector|(Csv|Json|JsonLines)Decoder|Columns|MemorySink|Sql\w+|MemoryStateStore|.+Error"
    )
    missing = [
        name for name in inventory_sources.__all__ if not kinds.fullmatch(name) and f"\n{name}\n" not in glossary
    ]
    assert missing == []


def run_example(name: str) -> str:
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, check=True, timeout=100)
    assert done.stderr == ""
    return done.stdout


def test_the_quickstart_does_the_main_job() -> None:
    steps = run_example("quickstart.py").split("\n== ")
    check, plan, sync, rows, again, held, rejected, approved, history = steps[1:]
    assert "8 of 14 rows match a product" in check
    assert "TEE-M at BCN: 2 -> 0\n" in plan
    assert "pending (never_run)" in sync
    assert "3 products updated\n14 rows = 8 mapped + 1 unmapped + 3 invalid + 2 duplicate" in sync
    assert re.findall(r"line (\d+), (\w+)", rows) == [
        ("6", "invalid"),
        ("7", "invalid"),
        ("8", "invalid"),
        ("10", "unmapped"),
        ("11", "duplicate"),
        ("12", "duplicate"),
    ]
    assert "0 products updated" in again
    assert "error (held)" in held
    assert "MassZero: 11 of 11 levels" in held
    left = re.findall(r"pieces in the shop: (\d+)", held + rejected + approved)
    assert left == ["318", "318", "0"]
    assert history.count("completed") == 3


def test_the_example_connectors_sync_from_a_real_server() -> None:
    assert run_example("subclass_connectors.py").splitlines() == [
        "daily-file: completed, 2 products updated, complete by: stable",
        "signed-api: completed, 2 products updated, complete by: count",
        "shelves: completed, 3 products updated, complete by: last_page",
    ]


def test_the_example_s_api_refuses_and_fails_in_our_words(tmp_path: Path) -> None:
    from inventory_sources import HttpConnector, Secret
    from inventory_sources.testing import ScriptedHttpServer, fetch_context
    from inventory_sources.testing.servers import Response

    example = runpy.run_path(str(EXAMPLES / "subclass_connectors.py"))
    options = {"allow_private": ("127.0.0.0/8",), "allow_plaintext": True}
    with ScriptedHttpServer(example["answer"]) as server, pytest.raises(AccessRefused):
        list(HttpConnector(server.url, **options).fetch(fetch_context(tmp_path)))
    with ScriptedHttpServer([Response(b'{"status": "busy"}')]) as server, pytest.raises(ServerFailed):
        list(example["SignedApi"](server.url, key=Secret("k3y"), **options).fetch(fetch_context(tmp_path)))


def test_the_readme_names_the_two_commands_and_ci_calls_the_second() -> None:
    lines = re.findall(r"^python3 -m venv .*", page("README.md"), re.MULTILINE)
    assert len(lines) == 2
    assert lines[0].endswith("examples/quickstart.py")
    assert lines[1].endswith("nox -s tests")
    pattern = re.search(r"grep -m 1 -E '([^']+)' README.md", page(".ci/run"))
    assert pattern
    assert [line for line in lines if re.search(pattern[1], line)] == lines[1:]
