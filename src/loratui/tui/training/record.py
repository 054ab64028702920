"""Everything that a run's events tell, gathered for a screen: the newest figures, the curves, what happened.

It takes events in their order and never grows with the length of a run: curves are thinned, lists are capped.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratui.core.early_stopping import UNDECIDED
from loratui.core.smoothing import Smoother, Thinned
from loratui.runs.events import (
    Checkpoint,
    Data,
    Eval,
    Event,
    Failed,
    Finding,
    Finished,
    Fix,
    FixOutcome,
    Oom,
    Paused,
    Phase,
    Sample,
    Started,
    Step,
    Stopped,
)
from loratui.runs.held_out import best_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loratui.core.diagnosis import Curves

CURVE_POINTS = 600
"""More than any chart has dot columns."""
KEPT_SAMPLES = 200
KEPT_FINDINGS = 50
KEPT_CHECKPOINTS = 1_000
KEPT_EVALS = 2_000
FIRST_OF_ALL = frozenset({"start", "rehearse"})
FIRST_PHASES = FIRST_OF_ALL | {"load_model"}
"""What a worker says before anything else; those of several processes begin with the last of these."""


@dataclass
class Stage:
    """A stage of a run's start. began, ended: Unix seconds, 0 while it goes on. done, of: how far it is."""

    began: float
    message: str = ""
    done: int = 0
    of: int = 0
    ended: float = 0.0


