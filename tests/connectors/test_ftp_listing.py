"""Listings are read as they were written, or refused; the lines come from a known truth."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.connectors._ftp_listing import joined, read_list_line, read_mlsd_line, read_moment
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteKind

KINDS = st.sampled_from([RemoteKind.FILE, RemoteKind.FOLDER, RemoteKind.LINK])
NAMES = st.text(
    st.characters(exclude_characters="/\r\n\0", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30
).filter(lambda name: name not in {".", ".."})
WORDS = st.from_regex(r"[a-z_][a-z0-9_-]{0,12}", fullmatch=True)
MOMENTS = st.datetimes(datetime(1980, 1, 1), datetime(2068, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@frozen
class Truth:
    """What is in a folder, before a server writes it down."""

    name: str
    kind: RemoteKind
    size: int
    modified: datetime


TRUTHS = st.builds(Truth, NAMES, KINDS, st.integers(0, 2**62), MOMENTS)


def unix_date(moment: datetime, style: str) -> str:
    if style == "iso":
        return f"{moment:%Y-%m-%d %H:%M}"
    day = f"{MONTHS[moment.month - 1]} {moment.day:2}"
    return f"{day} {moment:%H:%M}" if style == "recent" else f"{day}  {moment.year}"


@given(
    TRUTHS,
    st.sampled_from(["recent", "old", "iso"]),
    WORDS,
    st.one_of(WORDS, st.just("Domain Users"), st.just("1000")),
    st.sampled_from(["rw-r--r--", "rwxrwxrwt", "rw-r--r--+", "rw-r--r--."]),
    st.integers(1, 9999),
)
def test_unix(truth: Truth, style: str, owner: str, group: str, mode: str, links: int) -> None:
    letter = {RemoteKind.FILE: "-", RemoteKind.FOLDER: "d", RemoteKind.LINK: "l"}[truth.kind]
    name = truth.name.replace(" -> ", " => ") if truth.kind is RemoteKind.LINK else truth.name
    shown = f"{name} -> ../else where" if truth.kind is RemoteKind.LINK else name
    line = f"{letter}{mode} {links:3} {owner:8} {group:8} {truth.size:8} {unix_date(truth.modified, style)} {shown}"
    size = truth.size if truth.kind is RemoteKind.FILE else None
    assert read_list_line(line) == RemoteEntry(name, name, truth.kind, size, None)


@given(TRUTHS, st.sampled_from(["%m-%d-%y  %I:%M%p", "%m-%d-%Y  %I:%M%p", "%Y-%m-%d  %H:%M"]))
def test_iis(truth: Truth, style: str) -> None:
    mark = {RemoteKind.FOLDER: "<DIR>", RemoteKind.LINK: "<SYMLINK>"}.get(truth.kind)
    middle = f"      {mark}          " if mark else f" {truth.size:19} "
    line = f"{truth.modified:{style}}{middle}{truth.name}"
    size = truth.size if truth.kind is RemoteKind.FILE else None
    assert read_list_line(line) == RemoteEntry(truth.name, truth.name, truth.kind, size, None)


@given(TRUTHS, st.sampled_from([str.lower, str.upper, str.title]), st.sampled_from(["", ".000", ".250"]))
def test_mlsd(truth: Truth, spelled: object, fraction: str) -> None:
    kind = {RemoteKind.FILE: "file", RemoteKind.FOLDER: "dir", RemoteKind.LINK: "OS.unix=slink:/x"}[truth.kind]
    facts = {"type": kind, "size": truth.size, "modify": f"{truth.modified:%Y%m%d%H%M%S}{fraction}", "perm": "r"}
    line = "".join(f"{spelled(name)}={value};" for name, value in facts.items()) + f" {truth.name}"
    moment = truth.modified.replace(microsecond=250_000 if fraction == ".250" else 0)
    size = truth.size if truth.kind is RemoteKind.FILE else None
    assert read_mlsd_line(line) == RemoteEntry(truth.name, truth.name, truth.kind, size, moment)


@pytest.mark.parametrize(
    "line", ["", "total 12", "drwxr-xr-x 2 a b 0 Jan 01 2020 .", "drwxr-xr-x 2 a b 0 Jan 01 2020 .."]
)
def test_lines_of_list_that_are_about_no_entry(line: str) -> None:
    assert read_list_line(line) is None


@pytest.mark.parametrize("line", ["type=cdir; /in", "type=pdir; /", "type=dir; .", "Type=dir; .."])
def test_lines_of_mlsd_that_are_about_no_entry(line: str) -> None:
    assert read_mlsd_line(line) is None


@pytest.mark.parametrize("letter", "bcpsD")
def test_devices_pipes_and_sockets_are_something_else(letter: str) -> None:
    entry = read_list_line(f"{letter}rw-rw---- 1 root tty 4, 0 Jan 01 12:00 tty0")
    assert entry == RemoteEntry("tty0", "tty0", RemoteKind.OTHER)


@pytest.mark.parametrize(
    "line",
    [
        "stock.csv",
        "stock.csv 5 2020",
        "-rw-r--r-- 1 a b 5 stock.csv",
        "-rw-r--r-- 1 a b 5 Jan 01 2020",
        "-rw-r--r-- 1 a b 5 Jan 01 2020 ",
        "-rw-r--r-- 1 a b much Jan 01 2020 stock.csv",
        "-rw-r--r-- 1 a b \u0665 Jan 01 2020 stock.csv",
        "01-31-24  02:15PM       stock.csv",
        "01-31-24  02:15PM       <WHAT>          stock.csv",
        "total of it",
        "+i8388621.29609,m824255902,/,\tdev",
    ],
)
def test_what_is_no_known_dialect_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="dialect"):
        read_list_line(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "stock.csv",
        "size=5; stock.csv",
        "type=file;size=5;stock.csv",
        "type=file;size=5; ",
        "type=file;size=-5; stock.csv",
        "type=file;size=1_0; stock.csv",
        "type=file;modify=20240230000000; stock.csv",
        "type=file;modify=soon; stock.csv",
        "type; stock.csv",
    ],
)
def test_what_is_no_line_of_mlsd_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="MLSD"):
        read_mlsd_line(line)


@pytest.mark.parametrize("text", ["", "2024", "20241301000000", "20240101000000Z", "2024010100000\u0660"])
def test_a_moment_that_is_none(text: str) -> None:
    assert read_moment(text) is None


@pytest.mark.parametrize(
    "line", ["-rw-r--r-- " + "1 " * 40_000, "-rw-r--r-- " + "1" * 80_000, "-rw-r--r--" + " " * 80_000]
)
def test_a_hostile_line_is_refused_in_one_look(line: str) -> None:
    with pytest.raises(ValueError, match="dialect"):
        read_list_line(line)


@pytest.mark.parametrize(
    ("folder", "path"), [("", "a b"), ("/", "/a b"), ("in", "in/a b"), ("/in/deep", "/in/deep/a b")]
)
def test_a_path_is_the_folder_as_asked_for_a_slash_and_the_name(folder: str, path: str) -> None:
    assert joined(folder, "a b") == path
