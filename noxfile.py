"""`nox` runs tests, lint and docs; `nox -s bench` measures; `nox -s tests -- -k status` runs some tests."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint", "docs"]

PROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = ".[celery,django,mysql,otel,postgres,zstd]"


def install(session: nox.Session, *groups: str) -> None:
    """Installs the package with its extras, editable, and what the groups name."""
    session.install("-e", EXTRAS, *nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """Runs the tests; what follows `--` goes to pytest."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def tests_lowest(session: nox.Session) -> None:
    """Runs the tests on the oldest versions that pyproject.toml allows."""
    session.install("uv")
    group = nox.project.dependency_groups(PROJECT, "test")
    python = str(Path(session.virtualenv.location) / "bin" / "python")
    session.run("uv", "pip", "install", "--python", python, "-e", EXTRAS, *group, "--resolution", "lowest-direct")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Checks style, types, layers, dependencies and sizes."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    # Editable installs are not looked into, so the package is shown by its path.
    session.run("pyright", "--verifytypes", "inventory_sources", "--ignoreexternal", env={"PYTHONPATH": "src"})
    session.run("lint-imports", "--no-logo")
    session.run("deptry", "src")
    session.run("python", "tests/shape.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Builds the documentation; runs every snippet and checks what the pages state."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")
    session.run("pytest", "tests/docs")


@nox.session
def bench(session: nox.Session) -> None:
    """Measures speed and memory against the floors."""
    install(session, "test")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)
