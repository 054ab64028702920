"""Bringing an experiment further: what has no run gets one, what was lost goes on, and at a rung half is stopped.

Everything follows from the experiment's files and its runs, and is safe to do again: whoever is killed in the midst of
it, the next one finds what was done and does the rest. It starts no worker: runs go into this machine's queue.
"""

from __future__ import annotations

import logging
import math
import shutil
import socket
import time
from statistics import fmean

from loratui.core.errors import LoratuiError, RunError
from loratui.experiments.directory import BusyError, Experiment, Trial
from loratui.experiments.halving import goes_on
from loratui.files import make_folder, write_whole
from loratui.runs.control import leave_queue, stop_run
from loratui.runs.course import read_course
from loratui.runs.directory import Run
from loratui.runs.enqueue import append, queue_again
from loratui.runs.events import Failed
from loratui.runs.history import other_events
from loratui.runs.start import create_run, require_planned_gpu, with_absolute_paths
from loratui.runs.states import stopped_by_person
from loratui.runs.status import START_GRACE_SECONDS, Status, is_alive

log = logging.getLogger("loratui.experiments")
DEATHS = 10
"""So often a worker may die at one step before the trial is given up."""


def advance(experiment: Experiment) -> bool:
    """Do what can be done now; whether it goes on by itself. What cannot be done closes it, and says why in the log."""
    try:
        with experiment.owned(0.0):
            if not experiment.is_open:
                return False
            try:
                goes = _advance(experiment)
            except LoratuiError as error:
                log.error("experiment %s waits for a person: %s", experiment.name, error.sentence)
                goes = False
            if not goes:
                experiment.open_path.unlink(missing_ok=True)
            return goes
    except BusyError:  # somebody else is at it
        return True
    except RunError as error:  # a full disk, say: it is tried again
        log.error("%s", error.sentence)
        return True


def _advance(experiment: Experiment) -> bool:
    seeds = experiment.facts()["seeds"]
    trials, moves = experiment.trials(), False
    for at, trial in enumerate(trials):
        for name, seed in zip(trial.runs, seeds, strict=True):
            if trial.state != "open":
                break
            try:
                goes, trial = _one(experiment, trial, name, seed)
            except LoratuiError as error:
                goes, trial = False, trial.with_(state="failed", why=error.sentence)
            moves |= goes
        if trial != trials[at]:
            trials[at] = trial
            experiment.write(trials)
    decided = decide(experiment, trials)
    if decided != trials:
        experiment.write(decided)
        return any(one.state == "open" for one in decided)
    return moves


def _one(experiment: Experiment, trial: Trial, name: str, seed: int) -> tuple[bool, Trial]:
    """See to one run of a trial; whether it is under way, and the trial as it is now."""
    run = experiment.run(name)
    if not run.plan_path.is_file():
        _make(experiment, trial, run, seed)
        append(run, None, trial.seconds, trial.memory, trial.until)
        return True, trial
    status = run.status()
    if not status.over or (status.watcher_pid and is_alive(status.watcher)):
        return True, trial  # of several processes the one that watches over them ends last
    if reached(run, trial.until, status) is not None:
        return False, trial
    if status.state == "failed" or (status.state == "finished" and not status.step):
        return False, trial.with_(state="failed", why=_why(run, status))
    if status.state == "finished" or status.step > trial.until:
        words = f"run {name} is at step {status.step:,}, and was not evaluated at step {trial.until:,}."
        return False, trial.with_(state="failed", why=words)
    if stopped_by_person(status.state, status.message):
        return False, trial  # a person did: it goes on when a person says so
    deaths = trial.deaths
    if status.state == "lost" and status.pid:
        step, times = deaths.get(name, [-1, 0])
        deaths = {**deaths, name: [status.step, times + 1 if step == status.step else 1]}
        if deaths[name][1] > DEATHS:
            words = f"the worker of run {name} died {DEATHS} times at step {status.step:,}."
            return False, trial.with_(state="failed", why=words)
    queue_again(run, seconds=trial.seconds, memory=trial.memory, until=trial.until, rehearse=False)
    return True, trial.with_(deaths=deaths)


