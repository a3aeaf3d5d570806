"""Some two thousand damaged stock files, each with what its source table says: made here, never by the decoder.

The kinds of damage are those of the Pollock benchmark for loading delimited files (Vitagliano et al., "Pollock: A Data
Loading Benchmark", VLDB 2023) and those that stock files see besides. A file is built from one clean table, whose
values stay the truth however the file is damaged.

Not among them is damage that leaves a file which somebody could have written on purpose, since no reader can know:
another digit in a quantity; two cells of a column swapped; two unquoted cells fused and an empty one put in behind
them, so that the width stays; a line end inside of an unquoted cell of the first or last column with an empty line
behind it; a second table of the same width without headings. Guards and the platform's own SKUs stand there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from functools import cache
from itertools import islice, product

from attrs import evolve, field, frozen

HEADINGS = ("DATE", "TIME", "Qty", "PRODUCTID", "Price", "ProductType", "ProductDescription", "URL", "Comments")
WIDTH = len(HEADINGS)
QTY, SKU = HEADINGS.index("Qty"), HEADINGS.index("PRODUCTID")
Cells = tuple[str, ...]


class Demand(Enum):
    """What the reading of a file owes, beside giving nothing wrong and losing nothing in silence."""

    ALL = "every row is read"
    REST = "every row is read but those that were damaged, which may be refused"
    NONE = "rows may be refused, and so may be the file"
    REFUSAL = "no row is read"


@frozen
class Row:
    """A piece of a file's text: a row of the table with its line end, or what is no such row.

    :param sku: of the row of the table that begins here.
    """

    text: str
    sku: str | None = None


@frozen
class Case:
    """A damaged file, how a person would declare it, and the truth.

    :param truth: quantity by SKU; ``None`` for a row that must be refused.
    :param options: of the decoder.
    :param damaged: SKUs of the damaged rows.
    """

    kind: str
    name: str
    rows: tuple[Row, ...]
    truth: Mapping[str, Decimal | None]
    demand: Demand
    options: Mapping[str, object] = field(factory=dict)
    damaged: frozenset[str] = frozenset()
    encoded: Callable[[str], bytes] = str.encode

    @property
    def data(self) -> bytes:
        """The file."""
        return self.encoded("".join(row.text for row in self.rows))

    @property
    def lines(self) -> dict[str, int]:
        """The physical line on which the row of each SKU begins."""
        found, line = {}, 1
        for row in self.rows:
            if row.sku is not None:
                found.setdefault(row.sku, line)
            line += len(re.findall("\r\n|\r|\n", row.text))
        return found


@frozen
class Style:
    """How a clean file is written."""

    name: str = "quoted"
    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    end: str = "\r\n"
    every: bool = True

    def cell(self, text: str) -> str:
        """A cell, in quotes where the style asks for them."""
        if not self.quote or not (self.every or set(text) & {self.delimiter[0], self.quote, "\n", "\r"}):
            return text
        return self.quote + text.replace(self.quote, self.escape + self.quote) + self.quote

    def cells(self, row: Iterable[str]) -> list[str]:
        """The cells as they are written."""
        return [self.cell(text) for text in row]

    def row(self, row: Cells, sku: str | None = None) -> Row:
        """A row as it is written."""
        return Row(self.delimiter.join(self.cells(row)) + self.end, sku)


QUOTED, SPARE, PLAIN = Style(), Style("spare", end="\n", every=False), Style("plain", end="\n", every=False)
STYLES = (QUOTED, SPARE, PLAIN)

_TYPES = ("Boots, tall", "Lamp", 'Table, 48"', "Men's Socks", "Rod", "Mug", "Towel, organic")
_TEXTS = (
    "Warm, dry, and light: made for wet days",
    "A classic",
    'Fits 5" and 6" pipes, and more',
    "You won't want to take them off, ever",
    "Made of wool; washed, dried, worn",
)


def _sku(index: int) -> str:
    if index % 9 == 4:
        return f"00{4711 + index}"  # leading zeros
    if index % 9 == 7:
        return str(880_000 + index)  # a SKU that would pass for a quantity
    return f"{'ABKLMRYZ'[index % 8]}{'XYZ'[index % 3]}-{9901 - 37 * index}"


def table(rows: int = 84) -> list[Cells]:
    """The clean table: SKUs and quantities all differ."""
    return [
        (
            f"{index % 27 + 1:02d}/0{index % 9 + 1}/2026",
            f"{index % 24:02d}:15",
            str(3 + 7 * index),
            _sku(index),
            f"${index}.{10 + index % 89}",
            _TYPES[index % 7],
            _TEXTS[index % 5],
            f"https://shop.example/p/{index}",
            "" if index % 3 else "seen",
        )
        for index in range(rows)
    ]


def plain(row: Cells) -> Cells:
    """The row without anything that needs quotes."""
    return tuple(re.sub("[,\"']", "", text) for text in row)


def quantity(row: Cells) -> Decimal:
    """What the table says."""
    return Decimal(row[QTY])


TABLE = table()
TRUTH: dict[str, Decimal | None] = {row[SKU]: quantity(row) for row in TABLE}


def body(style: Style = QUOTED, rows: Sequence[Cells] = TABLE) -> list[Row]:
    """The rows in a style."""
    return [style.row(plain(row) if style is PLAIN else row, row[SKU]) for row in rows]


def head(style: Style = QUOTED, names: Cells = HEADINGS) -> Row:
    """The heading row in a style."""
    return style.row(names)


@cache
def _clean(style: Style) -> tuple[Row, ...]:
    return (head(style), *body(style))


def clean(style: Style = QUOTED) -> list[Row]:
    """The whole file in a style."""
    return list(_clean(style))


def whole(kind: str, name: str, rows: Iterable[Row], demand: Demand, **changes: object) -> Case:
    """A file of the whole table."""
    return evolve(Case(kind, name, tuple(rows), TRUTH, demand), **changes)


def replaced(rows: Sequence[Row], at: int, text: str) -> list[Row]:
    """The rows with another text at ``at``."""
    return [*rows[:at], evolve(rows[at], text=text), *rows[at + 1 :]]


# --- payload, newlines, headings ----------------------------------------------------------------------------------


def payloads() -> Iterator[Case]:
    """No payload, no rows, one row, no or two last line ends."""
    for style in STYLES:
        rows = clean(style)
        last = rows[-1].text.removesuffix(style.end)
        yield whole("clean", style.name, rows, Demand.ALL)
        yield whole("no trailing newline", style.name, replaced(rows, -1 + len(rows), last), Demand.NONE)
        declared = {"final_newline": "optional"}
        unended = replaced(rows, len(rows) - 1, last)
        yield whole("no trailing newline", f"{style.name} declared", unended, Demand.ALL, options=declared)
        yield whole("double trailing newline", style.name, [*rows, Row(style.end)], Demand.ALL)
        yield Case("header only", style.name, (rows[0],), {}, Demand.ALL)
        one = {TABLE[0][SKU]: quantity(TABLE[0])}
        yield Case("one data row", style.name, tuple(rows[:2]), one, Demand.ALL)
        yield whole("no header", style.name, rows[1:], Demand.REFUSAL)
        yield whole("no header", f"{style.name} declared", rows[1:], Demand.ALL, options={"headings": HEADINGS})
        yield whole("no header", f"{style.name} declared, yet there", rows, Demand.ALL, options={"headings": HEADINGS})
    for index, text in enumerate(("", "\r\n", "\n\n\n", " ", "\0\0")):
        yield Case("no payload", str(index), (Row(text),), {}, Demand.REFUSAL)


def headers() -> Iterator[Case]:
    """Headings over several rows, empty, alike, disguised, very long."""
    for style in STYLES:
        rows = clean(style)
        for more in (1, 2, 3):
            yield whole("multirow header", f"{style.name} {more}", [*[rows[0]] * more, *rows], Demand.ALL)
            units = style.row(("d", "t", "pcs", "text", "USD", "text", "text", "link", "text"))
            yield whole("multirow header", f"{style.name} units {more}", [rows[0], units, *rows[1:]], Demand.NONE)
        for column in range(WIDTH):
            for what, name in (("empty", ""), ("alike", HEADINGS[column - 1]), ("alike", f" {HEADINGS[column - 1]} ")):
                names = (*HEADINGS[:column], name, *HEADINGS[column + 1 :])
                yield whole(
                    f"heading {what}", f"{style.name} {column}", [head(style, names), *rows[1:]], Demand.REFUSAL
                )
            names = (*HEADINGS[:column], "HEADER" * 2000, *HEADINGS[column + 1 :])
            owed = Demand.REFUSAL if column in (SKU, QTY) else Demand.ALL
            yield whole("heading long", f"{style.name} {column}", [head(style, names), *rows[1:]], owed)
        for form in (str.lower, str.upper, lambda name: f" {name}\t", lambda name: f"\u00a0{name[0]}_{name[1:]}"):
            disguised = head(style, tuple(map(form, HEADINGS)))
            yield whole("heading disguised", f"{style.name} {disguised.text[:20]}", [disguised, *rows[1:]], Demand.ALL)


def preambles() -> Iterator[Case]:
    """Lines before and after the table, with or without delimiters and blank lines."""
    for style in STYLES:
        rows = clean(style)
        for count in (1, 3):
            for delimited in (True, False):
                for blank in (True, False):
                    cells = ("PREAMBLE", *[""] * (WIDTH - 1)) if delimited else ("PREAMBLE",)
                    lines = [style.row(cells)] * count
                    gap = [Row(style.end)] if blank else []
                    name = f"{style.name} {count} {delimited} {blank}"
                    titled, found = [*lines, *gap, *rows], {"heading_row": "find"}
                    yield whole("preamble", name, titled, Demand.REFUSAL)
                    yield whole("preamble", f"{name} declared", titled, Demand.ALL, options=found)
                    yield whole("footnote", name, [*rows, *gap, *lines], Demand.REST)
                    middle = [*rows[:40], *gap, *lines, *rows[40:]]
                    yield whole("group line", name, middle, Demand.REST)


# --- several tables -----------------------------------------------------------------------------------------------


def _other(names: Cells, first: int, rows: int = 20) -> list[Cells]:
    """Another table's rows under these headings; the truth knows none of their SKUs."""
    makes = {"PRODUCTID": lambda n: f"OTHER-{n}", "Qty": str, "DATE": lambda n: "01/01/2020"}
    cell = {**makes, "Reserved": str, "Article": lambda n: f"OTHER-{n}", "Price": lambda n: f"${n}.5"}
    return [tuple(cell.get(name, lambda n: f"t{n}")(first + index) for name in names) for index in range(rows)]


