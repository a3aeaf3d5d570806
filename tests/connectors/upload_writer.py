"""A sender in a process of its own: uploads ever new versions of a stock file in small writes that are seen halfway.

Version ``v`` of a file says quantity ``1000 + v`` in each of its rows, of which there are ``rows(seed, v)``: whatever
is read that is cut or mixed of two versions shows. Four counters in shared memory tell how far the sender and the
poller are, so that the sender can pause while the poller takes some steps (and yields its processor meanwhile), and a
test can prove that a poll and an upload overlapped. Only the standard library is used, to start quickly.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import IO, Any, Self

NAME = "stock.csv"
#: When the sender's own clock starts: long before the machine's.
_EPOCH = 1_700_000_000


def rows(seed: int, version: int, fixed: int | None = None) -> int:
    """How many rows a version has."""
    return fixed or Random(f"{seed}/{version}").randint(200, 2000)


def content(count: int, version: int, *, trailer: bool = False) -> bytes:
    """The whole file of a version."""
    quantity = 1000 + version
    lines = ["sku,quantity", *(f"S{number:05},{quantity}" for number in range(count))]
    if trailer:
        lines.append(f"END,{count},{count * quantity}")
    return ("\n".join(lines) + "\n").encode()


class Shared:
    """Counters that both processes see: uploads begun and ended, the poller's steps, and whether to stop."""

    BEGUN, ENDED, STEPS, STOP = range(4)

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 32)
        self.counters = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls, path: Path) -> Self:
        path.write_bytes(bytes(32))
        return cls(path)

    def step(self) -> None:
        """Tells the sender that the poller does something."""
        self.counters[self.STEPS] += 1

    @property
    def begun(self) -> int:
        return self.counters[self.BEGUN]

    @property
    def ended(self) -> int:
        return self.counters[self.ENDED]

    def close(self) -> None:
        self.counters.release()
        self._map.close()
        self._file.close()


