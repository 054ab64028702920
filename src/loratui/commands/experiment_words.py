"""How an experiment is told: what it will take, how it stands, its table and its chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from loratui.commands.text import table
from loratui.core.errors import RunError
from loratui.format import duration, size, value_text

if TYPE_CHECKING:
    from loratui.commands.experiment_plan import Outlook
    from loratui.core.plan import Plan
    from loratui.evaluation.experiment import Beside, Comparison
    from loratui.experiments.directory import Experiment

CHART_WIDTH = 48
LEAST_SCALE = 0.002
"""A chart's half width is at least this share of the loss: noise is not blown up to fill it."""


def outlook_document(seen: Outlook) -> dict[str, Any]:
    """What an experiment will take, for programs."""
    return {
        "trials": [asdict(one) for one in seen.trials],
        "predicted_seconds": list(seen.seconds) if seen.seconds else None,
        "predicted_memory": seen.memory,
        "memory_budget": seen.budget,
        "steps": seen.steps_made,
        "steps_to_the_end": seen.steps_to_the_end,
    }


def outlook_words(
    name: str, plan: Plan, varied: Mapping[str, Sequence[Any]], seeds: Sequence[int], seen: Outlook
) -> str:
    """What an experiment will take, before it begins."""
    keys = list(varied)
    rows = [["trial", *(key.rpartition(".")[2] for key in keys), "memory", "stops at", ""]]
    for one in seen.trials:
        stops = ", ".join(f"{step:,}" for step in one.steps)
        left_out = f"left out: {one.why}" if one.state != "open" else one.why
        rows.append(
            [str(one.number), *(value_text(one.values[key]) for key in keys), size(one.memory), stops, left_out]
        )
    going = sum(one.state == "open" for one in seen.trials)
    each = f" × {len(seeds)} seeds" if len(seeds) > 1 else ""
    time = (
        f"{duration(seen.seconds[0])} to {duration(seen.seconds[1])}" if seen.seconds else "not known for this machine"
    )
    share = seen.steps_made / seen.steps_to_the_end
    lines = [
        f"experiment {name}: {going} trials{each}",
        "",
        table(rows, right=frozenset({len(keys) + 1})),
        "",
        f"steps       {seen.steps_made:,}, of {seen.steps_to_the_end:,} to train all of them to the end ({share:.0%})",
        f"time        {time}{f'; {seen.basis}' if seen.seconds and seen.basis else ''}",
        f"memory      up to {size(seen.memory)} of {size(seen.budget)}, one trial at a time on a device",
        f"schedule    that of the plan's {seen.total_steps:,} steps: a trial is the beginning of the whole run, and "
        "goes on as that",
    ]
    lines += [f"note: {one}" for one in _notes(plan, varied, seeds)]
    return "\n".join(lines)


