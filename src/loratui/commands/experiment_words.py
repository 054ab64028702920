"""How an experiment is printed: what it will take, how it stands, and the commands that go on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from loratui.commands.text import table

if TYPE_CHECKING:
    from loratui.evaluation.experiment import Comparison
    from loratui.experiments.directory import Experiment
    from loratui.experiments.outlook import Outlook
    from loratui.experiments.question import Question


SEEDS_OPTION = "--seeds 2"


def outlook_words(question: Question, seen: Outlook) -> str:
    """What an experiment will take, before it begins."""
    from loratui.experiments.words import MEMORY, outlook_lines, outlook_rows, trials_words

    rows = outlook_rows(question, seen)
    going = sum(one.state == "open" for one in seen.trials)
    lines = [
        f"experiment {question.name}: {trials_words(going, len(question.seeds))}",
        "",
        table(rows, right=frozenset({rows[0].index(MEMORY, len(question.varied) + 1)})),
        "",
    ]
    for word, text in outlook_lines(question, seen, option=SEEDS_OPTION):
        lines.append(f"note: {text}" if word == "note" else f"{word:<12}{text}")
    return "\n".join(lines)


def list_words(experiments: Sequence[Experiment]) -> str:
    """All experiments, a line each."""
    from loratui.evaluation.experiment_table import listed_rows

    return table(listed_rows(experiments))


def shown(experiment: Experiment) -> str:
    """Table and chart of an experiment, what waits, and what can be done with it."""
    from loratui.evaluation.experiment import compare
    from loratui.evaluation.experiment_table import chart_of, table_rows, verdict_lines
    from loratui.experiments.words import state_of

    found = compare(experiment)
    rows = table_rows(experiment, found)
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    right = frozenset({0, rows[0].index("step", 1)})
    lines = [f"experiment {experiment.name}: {state_of(experiment, found.over)}", "", table(rows, right=right)]
    if chart := chart_of(found):
        lines += ["", *chart]
    lines += ["", *verdict_lines(found, option=SEEDS_OPTION), *_next(experiment, found)]
    return "\n".join(lines)


def _next(experiment: Experiment, found: Comparison) -> list[str]:
    if found.over and found.best is not None:
        return [
            f"Train it to the end: loratui try promote {experiment.name} · its plan: loratui try promote "
            f"{experiment.name} -o best.toml"
        ]
    if not experiment.is_open and not found.over:
        return [f"It waits for you. Go on: loratui try {experiment.name}"]
    return []


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
