"""``python -m inventory_sources``: the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from inventory_sources.worker._command import add_command as add_worker

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m inventory_sources")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_worker(commands)
    given = parser.parse_args(arguments)
    code: int = given.run(given)
    return code


if __name__ == "__main__":
    sys.exit(main())
