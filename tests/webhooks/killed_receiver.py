"""Receiving processes that are killed; run as a script by the test of kills.

The sender is here: it hands signed deliveries to a process over a socket, reads what is answered, kills the process
with SIGKILL at a step or at any moment, and sends again, to the next process, what was not answered. Processes are
forked, as imports would take most of the time: this one loads the columnar engine and never uses it, so its children
may. A child tells each step that it passes, stops at the one where it is to be killed, and never ends by itself.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import random
import signal
import socket
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from attrs import define, evolve, field, frozen

from inventory_sources import SqlStateStore, SqlStockSink, SyncEngine
from inventory_sources.engine._runs import Claimed
from inventory_sources.protocols.webhook import Delivery
from inventory_sources.run import SyncRun
from inventory_sources.testing import ManualClock
from tests.webhooks.shop import START, pushed_source, signed

#: Steps of receiving and of applying at which a process is killed; ``at random`` is any moment.
RECEIVING = ("before put", "put, before commit", "committed, before answer", "answered")
APPLYING = ("before claim", "claimed", "before apply", "applied, before commit", "applied and committed")
RANDOM = "at random"
SOURCES = tuple(f"wms{number:02}" for number in range(10))
#: New deliveries for each process.
EACH = 2
#: Longer than a lease, and than the first retry takes.
PATIENCE = timedelta(minutes=6)
_THREADS = 4


@frozen
class Sent:
    """A delivery: the level of an item that no other delivery is about."""

    number: int

    @property
    def source(self) -> str:
        """The source that it is for."""
        return SOURCES[self.number % len(SOURCES)]

    @property
    def id(self) -> str:
        """Of the message."""
        return f"msg-{self.number}"

    def request(self, now: datetime) -> Delivery:
        """As it comes, each time the same but for when it was signed."""
        body = json.dumps({"items": [{"sku": f"S{self.number}", "qty": self.number + 1}]}).encode()
        return Delivery(signed(body, now, self.id), body, now)


class Store(SqlStateStore):
    """A store that tells where it is."""

    tell: Callable[[str], None] = staticmethod(lambda step: None)
    #: What is told before the next commit.
    committing: str | None = None
    running = False

    def put(self, entries: Any, wake_in: timedelta = timedelta(0)) -> Any:
        """Keeps deliveries."""
        self.tell("before put")
        self.committing = "put, before commit"
        receipts = super().put(entries, wake_in)
        self.tell("committed, before answer")
        return receipts

    def commits(self) -> None:
        """A transaction is about to be committed."""
        step, self.committing = self.committing, None
        if step:
            self.tell(step)

    def transact(self, source: str, decide: Any) -> Any:
        """The claim of a run, a renewal of its lease, or its end."""
        self.tell("before apply" if self.running else "before claim")

        def told(tx: Any) -> Any:
            result = decide(tx)
            self.committing = "applied, before commit" if self.running and isinstance(result, SyncRun) else None
            return result

        result = super().transact(source, told)
        if isinstance(result, Claimed):
            self.running = True
            self.tell("claimed")
        elif self.running and isinstance(result, SyncRun):
            self.running = False
            self.tell("applied and committed")
        return result


def open_shop(url: str, clock: ManualClock) -> SyncEngine:
    """The host: its stock table and the state in one database."""
    store = Store(url, clock=clock)
    sa.event.listen(sa.Engine, "commit", lambda connection: store.commits())
    sa.event.listen(sa.Engine, "before_cursor_execute", lambda *told: store.commits() if told[2] == "COMMIT" else None)
    engine = SyncEngine(store, clock=clock)
    sink = SqlStockSink(
        sa.create_engine(url, poolclass=sa.NullPool), "stock", sku="sku", quantity="quantity", shared=True
    )
    for name in SOURCES:
        engine.add_source(evolve(pushed_source(sink), name=name), exist_ok=True)
    store.close()
    return engine


@define
class Child:
    """A process that is fed, listened to and killed."""

    pid: int
    channel: socket.socket
    _read: bytes = b""

    def feed(self, deliveries: Sequence[Sent]) -> None:
        """Hands it deliveries."""
        self.channel.sendall(b"".join(f"{sent.number}\n".encode() for sent in deliveries))

    def lines(self) -> Iterator[str]:
        """What it tells, until it is dead."""
        while True:
            *whole, self._read = self._read.split(b"\n")
            yield from (line.decode() for line in whole)
            chunk = self.channel.recv(65536)
            if not chunk:
                return
            self._read += chunk

    def kill(self) -> None:
        """At once."""
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"a process ended by itself: {os.waitstatus_to_exitcode(status)}")


def fork(engine: SyncEngine, fatal: str, work: Callable[[SyncEngine, Talk], None]) -> Child:
    """A process at work."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return Child(pid, ours)
    try:
        ours.close()
        talk = Talk(theirs, fatal)
        engine._store.tell = talk.tell
        work(engine, talk)
        talk.wait()
    except BaseException:
        traceback.print_exc()
    os._exit(1)


