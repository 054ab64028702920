"""`python -m loratui.queue`: starts the runs that wait for this machine, each once and in their order, and brings the
experiments of this machine further, whose trials such runs are.

It needs no terminal, keeps nothing but files, and may be killed at any moment: any command of loratui starts it again,
and what it was about is in the queue. Its lock ends with it, whatever ended it. It ends by itself once nothing waits.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from loratui.core.errors import LoratuiError, RunError
from loratui.core.hardware import Machine
from loratui.core.plan import Plan
from loratui.experiments.advance import advance
from loratui.experiments.directory import open_here
from loratui.machine.boot import boot_id, since_boot
from loratui.machine.detect import detect_machine
from loratui.queue.lock import take_watch
from loratui.queue.place import Place, held_lanes, lanes_of, place_for
from loratui.queue.room import growth
from loratui.queue.trainings import Training, trainings
from loratui.runs.directory import Run
from loratui.runs.start import rehearses, start_worker, tell_people, worker_environment
from loratui.runs.status import START_GRACE_SECONDS
from loratui.runs.waiting import Waiting, changing, keep, read_queue
from loratui.settings import read_settings

log = logging.getLogger("loratui.queue")
POLL_SECONDS = 2.0
HAND_OVER_SECONDS = 5.0
"""A watcher that ends because nothing waits holds its lock for a moment: the next one waits for it."""


def main() -> int:
    """Start what waits until nothing does; 0, or 1 where the queue cannot be read."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lock = take_watch(HAND_OVER_SECONDS)
    if lock is None:
        return 0  # one is there
    with lock:
        while True:
            try:
                goes_on = [advance(one) for one in open_here()]
                if not any(goes_on) and all(one.held for one in read_queue()):
                    return 0
                look()
            except LoratuiError as error:
                log.error("%s", error.sentence)
                return 1
            time.sleep(POLL_SECONDS)


def look() -> list[Run]:
    """Start every run whose turn it is and that finds room; those that were started."""
    started: list[Run] = []
    with changing() as queue:
        queue[:] = [one for one in queue if not _begun(one)]
        machine, kept = detect_machine(), set[str]()
        for number, one in enumerate(list(queue)):
            if one.held:
                continue
            run = Run(Path(one.path))
            if one.starting:
                if _may_come(one):
                    break  # its worker is on its way: nobody knows yet where it is
                one = replace(one, starting=0.0, boot="")
            try:
                plan = run.plan()
                if not lanes_of(plan, machine):
                    raise RunError("a GPU that it may take is not there, or hidden by CUDA_VISIBLE_DEVICES.")
                at_work = trainings()
                place = _place(plan, one, machine, at_work, kept)
                if place is None:
                    kept.update(lanes_of(plan, machine))
                    continue
                queue[number] = replace(one, starting=max(since_boot(), 0.001), boot=boot_id())
                keep(queue)  # before it happens: whoever is killed meanwhile leaves that behind
                _start(run, plan, one, place)
                log.info("%s is started on %s", run.name, ", ".join(place.lanes))
                started.append(run)
                machine = detect_machine()
            except LoratuiError as error:
                log.error("%s is held: %s", run.name, error.sentence)
                queue[number] = replace(one, held=True, why=error.sentence, starting=0.0)
                keep(queue)
                tell_people(run)
        queue[:] = [one for one in queue if one.path not in {str(run.path) for run in started}]
    return started


def _begun(one: Waiting) -> bool:
    """Whether somebody has started the run: this queue, or a person in between; or it is gone, or was ended."""
    run = Run(Path(one.path))
    if not run.plan_path.is_file() or run.in_use():
        return True
    status = run.status()
    return status.state != "queued" and (bool(status.pid) or not one.starting)


def _may_come(one: Waiting) -> bool:
    """Whether the worker that was begun may not have reported yet."""
    return one.boot == boot_id() and 0 <= since_boot() - one.starting <= START_GRACE_SECONDS


def _place(plan: Plan, one: Waiting, machine: Machine, at_work: list[Training], kept: set[str]) -> Place | None:
    growing = growth(at_work, machine) if read_settings().queue.side_by_side else None
    held = held_lanes(at_work, machine)
    beside = growing is not None
    return place_for(plan, machine, held, kept=kept, memory=one.memory, growth=growing, side_by_side=beside)


def _start(run: Run, plan: Plan, one: Waiting, place: Place) -> None:
    environment = worker_environment(plan)
    if place.visible_devices:
        environment["CUDA_VISIBLE_DEVICES"] = place.visible_devices
    first = rehearses(plan) if one.rehearse is None else one.rehearse
    start_worker(run, rehearse=first, environment=environment, until=one.until)
