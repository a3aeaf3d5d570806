"""Every Python snippet of the README and the documentation runs, and prints what the page says it prints."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from sybil import Document, Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "```python" in path.read_text("utf-8")
]
PRINTED = "_printed"

_run = PythonEvaluator()


def run_python(example: Example) -> None:
    """Runs a ``python`` block and keeps what it prints for the ``output`` block that must follow."""
    nothing_unshown(example)
    printed = io.StringIO()
    with redirect_stdout(printed):
        _run(example)
    example.namespace[PRINTED] = printed.getvalue()


def compare_output(example: Example) -> None:
    """Compares an ``output`` block with what the Python block before it printed."""
    printed = example.namespace.pop(PRINTED, "")
    where = f"{example.path}:{example.line}"
    assert printed == example.parsed, f"{where} shows\n{example.parsed}\nbut what is printed is\n{printed}"


def nothing_unshown(example: Example) -> None:
    """What a block prints must stand below it."""
    unshown = example.namespace.pop(PRINTED, "")
    assert not unshown, f"before {example.path}:{example.line} a block prints what no output block shows:\n{unshown}"


SNIPPETS = Sybil([CodeBlockParser("python", run_python), CodeBlockParser("output", compare_output)])


def forget_django() -> None:
    """Lets the next page declare settings of its own: Django keeps one set in a process."""
    if "django.conf" in sys.modules:
        from django.conf import settings
        from django.utils.functional import empty

        settings._wrapped = empty


def run_page(path: Path) -> Document:
    """Runs a page's blocks in order, in one namespace."""
    forget_django()
    document = SNIPPETS.parse(path)
    if path.parent == HOW_TO:
        exec(compile((HOW_TO / "shop.py").read_text("utf-8"), "shop.py", "exec"), document.namespace)
    for example in document.examples():
        example.evaluate()
    assert not document.namespace.get(PRINTED), f"the last block of {path.name} prints what no output block shows"
    return document


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_snippet_runs_and_prints_what_the_page_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(path)


def test_the_parts_that_the_guide_shows_pass_the_contract_suites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = run_page(HOW_TO / "parts.md")
    suites = {name: suite for name, suite in page.namespace.items() if name.startswith("Test")}
    assert list(suites) == ["TestErp", "TestFreeStock", "TestDictSink", "TestMemoryStore", "TestPager", "TestScheduler"]
    for suite in suites.values():
        tests = [name for name in dir(suite) if name.startswith("test_")]
        assert tests
        for name in tests:
            getattr(suite(), name)()


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```python\nprint(1)\n```\n\n```output\n2\n```\n", "printed is"),
        ("```python\nprint(1)\n```\n", "no output block"),
        ("```python\nprint(1)\n```\n\n```python\nx = 1\n```\n", "no output block"),
        ("```output\n1\n```\n", "printed is"),
        ("```python\nassert False, 'it ran'\n```\n", "it ran"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(tmp_path: Path, page: str, complaint: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(page, "utf-8")
    with pytest.raises(AssertionError, match=complaint):
        run_page(path)


def test_the_readme_s_first_sync_takes_at_most_twelve_lines() -> None:
    blocks = [example.parsed for example in SNIPPETS.parse(ROOT / "README.md").examples()]
    sync = next(block for block in blocks if "engine.sync" in block)
    assert len(sync.splitlines()) <= 12
