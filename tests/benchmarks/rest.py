"""Pages a processor second over the loopback, beside a bare httpx client with the same requests and parsed JSON.

With ``--with-dlt`` also beside dlt's client for REST APIs, in an environment that is made for it and removed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience
from inventory_sources.rest import PageNumber, RestConnector, RestSession
from inventory_sources.testing import fetch_context

PAGES = 300
ROUNDS = 5
IN_FLIGHT = (1, 4, 16)
LOOPBACK = ("127.0.0.0/8",)

Row = tuple[str, str, str, str]
Ask = Callable[[str], object]


def table(folder: Path) -> Iterator[Row]:
    """The client at several requests in flight, then whole lists."""
    with served() as url, ours(folder) as session, bare() as client:
        for flight in IN_FLIGHT:
            mine, theirs = compare(partial(run, session, url, flight), partial(run, client, url, flight))
            yield _row(f"REST pages, {flight} in flight", mine, "httpx", theirs, "at most 1.3x")
        whole, theirs = compare(partial(listing, url, folder), partial(run, client, url, 1))
        yield _row("REST list, walked and flattened", whole, "httpx alone", theirs, "")
        if "--with-dlt" in sys.argv:
            yield _row("REST list", whole, "dlt", with_dlt(url, folder), "at least 3 times as fast")


@contextmanager
def served() -> Iterator[str]:
    """A server in a process of its own; its URL."""
    server = Path(__file__).with_name("rest_server.py")
    with subprocess.Popen([sys.executable, str(server), str(PAGES)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/items"
        finally:
            process.kill()


@contextmanager
def ours(folder: Path) -> Iterator[Ask]:
    """Gives a page's document by our session."""
    context, limits = fetch_context(folder, timeout=900), HttpLimits(max_decoded_bytes=1 << 40)
    with HttpClient(limits, patience(limits, context.clock, context), Dialling(allow_private=LOOPBACK)) as client:
        session = RestSession(client, context)
        yield lambda url: session.json(HttpRequest(url, {"Accept": "application/json"}))


@contextmanager
def bare() -> Iterator[Ask]:
    """Gives a page's document by httpx."""
    import httpx

    with httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=16)) as client:
        yield lambda url: client.get(url, headers={"Accept": "application/json"}).json()


def run(ask: Ask, url: str, flight: int) -> None:
    """All pages, so many at a time."""
    urls = [f"{url}?page={number}" for number in range(1, PAGES + 1)]
    if flight == 1:
        for one in urls:
            ask(one)
        return
    with ThreadPoolExecutor(flight) as pool:
        for _ in pool.map(ask, urls):
            pass


def listing(url: str, folder: Path) -> None:
    """The whole list as the connector yields it."""
    connector = RestConnector(url, records="items", pager=PageNumber(last="pages"), allow_private=LOOPBACK)
    found = sum(1 for _ in connector.fetch(fetch_context(folder)))
    if found != PAGES * 250:
        raise AssertionError(f"{found} records")


def compare(*sides: Callable[[], None]) -> list[float]:
    """Processor seconds of each, the best of several rounds in turn: what else the machine does then counts least."""
    best = [float("inf")] * len(sides)
    for _ in range(ROUNDS):
        for number, side in enumerate(sides):
            started = time.process_time()
            side()
            best[number] = min(best[number], time.process_time() - started)
    return best


DLT = """
import json, sys, time
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from dlt.sources.rest_api import rest_api_source
url, rounds = sys.argv[1], int(sys.argv[2])
base, _, path = url.rpartition("/")
pages = {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": "pages"}
best = float("inf")
for _ in range(rounds):
    started = time.process_time()
    endpoint = {"path": path, "data_selector": "items", "paginator": pages}
    source = rest_api_source({"client": {"base_url": base}, "resources": [{"name": "items", "endpoint": endpoint}]})
    found = sum(1 for _ in source.resources["items"])
    best = min(best, time.process_time() - started)
print(json.dumps([found, best]))
"""


def with_dlt(url: str, folder: Path) -> float:
    """Processor seconds that dlt takes to yield the same records, the best of several rounds."""
    place = folder / "dlt"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "dlt"], check=True)
    done = subprocess.run([python, "-c", DLT, url, str(ROUNDS)], check=True, capture_output=True, text=True, cwd=folder)
    found, seconds = json.loads(done.stdout.splitlines()[-1])
    if found != PAGES * 250:
        raise AssertionError(f"{found} records")
    return float(seconds)


def _row(name: str, mine: float, other: str, theirs: float, bound: str) -> Row:
    times = f"{mine / theirs:.2f}x of its time" if mine > theirs else f"{theirs / mine:.2f} times as fast"
    shown = (f"{PAGES / seconds:.0f} pages a CPU second" for seconds in (mine, theirs))
    return name, next(shown), f"{other}: {next(shown)}", f"{times}{'; ' if bound else ''}{bound}"
