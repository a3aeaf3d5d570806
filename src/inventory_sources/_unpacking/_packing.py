"""What a packed file is packed with, by its first bytes."""

from __future__ import annotations

from enum import Enum

from inventory_sources.errors import StructureInvalid

__all__ = ["ZSTD_FRAME", "Compression", "archive_kind", "begins", "check_packing"]


class Compression(Enum):
    """What a file is packed with."""

    GZIP = "gzip"
    BZ2 = "bz2"
    ZSTD = "zstd"
    ZIP = "zip"


#: RFC 8878, section 3.1: a frame of content, and those to be skipped.
ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
_ZSTD = (ZSTD_FRAME, *(bytes([0x50 + low]) + b"\x2a\x4d\x18" for low in range(16)))
_MAGICS: dict[Compression, tuple[bytes, ...]] = {
    Compression.GZIP: (b"\x1f\x8b\x08",),
    Compression.BZ2: tuple(b"BZh%d" % level for level in range(1, 10)),
    Compression.ZSTD: _ZSTD,
    Compression.ZIP: (b"PK\3\4", b"PK\5\6"),
}
_OTHERS = {
    "xz": b"\xfd7zXZ\0",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "RAR": b"Rar!\x1a\7",
    "lz4": b"\x04\x22\x4d\x18",
    "compress": b"\x1f\x9d",
    "PDF": b"%PDF-",
}
#: What the first file in a workbook is called: XLSX and ODS are zip files, which their decoder reads with caps.
_WORKBOOK = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/", b"mimetype", b"META-INF/", b"content.xml")
_ZIP_NAME_AT = 30
_BZ2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
_TAR_AT = 257


def begins(head: bytes, compression: Compression) -> bool | None:
    """Whether this is the beginning of such a file; ``None`` where it is too short to tell."""
    magics = _MAGICS[compression]
    if head.startswith(magics):
        return True
    return None if any(magic.startswith(head) for magic in magics) else False


def archive_kind(head: bytes) -> str | None:
    """The kind of archive that the first 300 bytes show; ``None`` for a workbook and for all else."""
    if head.startswith(b"PK\3\4"):
        return None if head.startswith(_WORKBOOK, _ZIP_NAME_AT) else "zip"
    if head.startswith(b"BZh"):  # which a SKU may begin with
        return "bz2" if head.startswith(_BZ2_BLOCKS, 4) else None
    for compression, magics in _MAGICS.items():
        if head.startswith(magics):
            return compression.value
    if head.startswith(b"ustar", _TAR_AT):
        return "tar"
    return next((kind for kind, magic in _OTHERS.items() if head.startswith(magic) and kind != "PDF"), None)


def check_packing(head: bytes, compression: Compression, origin: str) -> bool:
    """Whether a file has at least begun; too few bytes have not.

    :raises StructureInvalid: when it is another file than the declared one.
    """
    found = begins(head, compression)
    if found is False:
        raise StructureInvalid(
            f"{origin} is no {compression.value} file: it looks like {_looks_like(head)}",
            guidance="Declare what the file is packed with, or no `unpack` for one that is not packed.",
        )
    return bool(found)


def _looks_like(head: bytes) -> str:
    kind = archive_kind(head)
    if kind:
        return kind
    if head.startswith(b"PK\3\4"):
        return "a workbook (XLSX or ODS)"
    if head.startswith(b"%PDF-"):
        return "a PDF"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return "plain text" if _is_text(head) else "something else"


def _is_text(head: bytes) -> bool:
    return not any(byte < 32 and byte not in b"\t\r\n\f\x1a" for byte in head)