def _make(experiment: Experiment, trial: Trial, run: Run, seed: int) -> None:
    """The run's directory, whole or not at all: it is made elsewhere and moved."""
    plan = experiment.plan_of(trial, seed)
    require_planned_gpu(plan)
    making = experiment.path / ".making" / run.name
    if making.is_dir():
        shutil.rmtree(making)  # of somebody who was killed: it holds no step of a training
    try:
        make_folder(making.parent)
        make_folder(run.path.parent)
        create_run(plan, output=making)
        making.rename(run.path)
    except OSError as error:
        raise RunError(f"{run.path} cannot be made: {error.strerror or error}.") from None


def require_own_runs(experiment: Experiment) -> None:
    """RunError where a run of a trial's name is there that somebody else made."""
    for trial in experiment.trials():
        for name, seed in zip(trial.runs, experiment.facts()["seeds"], strict=True):
            run = experiment.run(name)
            if run.path.exists() and run.plan() != with_absolute_paths(experiment.plan_of(trial, seed)):
                raise RunError(
                    f"run {name} is there, and has another plan than this trial.", hint="Give --name ANOTHER."
                )


def reached(run: Run, until: int, status: Status | None = None) -> float | None:
    """The held-out loss at this step; None where the run is not there yet. A run whose plan is shorter gives that of
    its end.
    """
    status = status or run.status()
    if status.step < until and status.state != "finished":
        return None
    judged = dict(read_course(run).evaluations(math.inf))
    if until in judged:
        return judged[until] if status.over or status.step > until else None
    if status.state == "finished" and judged and status.step < until:
        return judged[max(judged)]
    return None


def _why(run: Run, status: Status) -> str:
    failed = [one for one in other_events(run.events_path) if isinstance(one, Failed)]
    return status.message or (failed[-1].message if failed else "it failed")


def decide(experiment: Experiment, trials: list[Trial]) -> list[Trial]:
    """The trials after every rung that all who are on their way to it have reached."""
    while True:
        going = [one for one in trials if one.state == "open"]
        if not going:
            return trials
        rung = min(one.rung for one in going)
        here = [one for one in going if one.rung == rung]
        losses = {one.number: [reached(experiment.run(name), one.until) for name in one.runs] for one in here}
        if any(loss is None for found in losses.values() for loss in found):
            return trials
        known = {number: [loss for loss in found if loss is not None] for number, found in losses.items()}
        means = [mean if math.isfinite(mean := fmean(known[one.number])) else math.inf for one in here]
        last = rung == len(here[0].steps) - 1 or len(here) == 1
        stay = [mean == min(means) for mean in means] if last else goes_on(means)
        ended = {
            one.number: _after(one, known[one.number], goes=goes, last=last)
            for one, goes in zip(here, stay, strict=True)
        }
        trials = [ended.get(one.number, one) for one in trials]


def _after(trial: Trial, losses: list[float], *, goes: bool, last: bool) -> Trial:
    told = trial.with_(losses=[*trial.losses, [round(one, 6) for one in losses]])
    if last:
        return told.with_(state="best" if goes else "stopped")
    return told.with_(rung=trial.rung + 1) if goes else told.with_(state="stopped")


def go_on(experiment: Experiment) -> None:
    """Let it go on, with the runs that somebody stopped too. RunError where it cannot be written."""
    with experiment.owned():
        trials = experiment.trials()
        if all(one.state != "open" for one in trials):
            return
        require_own_runs(experiment)
        for trial in trials:
            for name in trial.runs if trial.state == "open" else ():
                run = experiment.run(name)
                status = run.status() if run.plan_path.is_file() else None
                if status is not None and status.state == "stopped" and reached(run, trial.until, status) is None:
                    queue_again(run, seconds=trial.seconds, memory=trial.memory, until=trial.until, rehearse=False)
        write_whole(experiment.open_path, socket.gethostname() + "\n", durable=True)


def halt(experiment: Experiment) -> list[str]:
    """Let nothing of it go on: what waits is taken out of the queue, what trains saves and stops; those runs' names.
    RunError where one cannot be stopped.
    """
    with experiment.owned():
        experiment.open_path.unlink(missing_ok=True)
        names = [name for trial in experiment.trials() if trial.state == "open" for name in trial.runs]
        return [name for name in names if _stopped(experiment.run(name))]


def _stopped(run: Run) -> bool:
    """Whether a run was at work, or waited, and was told to stop. One that is just being started is waited for."""
    until = time.monotonic() + START_GRACE_SECONDS
    while run.plan_path.is_file() and not run.status().over:
        try:
            if run.status().state == "queued":
                leave_queue(run, "experiment")
            else:
                stop_run(run, "experiment")
            return True
        except RunError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.2)
    return False
