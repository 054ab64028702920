"""Advice followed to its end: a training fails for real, its first fix is applied by the function behind the key `f`
or by the run itself, and the events after it say whether the change is in force, the run goes on, and it helped.

Used by the tests, and many times over by `benchmarks/advice.py`.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advice import Case, World

from loratui.core.plan import Plan
from loratui.runs.control import wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Eval, Event, EventTail, Finding, Finished, Fix, Oom, Started, Step
from loratui.runs.recovery import allow
from loratui.runs.resume import resume_run
from loratui.runs.start import create_run, exit_status_of, start_worker
from loratui.tui.training import fixes as fixing
from loratui.tui.training import follow, mending

TIMEOUT = 300.0
SITE = Path(__file__).parent / "world_faults"
PLAIN_HEAP = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
"""What is freed is given back at once, so that a limit means the same at every step."""
LIVE_SECONDS_A_STEP = 0.04
"""So that somebody who looks on can act while the run goes on."""
NEAR = 1e-6
BETTER_SHARE = 0.01
OWN_WORDS = {"diverging": {"diverging", "diverged"}, "not-finite": {"not-finite", "loss-nan", "gradient-nan"}}
"""How the curves and the worker call the same thing."""


@dataclass
class Outcome:
    """What came of one fix. by: `f` or `auto`."""

    case: str
    kind: str
    by: str
    found: str = ""
    fix: str = ""
    start: str = ""
    in_force: bool = False
    went_on: bool = False
    helped: bool = False
    measure: str = ""
    problem: str = ""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        return self.in_force and self.went_on and self.helped and not self.problem


class Followed(follow.Followed):
    """As a screen follows a run, looking more often."""

    def poll(self) -> bool:
        self._diagnosed_at = -math.inf
        return super().poll()


def events_of(run: Run) -> list[Event]:
    """Everything that the run tells."""
    return EventTail(run.events_path).new_events()


def seen_by(path: Path) -> list[dict[str, Any]]:
    """What each forward pass held, as noted from within the workers."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Replay:
    """One case in a folder of its own. Sets this process's environment: one at a time."""

    def __init__(self, world: World, case: Case, folder: Path) -> None:
        self.world, self.case, self.folder = world, case, folder
        folder.mkdir(parents=True)
        self.rows = case.write_rows(folder / "rows.jsonl")
        self.plan = world.plan(self.rows, {"training.seed": case.seed, **case.plan_of(world)})

    def by_person(self) -> Outcome:
        """Fail, choose the first fix as the panel lists them, apply it, look at what follows."""
        case, outcome = self.case, Outcome(self.case.name, self.case.kind, "f")
        with self._limited_disk("person") as place:
            run = self._start("person", place, live=self.case.live)
            followed = self._watch(run)
            outcome.found = ", ".join(sorted(self._told(followed)))
            if case.kind not in self._kinds(followed):
                outcome.problem = (
                    f"not found: {outcome.found or 'nothing'}; {run.status().state}: {run.status().message}"
                )
                return outcome
            fixes = mending.fixes_of(followed)
            if case.no_fix:
                return self._without_fix(outcome, run, fixes, place)
            if not fixes:
                outcome.problem = "no fix is offered"
                return outcome
            workers = len({one["worker"] for one in seen_by(self.seen)})
            fixing.apply(run, fixes[0])
            wait_ended(run, TIMEOUT)
            return self._judge(outcome, run, workers)

    def by_itself(self) -> Outcome:
        """Fail with `--auto-recover`."""
        outcome = Outcome(self.case.name, self.case.kind, "auto")
        run = self._start("auto", self.folder, unattended=True)
        code = self._exit_status()
        status = run.status()
        events = events_of(run)
        outcome.found = ", ".join(sorted({event.finding for event in events if isinstance(event, Finding)}))
        applied = [number for number, event in enumerate(events) if isinstance(event, Fix)]
        if self.case.no_fix:
            outcome.in_force = outcome.went_on = True
            outcome.helped = not applied and code != 0
            outcome.measure = f"{len(applied)} futile restarts, exit status {code}"
            return outcome
        if not applied:
            outcome.problem = f"nothing was applied; {status.state}: {status.message}"
            return outcome
        starts = [number for number, event in enumerate(events) if isinstance(event, Started)]
        return self._judge(outcome, run, sum(number < applied[-1] for number in starts))

    # The parts

    def _start(self, name: str, place: Path, *, unattended: bool = False, live: bool = False) -> Run:
        self.seen = self.folder / f"seen-{name}.jsonl"
        fault = {
            "kind": "none",
            **self.case.fault,
            "once": str(self.folder / f"struck-{name}"),
            "slow": LIVE_SECONDS_A_STEP if live else 0,
        }
        paths = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part not in ("", str(SITE))]
        os.environ |= {
            "PYTHONPATH": os.pathsep.join([str(SITE), *paths]),
            "WORLD_FAULT": json.dumps(fault),
            "WORLD_SEEN": str(self.seen),
            **PLAIN_HEAP,
            "OMP_NUM_THREADS": "1",
        }
        run = create_run(self.plan, output=place / name)
        if unattended:
            allow(run)
        self.pid = start_worker(run)
        return run

    def _exit_status(self) -> int:
        """Wait for the worker, which may begin anew meanwhile, and for how it ended."""
        until = time.monotonic() + TIMEOUT
        while (code := exit_status_of(self.pid)) is None:
            assert time.monotonic() < until, "the worker does not end"
            time.sleep(0.1)
        return code

    def _watch(self, run: Run) -> Followed:
        """Look on until there is something to do, or the run is over."""
        followed, until = Followed(run), time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            followed.poll()
            if followed.status.over:
                followed.poll()
                break
            if self.case.live and self.case.kind in self._kinds(followed):
                break
            time.sleep(0.1)
        return followed

    def _told(self, followed: Followed) -> set[str]:
        record = followed.record
        return (
            {one.kind for one in followed.findings}
            | {one.finding for one in record.findings}
            | ({"oom"} if record.oom else set())
        )

    def _kinds(self, followed: Followed) -> set[str]:
        told = self._told(followed)
        return told | {kind for kind, words in OWN_WORDS.items() if words & told}

    def _without_fix(self, outcome: Outcome, run: Run, fixes: list[Any], place: Path) -> Outcome:
        """Nothing of a plan mends it: nothing may be offered, and where the world was mended the run goes on."""
        outcome.in_force = not fixes
        outcome.problem = f"offered: {fixes[0]}" if fixes else ""
        outcome.went_on = outcome.helped = True
        outcome.measure = "nothing futile is offered"
        if self.case.disk_kib:
            subprocess.run(["mount", "-o", "remount,size=60m", str(place)], check=True)
            resume_run(run)
            outcome.went_on = outcome.helped = wait_ended(run, TIMEOUT).state == "finished"
            outcome.measure = "with space again it finished"
        return outcome

    def _limited_disk(self, name: str) -> Any:
        return (
            _SmallDisk(self.folder / f"disk-{name}", self.case.disk_kib)
            if self.case.disk_kib
            else _Plainly(self.folder)
        )

    def _judge(self, outcome: Outcome, run: Run, workers: int) -> Outcome:
        """Hold what came after the last fix against it. workers: how many made steps before it."""
        events = events_of(run)
        last = max((number for number, event in enumerate(events) if isinstance(event, Fix)), default=-1)
        if last < 0:
            outcome.problem = "no `fix` event"
            return outcome
        earlier, fix, after = events[:last], events[last], events[last + 1 :]
        assert isinstance(fix, Fix)
        outcome.fix = ", ".join(f"{key} {old} → {new}" for key, (old, new) in fix.changes.items())
        outcome.start = fix.start
        seen = seen_by(self.seen)
        first = list(dict.fromkeys(one["worker"] for one in seen))[:workers]
        before, since = (
            [one for one in seen if one["worker"] in first],
            [one for one in seen if one["worker"] not in first],
        )
        outcome.in_force = all(
            in_force(key, old, new, before, since, earlier, after, fix) for key, (old, new) in fix.changes.items()
        )
        steps = [event for event in after if isinstance(event, Step)]
        finished = next((event for event in after if isinstance(event, Finished)), None)
        outcome.went_on = bool(steps) and finished is not None
        if finished is None:
            status = run.status()
            outcome.problem = f"{status.state}: {status.message}"
            return outcome
        outcome.helped, outcome.measure = self._helped(earlier, after, finished)
        return outcome

    def _helped(self, earlier: list[Event], after: list[Event], finished: Finished) -> tuple[bool, str]:
        kind = self.case.kind
        if kind == "oom":
            return not any(isinstance(event, Oom) for event in after), "no more out of memory, finished"
        if kind == "no-gradient":
            norms = [event.grad_norm for event in after if isinstance(event, Step) and event.grad_norm]
            return bool(norms), f"gradient {max(norms, default=0.0):.2g}"
        result = held_out_loss(after, earlier, int(finished.fields.get("result_step") or finished.fields["step"]))
        if self.case.better_than_untouched:
            other = self.untouched()
            return result < other * (1 - BETTER_SHARE), f"held-out loss {result:.3g}, left alone {other:.3g}"
        begun = next(
            event.loss for event in earlier if isinstance(event, Step) and event.loss is not None and event.step == 1
        )
        errors = [event.finding for event in after if isinstance(event, Finding) and event.severity == "error"]
        worst = begun if math.isfinite(begun) else math.inf
        return not errors and result < worst, f"held-out loss {result:.3g}, began at {begun:.3g}"

    def untouched(self) -> float:
        """The held-out loss at the end of the same run, left alone."""
        run = self._start("untouched", self.folder)
        wait_ended(run, TIMEOUT)
        return [event.loss for event in events_of(run) if isinstance(event, Eval) and event.loss is not None][-1]


