"""What a run's events hold for a tracker: figures by step, and samples; each once, however often workers began anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loratui.runs.events import Eval, Event, Sample, Step, decode
from loratui.runs.history import counted, placed_events
from loratui.runs.lines import LineTail

NO_NAME = re.compile(r"[^A-Za-z0-9_. /-]")
"""What MLflow, the strictest of them, takes in no figure's name."""
TRAIN = (
    "epoch",
    "loss",
    "learning_rate",
    "grad_norm",
    "token_accuracy",
    "tokens",
    "tokens_per_second",
    "seconds",
    "memory_allocated",
    "memory_reserved",
    "memory_peak",
    "reward_chosen",
    "reward_rejected",
    "reward_margin",
    "preference_accuracy",
)
EVAL = (
    "loss",
    "perplexity",
    "token_accuracy",
    "exact_match",
    "rouge_l",
    "seconds",
    "reward_chosen",
    "reward_rejected",
    "reward_margin",
    "preference_accuracy",
)


@dataclass(frozen=True)
class Row:
    """Figures of one step (`train/…`) or one evaluation (`eval/…`). time: Unix seconds."""

    step: int
    time: float
    values: dict[str, float]


@dataclass(frozen=True)
class Said:
    """What the model answered to a prompt at a step; expected: the written answer, where there is one."""

    step: int
    time: float
    prompt: str
    answer: str
    expected: str = ""


def row_of(event: Event) -> Row | Said | None:
    """What a tracker gets of an event; None for one that it gets nothing of."""
    match event:
        case Step():
            return Row(event.step, event.time, _figures(event, "train", TRAIN))
        case Eval():
            return Row(event.step, event.time, _figures(event, "eval", EVAL) | _by_part(event))
        case Sample():
            return Said(event.step, event.time, event.prompt, event.answer, event.expected)
    return None


def _figures(event: Event, kind: str, names: tuple[str, ...]) -> dict[str, float]:
    values = ((name, getattr(event, name, None)) for name in names)
    return {f"{kind}/{name}": float(value) for name, value in values if value is not None}


def _by_part(event: Eval) -> dict[str, float]:
    """The loss of each part of a mix, under names that every tracker takes."""
    losses = event.loss_by_part.items()
    return {f"eval/loss/{NO_NAME.sub('_', part)}": float(loss) for part, loss in losses if loss is not None}


class Replay:
    """Everything that counts of a run so far, in its order and in constant memory: what was made anew since is passed
    over, and of an evaluation that was made twice the last one stands. offset: bytes that were read, once it is over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0

    def __iter__(self) -> Iterator[Row | Said]:
        course = counted(self._path)
        last: dict[tuple[str, int, str], int] = {}
        for place, event in placed_events(self._path, until=course.until):
            if isinstance(event, Eval | Sample):
                last[_key(event)] = place
        lines = LineTail(self._path, until=course.until)
        for start, part in lines.chunks():
            place = start
            for line in part:
                told = decode(line) if line else None
                here, place = place, place + len(line) + 1
                if not isinstance(told, Step | Eval | Sample) or not course.counts(here, told.step):
                    continue
                if isinstance(told, Eval | Sample) and last.get(_key(told)) != here:
                    continue
                row = row_of(told)
                if row is not None:
                    yield row
        self.offset = lines.offset


def _key(event: Eval | Sample) -> tuple[str, int, str]:
    return event.type, event.step, event.prompt if isinstance(event, Sample) else ""
