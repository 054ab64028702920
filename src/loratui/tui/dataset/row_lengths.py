"""How long the rows are, as far as it is known: checked, checked in part, or guessed from characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratui.tui.wizard.check import Check

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
    """The best that is known: the check's result, else what it found so far, else the guess behind the plan."""
    found = check.result or check.partial
    if found is not None:
        basis = ""
        if check.result is None:
            state = "the check goes on" if check.progress else "the check was stopped"
            basis = f"Counted in the first {found['examples']:,} rows; {state}."
        proposed = found["proposed_max_length"]
        return RowLengths(
            found["tokens"],
            found["histogram"],
            found["ledger"],
            int(proposed["value"]),
            str(proposed["why"]),
            basis,
            int(found["trained_tokens_uncut"]),
            found["packing"],
        )
    return _guessed(proposal)


def _guessed(proposal: Proposal) -> RowLengths:
    from loratui.data.lengths import Lengths

    data, key = proposal.data, "training.max_length"
    lengths, reason = Lengths(), proposal.recommendations.get(key)
    for tokens in data.lengths:
        lengths.add(tokens, ())
    now = proposal.plan.training.max_length
    proposed = int(reason.value) if reason is not None else now
    share = data.examples / len(data.lengths)  # they may be those of a sample
    ledger = [
        {"max_length": row["max_length"], "cut": round(row["cut"] * share)} for row in lengths.ledgers(now, proposed)
    ]
    guess = "Guessed from characters, about four a token, until it is checked."
    basis = "Counted by an earlier check." if data.exact else guess
    why = reason.why[:1].lower() + reason.why[1:] if reason is not None else "it is yours"
    return RowLengths(lengths.summary(), lengths.histogram(), ledger, proposed, why, basis)
