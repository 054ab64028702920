"""Changes of a plan that make it fit in another tool: first what keeps the result, and only then what cuts rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from loratui.core.dataset import DataFacts
from loratui.core.plan import Plan

LENGTH_STEP = 64
Change = Mapping[str, int | bool]
Tried = Callable[[Change], str | None]
"""What the plan so changed comes to in the tool: the option that it fits with ("" where it needs none); None where it
does not fit."""


@dataclass(frozen=True, slots=True)
class Way:
    """What makes a plan fit in a tool: set all of it, and it fits there.

    change: plan keys. held: those of them that only keep the rest as it is; a plan's file needs none, what is planned
    anew does. note: what it costs. option: the tool's own option that must be on beside it; "" where none must.
    followed: whether a plan was made anew with it, and fits there.
    """

    change: Change
    held: tuple[str, ...] = ()
    note: str = ""
    option: str = ""
    followed: bool = False

    @property
    def text(self) -> str:
        """For a plan's file: `training.max_length = 704 (longer rows are cut)`."""
        told = ", ".join(f"{key} = {_set(value)}" for key, value in self.change.items())
        return f"{told}{self._note}"

    @property
    def settings(self) -> str:
        """For a command: `--set training.max_length=704 [--set training.batch_size=8] (longer rows are cut)`."""
        own, rest = (
            " ".join(f"--set {key}={_set(value)}" for key, value in self.change.items() if (key in self.held) is held)
            for held in (False, True)
        )
        return f"{own}{f' [{rest}]' if rest else ''}{self._note}"

    @property
    def _note(self) -> str:
        notes = (self.note, f"with {self.option}" if self.option else "")
        told = ", ".join(filter(None, notes))
        return f" ({told})" if told else ""


def ways_of(plan: Plan, data: DataFacts, tried: Tried) -> Iterator[Way]:
    """Each way is enough, the gentlest first. Rows are cut only where nothing that keeps the result is enough."""
    slower: Change = {} if plan.training.checkpointing else {"training.checkpointing": True}
    kept = [
        _way(slower, "slower", tried) if slower else None,
        _smaller({}, plan, "", tried),
    ]
    if slower and not any(kept):
        kept.append(_smaller(slower, plan, "slower", tried))
    found = [way for way in kept if way is not None]
    yield from found
    if not found:
        yield from _shorter(slower, plan, data, tried)


def _way(change: Change, note: str, tried: Tried) -> Way | None:
    option = tried(change)
    return None if option is None else Way(change, note=note, option=option)


def _smaller(base: Change, plan: Plan, note: str, tried: Tried) -> Way | None:
    """The largest batches of the same steps that fit, the training's before the evaluation's."""
    least = _leanest(base, plan)
    if least.keys() == base.keys() or tried(least) is None:
        return None
    training = plan.training
    step = training.batch_size * training.accumulation
    said = ", ".join(filter(None, ("the same steps", note)))
    for rows in (rows for rows in range(training.batch_size, 0, -1) if step % rows == 0):
        fewer = {"training.batch_size": rows, "training.accumulation": step // rows}
        for evaluated in _halves(plan):
            change = {
                **base,
                **(fewer if rows < training.batch_size else {}),
                **({"evaluation.batch_size": evaluated} if evaluated < plan.evaluation.batch_size else {}),
            }
            if change.keys() != base.keys() and (way := _way(change, said, tried)) is not None:
                return way
    return None


def _leanest(base: Change, plan: Plan) -> Change:
    """One row at a time, of the same steps, beside what is changed already."""
    training = plan.training
    return {
        **base,
        **(
            {"training.batch_size": 1, "training.accumulation": training.batch_size * training.accumulation}
            if training.batch_size > 1
            else {}
        ),
        **({"evaluation.batch_size": 1} if _halves(plan)[-1] < plan.evaluation.batch_size else {}),
    }


def _halves(plan: Plan) -> list[int]:
    """The evaluation's batch, half of it, and so on down to one row; only itself where nothing is evaluated."""
    sizes = [plan.evaluation.batch_size]
    while plan.evaluation.every_steps and sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return sizes


def _shorter(slower: Change, plan: Plan, data: DataFacts, tried: Tried) -> Iterator[Way]:
    """Shorter rows: one row at a time, where fewer are cut by that; and with all else as it is."""
    least = _leanest(slower, plan)
    alone, longest = _longest({}, plan, tried), _longest(least, plan, tried) if least else 0
    for base, length in ((least, longest if longest > alone else 0), ({}, alone)):
        if length and (way := _way({**base, "training.max_length": length}, _cut(data, length), tried)) is not None:
            yield way


def _longest(base: Change, plan: Plan, tried: Tried) -> int:
    """The longest `training.max_length` in steps of 64 that fits beside `base`; 0 where none does."""
    low, high = 0, (plan.training.max_length - 1) // LENGTH_STEP
    while low < high:
        middle = (low + high + 1) // 2
        fits = tried({**base, "training.max_length": middle * LENGTH_STEP}) is not None
        low, high = (middle, high) if fits else (low, middle - 1)
    return low * LENGTH_STEP


def _cut(data: DataFacts, length: int) -> str:
    """What shorter rows cost, by the dataset's own lengths."""
    if data.divided:
        return "texts are divided into shorter pieces"
    if data.supposed:
        return "longer rows are cut"
    share = data.longer_than(length)
    if not share:
        return "longer rows are cut; this dataset has none"
    return f"longer rows are cut: about {share:.0%} of them all".replace("%", " %")


def _set(value: int | bool) -> str:
    return str(value).lower()
