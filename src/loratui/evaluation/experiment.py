"""The trials of an experiment beside the best one: how far apart, and whether that is more than noise.

Two kinds of noise are in a difference of two held-out losses. Other rows would give another figure: that is told by the
rows' own differences (`intervals.paired`), for both sides were measured on the same ones. Another seed would give
another figure: that is told by how far the seeds of each setting lie apart, pooled over all settings (one standard
deviation for all, Student's t for as many degrees of freedom as there are seeds beyond the first of each). Both add up
as independent errors do. With one seed the second is not known, and it is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from loratui.core.preferences import loss_unit
from loratui.evaluation.intervals import Interval, paired, student
from loratui.evaluation.measures import Measure, Numbers, ratio
from loratui.experiments.directory import Experiment, Trial
from loratui.experiments.standing import losses_there, under_way
from loratui.runs import row_losses
from loratui.runs.row_losses import RowLosses

LOSS = Measure("loss", "held-out loss", "number", -1, ratio, graded=False, mean=False)


@dataclass(frozen=True)
class Beside:
    """One trial beside the best one, at the last rung that both reached.

    loss: mean over its seeds at the last rung that it reached itself, `step`, be it decided or not; None before the
    first one. losses: each seed's there. standing: of an open one, where it is, in words. difference: its loss less the
    best one's at `rung`; share: that difference by the best one's loss. half: half of the 95 % interval of the
    difference, None where nothing is known of it. level: the best one's loss there. seeds: each seed's own difference.
    told: better, worse, or no difference.
    """

    trial: Trial
    loss: float | None
    step: int
    losses: tuple[float, ...] = ()
    standing: str = ""
    best: bool = False
    rung: int = -1
    difference: float | None = None
    share: float | None = None
    half: float | None = None
    level: float = 0.0
    by_rows: bool = False
    seeds: tuple[float, ...] = ()
    told: str = "no difference"


@dataclass(frozen=True)
class Comparison:
    """All trials. noise: by how much two seeds of one setting differ, in `unit`; None with one seed. over: whether
    nothing is to come. unit: of every loss and difference (`loss_unit`).
    """

    trials: list[Beside]
    noise: float | None
    over: bool
    unit: str

    @property
    def best(self) -> Beside | None:
        return next((one for one in self.trials if one.best), None)

    @property
    def in_shares(self) -> bool:
        """Whether differences are told as shares of the best one's loss: all of them, or none, so that one can be read
        beside the other.
        """
        known = [one for one in self.trials if one.share is not None and not one.best]
        return all(abs(one.share or 0.0) < 1 and (self.noise or 0.0) < one.level for one in known)


def compare(experiment: Experiment, trials: Sequence[Trial] | None = None) -> Comparison:
    """The trials as far as they are. RunError where the experiment cannot be read."""
    trials = experiment.trials() if trials is None else trials
    unit = loss_unit(experiment.plan())
    over = all(one.state != "open" for one in trials)
    best = _best(trials)
    if best is None:
        return Comparison([_alone(experiment, one) for one in trials], None, over, unit)
    spreads = [_spread(trials, rung) for rung in range(len(best.losses))]
    found = [_beside(experiment, one, best, spreads) for one in trials]
    deviation = next((spread[0] for spread in reversed(spreads) if spread is not None), None)
    return Comparison(found, None if deviation is None else math.sqrt(2) * deviation, over, unit)


def _best(trials: Sequence[Trial]) -> Trial | None:
    """The one that won, or is ahead: of those that came furthest the one that lost least."""
    known = [one for one in trials if one.losses and one.state in ("open", "best", "stopped")]
    won = [one for one in known if one.state == "best"]
    return min(won or known, key=lambda one: (-len(one.losses), fmean(one.losses[-1])), default=None)


def _spread(trials: Sequence[Trial], rung: int) -> tuple[float, int] | None:
    """Standard deviation of one run about its setting's mean at a rung, and its degrees of freedom; None with one
    seed.
    """
    groups = [one.losses[rung] for one in trials if len(one.losses) > rung and len(one.losses[rung]) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None
    squares = math.fsum((loss - fmean(group)) ** 2 for group in groups for loss in group)
    return math.sqrt(squares / freedom), freedom


def _beside(experiment: Experiment, trial: Trial, best: Trial, spreads: Sequence[tuple[float, int] | None]) -> Beside:
    alone = _alone(experiment, trial)
    if not trial.losses:
        return alone
    rung = min(len(trial.losses), len(best.losses)) - 1
    level = fmean(best.losses[rung])
    if trial.number == best.number:
        around = tuple(one - level for one in best.losses[rung])
        return replace(alone, best=True, rung=rung, level=level, seeds=around)
    difference = fmean(trial.losses[rung]) - level
    pairs = list(zip(trial.losses[rung], best.losses[rung], strict=True))
    by_rows = _by_rows(experiment, trial, best, rung)
    halves = []
    if by_rows is not None and by_rows.low is not None and by_rows.high is not None:
        halves.append((by_rows.high - by_rows.low) / 2)
    if (spread := spreads[rung]) is not None:
        halves.append(student(spread[1]) * spread[0] * math.sqrt(2 / len(pairs)))
    half = math.hypot(*halves) if halves else None
    told = "no difference"
    if half is not None and abs(difference) > half:
        told = "worse" if difference > 0 else "better"
    return replace(
        alone,
        rung=rung,
        difference=difference,
        share=difference / level,
        half=half,
        level=level,
        by_rows=by_rows is not None,
        seeds=tuple(one - other for one, other in pairs),
        told=told,
    )


def _alone(experiment: Experiment, trial: Trial) -> Beside:
    """A trial by itself: what it lost where it came to, and how it stands."""
    there = losses_there(experiment, trial) if trial.state == "open" else []
    standing = under_way(experiment, trial) if trial.state == "open" else ""
    decided = trial.losses[-1] if trial.losses else []
    losses = tuple(there or decided)
    step = trial.until if there else trial.steps[len(trial.losses) - 1] if decided else 0
    return Beside(trial, fmean(losses) if losses else None, step, losses=losses, standing=standing)


def _by_rows(experiment: Experiment, one: Trial, other: Trial, rung: int) -> Interval | None:
    """The difference of two trials on the rows that both were measured on; None where those are not kept, or not the
    same.
    """
    sides = [_rows(experiment, trial, rung) for trial in (one, other)]
    if sides[0] is None or sides[1] is None or not np.array_equal(sides[0][:, 1], sides[1][:, 1]):
        return None
    return paired(LOSS, sides[0], sides[1])


def _rows(experiment: Experiment, trial: Trial, rung: int) -> Numbers | None:
    """Each row's loss, mean over the seeds, and its tokens: [rows, 2]."""
    found: list[RowLosses] = []
    for name in trial.runs:
        rows = row_losses.read(experiment.run(name), trial.steps[rung])
        if rows is None or (found and rows.tokens != found[0].tokens):
            return None
        found.append(rows)
    losses = np.mean([one.nll for one in found], axis=0)
    return np.stack([losses, np.array(found[0].tokens, dtype=np.float64)], axis=1)


