"""Files of so many rows in each format, as common programs write them, streamed so that writing takes no memory."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO

from tests.formats.workbooks import MAIN, SPACES, record, xls_of, xlsx_parts

COLUMNS = ("sku", "name", "quantity", "location", "price", "updated_at")
_CALC = 'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"

Row = tuple[str, str, int, str, float, str]


def rows(count: int) -> Iterator[Row]:
    """The rows: text, text, a whole number, text, a price and a time."""
    for at in range(count):
        yield f"SKU-{at:07}", f"Item {at % 1000}", at * 7 % 1000, f"WH{at % 5}", at % 997 / 100, "2026-03-02T11:00:00Z"


def _lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


def _csv(path: Path, count: int) -> None:
    _lines(path, chain([",".join(COLUMNS) + "\n"], (",".join(map(str, row)) + "\n" for row in rows(count))))


def _json_lines(path: Path, count: int) -> None:
    _lines(path, (json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows(count)))


def _json(path: Path, count: int) -> None:
    objects = (json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows(count))
    _lines(path, chain(['{"items": [', next(objects)], (",\n" + text for text in objects), ["]}\n"]))


def _xml(path: Path, count: int) -> None:
    def element(row: Row) -> str:
        cells = "".join(f"    <{name}>{cell}</{name}>\n" for name, cell in zip(COLUMNS, row, strict=True))
        return f"  <item>\n{cells}  </item>\n"

    _lines(path, chain(['<?xml version="1.0"?>\n<stock>\n'], map(element, rows(count)), ["</stock>\n"]))


def _ubl(path: Path, count: int) -> None:
    def line(row: Row) -> str:
        sku, name, quantity, place, *_ = row
        item = f"<cbc:Name>{name}</cbc:Name><cac:SellersItemIdentification><cbc:ID>{sku}</cbc:ID>"
        return (
            f'<cac:InventoryReportLine><cbc:ID>1</cbc:ID><cbc:Quantity unitCode="C62">{quantity}</cbc:Quantity>'
            f"<cac:Item>{item}</cac:SellersItemIdentification></cac:Item>"
            f"<cac:InventoryLocation><cbc:ID>{place}</cbc:ID></cac:InventoryLocation></cac:InventoryReportLine>\n"
        )

    parts = f'xmlns:cac="{_UBL}CommonAggregateComponents-2" xmlns:cbc="{_UBL}CommonBasicComponents-2"'
    head = f'<InventoryReport xmlns="{_UBL}InventoryReport-2" {parts}>\n<cbc:IssueDate>2026-03-02</cbc:IssueDate>\n'
    _lines(path, chain([head], map(line, rows(count)), ["</InventoryReport>\n"]))


def _parts(path: Path, parts: dict[str, Iterable[str]]) -> None:
    """A zip file whose parts are written piece by piece."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, pieces in parts.items():
            with archive.open(name, "w", force_zip64=False) as part:
                _pour(part, pieces)


def _pour(part: IO[bytes], pieces: Iterable[str]) -> None:
    left = iter(pieces)
    while some := "".join(islice(left, 5000)):
        part.write(some.encode())


def _xlsx(path: Path, count: int) -> None:
    """As Excel writes it: texts are shared."""
    fixed = ["WH0", "WH1", "WH2", "WH3", "WH4", "2026-03-02T11:00:00Z", *COLUMNS, *(f"Item {n}" for n in range(1000))]
    at = {text: number for number, text in enumerate(fixed)}

    def row(number: int, cells: Iterable[object]) -> str:
        texts = (
            f'<c r="{letter}{number}" t="s"><v>{at.get(cell, len(fixed) + number - 2)}</v></c>'
            if isinstance(cell, str)
            else f'<c r="{letter}{number}"><v>{cell}</v></c>'
            for letter, cell in zip("ABCDEF", cells, strict=True)
        )
        return f'<row r="{number}" spans="1:6">{"".join(texts)}</row>'

    sheet = chain(
        [f'<worksheet xmlns="{MAIN}"><dimension ref="A1:F{count + 1}"/><sheetData>', row(1, COLUMNS)],
        (row(number, cells) for number, cells in enumerate(rows(count), 2)),
        ["</sheetData></worksheet>"],
    )
    shared = chain(fixed, (cells[0] for cells in rows(count)))
    texts = chain([f'<sst xmlns="{MAIN}">'], (f"<si><t>{text}</t></si>" for text in shared), ["</sst>"])
    small = {name: [str(text)] for name, text in xlsx_parts({"Stock": ""}).items()}
    _parts(path, {**small, "xl/sharedStrings.xml": texts, "xl/worksheets/s1.xml": sheet})


