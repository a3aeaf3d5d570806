"""Each decoder against the bare library that parses its format: bytes to rows of text in memory.

Ours is the whole decoder with every check, three of six columns taken; the bare side keeps what its library gives and
checks nothing. For EDI it is no parser at all, only the text split at its marks. Each run is a process of its own;
what counts is its processor time without imports, so that work on more threads gains nothing.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.benchmarks.format_files import WRITERS
from tests.benchmarks.million import middle

ROWS = 1_000_000
XLS_ROWS = 65_535
RUNS = 3
Figures = dict[str, float]

_UBL_FIELDS = {"sellers_id", "quantity", "location"}
_WANTED = {
    "ubl": _UBL_FIELDS,
    "x12": {"LIN.VP", "QTY.33", "N1.WH"},
    "edifact": {"LIN.SRV", "QTY.145", "LOC.18"},
}


def compare(name: str, folder: Path, rows: int = ROWS) -> dict[str, list[Figures]]:
    """Alternating runs of both sides over one file of so many rows."""
    path, count = folder / f"stock.{name}", min(rows, XLS_ROWS) if name == "xls" else rows
    if not path.exists():
        WRITERS[name](path, count)
    found: dict[str, list[Figures]] = {side: [] for side in ("ours", "bare", *(["lxml"] if name == "xml" else []))}
    for _ in range(RUNS):
        for side, runs in found.items():
            command = [sys.executable, "-m", "tests.benchmarks.formats", side, name, str(path)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append(json.loads(answer.stdout))
            if runs[-1]["rows"] != count:
                raise AssertionError(f"{side} read {runs[-1]['rows']} rows of {count} in {name}")
    return found


def table(folder: Path, names: Sequence[str] = (), rows: int = ROWS) -> Iterator[tuple[str, str, str, str]]:
    """A line for each format: rows a second and peak memory of both sides, and their ratio."""
    for name in names or WRITERS:
        found = compare(name, folder, rows)
        for side in found:
            if side == "ours":
                continue
            ratio = middle(found["ours"]) / middle(found[side])
            bound = "" if side == "lxml" or name in ("x12", "edifact") else "; at most 2x"
            yield (
                f"{name}, {_rows(found['ours'])}",
                _side(found["ours"]),
                f"{side}: {_side(found[side])}",
                (f"{ratio:.2f}x{bound}"),
            )


def _rows(runs: list[Figures]) -> str:
    return f"{runs[0]['rows']:,.0f} rows"


def _side(runs: list[Figures]) -> str:
    return f"{middle(runs, 'rows') / middle(runs) / 1000:,.0f}k rows/s, {max(run['peak_mb'] for run in runs):,.0f} MB"


def _decoder(name: str) -> Any:
    from inventory_sources import formats
    from inventory_sources.formats.spreadsheet import SpreadsheetDecoder

    columns = ("sku", "name", "quantity", "location", "price", "updated_at")
    made: dict[str, Callable[[], Any]] = {
        "csv": formats.CsvDecoder,
        "json": lambda: formats.JsonDecoder(records="items"),
        "jsonl": formats.JsonLinesDecoder,
        "xml": lambda: formats.XmlDecoder("stock/item", {name: name for name in columns}),
        "ubl": lambda: formats.UblDecoder("InventoryReport"),
        "x12": formats.X12InventoryDecoder,
        "edifact": formats.EdifactInventoryDecoder,
    }
    return made.get(name, lambda: SpreadsheetDecoder(identifiers=("sku",), max_decoded_bytes=2 << 30))()


def _ours(name: str, path: Path) -> Callable[[], int]:
    from inventory_sources.payload import Payload
    from inventory_sources.protocols.decoder import DecodeContext

    decoder, wanted = _decoder(name), _WANTED.get(name, {"sku", "quantity", "location"})
    context = DecodeContext(select=lambda headings: [heading for heading in headings if heading in wanted])

    def run() -> int:
        frames = [batch.frame for batch in decoder.decode(Payload(str(path), path), context)]
        if any(frame.width != len(wanted) for frame in frames):
            raise AssertionError("not the columns that were wanted")
        return sum(frame.height for frame in frames)

    return run


def _bare_csv(path: Path) -> int:
    import polars as pl

    return pl.read_csv(path, infer_schema=False).height


def _bare_json(path: Path) -> int:
    return len(json.loads(path.read_bytes(), parse_float=Decimal)["items"])


def _bare_json_lines(path: Path) -> int:
    with path.open("rb") as file:
        return len([json.loads(line, parse_float=Decimal) for line in file])


def _bare_sheet(path: Path) -> int:
    from python_calamine import CalamineWorkbook

    return len(CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()) - 1


def _bare_xml(path: Path, library: Any = None) -> int:
    from xml.etree import ElementTree as ET

    found = []
    for _, element in (library or ET).iterparse(path):
        if element.tag == "item":
            found.append([cell.text for cell in element])
            element.clear()
    return len(found)


def _bare_lxml(path: Path) -> int:
    from lxml import etree

    return _bare_xml(path, etree)


def _bare_ubl(path: Path) -> int:
    from xml.etree import ElementTree as ET

    cac, cbc = (
        f"{{urn:oasis:names:specification:ubl:schema:xsd:Common{kind}Components-2}}" for kind in ("Aggregate", "Basic")
    )
    places = (
        f"{cac}Item/{cac}SellersItemIdentification/{cbc}ID",
        f"{cac}Item/{cbc}Name",
        f"{cbc}Quantity",
        f"{cac}InventoryLocation/{cbc}ID",
    )
    found = []
    for _, element in ET.iterparse(path):
        if element.tag == f"{cac}InventoryReportLine":
            found.append([element.findtext(place) for place in places])
            element.clear()
    return len(found)


def _bare_split(path: Path, terminator: str, element: str) -> int:
    found = [segment.split(element) for segment in path.read_text("utf-8").split(terminator)]
    return sum(segment[0].endswith("LIN") for segment in found)


_BARE: dict[str, Callable[[Path], int]] = {
    "csv": _bare_csv,
    "json": _bare_json,
    "jsonl": _bare_json_lines,
    "xml": _bare_xml,
    "ubl": _bare_ubl,
    "x12": lambda path: _bare_split(path, "~", "*"),
    "edifact": lambda path: _bare_split(path, "'", "+"),
}


def _import_all() -> None:
    """Imports, which both sides then have behind them."""
    import polars as pl
    import python_calamine  # noqa: F401

    from inventory_sources import formats

    for module in pkgutil.iter_modules(formats.__path__, f"{formats.__name__}."):
        importlib.import_module(module.name)
    pl.DataFrame({"warm": [1]})


def main(side: str, name: str, path: str) -> None:
    """Runs one side once and prints what it took."""
    _import_all()
    bare = _bare_lxml if side == "lxml" else _BARE.get(name, _bare_sheet)
    run = _ours(name, Path(path)) if side == "ours" else lambda: bare(Path(path))
    started = time.process_time()
    rows = run()
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
