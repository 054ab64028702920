"""How long the rows are, as far as it is known: checked, checked in part, or guessed from characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratui.tui.wizard.check import Check, rows_cut

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal


@dataclass(frozen=True)
class RowLengths:
    """What the panel of lengths shows; `inspect --json` describes the keys of its parts."""

    tokens: Mapping[str, int]
    histogram: Mapping[str, Sequence[int]]
    ledger: Sequence[Mapping[str, int]]
    """What each maximum length cuts; only `max_length` and `cut` where the tokens are guessed."""
    proposed: int
    """The maximum length that is proposed, in tokens."""
    why: str
    basis: str = ""
    """What it rests on where that is less than every row, counted."""
    trained_tokens: int | None = None
    packing: Mapping[str, Any] | None = None


def lengths_now(check: Check, proposal: Proposal) -> RowLengths:
    """The best that is known: the check's result, else what it found so far, else the guess behind the plan.

    What is proposed is the recipe's own proposal, whatever the check alone would take.
    """
    found = check.result or check.partial
    if found is not None:
        basis = ""
        if check.result is None:
            state = "the check goes on" if check.progress else "the check was stopped"
            basis = f"Counted in the first {found['examples']:,} rows; {state}."
        proposed, why = _proposed(proposal)
        return RowLengths(
            found["tokens"],
            found["histogram"],
            _with_rows(found, proposal.plan.training.max_length, proposed),
            proposed,
            why,
            basis,
            int(found["trained_tokens_uncut"]),
            found["packing"],
        )
    return _guessed(proposal)


def _proposed(proposal: Proposal) -> tuple[int, str]:
    """The maximum length that the recipe proposes, in tokens, and why."""
    reason = proposal.recommendations.get("training.max_length")
    if reason is None:
        return proposal.plan.training.max_length, "it is yours"
    return int(reason.value), reason.why[:1].lower() + reason.why[1:]


def _with_rows(found: Mapping[str, Any], *wanted: int) -> list[Mapping[str, int]]:
    """The check's ledger, with rows for the lengths that it did not weigh: of those only what is cut is known."""
    ledger: list[Mapping[str, int]] = list(found["ledger"])
    known = {row["max_length"] for row in ledger}
    ledger += [
        {"max_length": length, "cut": rows_cut(dict(found), length)} for length in sorted({*wanted} - known) if length
    ]
    return sorted(ledger, key=lambda row: row["max_length"])


def _guessed(proposal: Proposal) -> RowLengths:
    from loratui.data.lengths import Lengths

    data, lengths = proposal.data, Lengths()
    for tokens in data.lengths:
        lengths.add(tokens, ())
    now = proposal.plan.training.max_length
    proposed, why = _proposed(proposal)
    share = data.examples / len(data.lengths)  # they may be those of a sample
    ledger = [
        {"max_length": row["max_length"], "cut": round(row["cut"] * share)} for row in lengths.ledgers(now, proposed)
    ]
    guess = "Guessed from characters, about four a token, until it is checked."
    basis = "Counted by an earlier check." if data.exact else guess
    return RowLengths(lengths.summary(), lengths.histogram(), ledger, proposed, why, basis)
