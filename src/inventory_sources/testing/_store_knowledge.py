"""The state store's contract: history, and what earlier runs have left."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

from attrs import evolve

from inventory_sources.batch import Place, Rejection, RejectionKind
from inventory_sources.errors import ConfigurationError, Phase, SourceNotFound
from inventory_sources.protocols.store import HeldPlan, LedgerChange, UnmappedSku
from inventory_sources.run import Failure, RunCounts, RunResult
from inventory_sources.testing._store_suite import SECOND, StoreSuite, audit, raised, run_of

__all__ = ["HistorySuite", "KnowledgeSuite", "rejection"]

_HOSTILE = "tab\t quote ' back\\slash \x00 half \ud800 naïve 在庫 \U0001f4e6"


def rejection(number: int, kind: RejectionKind = RejectionKind.INVALID, origin: str = "stock.csv") -> Rejection:
    """A rejected row."""
    return Rejection(kind, "quantity_blank", "is blank", "fill it in", Place(origin, number))


class HistorySuite(StoreSuite):
    """Runs, rejections and audit."""

    def test_a_run_reads_back_as_it_was_written(self) -> None:
        """Every field."""
        store, clock = self.open("erp")
        run = evolve(
            run_of("erp", "r-1", clock.now() + timedelta(microseconds=1), RunResult.FAILED),
            attempt=2,
            worker=_HOSTILE,
            counts=RunCounts(rows=3, mapped=2, invalid=1, items=2, changed=2, products_updated=2),
            failure=Failure("truncated", Phase.FETCH, _HOSTILE, "again", clock.now()),
            as_of=clock.now() - SECOND,
            inputs=("a.csv", _HOSTILE),
            evidence="length",
            warnings=("one",),
            digest="d",
        )
        self.write(store, "erp", runs=(run,))
        assert store.run("r-1") == run

    def test_a_run_is_replaced_by_id(self) -> None:
        """Running first, then finished."""
        store, clock = self.open("erp")
        self.write(store, "erp", runs=(run_of("erp", "r-1", clock.now(), RunResult.RUNNING),))
        self.write(store, "erp", runs=(run_of("erp", "r-1", clock.now()), run_of("erp", "r-2", clock.now() + SECOND)))
        assert [(run.id, run.result) for run in store.runs("erp")] == [
            ("r-2", RunResult.COMPLETED),
            ("r-1", RunResult.COMPLETED),
        ]

    def test_runs_come_newest_first_in_pages(self) -> None:
        """Of this source only, whatever order they were written in."""
        store, clock = self.open("erp", "wms")
        for second in (2, 1, 4, 3):
            self.write(store, "erp", runs=(run_of("erp", f"r-{second}", clock.now() + second * SECOND),))
        self.write(store, "wms", runs=(run_of("wms", "other", clock.now()),))
        assert [run.id for run in store.runs("erp", limit=2)] == ["r-4", "r-3"]
        assert [run.id for run in store.runs("erp", before=clock.now() + 3 * SECOND)] == ["r-2", "r-1"]

    def test_what_is_not_there_is_empty(self) -> None:
        """No source, no run: no error."""
        store, _ = self.open()
        assert store.run("r") is None
        assert [*store.runs("x"), *store.rejections("r"), *store.audit("x"), *store.ledger("x")] == []
        assert [*store.unmapped("x"), *store.overrides("x"), *store.waiting("x")] == []
        assert store.held("x") is None

    def test_rejections_come_in_order_of_place(self) -> None:
        """Input by input, in pages, whatever order the stages found them in."""
        store, _ = self.open("erp")
        places = [("b.csv", 7), ("a.csv", 5), ("b.csv", 3), ("a.csv", 2), ("a.csv", 30)]
        self.write(
            store,
            "erp",
            rejections_of="r-1",
            rejections=[rejection(number, origin=origin) for origin, number in places],
        )
        rows = store.rejections("r-1")
        ordered = [("b.csv", 3), ("b.csv", 7), ("a.csv", 2), ("a.csv", 5), ("a.csv", 30)]
        assert [(row.rejection.place.origin, row.rejection.place.number) for row in rows] == ordered
        assert list(store.rejections("r-1", after=rows[1].id, limit=2)) == list(rows[2:4])

    def test_a_rejection_reads_back_as_it_was_written(self) -> None:
        """Raw cells hold whatever the feed held."""
        store, _ = self.open("erp")
        full = evolve(
            rejection(1, RejectionKind.UNMAPPED),
            cells={_HOSTILE: _HOSTILE, "": None},
            sku=_HOSTILE * 20,
            location="L",
            quantity=Decimal("1.500000000"),
        )
        self.write(store, "erp", rejections_of="r-1", rejections=[rejection(2), full])
        (row,) = store.rejections("r-1", RejectionKind.UNMAPPED)
        assert (row.run_id, row.rejection, str(row.rejection.quantity)) == ("r-1", full, "1.500000000")

    def test_rejections_are_resolved_once(self) -> None:
        """Only those that were open count."""
        store, clock = self.open("erp")
        self.write(store, "erp", rejections_of="r-1", rejections=[rejection(number) for number in range(1, 4)])
        ids = [row.id for row in store.rejections("r-1")]
        assert store.resolve_rejections(ids[:2]) == 2
        assert store.resolve_rejections([*ids, 10**9]) == 1
        assert [row.resolved_at for row in store.rejections("r-1")] == [clock.now()] * 3

    def test_audit_entries_come_newest_first(self) -> None:
        """As written, with the transition that they belong to."""
        store, clock = self.open("erp", "wms")
        pause, resume = audit("erp", clock.now(), "pause"), audit("erp", clock.now(), "resume")
        self.write(store, "erp", audit=(pause, resume))
        assert list(store.audit("erp", limit=2)) == [resume, pause]
        assert len(store.audit("wms")) == 1


class KnowledgeSuite(StoreSuite):
    """Ledger, unmapped identifiers, held plans and overrides."""

    def test_ledger_segments_come_oldest_first(self) -> None:
        """Up to one that stands for all of them."""
        store, _ = self.open("erp", "wms")
        self.write(store, "wms", ledger=LedgerChange(b"other", 1, replaces=False))
        for segment in (b"one", b"", b"\x00three\xff"):
            self.write(store, "erp", ledger=LedgerChange(segment, 1, replaces=False))
        assert list(store.ledger("erp")) == [b"one", b"", b"\x00three\xff"]
        self.write(store, "erp", ledger=LedgerChange(b"all", 3, replaces=True))
        self.write(store, "erp", ledger=LedgerChange(b"more", 1, replaces=False))
        assert list(store.ledger("erp")) == [b"all", b"more"]
        assert list(store.ledger("wms")) == [b"other"]

    def test_bytes_of_any_size_are_kept(self) -> None:
        """Nine mebibytes in the ledger and in a held plan, of bytes that no encoding spares."""
        store, clock = self.open("erp")
        segment = random.Random(1).randbytes(9 * 1024 * 1024)  # noqa: S311 - not for secrets
        batch = bytes(9 * 1024 * 1024 + 1)
        held = HeldPlan("d", "r-1", clock.now(), (), batch)
        self.write(store, "erp", ledger=LedgerChange(segment, 1, replaces=False), held=held)
        read, plan = store.ledger("erp"), store.held("erp")
        assert len(read) == 1
        assert read[0] == segment
        assert plan is not None
        assert plan.batch == batch

    def test_an_unmapped_identifier_keeps_its_first_sighting(self) -> None:
        """The rest is of the last one."""
        store, clock = self.open("erp")
        first = UnmappedSku("A-1", clock.now(), clock.now(), Decimal("1.50"), "line 1")
        later = UnmappedSku("A-1", clock.now() + SECOND, clock.now() + SECOND, None, "line 2 \U0001f4e6")
        self.write(store, "erp", unmapped=[first])
        assert list(store.unmapped("erp")) == [first]
        self.write(store, "erp", unmapped=[later])
        assert list(store.unmapped("erp")) == [evolve(later, first_seen=first.first_seen)]

    def test_unmapped_identifiers_are_exact_and_come_in_pages(self) -> None:
        """Case and trailing spaces tell two products apart."""
        store, clock = self.open("erp", "wms")
        skus = ["a", "A", "a ", "à", "00123", "123", "x" * 255]
        self.write(store, "erp", unmapped=[UnmappedSku(sku, clock.now(), clock.now()) for sku in skus])
        assert [entry.sku for entry in store.unmapped("erp")] == sorted(skus)
        assert [entry.sku for entry in store.unmapped("erp", after="123", limit=2)] == ["A", "a"]
        self.write(store, "erp", resolved=["a", "not there"])
        assert [entry.sku for entry in store.unmapped("erp")] == sorted(set(skus) - {"a"})
        assert list(store.unmapped("wms")) == []

    def test_an_identifier_that_cannot_be_kept_does_not_stop_the_run(self) -> None:
        """It shows in the run's rejections; the ledger of unmapped identifiers leaves it out."""
        store, clock = self.open("erp")
        skus = ["x" * 256, "a\0b", "\ud800", "good"]
        self.write(
            store, "erp", unmapped=[UnmappedSku(sku, clock.now(), clock.now()) for sku in skus], resolved=skus[:3]
        )
        assert [entry.sku for entry in store.unmapped("erp")] == ["good"]

    def test_many_entries_at_once(self) -> None:
        """A first feed with the wrong identifiers."""
        store, clock = self.open("erp")
        entries = [UnmappedSku(f"{number:06}", clock.now(), clock.now()) for number in range(5000)]
        rows = [rejection(number) for number in range(1, 5001)]
        self.write(store, "erp", unmapped=entries, rejections_of="r-1", rejections=rows)
        assert list(store.unmapped("erp", limit=10_000)) == entries
        assert [row.rejection for row in store.rejections("r-1", limit=10_000)] == rows
        self.write(store, "erp", resolved=[entry.sku for entry in entries])
        assert list(store.unmapped("erp")) == []

    def test_a_held_plan_is_put_replaced_and_dropped(self) -> None:
        """One at a time."""
        store, clock = self.open("erp")
        first = HeldPlan("d-1", "r-1", clock.now(), ("lost 200 of 1,000", _HOSTILE), b"batch \x00")
        self.write(store, "erp", held=first)
        assert store.held("erp") == first
        second = evolve(first, digest="d-2", batch=b"", figures=())
        self.write(store, "erp", held=second, drop_held=True)
        assert store.held("erp") == second
        self.write(store, "erp", drop_held=True)
        assert store.held("erp") is None

    def test_overrides_are_exact_and_taken_back(self) -> None:
        """Each with its audit entry."""
        store, clock = self.open("erp", "wms")
        for external, sku in (("a", "SKU-1"), ("A", "SKU-2"), ("a ", "SKU-3"), ("a", "SKU-4")):
            store.override("erp", external, sku, audit("erp", clock.now(), "map_sku"))
        assert store.overrides("erp") == {"a": "SKU-4", "A": "SKU-2", "a ": "SKU-3"}
        store.override("erp", "A", None, audit("erp", clock.now(), "unmap_sku"))
        assert store.overrides("erp") == {"a": "SKU-4", "a ": "SKU-3"}
        assert store.overrides("wms") == {}
        assert [entry.action for entry in store.audit("erp", limit=2)] == ["unmap_sku", "map_sku"]

    def test_an_override_needs_a_source_and_names_that_fit(self) -> None:
        """Nothing is kept otherwise."""
        store, clock = self.open("erp")
        entry = audit("erp", clock.now(), "map_sku")
        raised(SourceNotFound, lambda: store.override("wms", "a", "b", entry))
        raised(ConfigurationError, lambda: store.override("erp", "x" * 256, "b", entry))
        raised(ConfigurationError, lambda: store.override("erp", "a", "b\0", entry))
        assert store.overrides("erp") == {}
        assert len(store.audit("erp")) == 1
