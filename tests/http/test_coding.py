"""What is decoded is what was encoded, however it is cut into pieces."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Iterator

import pytest

from inventory_sources._http._coding import decoded
from inventory_sources.errors import FetchError

SIZES = [0, 1, 400, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 200_000]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def some(size: int, seed: int) -> bytes:
    """Half of it random, half of it not."""
    return random.Random(seed).randbytes(size // 2) + bytes(size - size // 2)


@pytest.mark.parametrize("step", [1000, 64 * 1024, 10**9])
@pytest.mark.parametrize("size", SIZES)
def test_gzip_members_one_behind_the_other(size: int, step: int) -> None:
    members = [some(size, 1), b"", some(300, 2), some(size, 3)]
    coded = b"".join(map(gzip.compress, members))
    assert b"".join(decoded(pieces(coded, step), "gzip", max_ratio=1e9, origin="x")) == b"".join(members)


@pytest.mark.parametrize("step", [1, 1000, 10**9])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", [15, -15])
def test_deflate(size: int, step: int, bits: int) -> None:
    body = some(size, 4)
    engine = zlib.compressobj(wbits=bits)
    coded = engine.compress(body) + engine.flush()
    assert b"".join(decoded(pieces(coded, step), "deflate", max_ratio=1e9, origin="x")) == body


def test_pieces_are_bounded() -> None:
    coded = gzip.compress(bytes(10 * 1024**2)) * 2
    sizes = [len(piece) for piece in decoded(iter([coded]), "gzip", max_ratio=1e9, origin="x")]
    assert (max(sizes), sum(sizes)) == (64 * 1024, 20 * 1024**2)


@pytest.mark.parametrize("step", [10, 10**9])
def test_bytes_behind_the_end_of_deflate_are_damage(step: int) -> None:
    coded = zlib.compress(bytes(200_000)) + b"x"
    with pytest.raises(FetchError, match="damaged"):
        list(decoded(pieces(coded, step), "deflate", max_ratio=1e9, origin="x"))
