"""Workbooks made by hand, byte for byte, so that a test knows what is in them and can put in what no program writes."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def letters(column: int) -> str:
    """The letters of a column, from 1 on."""
    return chr(64 + column) if column <= 26 else letters((column - 1) // 26) + chr(65 + (column - 1) % 26)


def zipped(parts: Mapping[str, str | bytes], *, stored: Iterable[str] = ()) -> bytes:
    """A zip file of these parts."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED)
    return target.getvalue()


def cell(place: str, value: object) -> str:
    """A cell as XLSX writes it; raw XML is given as bytes."""
    if isinstance(value, bytes):
        return value.decode().replace("PLACE", place)
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    return "" if value is None else f'<c r="{place}"><v>{value!r}</v></c>'


def sheet_xml(rows: Iterable[Iterable[object]], *, first: int = 1) -> str:
    """A worksheet of these rows."""
    body = "".join(
        f'<row r="{number}">{"".join(cell(f"{letters(at)}{number}", value) for at, value in enumerate(row, 1))}</row>'
        for number, row in enumerate(rows, first)
    )
    return f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>'


def xlsx_parts(sheets: Mapping[str, str], *, texts: Iterable[str] = ()) -> dict[str, str | bytes]:
    """The parts of an XLSX workbook with these worksheets."""
    listed = "".join(f'<sheet name={quoteattr(n)} sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1))
    ids = range(1, len(sheets) + 1)
    rels = "".join(f'<Relationship Id="r{i}" Type="{LINKS}/worksheet" Target="worksheets/s{i}.xml"/>' for i in ids)
    rels += f'<Relationship Id="rt" Type="{LINKS}/sharedStrings" Target="sharedStrings.xml"/>'
    office = f'<Relationship Id="r1" Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/>'
    shared = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
    return {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{office}</Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{rels}</Relationships>',
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{shared}</sst>',
        **{f"xl/worksheets/s{i}.xml": xml for i, xml in zip(ids, sheets.values(), strict=True)},
    }


def xlsx(*rows: Iterable[object], first: int = 1) -> bytes:
    """An XLSX workbook of one sheet."""
    return zipped(xlsx_parts({"Stock": sheet_xml(rows, first=first)}))


ODF = "urn:oasis:names:tc:opendocument:xmlns:"
SPACES = " ".join(f'xmlns:{name}="{ODF}{name}:1.0"' for name in ("office", "table", "text"))


def ods_cell(value: object) -> str:
    """A cell as ODS writes it; raw XML is given as bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'
    if value is None:
        return "<table:table-cell/>"
    shown = f"<text:p>{value}</text:p>"
    return f'<table:table-cell office:value-type="float" office:value="{value!r}">{shown}</table:table-cell>'


def ods_row(row: Iterable[object], attributes: str = "") -> str:
    """A row as ODS writes it."""
    return f"<table:table-row{attributes}>{''.join(map(ods_cell, row))}</table:table-row>"


def ods_of(body: str, *, before: str = "") -> bytes:
    """An ODS workbook with this content in its sheet."""
    sheet = f'{before}<table:table table:name="Stock">{body}</table:table>'
    content = f"<office:body><office:spreadsheet>{sheet}</office:spreadsheet></office:body>"
    parts = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "content.xml": f"<office:document-content {SPACES}>{content}</office:document-content>",
        "META-INF/manifest.xml": "<manifest/>",
    }
    return zipped(parts, stored=("mimetype",))


def ods(*rows: Iterable[object], first: int = 1) -> bytes:
    """An ODS workbook of one sheet."""
    above = f'<table:table-row table:number-rows-repeated="{first - 1}"><table:table-cell/></table:table-row>'
    return ods_of((above if first > 1 else "") + "".join(map(ods_row, rows)))


def record(kind: int, content: bytes = b"") -> bytes:
    """A record of an XLS workbook."""
    return struct.pack("<HH", kind, len(content)) + content


def xls_cell(row: int, column: int, value: object) -> bytes:
    """A cell's record, its place from 0 on; a whole record is given as bytes."""
    place = struct.pack("<HHH", row, column, 0)
    if isinstance(value, bytes):
        return record(struct.unpack("<H", value[:2])[0], place + value[2:])
    if isinstance(value, str):
        text = value.encode("utf-16-le")
        return record(0x0204, place + struct.pack("<HB", len(text) // 2, 1) + text)
    return b"" if value is None else record(0x0203, place + struct.pack("<d", value))


def xls_of(body: bytes, *, shared: bytes = b"", more: bytes = b"") -> bytes:
    """An XLS workbook with these records in its sheet."""
    name = b"Stock"
    head = record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0)) + more
    listed = 4 + 8 + len(name)
    at = len(head) + listed + len(shared) + 4
    book = head + record(0x0085, struct.pack("<IBBBB", at, 0, 0, len(name), 0) + name) + shared + record(0x000A)
    sheet = record(0x0809, struct.pack("<HHHHII", 0x0600, 16, 0, 0, 0, 0)) + body + record(0x000A)
    return compound({"Workbook": book + sheet})


def xls(*rows: Iterable[object], first: int = 1) -> bytes:
    """An XLS workbook of one sheet."""
    return xls_of(
        b"".join(
            xls_cell(at, column, value) for at, row in enumerate(rows, first - 1) for column, value in enumerate(row)
        )
    )


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A compound file of these streams, each padded so that it has sectors of its own."""
    free, end, table_mark = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    padded = {name: data.ljust(max(4096, -(-len(data) // 512) * 512), b"\0") for name, data in streams.items()}
    needed = 1 + sum(len(data) // 512 for data in padded.values())
    tables = next(n for n in range(1, 110) if n * 128 >= needed + n)
    chain = [table_mark] * tables + [end]
    entry = _entry("Root Entry", 5, end, 0, 1)
    body = b""
    for name, data in padded.items():
        first = len(chain)
        chain += [*range(first + 1, first + len(data) // 512), end]
        entry += _entry(name, 2, first, len(data), free)
        body += data
    chain += [free] * (tables * 128 - len(chain))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<9I", 0, tables, tables, 0, 4096, end, 0, end, 0)
    header += struct.pack("<109I", *[*range(tables), *[free] * (109 - tables)])
    return header + struct.pack(f"<{len(chain)}I", *chain) + entry.ljust(512, b"\0") + body


def _entry(name: str, kind: int, first: int, size: int, child: int) -> bytes:
    text = name.encode("utf-16-le")
    free = 0xFFFFFFFF
    head = text.ljust(64, b"\0") + struct.pack("<HBB", len(text) + 2, kind, 1) + struct.pack("<3I", free, free, child)
    return head + bytes(36) + struct.pack("<IQ", first, size)
