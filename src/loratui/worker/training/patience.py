"""What a run knows of its evaluations so far: the best one, how many came after it, and what their rows can tell.

All of it follows from the checkpoint's own log and from `held_out_losses.jsonl`, so that a run that goes on decides as
it would have decided. The rule itself is `core.early_stopping`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from loratui.core.early_stopping import Change, end_words, ends, undecided_words
from loratui.core.plan import Plan
from loratui.core.schedule import times_in
from loratui.runs import row_losses
from loratui.runs.directory import Run
from loratui.runs.row_losses import RowLosses
from loratui.worker.training.resume import same_for_all


class _Kept(NamedTuple):
    step: int
    rows: RowLosses


class Patience:
    """The best evaluation, and whether the run is to end without a better one."""

    def __init__(self, run: Run, plan: Plan, *, agree: Callable[[str], str] = same_for_all) -> None:
        """agree: the first process's word, in every process: its rows decide for all."""
        self.run, self.patience, self.every_steps = run, plan.evaluation.patience, plan.evaluation.every_steps
        self.best_loss: float | None = None
        self.best_step = 0
        self.without_better = 0
        self.last_loss: float | None = None
        self.since_best: Change | None = None
        """How the loss of the last evaluation differs from that of the best one before it, by their rows."""
        self.told = ""
        """Once patience is used up and the rows cannot tell: that, in a sentence, at that evaluation alone."""
        self._best: RowLosses | None = None
        self._looks = 1
        self._agree = agree

    def restore(self, judged: Sequence[tuple[int, float]], total_steps: int) -> None:
        """As it was after these evaluations, (step, loss); the run makes so many steps in all."""
        self._looks = times_in(total_steps, self.every_steps)
        self.best_loss, self.best_step, self.without_better = None, 0, 0
        for step, loss in judged:
            self._count(step, loss)
        self._best = row_losses.read(self.run, self.best_step) if self.best_step else None
        self.since_best = None
        if self.without_better and self._best is not None:
            last = row_losses.read(self.run, judged[-1][0])
            self.since_best = last.changed(self._best, self.best_step, self._looks) if last is not None else None

    def _count(self, step: int, loss: float | None) -> bool:
        self.last_loss, best = loss, loss is not None and math.isfinite(loss)
        if best and (self.best_loss is None or (loss is not None and loss < self.best_loss)):
            self.best_loss, self.best_step, self.without_better = loss, step, 0
            return True
        self.without_better += 1
        return False

    def evaluated(self, step: int, loss: float | None, rows: RowLosses | None) -> bool:
        """Take up an evaluation, and say whether it is the best so far."""
        self.told, self.since_best = "", None
        if rows is not None and self._best is not None:
            self.since_best = rows.changed(self._best, self.best_step, self._looks)
        if self._count(step, loss):
            self._best = rows
            return True
        if self.without_better == self.patience and self.since_best is not None and not self._ends:
            self.told = undecided_words(self.without_better, self.since_best)
        return False

    @property
    def looks(self) -> int:
        """Evaluations of the whole run."""
        return self._looks

    @property
    def _ends(self) -> bool:
        return ends(self.without_better, self.patience, self.since_best)

    @property
    def is_enough(self) -> bool:
        """Whether the run ends after the last evaluation. Every process asks."""
        return bool(self.patience) and self._agree("enough" if self._ends else "") == "enough"

    @property
    def words(self) -> str:
        """Why it ends."""
        return end_words(self.without_better, self.best_step, self.since_best)


class PartChanges:
    """Of a mix, how each part's held-out loss stands beside its own lowest so far, by the rows of that part."""

    def __init__(self, names: Sequence[str], parts: Sequence[int]) -> None:
        """parts: the part of each row held out."""
        numbers = [[at for at, part in enumerate(parts) if part == number] for number in range(len(names))]
        self._rows = {name: mine for name, mine in zip(names, numbers, strict=True) if mine}
        self._count = len(parts)
        self._best: dict[str, _Kept] = {}

    def restore(self, run: Run, steps: Iterable[int]) -> None:
        """As it was after the evaluations at these steps."""
        wanted, losses = set(steps), dict[str, dict[int, float]]()
        for step, rows in row_losses.each(run) if self._rows and wanted else ():
            for name, mine in self._mine(rows) if step in wanted else ():
                losses.setdefault(name, {})[step] = mine.loss if math.isfinite(mine.loss) else math.inf
        for name, known in losses.items():
            step = min(known, key=lambda at: (known[at], at))
            rows_then = row_losses.read(run, step)
            if rows_then is not None and len(rows_then.nll) == self._count:
                self._best[name] = _Kept(step, rows_then.chosen(self._rows[name]))

    def evaluated(self, step: int, rows: RowLosses | None, looks: int) -> dict[str, Change]:
        """Take up an evaluation: each part beside its lowest before. looks: evaluations of the whole run."""
        found: dict[str, Change] = {}
        for name, mine in self._mine(rows) if rows is not None else ():
            before = self._best.get(name)
            if not math.isfinite(mine.loss):
                continue
            parts = len(self._rows)
            if before is not None and (since := mine.changed(before.rows, before.step, looks, parts)) is not None:
                found[name] = since
            if before is None or mine.loss < before.rows.loss:
                self._best[name] = _Kept(step, mine)
        return found

    def _mine(self, rows: RowLosses) -> Iterable[tuple[str, RowLosses]]:
        if len(rows.nll) != self._count:
            return ()
        return ((name, rows.chosen(mine)) for name, mine in self._rows.items())