class Sender:
    """The process, from the test's side: a context manager that starts it, with one version there, and stops it.

    :param way: the name of a function of :class:`Upload`.
    :param fixed: rows of each version; otherwise they vary.
    :param pauses: the most steps of the poller for which it pauses between two writes.
    :param idle: the most steps of the poller for which it rests between two uploads.
    :param own_clock: whether times are its own, two seconds an upload; otherwise those of the filesystem.
    """

    def __init__(
        self,
        folder: Path,
        way: str,
        seed: int,
        *,
        fixed: int | None = None,
        pauses: int = 12,
        idle: int = 24,
        own_clock: bool = False,
    ) -> None:
        self._shared = folder.with_name(f"{folder.name}.counters")
        self.counters = Shared.create(self._shared)
        self.seed, self.fixed = seed, fixed
        told = {"folder": str(folder), "way": way, "seed": seed, "fixed": fixed, "pauses": pauses, "idle": idle}
        self._told = json.dumps({**told, "own_clock": own_clock, "shared": str(self._shared)})

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(self._told + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.counters.counters[Shared.STOP] = 1
        _, _ = self._process.communicate(timeout=60)
        self.counters.close()
        assert self._process.returncode == 0

    def let_end(self) -> None:
        """Returns when the next upload has ended."""
        ended = self.counters.ended
        while self.counters.ended == ended and self._process.poll() is None:
            self.counters.step()
            os.sched_yield()

    def rows(self, version: int) -> int:
        return rows(self.seed, version, self.fixed)


class Upload:
    """The sender's ways, each of which uploads one version."""

    def __init__(self, told: dict[str, Any]) -> None:
        folder, seed, way = told["folder"], told["seed"], told["way"]
        self._data = Path(folder, NAME)
        self._marker = Path(folder, NAME + ".done")
        self._digest = Path(folder, NAME + ".sha256")
        self._random = Random(f"{seed}/{way}")
        self._seed, self._fixed = seed, told["fixed"]
        self._pauses, self._idle, self._own_clock = told["pauses"], told["idle"], told["own_clock"]
        self._shared = Shared(Path(told["shared"]))
        self._parent = os.getppid()
        self._way: Callable[[bytes], None] = getattr(self, way)
        self._trailer = way == "trailer"
        self._now: int | None = None

    def run(self) -> None:
        """Uploads until it is told to stop; the poller begins after the first."""
        pauses, self._pauses = self._pauses, 0
        self._upload(1)
        self._pauses = pauses
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        version = 1
        while not self._over():
            self._wait(self._random.randint(0, self._idle))
            version += 1
            self._upload(version)

    def _upload(self, version: int) -> None:
        data = content(rows(self._seed, version, self._fixed), version, trailer=self._trailer)
        self._shared.counters[Shared.BEGUN] = version
        self._now = _EPOCH + 2 * version if self._own_clock else None
        self._way(data)
        self._shared.counters[Shared.ENDED] = version

    # --- the ways -------------------------------------------------------------------------------------------------

    def bare(self, data: bytes) -> None:
        """Over the old file, and that is all."""
        self._write(self._data, data, in_place=self._by_chance())

    trailer = bare

    def renamed(self, data: bytes) -> None:
        """Under another name first."""
        part = self._data.with_suffix(".part")
        self._write(part, data)
        part.replace(self._data)

    def marked(self, data: bytes) -> None:
        """Takes the marker away, writes, and puts it back."""
        self._marker.unlink(missing_ok=True)
        self._pause()
        self._write(self._data, data)
        self._mark()

    def retouched(self, data: bytes) -> None:
        """Overwrites what the marker still stands for and touches it at the end: for a clock of its own.

        Who overwrites twice within what a server's clock can tell apart cannot be found out by it.
        """
        self._write(self._data, data, in_place=self._by_chance())
        self._mark()

    def summed(self, data: bytes) -> None:
        """Writes its digest afterwards, or before."""
        line = f"{hashlib.sha256(data).hexdigest()}  {NAME}\n".encode()
        parts = [(self._data, data), (self._digest, line)]
        self._random.shuffle(parts)
        for path, written in parts:
            self._write(path, written, in_place=self._by_chance())

    # --- small writes ---------------------------------------------------------------------------------------------

    def _by_chance(self) -> bool:
        return self._random.random() < 0.5

    def _mark(self) -> None:
        if self._now is None:
            self._marker.touch()
            return
        fresh = self._marker.with_suffix(".fresh")
        fresh.touch()
        os.utime(fresh, (self._now + 1, self._now + 1))
        fresh.replace(self._marker)

    def _write(self, path: Path, data: bytes, *, in_place: bool = False) -> None:
        """Writes without a buffer; what is overwritten in place is cut to its length at the end."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT | (0 if in_place else os.O_TRUNC), 0o644)
        try:
            self._pause()
            at = 0
            while at < len(data):
                at += os.write(file, data[at : at + self._random.choice((7, 100, 1000, 5000))])
                self._date(file)
                self._pause()
            os.ftruncate(file, at)
            self._date(file)
        finally:
            os.close(file)

    def _date(self, file: int) -> None:
        if self._now is not None:
            os.utime(file, (self._now, self._now))

    def _pause(self) -> None:
        os.sched_yield()
        if self._pauses and self._random.random() < 0.2:
            self._wait(self._random.randint(1, self._pauses))

    def _wait(self, steps: int) -> None:
        """Until the poller has taken some steps."""
        until = self._shared.counters[Shared.STEPS] + steps
        while self._shared.counters[Shared.STEPS] < until and not self._over():
            os.sched_yield()

    def _over(self) -> bool:
        return bool(self._shared.counters[Shared.STOP]) or os.getppid() != self._parent


def main() -> None:
    Upload(json.loads(sys.stdin.readline())).run()


if __name__ == "__main__":
    main()