#: Headings of a second table whose columns mean something else.
OTHERS: tuple[Cells, ...] = (
    ("DATE", "TIME", "Reserved", "PRODUCTID", "Price", "ProductType", "ProductDescription", "URL", "Comments"),
    ("DATE", "TIME", "Reserved", "Article", "Price", "ProductType", "ProductDescription", "URL", "Comments"),
    ("Day", "Hour", "Reserved", "Article", "Cost", "Group", "Text", "Link", "Remark"),
    ("PRODUCTID", "DATE", "Price", "TIME", "Qty", "URL", "ProductType", "Comments", "ProductDescription"),
    ("DATE", "TIME", "Price", "PRODUCTID", "Qty", "ProductType", "ProductDescription", "URL", "Comments"),
    ("DATE", "TIME", "Qty 2025", "PRODUCTID", "Price", "ProductType", "ProductDescription", "URL", "Comments"),
)


def tables() -> Iterator[Case]:
    """Several tables in one file: of the same, fewer or more columns, of the same or another meaning."""
    gaps: tuple[Callable[[Style], list[Row]], ...] = (
        lambda style: [],
        lambda style: [Row(style.end)],
        lambda style: [Row(style.end), style.row(("Second table",)), Row(style.end)],
        lambda style: [style.row(("",) * WIDTH)],
    )
    for style in STYLES:
        for at, gap in enumerate(gaps):
            between, name = gap(style), f"{style.name} gap {at}"
            first, second = clean(style)[:61], clean(style)[61:]
            yield whole("table again", name, [*first, *between, head(style), *second], Demand.REST)
            yield whole("table again", f"{name} whole", [*clean(style), *between, *clean(style)], Demand.REST)
            yield whole("table without heading", name, [*first, *between, *second], Demand.REST)
            for index, names in enumerate(OTHERS):
                other = [head(style, names), *(style.row(row) for row in _other(names, 5000))]
                yield whole("table of another kind", f"{name} {index}", [*clean(style), *between, *other], Demand.NONE)
                empty = [head(style), *between, *other]
                if index in (0, 3, 4, 5):
                    yield Case("table of another kind", f"{name} {index} alone", tuple(empty), {}, Demand.NONE)
            for width in (7, 8, 10, 12):
                names = (*HEADINGS, "col1", "col2", "col3")[:width]
                other = [head(style, names), *(style.row(row) for row in _other(names, 7000))]
                yield whole("table of another width", f"{name} {width}", [*clean(style), *between, *other], Demand.NONE)


