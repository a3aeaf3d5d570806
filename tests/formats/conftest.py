"""What the tests of the decoders read with."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from inventory_sources.batch import RawBatch
from inventory_sources.errors import HeadingInvalid
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext

WHOLE = Evidence(frozenset({Proof.LENGTH}))


class Reading:
    """Everything that one decoding of some bytes gave."""

    def __init__(self, decoder, data, context):
        self.context = context
        self.batches: list[RawBatch] = list(decoder.decode(Payload("stock", data, evidence=context.evidence), context))

    @property
    def rows(self):
        """Each readable row: its number and its cells."""
        return [(place.number, tuple(row.values())) for batch in self.batches for place, row in batch.records()]

    @property
    def damaged(self):
        """Each damaged row: its number and why."""
        return [(r.place.number, r.reason) for batch in self.batches for r in batch.damaged.kept]

    @property
    def cells(self):
        """The complete cells of each readable row, read again."""
        return {number: batch.cells(number) for batch in self.batches for number in batch.numbers}


def needing(*names: str):
    """Selects these columns and refuses an input without them."""

    def select(headings: Sequence[str]) -> Sequence[str]:
        if missing := [name for name in names if name not in headings]:
            raise HeadingInvalid(f"there is no column {missing[0]!r}")
        return names

    return select


@pytest.fixture
def read():
    def reading(decoder, data, *columns, evidence=WHOLE, **options):
        if columns:
            options["select"] = needing(*columns)
        return Reading(decoder, data, DecodeContext(evidence=evidence, **options))

    return reading
