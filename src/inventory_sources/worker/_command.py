"""The command line of a worker: ``python -m inventory_sources worker module:engine``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from inventory_sources.errors import ConfigurationError
from inventory_sources.protocols.store import Retention
from inventory_sources.worker._health import HealthServer
from inventory_sources.worker._loading import load_engine
from inventory_sources.worker._worker import Worker

__all__ = ["add_command"]

_WRONG = 2
_CODES = """exit codes: 0 stopped as asked, or done; 1 the store did not answer (--once); 2 wrong arguments, or no
engine; 3 a sync did not stop within the grace; 128 and the signal's number after a second signal"""


def add_command(commands: Any) -> None:
    """Adds ``worker`` to the subcommands of a parser; the parsed arguments have ``run``."""
    parser = commands.add_parser("worker", help="run what is due", description="Runs what is due.", epilog=_CODES)
    parser.add_argument("engine", metavar="module:engine", help="where the SyncEngine is, or a function that makes it")
    parser.add_argument("--threads", type=int, default=4, metavar="N", help="syncs at once (4)")
    parser.add_argument("--per-host", type=int, default=2, metavar="N", help="syncs at once at one host; 0: any (2)")
    parser.add_argument("--interval", type=_seconds, default="5", metavar="S", help="seconds between two looks (5)")
    parser.add_argument("--grace", type=_seconds, default="25", metavar="S", help="seconds for syncs to stop (25)")
    parser.add_argument("--once", action="store_true", help="run what is due and exit, for cron")
    parser.add_argument("--purge", action="store_true", help="delete old history, at the start and once a day")
    parser.add_argument("--health", metavar="HOST:PORT", help="answer /healthz and /readyz there")
    parser.add_argument("--health-file", type=Path, metavar="PATH", help="touch this file at each turn")
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", choices=levels, default="info", help="of what goes to standard error (info)")
    parser.set_defaults(run=_run)


def _seconds(text: str) -> timedelta:
    try:
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None


def _run(given: argparse.Namespace) -> int:
    try:
        engine = load_engine(given.engine)
        _log_to_stderr(given.log_level)
        worker = Worker(
            engine,
            threads=given.threads,
            per_host=given.per_host or None,
            interval=given.interval,
            grace=given.grace,
            retention=Retention() if given.purge else None,
            health_file=given.health_file,
        )
        with ExitStack() as stack:
            if given.health:
                server = stack.enter_context(HealthServer(worker.health, given.health))
                logging.getLogger("inventory_sources").info("health endpoint on %s", server.address)
            code = worker.run_once() if given.once else worker.run()
    except ConfigurationError as error:
        sys.stderr.write(f"error: {error}\n")
        return _WRONG
    if code not in (0, 1):
        _exit(code)
    engine.close()
    return code


def _exit(code: int) -> None:
    """Without waiting for what hangs, and without Python's cleaning up below its feet."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _log_to_stderr(level: str) -> None:
    """Where the host's module has set up no logging; of other libraries only warnings, as their lines may hold URLs."""
    if logging.getLogger().handlers:
        return
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("inventory_sources").setLevel(level.upper())