# --- dialects of the whole file -----------------------------------------------------------------------------------


def encodings() -> Iterator[Case]:
    """The whole file in another encoding, declared or not, and bytes of another encoding in one row."""
    accented = [tuple(text.replace("o", "ö") if at == 5 else text for at, text in enumerate(row)) for row in TABLE]
    for style in STYLES:
        rows = [head(style), *body(style, accented)]
        for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "utf-8-sig", "utf-8"):
            write = lambda text, encoding=encoding: text.encode(encoding)  # noqa: E731
            owed = Demand.ALL if encoding.startswith("utf-8") else Demand.REFUSAL
            yield whole("encoding", f"{style.name} {encoding}", rows, owed, encoded=write)
            declared = {"encoding": encoding}
            yield whole(
                "encoding", f"{style.name} {encoding} declared", rows, Demand.ALL, encoded=write, options=declared
            )
        mixed = lambda text: text.encode("latin-1").replace(b"B\xf6\xf6ts", "Bööts".encode())  # noqa: E731
        yield whole("encoding", f"{style.name} mixed", rows, Demand.REFUSAL, encoded=mixed)


def delimiters() -> Iterator[Case]:
    """Another field delimiter in the whole file, declared or not."""
    for base in STYLES:
        for sign in (";", "\t", "|", " ", ", ", ":", "\t\t", "\u00a7", "\\t"):
            if sign in " :" and not base.every:
                continue  # cells hold it, and nothing tells those apart
            style = evolve(base, delimiter=sign)
            rows, name = [head(style), *body(style, [plain(row) for row in TABLE])], f"{base.name} {sign!r}"
            legible = sign == ", " and not base.every  # the blank is taken for a part of the cell, which does no harm
            owed, damaged = (Demand.REST, frozenset(TRUTH)) if legible else (Demand.REFUSAL, frozenset())
            yield whole("field delimiter", name, rows, owed, damaged=damaged)
            declared = {"padded": True} if sign == ", " else {"delimiter": sign}
            if len(sign) == 1 or sign == ", ":
                yield whole("field delimiter", f"{name} declared", rows, Demand.ALL, options=declared)