def _ods(path: Path, count: int) -> None:
    """As LibreOffice writes it: each cell's kind stands twice."""

    def cell(value: object) -> str:
        kind = "string" if isinstance(value, str) else "float"
        own = "" if isinstance(value, str) else f' office:value="{value}"'
        return (
            f'<table:table-cell office:value-type="{kind}"{own} calcext:value-type="{kind}">'
            f"<text:p>{value}</text:p></table:table-cell>"
        )

    def row(cells: Iterable[object]) -> str:
        return f'<table:table-row table:style-name="ro1">{"".join(map(cell, cells))}</table:table-row>'

    head = (
        f'<office:document-content {SPACES} {_CALC}><office:body><office:spreadsheet><table:table table:name="Stock">'
    )
    tail = "</table:table></office:spreadsheet></office:body></office:document-content>"
    kind = ["application/vnd.oasis.opendocument.spreadsheet"]
    content = chain([head], map(row, chain([COLUMNS], rows(count))), [tail])
    _parts(path, {"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": ["<manifest/>"]})


def _xls(path: Path, count: int) -> None:
    """As Excel writes it: texts are shared, small numbers packed; 65,536 rows and no more."""
    texts: dict[str, int] = {}
    body = bytearray()
    for at, cells in enumerate(islice(chain([COLUMNS], rows(count)), 65_536)):
        for column, cell in enumerate(cells):
            place = struct.pack("<HHH", at, column, 0)
            if isinstance(cell, str):
                body += record(0x00FD, place + struct.pack("<I", texts.setdefault(cell, len(texts))))
            elif isinstance(cell, int):
                body += record(0x027E, place + struct.pack("<I", cell << 2 | 2))
            else:
                body += record(0x0203, place + struct.pack("<d", cell))
    pieces, piece = [], struct.pack("<II", len(texts), len(texts))
    for text in texts:
        if len(piece) > 8000:
            pieces.append(piece)
            piece = b""
        piece += struct.pack("<HB", len(text), 0) + text.encode()
    shared = b"".join(record(0x003C if at else 0x00FC, data) for at, data in enumerate([*pieces, piece]))
    path.write_bytes(xls_of(bytes(body), shared=shared))


def _x12(path: Path, count: int) -> None:
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'SENDER':15}*ZZ*{'RECEIVER':15}*260302*1200*^*00501*000000905*0*P*:~\n"
    head = f"{isa}GS*IB*S*R*20260302*1200*7*X*005010~\nST*846*0001~\nBIA*00*DD*R1*20260302*1200~\nN1*WH*Main*92*W1~\n"
    items = (
        f"LIN*{at}*VP*{sku}~\nPID*F****{name}~\nQTY*33*{quantity}*EA~\n"
        for at, (sku, name, quantity, *_) in enumerate(rows(count), 1)
    )
    _lines(path, chain([head], items, [f"SE*{3 * count + 4}*0001~\nGE*1*7~\nIEA*1*000000905~\n"]))


def _edifact(path: Path, count: int) -> None:
    head = "UNB+UNOC:3+S:14+R:14+260302:1200+REF905'\nUNH+M1+INVRPT:D:96A:UN:EAN004'\nBGM+35+INV1+9'\n"
    items = (
        f"LIN+{at}++{sku}:SRV'\nIMD+F++:::{name}'\nQTY+145:{quantity}:PCE'\nLOC+18+{place}'\n"
        for at, (sku, name, quantity, place, *_) in enumerate(rows(count), 1)
    )
    _lines(path, chain([head], items, [f"UNT+{4 * count + 3}+M1'\nUNZ+1+REF905'\n"]))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "csv": _csv,
    "jsonl": _json_lines,
    "json": _json,
    "xml": _xml,
    "ubl": _ubl,
    "xls": _xls,
    "ods": _ods,
    "xlsx": _xlsx,
    "x12": _x12,
    "edifact": _edifact,
}