@define
class Talk:
    """The child's end."""

    channel: socket.socket
    fatal: str
    _lock: threading.Lock = field(factory=threading.Lock)

    def tell(self, step: str) -> None:
        """Tells a step, and waits for death at the fatal one."""
        with self._lock:
            self.channel.sendall(f"{'!' if step == self.fatal else '#'}{step}\n".encode())
            if step == self.fatal:
                self.wait()

    def answer(self, sent: Sent, status: int) -> None:
        """Answers a delivery."""
        with self._lock:
            self.channel.sendall(f"{status} {sent.number}\n".encode())

    def wait(self) -> None:
        """For death, or for the parent's."""
        while self.channel.recv(4096):
            pass
        os._exit(2)


def receive(engine: SyncEngine, talk: Talk) -> None:
    """Takes deliveries as they come, one after the other, or in threads where it is killed at random."""
    coming: queue.SimpleQueue[Sent] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            sent = coming.get()
            talk.answer(sent, engine.receive(sent.source, sent.request(engine._clock.now())).status)
            talk.tell("answered")

    for _ in range(_THREADS if talk.fatal == RANDOM else 1):
        threading.Thread(target=serve, daemon=True).start()
    for line in talk.channel.makefile("r"):
        coming.put(Sent(int(line)))
    os._exit(2)


def apply(engine: SyncEngine, talk: Talk) -> None:
    """Works."""
    engine.run_due()
    talk.tell("done")


class Sender:
    """Sends, counts answers, kills."""

    def __init__(self, url: str, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock = ManualClock(START)
        self.engine = open_shop(url, self.clock)
        self.watch = sa.create_engine(url, poolclass=sa.NullPool)
        self.numbers = 0
        self.pending: list[Sent] = []
        self.answered: set[int] = set()
        self.kills: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    def kill_a_receiver(self, step: str) -> None:
        """Sends to a process, and kills it."""
        batch = self._batch()
        child = fork(self.engine, step, receive)
        child.feed(batch)
        self._kill(child, step, self.dice.randrange(2 * len(batch)) if step == RANDOM else None)
        self.pending = [sent for sent in batch if sent.number not in self.answered]

    def kill_a_worker(self, step: str) -> None:
        """Has a process apply what waits, and kills it; what a run does is all there or not at all."""
        self.clock.advance(PATIENCE)
        before = self.written()
        child = fork(self.engine, step, apply)
        seen = self._kill(child, step, self.dice.randrange(5 * len(SOURCES)) if step == RANDOM else None)
        committed = seen.count("applied and committed")
        after = self.written()
        if step != RANDOM and (after > before) != (step == APPLYING[-1]):
            sys.exit(f"killed {step}: {after - before} levels were written")
        if committed and after == before:
            sys.exit("a run was committed, and nothing was written")

    def written(self) -> int:
        """How many writes the stock table has seen."""
        with self.watch.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM written").scalar_one())

    def feed_all(self) -> None:
        """Has a receiver take what every source gets new, and whatever is left."""
        batch = [*self.pending, *(self._new() for _ in SOURCES)]
        child = fork(self.engine, "none", receive)
        child.feed(batch)
        for line in child.lines():
            self._heard(line)
            if all(sent.number in self.answered for sent in batch):
                break
        child.kill()
        self.pending = []

    def _batch(self) -> list[Sent]:
        """What was not answered, something new, and now and then a repetition of what was answered long ago."""
        batch = [*self.pending, *(self._new() for _ in range(EACH))]
        if self.answered and not self.dice.randrange(4):
            batch.append(Sent(self.dice.choice(sorted(self.answered))))
        return batch

    def _new(self) -> Sent:
        self.numbers += 1
        return Sent(self.numbers - 1)

    def _kill(self, child: Child, step: str, after: int | None) -> list[str]:
        """Kills at the fatal step, or some moments after so many lines; what was on its way still counts."""
        seen, lines = [], child.lines()
        for line in lines:
            seen.append(self._heard(line))
            if line.startswith("!") or line == "#done" or (after is not None and len(seen) > after):
                break
        for _ in range(int(2 ** self.dice.uniform(0, 13)) if after is not None else 0):
            os.sched_yield()
        child.kill()
        seen.extend(self._heard(line) for line in lines)
        child.channel.close()
        if step != RANDOM and step not in seen:
            sys.exit(f"a process never came to {step!r}")
        self.kills[step] += 1
        return seen

    def _heard(self, line: str) -> str:
        if line[0] in "#!":
            return line[1:]
        status, number = line.split()
        self.answers[status] += 1
        if status == "200":
            self.answered.add(int(number))
        return line


def main(url: str, seed: str, of_receivers: str, at_random: str, of_workers: str) -> None:
    """Kills as often as it is told, and reports what was answered."""
    importlib.import_module("polars")
    sender = Sender(url, int(seed))
    for step in (*APPLYING, RANDOM):
        for _ in range(int(of_workers)):
            sender.feed_all()
            sender.kill_a_worker(step)
    steps = [*RECEIVING * int(of_receivers), *[RANDOM] * int(at_random)]
    sender.dice.shuffle(steps)
    for step in steps:
        sender.kill_a_receiver(step)
    sender.feed_all()
    report = {"sent": sender.numbers, "answered": sorted(sender.answered), "kills": sender.kills}
    sys.stdout.write(json.dumps(report | {"answers": sender.answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