def record_delimiters() -> Iterator[Case]:
    """Another record delimiter in the whole file."""
    known, blank = ("\n", "\r", "\r\n"), ("\n\r", "\n\n", "\r\r", "\r\r\n")
    for base in STYLES:
        for end in (*known, *blank, "\f", "\v", "\u2028", "\u2029", "\x85", "\x1e", ";\n", ",\n", ""):
            owed = Demand.ALL if end in known else Demand.REST if end in blank else Demand.NONE
            yield whole("record delimiter", f"{base.name} {end!r}", clean(evolve(base, end=end)), owed)
        mixed = [clean(evolve(base, end=known[at % 3]))[at] for at in range(len(TABLE) + 1)]
        yield whole("record delimiter", f"{base.name} mixed", mixed, Demand.ALL)


def quote_marks() -> Iterator[Case]:
    """Another quote or escape in the whole file, declared or not."""
    for base in (QUOTED, SPARE):
        for quote in ("'", "`", "~", "\u201d"):
            rows = clean(evolve(base, quote=quote, escape=quote))
            yield whole("quote", f"{base.name} {quote}", rows, Demand.NONE)
            yield whole("quote", f"{base.name} {quote} declared", rows, Demand.ALL, options={"quote": quote})
        yield whole("quote", f"{base.name} undeclared", clean(base), Demand.NONE, options={"quote": None})
        for escape in ("\\", "", "'"):
            yield whole("escape", f"{base.name} {escape!r}", clean(evolve(base, escape=escape)), Demand.NONE)
    yield whole("quote", "none", body_without_quotes(), Demand.NONE)