class _Plainly:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(self, *_: object) -> None:
        pass


class CannotHappenHere(Exception):
    """This machine cannot make the fault; the text says why."""


class _SmallDisk(_Plainly):
    """A tmpfs of so many KiB."""

    def __init__(self, folder: Path, kib: int) -> None:
        super().__init__(folder)
        self.kib = kib

    def __enter__(self) -> Path:
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.kib}k", "tmpfs", str(self.folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise CannotHappenHere("no right to mount a small disk")
        return self.folder

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=False)


def held_out_loss(after: list[Event], earlier: list[Event], step: int) -> float:
    """The held-out loss of the result's step, as it was evaluated last."""
    found = [
        event.loss
        for event in [*earlier, *after]
        if isinstance(event, Eval) and event.step == step and event.loss is not None
    ]
    return found[-1] if found else math.inf


def in_force(
    key: str,
    old: Any,
    new: Any,
    before: list[dict[str, Any]],
    since: list[dict[str, Any]],
    earlier: list[Event],
    after: list[Event],
    fix: Fix,
) -> bool:
    """Whether what the workers did after the fix shows the change, from the next step on."""
    steps, started = [one for one in since if "step" in one], [event for event in after if isinstance(event, Started)]
    if not started or not steps:
        return False
    match key:
        case "training.learning_rate":
            known = {one["step"]: one["rate"] for one in before if "step" in one}
            same = (
                [(one["rate"], known[one["step"]]) for one in steps if known.get(one["step"])]
                if fix.start == "checkpoint"
                else []
            )
            scaled = all(abs(now / was - new / old) < 1e-3 for now, was in same)
            return (
                scaled
                and max(one["rate"] for one in steps) <= new * (1 + NEAR)
                and (new < old or max(one["rate"] for one in steps) > old)
            )
        case "training.batch_size":
            return all(one["rows"] <= new for one in steps) and max(one["rows"] for one in steps) == new
        case "training.accumulation":
            counts = [sum(one["step"] == step for one in steps) for step in {one["step"] for one in steps}]
            return max(counts) == new
        case "evaluation.batch_size":
            return max((one["evaluated"] for one in since if "evaluated" in one), default=0) <= new
        case "model.dtype":
            return {one["dtype"] for one in steps} == {{"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[new]}
        case "training.max_length":
            return max(one["tokens"] for one in steps) <= new
        case "training.max_steps":
            return started[-1].total_steps == new
        case "training.loss_on":
            return max(one["loss_tokens"] for one in steps) > max(one["loss_tokens"] for one in before if "step" in one)
        case "evaluation.patience":
            finished = [event for event in after if isinstance(event, Finished)]
            if not finished:
                return False
            ended = finished[-1]  # where the rows cannot tell when to stop, the best is the result all the same
            return ended.step < started[-1].total_steps or ended.result_step == ended.best_step < ended.step
        case "lora.r" | "lora.targets" | "method.kind":
            known_start = [event for event in earlier if isinstance(event, Started)]
            return not known_start or started[-1].parameters_trainable != known_start[-1].parameters_trainable
        case "lora.alpha":
            return "lora.r" in fix.changes
        case "training.epochs":
            known_start = [event for event in earlier if isinstance(event, Started)]
            return started[-1].total_steps != known_start[-1].total_steps
        case _:
            return False  # a key whose effect nobody looks for proves nothing


def alarms(world: World, name: str, plan: Plan, folder: Path) -> list[str]:
    """The warnings and errors of a healthy run: each is a false alarm, wherever in its course it stood."""
    os.environ |= {"OMP_NUM_THREADS": "1"}
    os.environ.pop("WORLD_FAULT", None)
    run = create_run(plan, output=folder)
    start_worker(run)
    assert wait_ended(run, TIMEOUT).state == "finished", run.log_path.read_text()[-2000:]
    return sorted(alarms_at_any_moment(run, plan))


def alarms_at_any_moment(run: Run, plan: Plan) -> set[str]:
    """Diagnose the run as it stood after each tenth of it."""
    from loratui.core.diagnosis import diagnose
    from loratui.tui.training.record import RunRecord

    record, found, events = RunRecord(), set[str](), events_of(run)
    last = max(event.step for event in events if isinstance(event, Step))
    due = {max(1, last * part // 10) for part in range(1, 11)}
    for event in events:
        record.take([event])
        if (isinstance(event, Step) and event.step in due) or isinstance(event, Eval | Finished):
            found |= {
                f"{one.kind} ({one.severity})"
                for one in diagnose(
                    record.as_curves(finished=isinstance(event, Finished), proposed=run.proposed().get("values")), plan
                )
                if one.severity != "note"
            }
    return found | {event.finding for event in events if isinstance(event, Finding) and event.severity != "info"}
