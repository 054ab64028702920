"""How an experiment stands: the lines of its table, its chart, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from loratui.core.errors import RunError
from loratui.evaluation.experiment import Beside, Comparison, compare, words
from loratui.experiments.directory import Experiment
from loratui.experiments.standing import losses_there, under_way
from loratui.experiments.vary import values_text
from loratui.experiments.words import Naming, last_names, one_seed_words, state_of
from loratui.format import value_text

CHART_WIDTH = 48
LEAST_SCALE = 0.002
"""A chart's half width is at least this share of the loss: noise is not blown up to fill it."""
CHART_HEAD = "held-out loss beside the best one's: ● the mean, ├──┤ 95 %, ○ a seed"


def listed_rows(experiments: Sequence[Experiment]) -> list[list[str]]:
    """All experiments, a line each under the columns' names."""
    rows = [["experiment", "state", "varies", "best so far"]]
    for one in experiments:
        try:
            found = compare(one)
            best = f"{found.best.trial.number}: {values_text(found.best.trial.values)}" if found.best else "–"
            rows.append([one.name, state_of(one, found.over), ", ".join(one.facts()["vary"]), best])
        except RunError as error:
            rows.append([one.name, "cannot be read", error.sentence, ""])
    return rows


def table_rows(experiment: Experiment, found: Comparison, naming: Naming = last_names) -> list[list[str]]:
    """A line a trial under the columns' names: its values, how far it came, its loss beside the best one's, its
    state.
    """
    keys = list(experiment.facts()["vary"])
    rows = [["trial", *naming(keys), "step", "held-out loss", "beside the best", "state"]]
    for one in found.trials:
        there = losses_there(experiment, one.trial) if one.trial.state == "open" else []
        losses, at = (there, one.trial.until) if there else (one.trial.losses[-1] if one.trial.losses else [], one.step)
        loss = f"{fmean(losses):.4f}" if losses else "–"
        if len(losses) > 1:
            loss += f" ± {_half_range(losses):.4f}"
        text = words(one, found.noise)
        if one.best and not found.over:
            text = "ahead"
        values = [value_text(one.trial.values[key]) for key in keys]
        step = f"{at:,}" if at else "–"
        rows.append([str(one.trial.number), *values, step, loss, text, _state_words(experiment, one)])
    return rows


def _half_range(losses: Sequence[float]) -> float:
    return (max(losses) - min(losses)) / 2


def _state_words(experiment: Experiment, one: Beside) -> str:
    trial = one.trial
    if trial.state == "open":
        return under_way(experiment, trial)
    if trial.state in ("failed", "too big"):
        return f"{trial.state}: {trial.why}"
    return "" if len(trial.losses) == len(trial.steps) else "stopped"


def chart_of(found: Comparison) -> list[str]:
    """How far each trial lies from the best one in nats a token, with its 95 % interval and each seed's difference."""
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

    lines = [CHART_HEAD]
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
        told = "" if one.difference is None else f"{one.difference:+.4f}"
        lines.append(f"{one.trial.number:>3}  {''.join(cells)}  {told}".rstrip())
    lines.append(f"     {f'{low:+.4f}'.ljust(CHART_WIDTH - 8)}{f'{high:+.4f}':>8}")
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
        lines.append(f"Two seeds of the same values differ by {found.noise:.4g} nats a token.")
    elif any(one.difference is not None for one in found.trials):
        unknown = one_seed_words(begun=True, option=option)
        lines.append(unknown[0].upper() + unknown[1:])
    return lines