def body_without_quotes() -> list[Row]:
    """Every row joined by commas, whatever its cells hold."""
    bare = evolve(SPARE, quote="")
    return [head(bare), *body(bare)]


# --- one damaged row ----------------------------------------------------------------------------------------------


def one_row(kind: str, name: str, style: Style, at: int, text: str | None, **changes: object) -> Case:
    """A file whose row ``at`` (0 is the first below the heading) is written as ``text``."""
    rows = clean(style)
    rows = replaced(rows, at + 1, text) if text is not None else rows[: at + 1] + rows[at + 2 :]
    return whole(
        kind, f"{style.name} row {at} {name}", rows, Demand.REST, damaged=frozenset({TABLE[at][SKU]}), **changes
    )


def _written(style: Style, at: int) -> list[str]:
    return style.cells(plain(TABLE[at]) if style is PLAIN else TABLE[at])


def separators() -> Iterator[Case]:
    """One more, one less or another separator in one row."""
    for at in range(len(TABLE)):
        style = STYLES[at % 3]
        cells = _written(style, at)
        for column in range(WIDTH) if at % 2 or at < 12 else ():
            more = style.delimiter.join([*cells[:column], "", *cells[column:]]) + style.end
            yield one_row("row more sep", f"col {column}", style, at, more)
            if column:
                less = [*cells[: column - 1], cells[column - 1] + cells[column], *cells[column + 1 :]]
                fused = one_row("row less sep", f"col {column}", style, at, style.delimiter.join(less) + style.end)
                yield evolve(fused, demand=Demand.NONE if style is not PLAIN else Demand.REST)
            if column and at % 12 == 0:
                for sign in (";", "\t", ", ", " ", ",,"):
                    odd = style.delimiter.join(cells[:column]) + sign + style.delimiter.join(cells[column:]) + style.end
                    case = one_row("one other separator", f"{sign!r} col {column}", style, at, odd)
                    yield evolve(case, demand=Demand.NONE if style is not PLAIN else Demand.REST)
        for sign in (" ", ";", "\t", ", ", " ,", "|") if at % 4 == 0 else (" ",):
            case = one_row("row field delimiter", repr(sign), style, at, sign.join(cells) + style.end)
            yield evolve(case, demand=Demand.NONE if style is not PLAIN else Demand.REST)


