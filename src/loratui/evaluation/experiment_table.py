"""How an experiment stands: the lines of its table, its chart, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence

from loratui.core.errors import LoratuiError
from loratui.core.plan_text import label_of
from loratui.evaluation.experiment import Beside, Comparison, compare, words
from loratui.experiments.directory import Experiment
from loratui.experiments.vary import values_text
from loratui.experiments.words import one_seed_words, state_of, varied_words
from loratui.format import signed, value_text

CHART_WIDTH = 48
LEAST_SCALE = 0.002
"""A chart's half width is at least this share of the loss: noise is not blown up to fill it."""
CHART_HEAD = "beside the best, UNIT: ● the mean, ├──┤ 95 %, ○ a seed"


def listed_rows(experiments: Sequence[Experiment]) -> list[list[str]]:
    """All experiments, a line each under the columns' names."""
    rows = [["experiment", "state", "varies", "best so far"]]
    for one in experiments:
        try:
            found = compare(one)
            best = f"{found.best.trial.number}: {values_text(found.best.trial.values)}" if found.best else "–"
            rows.append([one.name, state_of(one, found.over), varied_words(one.facts()["vary"]), best])
        except LoratuiError as error:
            rows.append([one.name, "cannot be read", error.sentence, ""])
    return rows


def table_rows(experiment: Experiment, found: Comparison) -> list[list[str]]:
    """A line a trial under the columns' names: its values, how far it came, its loss beside the best one's, its
    state.
    """
    keys = list(experiment.facts()["vary"])
    rows = [["trial", *map(label_of, keys), "step", "held-out loss", "beside the best", "state"]]
    for one in found.trials:
        loss = "–" if one.loss is None else f"{one.loss:.4f}"
        if len(one.losses) > 1:
            loss += f" ± {_half_range(one.losses):.4f}"
        text = words(one, found)
        if one.best and not found.over:
            text = "ahead"
        values = [value_text(one.trial.values[key]) for key in keys]
        step = f"{one.step:,}" if one.step else "–"
        rows.append([str(one.trial.number), *values, step, loss, text, _state_words(one)])
    return rows


def _half_range(losses: Sequence[float]) -> float:
    return (max(losses) - min(losses)) / 2


def _state_words(one: Beside) -> str:
    trial = one.trial
    if trial.state == "open":
        return one.standing
    if trial.state in ("failed", "too big"):
        return f"{trial.state}: {trial.why}"
    return "" if len(trial.losses) == len(trial.steps) else "stopped"


def chart_of(found: Comparison) -> list[str]:
    """How far each trial lies from the best one, with its 95 % interval and each seed's difference."""
    known = [one for one in found.trials if one.difference is not None]
    if not known or found.best is None:
        return []
    ends = [0.0, *found.best.seeds]
    for one in known:
        ends += [_far(one) - (one.half or 0.0), _far(one) + (one.half or 0.0), *one.seeds]
    least = LEAST_SCALE * found.best.level
    low, high = min(*ends, -least), max(*ends, least)

    def at(difference: float) -> int:
        return min(CHART_WIDTH - 1, max(0, round((difference - low) / (high - low) * (CHART_WIDTH - 1))))

    lines = [CHART_HEAD.replace("UNIT", found.unit)]
    for one in found.trials:
        cells = [" "] * CHART_WIDTH
        cells[at(0.0)] = "┊"
        if one.best or one.difference is not None:
            if one.half:
                first, last = at(_far(one) - one.half), at(_far(one) + one.half)
                cells[first : last + 1] = "├" + "─" * (last - first - 1) + "┤" if last > first else "│"
            for seed in one.seeds if len(one.seeds) > 1 else ():
                cells[at(seed)] = "○"
            cells[at(_far(one))] = "●"
        told = "" if one.difference is None else signed(one.difference)
        lines.append(f"{one.trial.number:>3}  {''.join(cells)}  {told}".rstrip())
    lines.append(f"     {signed(low).ljust(CHART_WIDTH - 8)}{signed(high):>8}")
    return lines


def _far(one: Beside) -> float:
    return one.difference or 0.0


def verdict_lines(found: Comparison, *, option: str = "") -> list[str]:
    """What table and chart come to: once it is over which one is the best, and what is known of chance. option: as
    `one_seed_words` takes it.
    """
    lines = []
    if found.over and found.best is not None:
        near = [one.trial.number for one in found.trials if not one.best and one.share is not None]
        tied = [one.trial.number for one in found.trials if one.share is not None and one.told == "no difference"]
        if tied:
            numbers = ", ".join(map(str, tied))
            lines.append(f"Trial {found.best.trial.number} lost least; not told apart from it: {numbers}.")
        elif near:
            lines.append(f"Trial {found.best.trial.number} is the best, told apart from every other.")
    if found.noise is not None:
        lines.append(f"Two seeds of the same values differ by {found.noise:.4g} {found.unit}.")
    elif any(one.difference is not None for one in found.trials):
        unknown = one_seed_words(begun=True, option=option)
        lines.append(unknown[0].upper() + unknown[1:])
    return lines
