"""``import inventory_sources`` beside a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

RUNS = 15


def compare() -> tuple[float, float]:
    """Median seconds of a bare interpreter, and of one that imports the package, in turn."""
    times: dict[str, list[float]] = {"pass": [], "import inventory_sources": []}
    for _ in range(RUNS):
        for code, taken in times.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            taken.append(time.perf_counter() - started)
    bare, package = (median(taken) for taken in times.values())
    return bare, package