def quotes() -> Iterator[Case]:
    """A quote too many, one missing, or others than elsewhere, in one row."""
    for at in range(0, len(TABLE), 2):
        style = STYLES[at % 3]
        cells, owed = _written(style, at), {"demand": Demand.NONE}
        for column in range(WIDTH):
            cell = cells[column]
            forms = {"first": f'"{cell}', "last": f'{cell}"', "inner": f'{cell[:2]}"{cell[2:]}'}
            if cell.startswith('"'):
                forms |= {"unopened": cell[1:], "unclosed": cell[:-1], "first": f'""{cell[1:]}'}
            for name in forms if at % 6 == 0 else ("first",):
                text = style.delimiter.join([*cells[:column], forms[name], *cells[column + 1 :]]) + style.end
                yield evolve(one_row("row extra quote", f"{name} col {column}", style, at, text), **owed)
        for quote in ("'", "\u201d", "`") if at % 4 == 0 else ():
            text = evolve(style, quote=quote, escape=quote, every=True).row(TABLE[at]).text
            yield evolve(one_row("row quote", quote, style, at, text), **owed)
            single = style.delimiter.join([*cells[:SKU], quote + TABLE[at][SKU] + quote, *cells[SKU + 1 :]]) + style.end
            yield one_row("row quote", f"{quote} of the SKU", style, at, single)
        for escape in ("\\", ""):
            marked = (*TABLE[at][:5], f'{TABLE[at][5]}"', f'6" {TABLE[at][6]}', *TABLE[at][7:])
            text = evolve(style, escape=escape, every=True).row(marked).text
            yield evolve(one_row("row escape", repr(escape), style, at, text), **owed)


def swallowing() -> Iterator[Case]:
    """A quote opened in one row and closed in a later one, in the same column, so that the widths fit."""
    for at in range(0, 80, 5):
        for column in range(WIDTH):
            for span in (1, 3):
                rows = clean(PLAIN)
                first, last = _written(PLAIN, at), _written(PLAIN, at + span)
                first[column], last[column] = f'"{first[column]}', f'{last[column]}"'
                rows = replaced(rows, at + 1, ",".join(first) + "\n")
                rows = replaced(rows, at + span + 1, ",".join(last) + "\n")
                damaged = frozenset(row[SKU] for row in TABLE[at : at + span + 1])
                yield whole("rows swallowed", f"row {at} col {column} span {span}", rows, Demand.REST, damaged=damaged)


