"""Which of two runs is better on its held-out rows, by how much, and whether the two figures can be compared at all.

They can where both were measured on the same tokens of the same rows: `fingerprint.json` has a digest of those. By each
row's own losses chance is known then, as between two evaluations of one run (`core.early_stopping`). The figures are
those of each run's best evaluation. Another seed of the training moves them too, which two runs cannot show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loratui.core.early_stopping import Change
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import label_of
from loratui.core.preferences import is_preference, loss_unit
from loratui.format import loss_text
from loratui.runs import row_losses
from loratui.runs.directory import Run
from loratui.runs.events import Eval

ROWS_FOLLOW_FROM = ("model.", "dataset.", "training.seed", "training.max_length", "training.loss_on")
"""Plan keys, or how they begin, from which follows what is held out and as which tokens."""
NAMED = 3
"""Differences that a sentence names; of more it says how many."""


@dataclass(frozen=True)
class Side:
    """A run with its plan and its best evaluation; None where it has none yet. name: as it is called."""

    run: Run
    plan: Plan
    best: Eval | None
    name: str
    over: bool = True


def held_out_words(first: Side, second: Side, differing: Sequence[str]) -> str:
    """One sentence: which is better held out and by how much, or why that cannot be said. differing: the plan keys
    that have not the same value in both. Reads both runs' files: for a thread.
    """
    without = [side.name for side in (first, second) if side.best is None or side.best.loss is None]
    if without:
        some = " and ".join(without)
        return f"Nothing says yet which is better: {some} {'have' if len(without) > 1 else 'has'} no held-out loss."
    so_far = "" if first.over and second.over else " so far"
    one, other = _loss(first), _loss(second)
    figures = f"{loss_text(one)} and {loss_text(other)}"
    if why_not := why_incomparable(first, second, differing):
        return f"Their best held-out losses, {figures}{so_far}, cannot be compared: {why_not}."
    unit = loss_unit(first.plan)
    better, worse = (first, second) if one <= other else (second, first)
    far = _loss(worse) - _loss(better)
    change = _by_rows(better, worse)
    rows = f"the same {change.rows:,} rows" if change is not None else "the same rows"
    if far == 0 or (change is not None and change.told in ("unknown", "no better")):
        between = f": {_between(change)}" if far and change is not None and change.low is not None else ""
        return f"Held out they cannot be told apart{so_far}: {figures} {unit} on {rows}{between}."
    share = f" ({100 * far / _loss(worse):.0f} %)" if _loss(worse) > 0 else ""
    chance = _between(change) if change is not None else "how far chance goes is not known"
    return (
        f"{better.name} is better held out{so_far}: {loss_text(_loss(better))} {unit}, {_apart(better, worse)} below "
        f"{worse.name}{share}, on {rows}; {chance}."
    )


def differing_words(keys: Sequence[str]) -> str:
    """`They differ in Rank and Learning rate.`"""
    if not keys:
        return "Their plans are the same."
    names = [label_of(key) for key in keys[: NAMED if len(keys) > NAMED + 1 else len(keys)]]
    if len(names) < len(keys):
        names.append(f"{len(keys) - len(names)} more")
    return f"They differ in {', '.join(names[:-1])}{' and ' if len(names) > 1 else ''}{names[-1]}."


def why_incomparable(first: Side, second: Side, differing: Sequence[str]) -> str:
    """Why two held-out losses do not measure the same; empty where they do."""
    if first.plan.training.objective != second.plan.training.objective:
        kinds = " and ".join(side.plan.training.objective.upper() for side in (first, second))
        return f"{kinds} measure losses of other kinds"
    if is_preference(first.plan) and (own := [key for key in differing if key.startswith("preference.")]):
        return f"what the loss measures follows from {', '.join(map(label_of, own[:NAMED]))}, which differ"
    prints = [_print(side.run) for side in (first, second)]
    causes = [key for key in differing if key.startswith(ROWS_FOLLOW_FROM)]
    named = ", ".join(label_of(key) for key in causes[:NAMED])
    if prints[0].get("held_out") and prints[0].get("digest") == prints[1].get("digest"):
        if prints[0].get("held_out") == prints[1].get("held_out"):
            return ""
        return f"other rows, or other tokens of them, were held out ({named or 'the dataset has changed between them'})"
    if causes:  # a run of an older version tells nothing of its rows
        return f"they may have other held-out rows ({named})"
    return ""


def _print(run: Run) -> dict[str, Any]:
    try:
        data = run.fingerprint().get("data", {})
    except LoratuiError:
        return {}
    return data if isinstance(data, dict) else {}


def _loss(side: Side) -> float:
    assert side.best is not None and side.best.loss is not None
    return side.best.loss


def _apart(better: Side, worse: Side) -> str:
    """Their difference, so that it agrees with the two figures as they are shown."""
    shown = float(loss_text(_loss(worse))) - float(loss_text(_loss(better)))
    return loss_text(shown if shown else _loss(worse) - _loss(better))


def _by_rows(better: Side, worse: Side) -> Change | None:
    """How far the worse one lies above the better one, row beside row; None where the rows' losses were not kept."""
    assert better.best is not None and worse.best is not None
    low = row_losses.read(better.run, better.best.step)
    high = row_losses.read(worse.run, worse.best.step)
    return high.changed(low, better.best.step, looks=2) if low is not None and high is not None else None


def _between(change: Change) -> str:
    """Where the difference lies, chance considered."""
    if change.low is None or change.high is None:
        return "how far chance goes is not known"
    sign = "" if change.low > 0 else "+"
    return f"95 % between {change.low:{sign}.2g} and {change.high:{sign}.2g}"