def words(one: Beside, found: Comparison) -> str:
    """`0.8% worse, seeds differ by 0.5%: not told apart`; in the loss's unit where shares say nothing. found: all the
    trials among which it stands.
    """
    noise, unit, shares = found.noise, found.unit, found.in_shares
    if one.best:
        return "the best"
    if one.difference is None or one.share is None:
        return ""

    def amount(nats: float) -> str:
        return f"{nats / one.level:.1%}" if shares else f"{nats:.4g} {unit}"

    far = f"{amount(abs(one.difference))} {'worse' if one.difference >= 0 else 'better'}"
    if one.half is None:
        return f"{far}: nothing tells it from noise"
    apart = "told apart" if one.told != "no difference" else "not told apart"
    if noise is None:
        return f"{far}: {apart} on these rows"
    on = "" if one.by_rows else ", rows not compared"
    return f"{far}, seeds differ by {amount(noise)}{on}: {apart}"


def document(found: Comparison) -> dict[str, object]:
    """The same for programs: shares are of the best one's loss at that rung."""

    def entry(one: Beside) -> Mapping[str, object]:
        low, high = (
            (None, None)
            if one.half is None or one.difference is None
            else (one.difference - one.half, one.difference + one.half)
        )
        return {
            "trial": one.trial.number,
            "values": one.trial.values,
            "runs": one.trial.runs,
            "state": one.trial.state,
            "why": one.trial.why,
            "standing": one.standing,
            "rungs": one.trial.steps,
            "losses": one.trial.losses,
            "loss": one.loss,
            "step": one.step,
            "best": one.best,
            "compared_at_rung": one.rung,
            "difference": one.difference,
            "share": one.share,
            "interval": [low, high],
            "told": "" if one.best or one.difference is None else one.told,
        }

    return {
        "over": found.over,
        "best": found.best.trial.number if found.best else None,
        "seeds_differ_by": found.noise,
        "trials": [entry(one) for one in found.trials],
    }