def lines() -> Iterator[Case]:
    """Another line end of one row; blank, doubled and missing cells; many damages at once."""
    for at in range(0, len(TABLE), 3):
        style = STYLES[at // 3 % 3]
        cells = _written(style, at)
        text = style.delimiter.join(cells)
        for end in ("\n", "\r", "\r\n", "\n\r", "\r\n\r\n"):
            yield one_row("row record delimiter", repr(end), style, at, text + end)
        for end in ("", "\f", "\v", "\u2028", "\x85"):
            joined = one_row("row record delimiter", repr(end), style, at, text + end)
            after = {row[SKU] for row in TABLE[at + 1 : at + 2]}
            yield evolve(joined, damaged=joined.damaged | after, demand=Demand.NONE)
        for count in (0, 1, 5):
            short = style.delimiter.join(cells[:count]) + style.end
            yield one_row("row of fewer cells", str(count), style, at, short)
            long = style.delimiter.join(cells + cells[-1:] * (count + 1)) + style.end
            yield one_row("row of more cells", str(count), style, at, long)
        rows = clean(style)
        yield whole("blank row", f"{style.name} {at}", [*rows[: at + 1], Row(style.end), *rows[at + 1 :]], Demand.REST)
        yield whole(
            "blank row",
            f"{style.name} {at} of cells",
            [*rows[: at + 1], style.row(("",) * WIDTH), *rows[at + 1 :]],
            Demand.REST,
        )
        yield whole("doubled row", f"{style.name} {at}", [*rows[: at + 1], rows[at + 1], *rows[at + 1 :]], Demand.ALL)
        gone = [cell for column, cell in enumerate(cells) if column != SKU]
        yield one_row("cell missing", "sku", style, at, style.delimiter.join(gone) + style.end)
        for column in (SKU, QTY):
            blank = [*cells[:column], "", *cells[column + 1 :]]
            case = one_row("cell missing", f"blank {column}", style, at, style.delimiter.join(blank) + style.end)
            yield evolve(case, truth={**TRUTH, TABLE[at][SKU]: None})
        # A line end inside of an unquoted cell of a middle column tears the row into two short ones.
        if style is PLAIN:
            for column in range(1, WIDTH - 1):
                torn = [*cells[:column], f"{cells[column][:1]}\n{cells[column][1:]}", *cells[column + 1 :]]
                yield one_row("row torn", f"col {column}", style, at, ",".join(torn) + "\n")


#: Tables with SKU and quantity where a line end splits them off, or a row into two short ones.
EDGES: tuple[Cells, ...] = (
    ("PRODUCTID", "DATE", "TIME", "Qty"),
    ("Qty", "TIME", "DATE", "PRODUCTID"),
    ("DATE", "PRODUCTID", "Qty", "TIME"),
)


def splits() -> Iterator[Case]:
    """A line end inside of an unquoted cell of one row."""
    truth = dict(islice(TRUTH.items(), 30))
    for names, at in product(EDGES, range(len(truth))):
        table = [tuple(row[HEADINGS.index(name)] for name in names) for row in TABLE[: len(truth)]]
        inner, style = ("\n", "\r", "\r\n")[at % 3], evolve(PLAIN, end=("\n", "\r\n")[at % 2])
        rows = [style.row(names), *(style.row(row, sku) for row, sku in zip(table, truth, strict=True))]
        for column, cell in enumerate(table[at]):
            middle = (len(cell) + 1) // 2
            torn = [*table[at][:column], cell[:middle] + inner + cell[middle:], *table[at][column + 1 :]]
            place, beside = {0: ("first", (at - 1, at)), len(names) - 1: ("last", (at, at + 1))}.get(
                column, ("a middle", (at,))
            )
            damaged = frozenset(TABLE[row][SKU] for row in beside if 0 <= row < len(truth))
            text = replaced(rows, at + 1, ",".join(torn) + style.end)
            name = f"{','.join(names)} row {at} col {column}"
            yield whole(f"line end in {place} cell", name, text, Demand.REST, truth=truth, damaged=damaged)


def many_lines() -> Iterator[Case]:
    """Cells of several lines, as texts have them: nothing is wrong with those."""
    notes = (
        "one\ntwo",
        "Soft, warm\r\nand dry, too",
        "a,b,c\nd,e,f\ng",
        "\n",
        "x\n\ny, z",
        "1,2,3,4\n5,6,7,8",
        "q\n" * 9,
    )
    for style in (QUOTED, SPARE):
        for column in (5, 6, 7, 8):
            for index, note in enumerate(notes):
                rows = [
                    tuple(note if c == column and not r % 7 else cell for c, cell in enumerate(row))
                    for r, row in enumerate(TABLE)
                ]
                yield whole(
                    "cells of several lines",
                    f"{style.name} {column} {index}",
                    [head(style), *body(style, rows)],
                    Demand.ALL,
                )


# --- cells of stock -----------------------------------------------------------------------------------------------

#: What a quantity cell says, by hand; ``None`` must be refused.
QUANTITIES: dict[str, str | None] = {
    "7": "7", " 7 ": "7", "7 ": "7", "+7": "7", "-0": "0", "0": "0", "007": "7", "12.5": "12.5", "12.50": "12.5",
    "0.125": "0.125", "1234.567": "1234.567",
    **dict.fromkeys((
        "1.250", "12,5", "1,250", "1.250,00", "1,250.00", "7\u00a0", "\u00a07", "\uff17",
        "1e3", "1E+03", "N/A", "", "  ",
        "-", "\u2014", "\u0663", "\u00bd", "1/2", "0x10", "1_000", "NaN", "inf", "Infinity", "TRUE", "#REF!",
        "12 pcs", "~5", ">10", "10+", "-3", "(5)", "5-",
        "\u22125", "1 000", "1'000", "7.", ".5", "9" * 19, "0.0000000001", "7\n",
        "7;8", "'7", "=7", "\u200b7", "null", "00:15", "2026-01-02", "\u00b2", "1.2.3", "--5", "+-5",
    )),
}  # fmt: skip

#: What a SKU cell says, by hand; ``None`` must be refused.
SKUS: dict[str, str | None] = {
    **{sku: sku for sku in (
        "00123", "A B", "A,1", 'A"1"B', "A'1", "0", "-", "1.10", "+49", "1e5", "\u0410-1", "\uff21\uff0d\uff11",
        "\ufb01-1", "Stra\u00dfe", "e\u0301", "X" * 255, "NULL", "#N/A", "true", "A\\1",
    )},
    " A-1 ": "A-1", "\u00a0A-1": "A-1",
    **dict.fromkeys((
        "", "   ", "X" * 256, "1.23E+12", "A\t1", "A\n1", "A\x07", "A\u200b1", "A\ufeff1", "\u00adA1", "A\u20281",
        "\ufffd1", "'A-1'", '"A-1"', "\u201cA-1\u201d", "`A-1`", "\u202eA1",
    )),
}  # fmt: skip


def stock_cells() -> Iterator[Case]:
    """Quantities and SKUs as feeds write them, in quotes and without."""
    for column, texts in ((QTY, QUANTITIES), (SKU, SKUS)):
        for style in (QUOTED, SPARE, PLAIN):
            for index, (text, says) in enumerate(texts.items()):
                at = index % len(TABLE)
                row = tuple(text if c == column else cell for c, cell in enumerate(TABLE[at]))
                sku, truth = TABLE[at][SKU], dict(TRUTH)
                if column == QTY:
                    truth[sku] = None if says is None else Decimal(says)
                else:
                    truth[says or sku] = truth.pop(sku) if says else None
                rows = clean(SPARE if style is PLAIN else style)
                rows[at + 1] = evolve(style, quote=style.quote).row(row, (says or sku) if column == SKU else sku)
                kind = "quantity cell" if column == QTY else "sku cell"
                yield Case(
                    kind,
                    f"{style.name} {text[:12]!r}",
                    tuple(rows),
                    truth,
                    Demand.REST if says is None else Demand.ALL,
                    damaged=frozenset({sku}),
                )


def compounds() -> Iterator[Case]:
    """Several damages at once, each in a row of its own."""
    for seed in range(120):
        style = STYLES[seed % 3]
        rows, damaged = clean(style), set()
        for step in range(2 + seed % 4):
            at = (seed * 31 + step * 17) % len(TABLE)
            if TABLE[at][SKU] in damaged:
                continue
            cells = _written(style, at)
            column = 1 + (seed + step) % (WIDTH - 1)
            texts = (
                style.delimiter.join([*cells[:column], "", *cells[column:]]),
                style.delimiter.join(cells[:column]),
                ";".join(cells),
                style.delimiter.join([*cells[:column], f"'{cells[column]}", *cells[column + 1 :]])
                if column != SKU
                else "",
                style.delimiter.join([*cells[:column], f'"{cells[column]}', *cells[column + 1 :]]),
                "",
            )
            rows = replaced(rows, at + 1, texts[(seed // 3 + step) % len(texts)] + style.end)
            damaged.add(TABLE[at][SKU])
        yield whole("several damages", f"{style.name} {seed}", rows, Demand.NONE, damaged=frozenset(damaged))


GENERATORS: tuple[Callable[[], Iterator[Case]], ...] = (
    payloads, headers, preambles, tables, encodings, delimiters, record_delimiters, quote_marks, separators, quotes,
    swallowing, lines, splits, many_lines, stock_cells, compounds,
)  # fmt: skip


def cases() -> Iterator[Case]:
    """All files."""
    for generate in GENERATORS:
        yield from generate()
