"""Another process of the same host: it shares the state store and the stock table, and has a registry of its own.

Run as a script with a folder and a verb; it answers with one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import evolve

from inventory_sources import Columns, Registry, SqlStockSink, SyncEngine
from inventory_sources.errors import InventorySourcesError
from inventory_sources.secrets import CallableSecrets, EnvironmentSecrets, FileSecrets, SecretResolvers

ROOT = Path(__file__).parents[2]


class Host:
    """What every process of the host makes at its start.

    :param vault: what this process's own secrets are, found by ``vault:NAME``.
    """

    def __init__(self, folder: Path, vault: dict[str, str] | None = None) -> None:
        database = sa.create_engine(f"sqlite:///{folder / 'shop.db'}", poolclass=sa.NullPool)
        secrets = CallableSecrets("vault", (vault or {}).get)
        self.registry = Registry(SecretResolvers(EnvironmentSecrets(), FileSecrets(folder), secrets))
        self.sink = SqlStockSink(database, "stock", sku="sku", quantity="quantity")
        self.registry.register("sink", "shop", self.sink)
        self.engine = SyncEngine(folder / "state.db", registry=self.registry)


def start(folder: Path, *verb: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A neighbour at work; it does its verb once it is sent a line."""
    command = [sys.executable, "-m", "tests.engine.neighbour", str(folder), *verb]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def ask(folder: Path, *verb: str, env: dict[str, str] | None = None) -> Any:
    """What a neighbour answers."""
    return answer(start(folder, *verb, env=env))


def answer(neighbour: subprocess.Popen[str]) -> Any:
    """What a started neighbour answers, once it is told to go on."""
    out, err = neighbour.communicate("go\n", timeout=100)
    assert neighbour.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def do(engine: SyncEngine, registry: Registry, verb: str, *arguments: str) -> object:
    """The verbs."""
    if verb == "sync":
        run = engine.sync(arguments[0])
        return {"result": run.result.value, "updated": run.products_updated}
    if verb == "run_due":
        return [run.source for run in engine.run_due(*map(int, arguments))]
    if verb == "fork_and_sync":
        children = [in_a_child(lambda: engine.sync(*arguments).result.value) for _ in range(2)]
        return {"children": children, "parent": engine.sync(*arguments).result.value}
    if verb == "sync_and_fork":
        return sync_and_fork(engine, *arguments)
    assert verb == "read_column"
    name, column = arguments
    spec = registry.spec(engine._store.get(name).spec)
    engine.update_source(evolve(registry.build(spec), mapper=Columns(quantity=column)), actor="neighbour")
    return {}


def sync_and_fork(engine: SyncEngine, name: str) -> object:
    """Each call in a child of its own, after a sync in the parent, and another sync in the parent."""
    engine.sync(name)
    calls: dict[str, Callable[[], object]] = {
        "status": lambda: engine.status(name).status.value,
        "sync": lambda: str(engine.sync(name)),
        "plan": lambda: str(engine.plan(name)),
        "check": lambda: str(engine.check(name)),
        "run_due": lambda: str(engine.run_due()),
    }
    told = {call: in_a_child(work) for call, work in calls.items()}
    return {**told, "parent": engine.sync(name).result.value}


def in_a_child(call: Callable[[], object]) -> object:
    """What a forked child's call gives or raises; the child is ended when it hangs."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            told = call()
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        written = stream.read()
    _, status = os.waitpid(child, 0)
    return json.loads(written) if status == 0 else f"ended with {os.waitstatus_to_exitcode(status)}"


def say(line: str) -> None:
    """Tells the parent at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(folder: str, *verb: str) -> None:
    """Says when it is ready, waits for its cue, and answers."""
    host = Host(Path(folder), vault={"erp/query": "from-a-function"})
    host.engine.sources()
    say("ready")
    sys.stdin.readline()
    try:
        told = do(host.engine, host.registry, *verb)
    except InventorySourcesError as error:
        told = {"error": type(error).__name__, "told": str(error)}
    say(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
