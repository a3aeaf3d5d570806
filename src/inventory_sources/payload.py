"""What a connector hands over: bytes with where they came from, when they were observed and what proves them whole."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from attrs import Factory, field, frozen

__all__ = ["Evidence", "Payload", "Proof"]


class Proof(Enum):
    """A fact that shows an input to be whole. ``STABLE`` alone is a heuristic: it does not prove the end."""

    LENGTH = "length"
    CHUNKED_END = "chunked_end"
    TRAILER = "trailer"
    COUNT = "count"
    LAST_PAGE = "last_page"
    CHECKSUM = "checksum"
    MARKER = "marker"
    RENAMED = "renamed"
    STABLE = "stable"


@frozen
class Evidence:
    """What is known about an input's completeness.

    :param proofs: the facts that hold.
    :param declared_records: the number of records that the input or its carrier declares, checked after decoding.
    """

    proofs: frozenset[Proof] = frozenset()
    declared_records: int | None = None

    @property
    def proves_end(self) -> bool:
        """Whether the end of the input is proven, so that an absent SKU may mean something."""
        return bool(self.proofs - {Proof.STABLE})

    def with_proof(self, *proofs: Proof) -> Evidence:
        """The same with more proofs."""
        return Evidence(self.proofs | frozenset(proofs), self.declared_records)

    @classmethod
    def all_of(cls, parts: Iterable[Evidence]) -> Evidence:
        """For several parts together: all of it where each part proves its end, else what holds for each."""
        found = list(parts)
        if not found:
            return cls()
        combine = frozenset.union if all(part.proves_end for part in found) else frozenset.intersection
        return cls(combine(*(part.proofs for part in found)))

    def __str__(self) -> str:
        return ", ".join(sorted(proof.value for proof in self.proofs)) or "none"


@frozen
class Payload:
    """One input, complete on this machine.

    :param origin: where it came from, safe to show: a path or a URL without credentials or query.
    :param body: the bytes themselves, or the spooled file that holds them (owned by the run, removed after it).
    :param as_of: when its content was observed (aware), if the carrier says so (modification time, header).
    :param media_type: as declared by the carrier, such as ``text/csv; charset=utf-8``.
    :param size: in bytes.
    :param sha256: of the bytes, in hex, where it was computed on the way.
    :param delivery: the id of the delivery that brought it: when it cannot be read, it alone is set aside.
    """

    origin: str
    body: bytes | Path = field(repr=False)
    as_of: datetime | None = None
    evidence: Evidence = Factory(Evidence)
    media_type: str | None = None
    size: int | None = None
    sha256: str | None = None
    delivery: str | None = None

    def open(self) -> BinaryIO:
        """A new binary stream at the first byte."""
        return io.BytesIO(self.body) if isinstance(self.body, bytes) else self.body.open("rb")