def _notes(plan: Plan, varied: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[str]:
    notes = []
    if "lora.r" in varied and "lora.alpha" not in varied:
        scales = ", ".join(value_text(plan.lora.alpha / r) for r in varied["lora.r"])
        notes.append(f"lora.alpha stays {value_text(plan.lora.alpha)}, so that alpha / r differs too ({scales}).")
    if len(seeds) == 1:
        notes.append("one seed each: how much chance moves a loss will not be known. --seeds 2 shows it.")
    return notes


def list_words(experiments: Sequence[Experiment]) -> str:
    """All experiments, a line each."""
    from loratui.evaluation.experiment import compare
    from loratui.experiments.vary import values_text

    rows = [["experiment", "state", "varies", "best so far"]]
    for one in experiments:
        try:
            found = compare(one)
            best = f"{found.best.trial.number}: {values_text(found.best.trial.values)}" if found.best else "–"
            rows.append([one.name, state_of(one, found), ", ".join(one.facts()["vary"]), best])
        except RunError as error:
            rows.append([one.name, "cannot be read", error.sentence, ""])
    return table(rows)


def state_of(experiment: Experiment, found: Comparison) -> str:
    """In a word or two."""
    return "over" if found.over else "goes on" if experiment.is_open else "waits for you"


def shown(experiment: Experiment) -> str:
    """Table and chart of an experiment, what waits, and what can be done with it."""
    from loratui.evaluation.experiment import compare, words

    found, facts = compare(experiment), experiment.facts()
    keys = list(facts["vary"])
    rows = [["trial", *(key.rpartition(".")[2] for key in keys), "step", "held-out loss", "beside the best", "state"]]
    for one in found.trials:
        loss = "–" if one.loss is None else f"{one.loss:.4f}"
        if one.trial.losses and len(one.trial.losses[-1]) > 1:
            loss += f" ± {_half_range(one.trial.losses[-1]):.4f}"
        text = words(one, found.noise)
        if one.best and not found.over:
            text = "ahead"
        values = [value_text(one.trial.values[key]) for key in keys]
        step = f"{one.step:,}" if one.step else "–"
        rows.append([str(one.trial.number), *values, step, loss, text, _state_words(experiment, one)])
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    right = frozenset({0, len(keys) + 1})
    lines = [f"experiment {experiment.name}: {state_of(experiment, found)}", "", table(rows, right=right)]
    if chart := chart_of(found):
        lines += ["", *chart]
    lines += ["", *_next(experiment, found)]
    return "\n".join(lines)


def _half_range(losses: Sequence[float]) -> float:
    return (max(losses) - min(losses)) / 2


def _state_words(experiment: Experiment, one: Beside) -> str:
    trial = one.trial
    if trial.state == "open":
        held = [name for name in trial.runs if _waits_for_person(experiment, name, trial.until)]
        return f"{', '.join(held)} was stopped by a person" if held else f"on its way to step {trial.until:,}"
    if trial.state in ("failed", "too big"):
        return f"{trial.state}: {trial.why}"
    return "" if len(trial.losses) == len(trial.steps) else "stopped"


def _waits_for_person(experiment: Experiment, name: str, until: int) -> bool:
    from loratui.runs.states import UNTIL_WORDS

    run = experiment.run(name)
    if not run.plan_path.is_file():
        return False
    status = run.status()
    return status.state == "stopped" and status.step < until and not status.message.startswith(UNTIL_WORDS)


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

    lines = ["held-out loss beside the best one's: ● the mean, ├──┤ 95 %, ○ a seed"]
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


def _next(experiment: Experiment, found: Comparison) -> list[str]:
    lines = []
    if found.noise is not None:
        lines.append(f"Two seeds of the same values differ by {found.noise:.4g} nats a token.")
    elif any(one.difference is not None for one in found.trials):
        lines.append("One seed each: how far chance moves a loss is not known. --seeds 2 shows it.")
    if found.over and found.best is not None:
        near = [one.trial.number for one in found.trials if not one.best and one.share is not None]
        tied = [one.trial.number for one in found.trials if one.share is not None and one.told == "no difference"]
        if tied:
            numbers = ", ".join(map(str, tied))
            lines.append(f"Trial {found.best.trial.number} lost least; not told apart from it: {numbers}.")
        elif near:
            lines.append(f"Trial {found.best.trial.number} is the best, told apart from every other.")
        lines.append(
            f"Train it to the end: loratui try promote {experiment.name} · its plan: loratui try promote "
            f"{experiment.name} -o best.toml"
        )
    elif not experiment.is_open and not found.over:
        lines.append(f"It waits for you. Go on: loratui try {experiment.name}")
    return lines


def states_now(experiment: Experiment) -> dict[str, str]:
    """A line for each trial that changes only where something happened to it."""
    from loratui.experiments.vary import values_text

    found = {}
    for one in experiment.trials():
        name = f"trial {one.number} ({values_text(one.values)})"
        losses = " and ".join(f"{loss:.4f}" for loss in one.losses[-1]) if one.losses else ""
        step = one.steps[len(one.losses) - 1] if one.losses else 0
        if one.state == "open":
            found[name] = f"at step {step:,} held-out loss {losses}; goes on to step {one.until:,}" if losses else ""
        elif one.state == "too big":
            found[name] = ""
        elif one.state == "failed":
            found[name] = f"failed: {one.why}"
        else:
            found[name] = f"at step {step:,} held-out loss {losses}; {'best' if one.state == 'best' else 'stopped'}"
    return found


def news(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is new, a line each."""
    return [f"{name}: {text}" for name, text in now.items() if text and before.get(name) != text]
