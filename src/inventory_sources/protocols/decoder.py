"""Decoder: reads bytes as rows of text.

A decoder gives every cell as text or null and guesses nothing: which columns exist, how they are delimited and
encoded is declared. It keeps each row's place. A row that cannot be read as a row is reported as damaged with its
place and never shifted into another; an input that is not the declared format at all raises a
:class:`~inventory_sources.errors.DecodeError`, and then nothing of the input is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field, frozen

from inventory_sources.batch import RawBatch
from inventory_sources.payload import Evidence, Payload, Proof

__all__ = ["DecodeContext", "Decoder", "Inspection"]


def _all_columns(headings: Sequence[str]) -> Sequence[str]:
    return headings


@define
class DecodeContext:
    """What a decoder is given for one payload.

    :param select: told the headings found, gives those to keep; raises
        :class:`~inventory_sources.errors.HeadingInvalid` when one that is needed is missing.
    :param evidence: what is known of the payload's completeness; the decoder adds to it what the document itself
        proves (a closing bracket, a trailer) by :meth:`prove`.
    :param max_rows: more rows are refused with :class:`~inventory_sources.errors.InputTooLarge`.
    :param keep_damaged: how many damaged rows to keep in full.
    :param checkpoint: called between pieces of work; raises when the sync must stop.
    """

    select: Callable[[Sequence[str]], Sequence[str]] = field(default=_all_columns)
    evidence: Evidence = field(factory=Evidence)
    max_rows: int = 20_000_000
    keep_damaged: int = 10_000
    checkpoint: Callable[[], None] = field(default=lambda: None)
    warnings: list[str] = field(factory=list)

    def warn(self, message: str) -> None:
        """Adds a warning to the run's record: what a person should know although the input is read."""
        self.warnings.append(message)

    def prove(self, proof: Proof) -> None:
        """Records what the document proves about its own end."""
        self.evidence = self.evidence.with_proof(proof)


@frozen
class Inspection:
    """What the head of an input looks like, and what to declare for it.

    :param headings: columns found, by the declared options or, failing that, by the suggested ones.
    :param sample: the first rows, each as long as ``headings``.
    :param suggestions: options to declare, such as ``{"delimiter": ";"}``; never applied by themselves.
    :param problems: why the declared options do not read it.
    """

    headings: tuple[str, ...]
    sample: tuple[tuple[str | None, ...], ...] = ()
    suggestions: Mapping[str, Any] = field(factory=dict)
    problems: tuple[str, ...] = ()


class Decoder(Protocol):
    """Reads bytes as rows of text; see the module for the contract."""

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the payload's rows in order, in batches of any size.

        :raises DecodeError: when the bytes are not the declared format.
        :raises InputIncomplete: when they may not be all of it; of nothing too, where nothing proves the end.
        :raises InputTooLarge: when a cap is passed.
        """

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes for a person; never raises for bad input.

        :param complete: whether ``head`` is the whole input rather than cut off somewhere.
        """
