"""A held intake as bytes: what a person approves is applied as it was looked at, without fetching again."""

from __future__ import annotations

import io
import json
import struct
from datetime import datetime
from decimal import Decimal
from typing import Any

from inventory_sources.batch import Place, Rejection, RejectionKind, RejectionLog, StockBatch, batch_schema
from inventory_sources.engine._intake import Intake
from inventory_sources.errors import RecordInvalid
from inventory_sources.payload import Evidence, Proof

__all__ = ["held_deliveries", "pack_intake", "unpack_intake"]

_MAGIC = b"ISH3"
_LENGTHS = struct.Struct(">III")


def pack_intake(intake: Intake) -> bytes:
    """Frames in polars IPC behind a JSON head; what is absent can only be judged again with the rejected rows."""
    head = json.dumps(_head(intake)).encode()
    frames = [_ipc(intake.batch.frame), _ipc(_mentioned(intake.batch))]
    return b"".join([_MAGIC, _LENGTHS.pack(len(head), len(frames[0]), len(frames[1])), head, *frames])


def unpack_intake(data: bytes) -> Intake:
    """The intake again.

    :raises RecordInvalid: when the bytes are not of this format.
    """
    import polars as pl

    head, body, frame_size = _opened(data)
    counts = {RejectionKind(kind): count for kind, count in head["rejected"].items()}
    rejections = RejectionLog(counts=counts, kept=[_rejection(*row) for row in head["rows_rejected"]])
    batch = StockBatch(
        pl.read_ipc(io.BytesIO(data[body : body + frame_size])),
        rejections,
        mentioned=pl.read_ipc(io.BytesIO(data[body + frame_size :])),
        unidentified=head["unidentified"],
        superseded=head["superseded"],
        mapped_rows=head["mapped_rows"],
        origins=tuple((origin, unit) for origin, unit in head["origins"]),
    )
    return Intake(
        batch,
        head["rows"],
        Evidence(frozenset(Proof(proof) for proof in head["proofs"])),
        tuple(_moment(text) for text in head["input_as_of"]),
        datetime.fromisoformat(head["started_at"]),
        head["cursor"],
        deliveries=tuple(head["deliveries"]),
        covered=tuple(head["covered"]),
        partial=head["partial"],
        yielding=tuple(head.get("yielding", ())),
    )


def held_deliveries(data: bytes) -> tuple[str, ...]:
    """The deliveries that a held intake carries or stands for; raises as :func:`unpack_intake`."""
    head = _opened(data)[0]
    return (*head["deliveries"], *head["covered"])


def _opened(data: bytes) -> tuple[dict[str, Any], int, int]:
    """The head, where the first frame begins, and its size."""
    start = len(_MAGIC) + _LENGTHS.size
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        raise RecordInvalid("the held plan was written by other code")
    head_size, frame_size, _ = _LENGTHS.unpack(data[len(_MAGIC) : start])
    body = start + head_size
    return json.loads(data[start:body]), body, frame_size


def _head(intake: Intake) -> dict[str, object]:
    batch = intake.batch
    return {
        "rows": intake.rows,
        "rejected": {kind.value: count for kind, count in batch.rejections.counts.items()},
        "rows_rejected": [_row(rejection) for rejection in batch.rejections.kept],
        "unidentified": batch.unidentified,
        "superseded": batch.superseded,
        "mapped_rows": batch.mapped_rows,
        "origins": batch.origins,
        "proofs": sorted(proof.value for proof in intake.evidence.proofs),
        "input_as_of": [moment.isoformat() if moment else None for moment in intake.input_as_of],
        "started_at": intake.started_at.isoformat(),
        "cursor": intake.cursor,
        "deliveries": intake.deliveries,
        "covered": intake.covered,
        "partial": intake.partial,
        "yielding": intake.yielding,
    }


def _row(rejection: Rejection) -> list[object]:
    place, quantity = rejection.place, rejection.quantity
    return [
        rejection.kind.value,
        *(rejection.reason, rejection.message, rejection.guidance),
        [place.origin, place.number, place.unit],
        dict(rejection.cells),
        *(rejection.sku, rejection.location),
        None if quantity is None else str(quantity),
    ]


def _rejection(kind: str, reason: str, message: str, guidance: str, place: list[Any], *rest: Any) -> Rejection:
    cells, sku, location, quantity = rest
    exact = None if quantity is None else Decimal(quantity)
    return Rejection(RejectionKind(kind), reason, message, guidance, Place(*place), cells, sku, location, exact)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _mentioned(batch: StockBatch) -> object:
    import polars as pl

    if batch.mentioned is not None:
        return batch.mentioned
    schema = batch_schema()
    return pl.DataFrame(schema={"sku": schema["sku"], "location": schema["location"]})


def _ipc(frame: object) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")  # type: ignore[attr-defined]
    return buffer.getvalue()
