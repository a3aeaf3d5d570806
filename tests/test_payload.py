"""What is known of several inputs together."""

from __future__ import annotations

import pytest

from inventory_sources.payload import Evidence, Proof

LENGTH, CHUNKED, STABLE = (Evidence(frozenset({proof})) for proof in (Proof.LENGTH, Proof.CHUNKED_END, Proof.STABLE))


@pytest.mark.parametrize(
    ("parts", "proven"),
    [
        ([], False),
        ([LENGTH], True),
        ([LENGTH, CHUNKED], True),
        ([LENGTH, STABLE], False),
        ([LENGTH, Evidence()], False),
        ([STABLE, STABLE], False),
    ],
)
def test_a_feed_of_parts_is_proven_when_each_part_is(parts: list[Evidence], *, proven: bool) -> None:
    assert Evidence.all_of(parts).proves_end is proven


def test_what_holds_for_each_part_is_kept_where_not_all_is_proven() -> None:
    both = Evidence(frozenset({Proof.LENGTH, Proof.STABLE}))
    assert Evidence.all_of([both, STABLE]).proofs == {Proof.STABLE}
