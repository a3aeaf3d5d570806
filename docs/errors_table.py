"""Writes the table of errors into `reference/errors.md`, from the classes themselves: `python docs/errors_table.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inventory_sources import errors
from inventory_sources.errors import InventorySourcesError

PAGE = Path(__file__).parent / "reference" / "errors.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


def tree(root: type[InventorySourcesError]) -> Iterator[type[InventorySourcesError]]:
    """A class and those below it, each before its own."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def row(error: type[InventorySourcesError]) -> str:
    """One line of the table."""
    meaning = (error.__doc__ or "").partition("\n\n")[0].replace("\n   ", "").replace("|", "\\|")
    guidance = error.default_guidance
    if error is errors.MissingExtra:
        guidance = "Names the command that installs the extra."
    cells = (f"`{error.code}`", error.__name__, meaning, error.phase.value, error.default_recovery.value, guidance)
    return f"| {' | '.join(cells)} |\n"


def table() -> str:
    """The whole table, in Markdown."""
    head = "| code | class | means | phase | recovery | what to do |\n|---|---|---|---|---|---|\n"
    return head + "".join(row(error) for error in tree(InventorySourcesError))


def with_table(page: str) -> str:
    """A page with its table renewed."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
