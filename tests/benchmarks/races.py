"""Half files: how many each way of knowing that a file is whole lets through, against a sender that pauses.

The sender overwrites the file again and again, in writes of 7 to 5,000 bytes, and at every fifth pauses for up to 40
looks or reads of the poller (a fetch takes about six). So the figures say how the ways compare, not how often a sender
of one's own would be met.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from attrs import frozen

from inventory_sources.connectors import FileConnector, PickUp
from inventory_sources.payload import Payload
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.spool import spool
from tests.connectors.races import RacedFile, Races, raced
from tests.connectors.upload_writer import NAME, Sender

POLLS = 1000


@frozen(kw_only=True)
class _Blind(RacedFile):
    """Reads what is there and looks at nothing."""

    def fetch(self, context: FetchContext) -> Iterator[Payload]:
        copied = spool(self.file(self.kept, self.path).chunks(), context, origin=self.path, max_bytes=self.max_bytes)
        yield Payload(self.path, copied.path, size=copied.size, sha256=copied.sha256)


#: What is declared, and how the sender uploads.
WAYS: dict[str, tuple[PickUp, str]] = {
    "no look": (PickUp(), "bare"),
    "looks around the copy": (PickUp(), "bare"),
    "looks at two fetches": (PickUp(looks_apart=timedelta(microseconds=1)), "bare"),
    "marker": (PickUp(marker="{name}.done"), "retouched"),
    "renamed": (PickUp(renamed=True), "renamed"),
    "checksum": (PickUp(checksum="{name}.sha256"), "summed"),
}


def measure(folder: Path, way: str) -> Races:
    """What came of a thousand polls."""
    pick_up, sent = WAYS[way]
    place = folder / sent / way.replace(" ", "-")
    served, spooled = place / "served", place / "spool"
    served.mkdir(parents=True)
    spooled.mkdir()
    with (
        Sender(served, sent, seed=1, pauses=40, own_clock=way == "marker") as sender,
        raced(FileConnector(served / NAME, pick_up=pick_up), sender, spooled) as connector,
    ):
        races = Races(_blind(connector) if way == "no look" else connector, sender, spooled)
        for _ in range(POLLS):
            races.poll()
            if races.polls % 10 == 0:
                sender.let_end()
    return races


def _blind(connector: RacedFile) -> _Blind:
    return _Blind(connector.path, sender=connector.sender, kept=connector.kept)
