"""How it is told what an experiment will take, before it begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from loratui.core.plan_text import label_of
from loratui.format import duration, size, value_text

if TYPE_CHECKING:
    from loratui.experiments.directory import Experiment
    from loratui.experiments.outlook import Outlook
    from loratui.experiments.question import Question

MEMORY = "memory"
"""Name of the column that is aligned at its end."""


def state_of(experiment: Experiment, over: bool) -> str:
    """In a word or two. over: whether nothing is to come."""
    return "over" if over else "goes on" if experiment.is_open else "waits for you"


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


def varied_words(keys: Iterable[str]) -> str:
    """What varies: `learning rate, rank`."""
    return ", ".join(label_of(key, within=True) for key in keys)


def trials_words(count: int, seeds: int) -> str:
    """`4 trials × 2 seeds`."""
    return f"{count:,} trials" + (f" × {seeds} seeds" if seeds > 1 else "")


def outlook_rows(question: Question, seen: Outlook) -> list[list[str]]:
    """A line a trial under the columns' names: its values, its memory, where it stops, and why it is left out."""
    keys = list(question.varied)
    rows = [["trial", *map(label_of, keys), MEMORY, "stops at", ""]]
    for one in seen.trials:
        stops = ", ".join(f"{step:,}" for step in one.steps)
        left_out = f"left out: {one.why}" if one.state != "open" else one.why
        rows.append(
            [str(one.number), *(value_text(one.values[key]) for key in keys), size(one.memory), stops, left_out]
        )
    return rows


def one_seed_words(*, begun: bool, option: str = "") -> str:
    """What one seed each leaves unknown, and what shows it. option: how a command is told so; a screen has none."""
    known = "is not known" if begun else "will not be known"
    told = f" ({option})" if option else ""
    return f"one seed each: how far chance moves a loss {known}. 2 seeds of each show it{told}."


def outlook_lines(question: Question, seen: Outlook, *, option: str = "") -> list[tuple[str, str]]:
    """What the whole takes: a word, and what is to be said of it. option: as `one_seed_words` takes it."""
    time = (
        f"{duration(seen.seconds[0])} to {duration(seen.seconds[1])}" if seen.seconds else "not known for this machine"
    )
    share = seen.steps_made / seen.steps_to_the_end
    return [
        ("steps", f"{seen.steps_made:,}, of {seen.steps_to_the_end:,} to train all of them to the end ({share:.0%})"),
        ("time", f"{time}{f'; {seen.basis}' if seen.seconds and seen.basis else ''}"),
        ("memory", f"up to {size(seen.memory)} of {size(seen.budget)}, one trial at a time on a device"),
        (
            "schedule",
            f"that of the plan's {seen.total_steps:,} steps: a trial is the beginning of the whole run, and goes on as "
            "that",
        ),
        *(("note", one) for one in _notes(question, option)),
    ]


def _notes(question: Question, option: str) -> list[str]:
    notes, varied, alpha = [], question.varied, question.plan.lora.alpha
    if "lora.r" in varied and "lora.alpha" not in varied:
        scales = ", ".join(value_text(alpha / r) for r in varied["lora.r"])
        notes.append(f"{label_of('lora.alpha')} stays {value_text(alpha)}, so that alpha / r differs too ({scales}).")
    if len(question.seeds) == 1:
        notes.append(one_seed_words(begun=False, option=option))
    return notes
