"""`python -m loratui.worker train RUN_DIR`: executes a run's plan, whoever launched it and whoever watches.

Nothing heavy is imported before the run is locked and its status says that a worker is there.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from loratui.cluster.job_script import GOES_ON
from loratui.core.errors import LoratuiError
from loratui.files import is_private
from loratui.format import duration
from loratui.runs.directory import Run, held_here
from loratui.runs.own import require_own
from loratui.runs.stop_note import who_asked
from loratui.runs.times import IN_ALL
from loratui.worker.training.ending import Ending, ending_of, is_watched, leave, say
from loratui.worker.training.journal import Journal
from loratui.worker.training.launch import train_together
from loratui.worker.training.outcome import Outcome, left
from loratui.worker.training.processes import end_with_parent, is_launched, process_count
from loratui.worker.training.rehearse import before as rehearse_before
from loratui.worker.training.rehearse import clear, perform
from loratui.worker.training.signals import Requests, StopRequestedError, requeued_job

log = logging.getLogger("loratui")


def main(arguments: list[str]) -> int:
    """Train; 0 finished or stopped as asked, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m loratui.worker train")
    parser.add_argument("run", type=Path, help="directory of the run")
    parser.add_argument(
        "--rehearse", action="store_true", help="first try the longest batch, an evaluation, a save and a reload"
    )
    parser.add_argument(
        "--until", type=int, default=0, help="evaluate, save and stop after this optimizer step; 0: go on to the end"
    )
    parser.add_argument("--rehearsal-into", type=Path, help="only rehearse, and leave what was measured in this file")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    _quieten()
    result = options.rehearsal_into.absolute() if options.rehearsal_into else None
    run = Run(options.run.absolute())
    rank = int(os.environ.get("RANK", "0"))
    requests = Requests(until=options.until)
    try:
        plan = run.plan()
        requests.requeued = requeued_job(plan)
        if is_launched():
            end_with_parent()
        require_own(run)
        run = held_here(run)
        if is_private(run.path):
            os.umask(0o077)  # what the libraries write is as private as the run
        if plan.hardware.cpu:  # whoever launched it: torch, not yet imported, must see no GPU
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if result:
            for number in (signal.SIGUSR1, signal.SIGUSR2):  # a scheduler's reach every process of a job
                signal.signal(number, signal.SIG_IGN)
            return perform(run, plan, result)
        if process_count(plan) > 1 and not is_launched():
            return train_together(run, plan, rehearse=options.rehearse, until=options.until)
        requests.hold()
        journal = Journal(run, writes=rank == 0)
    except (LoratuiError, OSError) as error:
        log.error("%s", error)
        return 1
    requests.who_asked = lambda: who_asked(run.path, journal.status.created)
    try:
        requests.install()
        if rank == 0:
            clear(run)
        if options.rehearse:
            began = time.monotonic()
            rehearse_before(run, journal)
            journal.laps.rehearsed(time.monotonic() - began)
        from loratui.worker.training.session import Session

        journal.laps.imported()
        outcome = Session(run, plan, journal, requests).execute()
    except StopRequestedError as error:
        return _close(journal, left(journal, requests, journal.status.step, str(error)))
    except BaseException as error:  # noqa: BLE001 (whatever it is, the run has to say so)
        return _end(run, journal, rank, ending_of(error, journal))
    log.info("%s; this worker took %s %s", outcome.state, duration(journal.worker_seconds), IN_ALL)
    if outcome.state == "failed":
        return _end(
            run,
            journal,
            rank,
            Ending("failed", outcome.message, outcome.code, "step", journal.status.step, fixes=outcome.fixes),
        )
    return _close(journal, outcome)


def _close(journal: Journal, outcome: Outcome) -> int:
    """Give the run back. Whoever began a process alone is told that the run goes on; a launcher takes any other status
    than 0 for a failure.
    """
    journal.close(outcome.state, outcome.message)
    return GOES_ON if outcome.state == "queued" and not is_launched() else 0


def _end(run: Run, journal: Journal, rank: int, ending: Ending) -> int:
    """Say how it ended, or leave that to the process that watches over this one and its fellows."""
    if not is_watched():
        return say(run, journal, ending)
    journal.hand_over()
    return leave(run, rank, ending)


def _quieten() -> None:
    """Keep the log for what matters to a run: no notes of the libraries to their own developers."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in ("bitsandbytes", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
