"""Which files of a folder are picked up, over each protocol."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from inventory_sources import Columns, CsvDecoder, Feed, MemorySink, Source
from inventory_sources.connectors import FileConnector, FtpConnector, FtpServer, PickUp, SftpConnector, SftpServer
from inventory_sources.errors import ConfigurationError, InputTooLarge, SourceMissing
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.registry import Registry
from inventory_sources.secrets import Secret
from tests.connectors.desk import MINUTE, NOON, Desk
from tests.connectors.ftpd import ScriptedServer
from tests.connectors.sshd import LOOPBACK

DAY = timedelta(days=1)


# Which files


def test_the_newest_by_its_time(desk: Desk) -> None:
    desk.upload("stock_a.csv", "old", minutes=-50)
    desk.upload("stock_b.csv", "new", minutes=-10)
    desk.upload("stock_c.csv", "older", minutes=-90)
    desk.upload("prices_d.csv", "other", minutes=-1)
    (payload,) = desk.copy(desk.connector("stock_*.csv", take="newest"))
    assert payload.origin.endswith("in/stock_b.csv")
    assert payload.as_of == NOON - 10 * MINUTE
    assert desk.said == (None, False, [])


def test_files_of_the_same_time_go_by_name(desk: Desk) -> None:
    for name in ("b.csv", "c.csv", "a.csv"):
        desk.upload(name, name)
    assert desk.fetch(desk.connector("*.csv", take="newest")) == ["c.csv"]
    assert desk.fetch(desk.connector("*.csv", take="all")) == ["a.csv", "b.csv", "c.csv"]


def test_the_newest_by_its_name(desk: Desk) -> None:
    desk.upload("stock_2026-03-01.csv", "first", minutes=-1)
    desk.upload("stock_2026-03-02.csv", "second", minutes=-2)
    assert desk.fetch(desk.connector("stock_*.csv", take="newest", order="name")) == ["second"]


def test_the_newest_by_a_template_of_its_name(desk: Desk) -> None:
    desk.upload("stock_9.2.2026.csv", "february", minutes=-1)
    desk.upload("stock_1.3.2026.csv", "march", minutes=-2)
    desk.upload("stock_final.csv", "undated")
    desk.upload("stock_32.3.2026.csv", "impossible")
    connector = desk.connector("stock_*.csv", take="newest", order="stock_%d.%m.%Y.csv")
    assert desk.fetch(connector) == ["march"]
    (warning,) = desk.said[2]
    assert warning.startswith("2 files match the pattern but not the template 'stock_%d.%m.%Y.csv', first")
    assert "stock_final.csv" in warning or "stock_32" in warning


@pytest.mark.parametrize("take", ["newest", "all", "each"])
def test_where_no_name_has_the_template_that_is_said(take: str, desk: Desk) -> None:
    desk.upload("stock_2026-03-01.csv", "x")
    connector = desk.connector("stock_*.csv", take=take, order="stock_%Y%m%d.csv", afterwards="move")
    with pytest.raises(SourceMissing, match="1 file matches the pattern but not the template") as raised:
        desk.fetch(connector)
    assert "'stock_%Y%m%d.csv', first 'stock_2026-03-01.csv'" in raised.value.message
    assert "template" in raised.value.guidance
    desk.upload("stock_20260302.csv", "y")
    assert [desk.run(connector), desk.run(connector)] == [["y"], []]
    assert "1 file matches" in desk.said[2][0]


def test_all_are_parts_in_order(desk: Desk) -> None:
    desk.upload("north.csv", "sku,location,quantity\nA,north,1\n", minutes=-2)
    desk.upload("south.csv", "sku,location,quantity\nA,south,2\n", minutes=-3)
    payloads = desk.copy(desk.connector("*.csv", take="all"))
    assert [payload.origin.rpartition("/")[2] for payload in payloads] == ["south.csv", "north.csv"]
    assert [payload.as_of for payload in payloads] == [NOON - 3 * MINUTE, NOON - 2 * MINUTE]


def test_a_pattern_is_matched_by_whole_names_and_capitals(desk: Desk) -> None:
    for name in ("stock1.csv", "Stock2.csv", "stock3.CSV", "stock4.csv.tmp", "my stock5.csv", "stock[6].csv"):
        desk.upload(name, name)
    (desk.folder / "done" / "stock7.csv").write_text("below")
    assert desk.fetch(desk.connector("stock*.csv", take="all")) == ["stock1.csv", "stock[6].csv"]
    assert desk.fetch(desk.connector("stock[[]?].csv", take="all")) == ["stock[6].csv"]


def test_one_is_a_name_and_no_pattern(desk: Desk) -> None:
    desk.upload("stock[1].csv", "this one")
    desk.upload("stock1.csv", "not this one")
    assert desk.fetch(desk.connector("stock[1].csv")) == ["this one"]
    with pytest.raises(SourceMissing):
        desk.fetch(desk.connector("*.csv"))


# With MLSD, pyftpdlib shows a link as the file that it leads to.
@pytest.mark.parametrize("desk", ["local", "sftp", "ftp that only knows LIST"], indirect=True)
def test_links_and_folders_are_never_taken(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("secret")
    (desk.folder / "a.csv").symlink_to(secret)
    (desk.folder / "b.csv").mkdir()
    desk.upload("c.csv", "stock")
    assert desk.fetch(desk.connector("*.csv", take="all")) == ["stock"]
    (desk.folder / "c.csv").unlink()
    with pytest.raises(SourceMissing, match="no file matches"):
        desk.fetch(desk.connector("*.csv", take="newest"))


def test_too_many_files_are_refused(desk: Desk) -> None:
    for number in range(4):
        desk.upload(f"{number}.csv", "x")
        desk.upload(f"{number}.txt", "not counted")
    assert len(desk.fetch(desk.connector("*.csv", take="all", max_files=4))) == 4
    with pytest.raises(InputTooLarge, match="4 files match") as raised:
        desk.fetch(desk.connector("*.csv", take="each", max_files=3))
    assert "moved or deleted" in raised.value.guidance


@pytest.mark.parametrize("name", ["../../x.csv", "sub/x.csv", "/etc/x.csv", "..\\x.csv", "a\x07.csv"])
def test_a_name_that_leads_elsewhere_is_left_out(name: str, context: FetchContext) -> None:
    lines = f"type=file;size=5;modify=20260302110000; {name}\r\ntype=file;size=5;modify=20260302100000; y.csv\r\n"
    with ScriptedServer({"MLSD": lambda scene, _: scene.send([lines.encode()]), "MLST": _described}) as server:
        known = FtpServer(LOOPBACK, port=server.port, security="none", allow_private=("127.0.0.0/8",))
        connector = FtpConnector("in/*.csv", server=known, pick_up=PickUp(take="newest"))
        (payload,) = connector.fetch(context)
    assert payload.origin.endswith("/in/y.csv")  # type: ignore[union-attr]
    (warning,) = context.outcome.warnings
    assert warning.startswith("1 names in the folder cannot be of files in it")
    assert b"x.csv" not in server.received


def test_a_name_that_is_listed_twice_is_one_file(context: FetchContext) -> None:
    lines = b"type=file;size=5;modify=20260302100000; y.csv\r\n" * 2
    with ScriptedServer({"MLSD": lambda scene, _: scene.send([lines]), "MLST": _described}) as server:
        known = FtpServer(LOOPBACK, port=server.port, security="none", allow_private=("127.0.0.0/8",))
        assert len(list(FtpConnector("in/*.csv", server=known, pick_up=PickUp(take="all")).fetch(context))) == 1


def _described(scene: Any, path: str) -> None:
    scene.say(b"250-Look\r\n type=file;size=5;modify=20260302100000; y.csv\r\n250 Done\r\n")


# Each


def test_each_file_is_taken_once_from_the_oldest(desk: Desk) -> None:
    connector = desk.connector("*.csv", take="each")
    desk.upload("b.csv", "second", minutes=-20)
    desk.upload("a.csv", "third", minutes=-10)
    desk.upload("c.csv", "first", minutes=-30)
    said = []
    for expected in ("first", "second", "third"):
        assert desk.run(connector) == [expected]
        said.append(desk.said[1])
    assert said == [True, True, False]
    assert desk.run(connector) == []
    assert str(desk.said[0]).startswith("no new file")
    assert desk.names() == ["a.csv", "b.csv", "c.csv"]


def test_a_file_that_was_not_applied_is_taken_again(desk: Desk) -> None:
    connector = desk.connector("*.csv", take="each")
    desk.upload("a.csv", "a", minutes=-20)
    desk.upload("b.csv", "b", minutes=-10)
    assert [desk.fetch(connector), desk.fetch(connector)] == [["a"], ["a"]]


@pytest.mark.parametrize("change", ["longer", "later"])
def test_a_name_with_a_new_size_or_time_is_a_new_file(change: str, desk: Desk) -> None:
    connector = desk.connector("*.csv", take="each")
    desk.upload("a.csv", "one")
    assert desk.run(connector) == ["one"]
    desk.upload("a.csv", "three" if change == "longer" else "two", minutes=-60 if change == "longer" else -59)
    assert desk.run(connector) == ["three" if change == "longer" else "two"]
    assert desk.run(connector) == []


def test_what_is_remembered_stays_small(local_desk: Desk) -> None:
    connector = local_desk.connector("*.csv", take="each")
    for number in range(30):
        local_desk.upload(f"{number}.csv", "x")
        assert local_desk.run(connector) == ["x"]
        (local_desk.folder / f"{number}.csv").unlink()
    assert local_desk.cursor is not None
    assert len(json.loads(local_desk.cursor)["files"]) == 1


@pytest.mark.parametrize("cursor", ["", "x", "[]", "{}", '{"format": 2}', '{"format": 1, "files": 3}', "[" * 5000])
def test_a_cursor_that_cannot_be_read_counts_as_none(cursor: str, local_desk: Desk) -> None:
    local_desk.upload("a.csv", "a")
    local_desk.cursor = local_desk.memo = cursor
    assert local_desk.fetch(local_desk.connector("*.csv", take="each")) == ["a"]


def test_newest_never_goes_back(desk: Desk) -> None:
    connector = desk.connector("*.csv", take="newest")
    desk.upload("a.csv", "monday", minutes=-20)
    newest = desk.upload("b.csv", "tuesday", minutes=-10)
    assert desk.run(connector) == ["tuesday"]
    newest.unlink()
    assert desk.run(connector) == []
    assert str(desk.said[0]).startswith("no new file")
    desk.upload("b.csv", "tuesday again", minutes=-10)
    assert desk.run(connector) == ["tuesday again"]


# A job that stopped delivering


@pytest.mark.parametrize("take", ["one", "newest", "all", "each"])
def test_a_job_that_stopped_delivering_is_told(take: str, desk: Desk) -> None:
    connector = desk.connector("stock.csv", take=take, max_age=DAY)
    desk.upload("stock.csv", "x", minutes=0)
    assert desk.run(connector) == ["x"]
    desk.now = NOON + DAY
    desk.run(connector)
    desk.now = NOON + DAY + MINUTE
    with pytest.raises(SourceMissing, match=r"since 2026-03-02 12:00:00 UTC: for 1 day, 0:01:00") as raised:
        desk.run(connector)
    assert "job that delivers" in raised.value.guidance


@pytest.mark.parametrize("take", ["one", "newest", "all", "each"])
def test_it_is_told_when_every_file_was_moved(take: str, desk: Desk) -> None:
    connector = desk.connector("stock.csv", take=take, max_age=DAY, afterwards="move")
    with pytest.raises(SourceMissing):
        desk.run(connector)
    desk.upload("stock.csv", "x", minutes=0)
    assert desk.run(connector) == ["x"]
    assert desk.run(connector) == []
    assert str(desk.said[0]).startswith("no new file")
    desk.now = NOON + DAY + MINUTE
    with pytest.raises(SourceMissing, match="since 2026-03-02 12:00:00"):
        desk.run(connector)


# Looking at it before


def test_check_shows_the_file_that_would_be_taken(desk: Desk) -> None:
    desk.upload("a.csv", "a", minutes=-20)
    desk.upload("b.csv", "b", minutes=-10)
    each, newest = (desk.connector("*.csv", take=take, looks_apart=MINUTE) for take in ("each", "newest"))
    desk.context = desk._context(started_at=desk.now)
    assert (each.check(desk.context).data, newest.check(desk.context).data) == (b"a", b"b")
    assert desk.context.outcome.memo is None
    with pytest.raises(SourceMissing):
        desk.connector("*.txt", take="each").check(desk.context)


# Declarations


@pytest.mark.parametrize(
    "options",
    [
        {"take": "some"},
        {"afterwards": "burn"},
        {"order": "size"},
        {"order": "stock_%Q.csv"},
        {"order": ""},
        {"order": "stock_%Y%m%d.csv", "zone": "Mars/Olympus"},
        {"order": "stock_%Y%m%d.csv", "zone": "../etc/passwd"},
        {"order": "name", "zone": "Europe/Berlin"},
        {"renamed": True, "marker": "READY"},
        {"checksum": "{name}.md5", "looks_apart": MINUTE},
        {"marker": ""},
        {"marker": "{name}"},
        {"marker": "../{name}"},
        {"marker": "{stem}.done"},
        {"checksum": "SHA256SUMS"},
        {"take": "each", "marker": "READY"},
        {"done_folder": ""},
        {"done_folder": ".."},
        {"done_folder": "a/b"},
        {"failed_folder": "a\\b"},
        {"looks_apart": timedelta(0)},
        {"max_age": -MINUTE},
        {"max_files": 0},
    ],
)
def test_what_cannot_work_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PickUp(**options)


EVERYTHING = [
    PickUp(take="each", order="stock_%Y.csv", checksum="{name}.sha256", afterwards="delete", failed_folder=None),
    PickUp(take="each", order="stock_%Y%m%d.csv", zone="Europe/Berlin"),
    PickUp(take="all", order="name", marker="READY", afterwards="move", done_folder="read", max_age=DAY, max_files=3),
    PickUp(take="newest", looks_apart=2 * MINUTE),
    PickUp(renamed=True),
]


@pytest.mark.parametrize("pick_up", EVERYTHING)
def test_it_survives_storage(pick_up: PickUp) -> None:
    registry, sink = Registry(), MemorySink()
    registry.register("sink", "memory", sink)
    password = Secret.reference("env:P")
    for connector in (
        FileConnector("in/*.csv", pick_up=pick_up),
        FtpConnector("*.csv", server=FtpServer("files.example", password=password), pick_up=pick_up),
        SftpConnector(
            "*.csv",
            server=SftpServer("files.example", username="erp", password=password, host_key="SHA256:" + "A" * 43),
            pick_up=pick_up,
        ),
    ):
        source = Source(
            name="erp", connector=connector, decoder=CsvDecoder(), mapper=Columns(), feed=Feed.snapshot(), sink=sink
        )
        spec = registry.describe(source)
        assert spec.portable
        assert registry.build(registry.spec(registry.document(spec))).connector == connector