class RunRecord:
    """One run, as its events have told it so far."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.data: Data | None = None
        self.phase: Phase | None = None
        self.stages: dict[str, Stage] = {}
        """The stages of the last start, in the order in which they began."""
        self.step: Step | None = None
        self.base: Eval | None = None
        """The evaluation before the first step."""
        self.evals: list[Eval] = []
        """Of very many, the late ones all and some of the early ones, the best among them."""
        self.checkpoints: deque[Checkpoint] = deque(maxlen=KEPT_CHECKPOINTS)
        self.evaluations, self.saves = 0, 0
        """How many were told of so far."""
        self.findings: deque[Finding] = deque(maxlen=KEPT_FINDINGS)
        self.samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self.oom: Oom | None = None
        self.fix: Fix | None = None
        """The last change of the plan since the run was made."""
        self.failed_fixes: list[Fix] = []
        """Those that are known not to have helped."""
        self.made_since_fix: Step | None = None
        """The first step after it: the change in force."""
        self.outcome: FixOutcome | None = None
        """Whether that change helped; None while nobody knows."""
        self.ended: Finished | Stopped | Failed | None = None
        """How the last worker ended; None while one is at work."""
        self.first_time = 0.0
        self.last_time = 0.0
        self.paused_seconds = 0.0
        """Between one worker's last sign and the next one's first."""
        self.events = 0
        self.total_steps = 0
        self.loss = Thinned(CURVE_POINTS)
        self.loss_smooth = Thinned(CURVE_POINTS)
        self.learning_rate = Thinned(CURVE_POINTS)
        self.grad_norm = Thinned(CURVE_POINTS)
        self.speed = Thinned(CURVE_POINTS)
        self.memory = Thinned(CURVE_POINTS)
        self.chosen_reward, self.margin, self.order, self.kl, self.log_odds = (Thinned(CURVE_POINTS) for _ in range(5))
        """Of preferences alone: what the chosen answers gain, how far above the rejected, pairs in the right order;
        KTO's KL, ORPO's log odds.
        """
        self.memory_peak = 0
        """Greatest peak so far, in bytes."""
        self.segments = 0
        """How often it saved because a scheduler's job ended, to go on in the next."""
        self._at_work = False
        """Whether the last worker is past its beginning, or has ended: what begins then is another one."""
        self._smoother = Smoother()

    @property
    def worked_seconds(self) -> float:
        """From the first worker's start to the last event, without the pauses between workers."""
        return max(0.0, self.last_time - self.first_time - self.paused_seconds)

    @property
    def last_loss(self) -> float | None:
        """Of the last step that had one: what every list and screen calls the loss of a run."""
        return self.loss.last if self.loss.points else None

    @property
    def smoothed_loss(self) -> float | None:
        """The smoothed course at the last step: it is called smoothed wherever it is shown."""
        return self.loss_smooth.last if self.loss_smooth.points else None

    @property
    def curves(self) -> Sequence[Thinned]:
        """Every curve."""
        own = (self.loss, self.loss_smooth, self.learning_rate, self.grad_norm, self.speed, self.memory)
        return (*own, self.chosen_reward, self.margin, self.order, self.kl, self.log_odds)

    @property
    def held_out(self) -> list[Eval]:
        """The evaluations with a loss, that before the first step among them."""
        begun = [self.base] if self.base is not None else []
        return [one for one in (*begun, *self.evals) if one.loss is not None]

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Their steps and losses, for a chart."""
        return tuple((one.step, one.loss) for one in self.held_out if one.loss is not None)

    @property
    def best_eval(self) -> Eval | None:
        """The evaluation with the least loss."""
        return best_of(self.evals)

    def as_curves(
        self, *, finished: bool, proposed: Mapping[str, Any] | None = None, bf16: bool | None = None
    ) -> Curves:
        """The curves for a diagnosis; those of a long run thinned. proposed, bf16: what the worker noted of its
        situation.
        """
        from loratui.core.diagnosis import Curves

        steps = [int(x) for x in self.loss.xs]
        losses = [point.last for point in self.loss.points]
        if self.step is not None and self.step.loss is not None and not math.isfinite(self.step.loss):
            steps.append(self.step.step)
            losses.append(self.step.loss)

        def beside(curve: Thinned) -> list[float]:
            known = dict(zip(curve.xs, (point.last for point in curve.points), strict=True))
            return [known.get(step, math.nan) for step in steps]

        epoch = self.step.epoch if self.step else 0.0
        done = self.step.step if self.step else 0
        judged = [one for one in self.evals if one.loss is not None]
        return Curves(
            steps,
            losses,
            beside(self.grad_norm),
            beside(self.learning_rate),
            [one.step for one in judged],
            [one.loss for one in judged if one.loss is not None],
            total_steps=self.total_steps,
            steps_per_epoch=round(done / epoch) if epoch else 0,
            finished=finished,
            proposed=proposed or {},
            eval_rows=self.data.eval_examples if self.data else 0,
            trained_tokens=self.data.trained_tokens if self.data else None,
            bf16=bf16,
            base_loss=self.base.loss if self.base is not None and self.base.loss is not None else math.nan,
            chosen_rewards=beside(self.chosen_reward),
            margins=beside(self.margin),
            orders=beside(self.order),
            kls=beside(self.kl),
            log_odds=beside(self.log_odds),
            changes=[one.beside_best for one in judged],
            part_changes=judged[-1].parts_beside_best if judged else {},
        )

    def take(self, events: Iterable[Event]) -> int:
        """Take events in; how many they were."""
        count = 0
        for event in events:
            self._take(event)
            count += 1
        self.events += count
        return count

    def _take(self, event: Event) -> None:
        begins = isinstance(event, Phase) and event.phase in FIRST_PHASES
        began = event.time - (event.worker_seconds or 0.0) if begins and isinstance(event, Phase) else event.time
        self.first_time = self.first_time or began
        if self._at_work and (begins or isinstance(event, Fix)):
            self.paused_seconds += max(0.0, began - self.last_time)
            self._at_work = not begins
        self.last_time = event.time
        match event:
            case Step():
                self._take_step(event)
            case Started():
                self._take_start(event)
            case Paused():
                self.segments += 1
            case Data():
                self.data = event
            case Phase():
                self.phase = event
                self._take_stage(event)
            case Eval(step=0):
                self.base = event
            case Eval():
                if self.evals and self.evals[-1].step == event.step:  # made again after a kill: the last one counts
                    self.evals.pop()
                else:
                    self.evaluations += 1
                self.evals.append(event)
                self._thin_evals()
                if event.beside_best is None or event.beside_best.told != "unknown":
                    self._forget(UNDECIDED)
            case Sample():
                self.samples.append(event)
            case Checkpoint():
                self.saves += 1
                self.checkpoints.append(event)
            case Finding():
                if event.finding == UNDECIDED:  # told again by a worker that made its evaluation again
                    self._forget(UNDECIDED)
                self.findings.append(event)
            case Oom():
                self.oom = event
            case Fix():
                self.fix, self.outcome, self.made_since_fix = event, None, None
                self.findings.clear()
                self.stages, self.phase = {}, None  # the last worker's
                if event.start == "anew":
                    self._begin_anew()
                if event.start != "checkpoint":
                    self.base = None
                self._go_back_to(event.from_step if event.start == "checkpoint" else 0)
            case FixOutcome():
                self.outcome = event
                if self.fix is not None and not event.helped:
                    self.failed_fixes.append(self.fix)
            case Finished() | Stopped() | Failed():
                self.ended, self._at_work = event, True

    def _forget(self, kind: str) -> None:
        """What holds no more, since an evaluation has told it."""
        if any(one.finding == kind for one in self.findings):
            self.findings = deque((one for one in self.findings if one.finding != kind), maxlen=KEPT_FINDINGS)

    def _begin_anew(self) -> None:
        """The attempt before has nothing to do with this one: its time begins with its worker's first word."""
        self.first_time = self.last_time = self.paused_seconds = 0.0
        self.memory_peak = self.segments = self.total_steps = self.evaluations = self.saves = 0
        self.ended, self.oom, self._at_work = None, None, False

    def _take_stage(self, event: Phase) -> None:
        name = event.phase
        again = name in self.stages and list(self.stages)[-1] != name
        if again or (event.worker_seconds is not None and not self._of_several(name)):  # another start
            self.stages.clear()
        if name not in self.stages:
            for stage in self.stages.values():
                stage.ended = stage.ended or event.time
            self.stages[name] = Stage(event.time)
        stage = self.stages[name]
        stage.message, stage.done, stage.of = event.message, event.done or stage.done, event.of or stage.of

    def _of_several(self, stage: str) -> bool:
        """Whether a worker's first word is that of a process which another one has started for this run."""
        return "start" in self.stages and stage not in FIRST_OF_ALL | self.stages.keys()

    def _thin_evals(self) -> None:
        if len(self.evals) > KEPT_EVALS:
            best, half = self.best_eval, KEPT_EVALS // 2
            early = [one for number, one in enumerate(self.evals[:half]) if number % 2 == 0 or one is best]
            self.evals = early + self.evals[half:]

    def _take_start(self, event: Started) -> None:
        self.started, self.ended, self.oom, self._at_work = event, None, None, True
        self.total_steps = event.total_steps or self.total_steps
        self._go_back_to(event.step)

    def _go_back_to(self, step: int) -> None:
        """What was told of later steps counts no more: others are made in their place."""
        self._smoother = Smoother(max(4.0, min(100.0, self.total_steps / 50)))
        for curve in self.curves:
            curve.drop_after(step)
        if self.loss_smooth.points:
            self._smoother.add(self.loss_smooth.last)
        self.evals = [one for one in self.evals if one.step <= step]
        self.checkpoints = deque((one for one in self.checkpoints if one.step <= step), maxlen=KEPT_CHECKPOINTS)
        self.samples = deque((one for one in self.samples if one.step <= step), maxlen=KEPT_SAMPLES)
        if self.step is not None and self.step.step > step:
            self.step = None

    def _take_step(self, event: Step) -> None:
        self.step = event
        self.made_since_fix = self.made_since_fix or event
        x = event.step
        if event.loss is not None:
            self.loss.add(x, event.loss)
            self.loss_smooth.add(x, self._smoother.add(event.loss))
        for curve, value in (
            (self.learning_rate, event.learning_rate),
            (self.grad_norm, event.grad_norm),
            (self.speed, event.tokens_per_second),
            (self.memory, event.memory_reserved or event.memory_allocated),
            (self.chosen_reward, event.reward_chosen),
            (self.margin, event.reward_margin),
            (self.order, event.preference_accuracy),
            (self.kl, event.kl),
            (self.log_odds, event.log_odds),
        ):
            if value is not None:
                curve.add(x, value)
        self.memory_peak = max(self.memory_peak, event.memory_peak or 0)
