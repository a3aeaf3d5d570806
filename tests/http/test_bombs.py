"""A small answer that stands for a large one is refused in little memory."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import zlib

import pytest

from inventory_sources.testing.servers import Framing, Response, ScriptedHttpServer

MIB = 1024**2


def zeros(engine: zlib._Compress, size: int) -> bytes:
    parts = [engine.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join([*parts, engine.flush()])


def just_below_the_ratio() -> bytes:
    """Decodes to 199 times its size throughout, so that only the cap on size ends it."""
    block = gzip.compress(random.Random(7).randbytes(400) + bytes(MIB // 8), mtime=0)
    return block * 2500


BOMBS = {
    "gzip": lambda: ("gzip", zeros(zlib.compressobj(9, wbits=31), 512 * MIB)),
    "zlib": lambda: ("deflate", zeros(zlib.compressobj(9), 512 * MIB)),
    "bare deflate": lambda: ("deflate", zeros(zlib.compressobj(9, wbits=-15), 512 * MIB)),
    "many members": lambda: ("gzip", gzip.compress(bytes(MIB), 9) * 512),
    "empty members": lambda: ("gzip", gzip.compress(b"") * 200_000),
    "just below the ratio": lambda: ("gzip", just_below_the_ratio()),
    "not compressed": lambda: ("identity", bytes(200 * MIB)),
}

ASK = """
import pathlib, sys, tempfile
from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience
from inventory_sources.errors import FetchError
from inventory_sources.rest import RestSession
from inventory_sources.testing import fetch_context
import inventory_sources._http._wire
url, way = sys.argv[1:]
def peak():
    # Of this process alone: getrusage may count its parent's.
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
with tempfile.TemporaryDirectory() as folder:
    context, limits = fetch_context(pathlib.Path(folder)), HttpLimits(max_decoded_bytes=256 << 20)
    dialling = Dialling(allow_private=("127.0.0.0/8",))
    with HttpClient(limits, patience(limits, context.clock, context), dialling) as client:
        session, before = RestSession(client, context), peak()
        try:
            getattr(session, way)(HttpRequest(url))
        except FetchError as error:
            print(type(error).__name__, peak() - before)
        else:
            print("taken", peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("way", ["send", "download"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_takes_little_memory(bomb: str, way: str) -> None:
    coding, body = BOMBS[bomb]()
    answer = Response(body, headers={"Content-Encoding": coding}, framing=Framing.CHUNKED)
    with ScriptedHttpServer([answer]) as server:
        done = subprocess.run(
            [sys.executable, "-c", ASK, server.url, way], capture_output=True, text=True, check=True, env=os.environ
        )
    outcome, kib = done.stdout.split()
    harmless = bomb == "empty members" or (way == "download" and bomb == "not compressed")
    assert outcome == ("taken" if harmless else "InputTooLarge"), done.stderr
    assert int(kib) < 64 << 10
