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
from inventory_sources.errors import FetchError
from inventory_sources.rest import PageNumber, RestConnector, RestSession
from inventory_sources.testing import fetch_context
from inventory_sources.testing.servers import Drip, Framing, Response, ScriptedHttpServer

PAGES = 300
ROUNDS = 5
IN_FLIGHT = (1, 4, 16)
LOOPBACK = ("127.0.0.0/8",)
DEADLINE = 1.0

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
            yielded, flattened = with_dlt(url, folder)
            yield _row("REST list", whole, "dlt, as it came", yielded, "")
            yield _row("REST list", whole, "dlt, flattened", flattened, "at least 3 times as fast")
    yield from deadlines(folder)


DRIPS = {
    "head": Response(b"{}", drip=Drip(size=1, interval=0.05, head=True)),
    "body": Response(b"x" * 100_000, drip=Drip(size=1, interval=0.05)),
    "chunks": Response(b"x", framing=Framing.CHUNKED, endless=True, drip=Drip(size=1, interval=0.05)),
    "redirects": Response(b"", 302, {"Location": "/"}, drip=Drip(size=1, interval=0.02, head=True)),
    "busy": Response(status=503, headers={"Retry-After": "0"}, drip=Drip(size=5, interval=0.02, head=True)),
}


def deadlines(folder: Path) -> Iterator[Row]:
    """How long a fetch takes from a server that drips, where its deadline is a second."""
    limits = HttpLimits(deadline=DEADLINE, max_redirects=3)
    for name, drip in DRIPS.items():
        with ScriptedHttpServer([drip]) as server:
            connector = RestConnector(server.url, records="", limits=limits, allow_private=LOOPBACK)
            started = time.perf_counter()
            try:
                list(connector.fetch(fetch_context(folder)))
            except FetchError as error:
                shown = f"{time.perf_counter() - started:.2f} s, {type(error).__name__}"
                yield f"REST drip of {name}", shown, f"deadline {DEADLINE:g} s", "at most 1 s later"


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
import json, os, sys, time
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
import dlt
from dlt.sources.rest_api import rest_api_source
url, rounds = sys.argv[1], int(sys.argv[2])
base, _, path = url.rpartition("/")
pages = {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": "pages"}
endpoint = {"path": path, "data_selector": "items", "paginator": pages}
def source():
    return rest_api_source({"client": {"base_url": base}, "resources": [{"name": "items", "endpoint": endpoint}]})
def yielded():
    return sum(1 for _ in source().resources["items"])
def flattened():
    pipeline = dlt.pipeline("bench", destination="dummy", pipelines_dir="pipelines", dataset_name="bench")
    pipeline.drop()
    pipeline.extract(source())
    pipeline.normalize()
    return pipeline.last_trace.last_normalize_info.row_counts["items"]
def best(side):
    times = []
    for _ in range(rounds):
        started = time.process_time()
        found = side()
        times.append(time.process_time() - started)
    return found, min(times)
print(json.dumps([best(yielded), best(flattened)]))
"""


def with_dlt(url: str, folder: Path) -> tuple[float, float]:
    """Processor seconds that dlt takes to yield the same records, and to have them flat; the best of several rounds."""
    place = folder / "dlt"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "dlt"], check=True, stderr=subprocess.DEVNULL)
    done = subprocess.run([python, "-c", DLT, url, str(ROUNDS)], check=True, stdout=subprocess.PIPE, cwd=folder)
    (found, yielded), (rows, flattened) = json.loads(done.stdout.splitlines()[-1])
    if not found == rows == PAGES * 250:
        raise AssertionError(f"{found} and {rows} records")
    return yielded, flattened


def _row(name: str, mine: float, other: str, theirs: float, bound: str) -> Row:
    times = f"{mine / theirs:.2f}x of its time" if mine > theirs else f"{theirs / mine:.2f} times as fast"
    shown = (f"{PAGES / seconds:.0f} pages a CPU second" for seconds in (mine, theirs))
    return name, next(shown), f"{other}: {next(shown)}", f"{times}{'; ' if bound else ''}{bound}"
