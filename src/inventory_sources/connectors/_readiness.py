"""Whether a file is whole, by what its sender does to show it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from inventory_sources.connectors._inbox import shown
from inventory_sources.connectors._looks import CHUNK_BYTES, Look
from inventory_sources.connectors._remembered import PickUpCursor, PickUpMemo, version
from inventory_sources.errors import FetchError, InputIncomplete, Recovery, SourceMissing, Truncated
from inventory_sources.payload import Payload, Proof

if TYPE_CHECKING:
    from inventory_sources.connectors._choosing import Candidate
    from inventory_sources.connectors._inbox import Inbox
    from inventory_sources.connectors._pick_up import PickUp
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["Sidecar", "judged", "look_again", "prove", "released", "sidecar_of"]

_DIGESTS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_DIGEST_LINE = re.compile(r"([0-9A-Fa-f]+)(?:[ \t]+\*?(.+))?")
_SIDECAR_BYTES = 64 * 1024
#: Times of one file in a listing and in a look may be told with different precision.
_PRECISION = timedelta(seconds=1)


@frozen
class Sidecar:
    """The marker, or the digest's file, that came with a file.

    :param sha256: of its own bytes.
    :param digest: in hex, that the file must have.
    """

    name: str
    look: Look
    sha256: str
    digest: str | None = None

    @property
    def version(self) -> str:
        """Changes with the sidecar."""
        return version(self.look, self.name)


def look_again(inbox: Inbox, candidate: Candidate) -> Look:
    """How a file looks just before it is copied.

    :raises InputIncomplete: when it changed since it was listed.
    """
    now, listed = inbox.file(candidate.name).look(), candidate.look
    moved = now.modified and listed.modified and abs(now.modified - listed.modified) >= _PRECISION
    if moved or now.size != listed.size:
        raise InputIncomplete(f"{inbox.file(candidate.name).origin} changed since it was listed")
    return now


def judged(candidates: Iterable[Candidate], pick_up: PickUp, context: FetchContext) -> None:
    """Notes since when each file that waits looks as it does, for the next fetch to compare."""
    if pick_up.looks_apart is None:
        return
    before, now = PickUpMemo.read(context.memo).seen, context.started_at
    seen = {}
    for file in candidates:
        known, since = before.get(file.name, ("", now))
        seen[file.name] = (file.version, since if known == file.version else now)
    context.note(str(PickUpMemo(seen)))


def released(
    inbox: Inbox, candidate: Candidate, now: Look, pick_up: PickUp, cursor: PickUpCursor, context: FetchContext
) -> Sidecar | None:
    """What shows that the file is whole and may be copied, where that is a file of its own.

    :param now: how the file looks.
    :raises InputIncomplete: when nothing shows it yet.
    """
    origin = inbox.file(candidate.name).origin
    if pick_up.looks_apart is not None:
        known, since = PickUpMemo.read(context.memo).seen.get(candidate.name, ("", context.started_at))
        if known != candidate.version or context.started_at - since < pick_up.looks_apart:
            raise _not_ready(f"{origin} has not looked the same for {pick_up.looks_apart} yet")
    name = pick_up.sidecar(candidate.name)
    if name is None:
        return None
    try:
        sidecar, data = _sidecar(inbox, name)
    except (SourceMissing, Truncated):  # or it is written just now
        raise _not_ready(f"{origin} waits for {shown(name)}") from None
    if pick_up.checksum:
        return evolve(sidecar, digest=_digest(data, inbox.file(name).origin, candidate.name))
    # Of a file that is overwritten some filesystems show for a while that it is empty and not yet that it has changed.
    if not now.size:
        raise _not_ready(f"{origin} is empty, although {shown(name)} is there")
    _must_be_newer(sidecar, now, origin)
    applied_before = candidate.name in cursor.files and cursor.files[candidate.name].version == candidate.version
    if not applied_before and any(file.marker == sidecar.version for file in cursor.files.values()):
        raise _not_ready(f"{origin} waits: {shown(name)} is still that of an earlier upload")
    return sidecar


def sidecar_of(inbox: Inbox, name: str, pick_up: PickUp) -> Sidecar | None:
    """What belongs to a file that was used before and is still there, where it is of that file alone."""
    sidecar = pick_up.sidecar(name)
    if sidecar is None or sidecar == pick_up.marker:
        return None
    with suppress(SourceMissing):
        return _sidecar(inbox, sidecar)[0]
    return None


def prove(payload: Payload, pick_up: PickUp, sidecar: Sidecar | None) -> Payload:
    """The copied file with what shows it to be whole.

    :raises InputIncomplete: when it has another digest than its sender says.
    """
    if sidecar and sidecar.digest:
        if _digest_of(payload, _DIGESTS[len(sidecar.digest)]) != sidecar.digest:
            raise _not_ready(f"{payload.origin} has another digest than {shown(sidecar.name)} says")
        return _proven(payload, Proof.CHECKSUM)
    if sidecar:
        return _proven(payload, Proof.MARKER)
    return _proven(payload, Proof.RENAMED) if pick_up.renamed else payload


def _sidecar(inbox: Inbox, name: str) -> tuple[Sidecar, bytes]:
    file = inbox.file(name)
    look, data = file.look(), bytearray()
    for chunk in file.chunks():
        data += chunk
        if len(data) > _SIDECAR_BYTES:
            raise _not_ready(f"{file.origin} is too large for a marker or a digest")
    return Sidecar(name, look, hashlib.sha256(data).hexdigest()), bytes(data)


def _proven(payload: Payload, proof: Proof) -> Payload:
    return evolve(payload, evidence=payload.evidence.with_proof(proof))


def _must_be_newer(marker: Sidecar, file: Look, origin: str) -> None:
    if marker.look.modified is None or file.modified is None:
        raise FetchError(
            f"nothing tells whether {shown(marker.name)} is newer than {origin}",
            recovery=Recovery.STOP,
            guidance="The server tells no times; have the sender rename files, or send their checksums.",
        )
    if marker.look.modified < file.modified:
        raise _not_ready(f"{origin} is newer than its marker {shown(marker.name)}")


def _not_ready(message: str) -> InputIncomplete:
    return InputIncomplete(
        message,
        guidance="It is looked at again shortly; if it stays so, compare pick_up with what the sender does.",
    )


def _digest(data: bytes, origin: str, name: str) -> str:
    """As ``sha256sum`` and its like print it, for one file or several, or alone."""
    lines = [line for line in data.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    for line in lines:
        found = _DIGEST_LINE.fullmatch(line.strip())
        told = found and (found[2] or (name if len(lines) == 1 else ""))
        if found and told and re.split(r"[/\\]", told)[-1] == name and len(found[1]) in _DIGESTS:
            return found[1].lower()
    raise InputIncomplete(
        f"{origin} tells no digest of {shown(name)}",
        guidance="It must hold the digest alone, or lines as sha256sum prints them. It is read again shortly.",
    )


def _digest_of(payload: Payload, algorithm: str) -> str:
    if algorithm == "sha256" and payload.sha256:
        return payload.sha256
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with payload.open() as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
