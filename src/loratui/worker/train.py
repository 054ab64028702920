"""`python -m loratui.worker train RUN_DIR`: executes a run's plan, whoever launched it and whoever watches.

Nothing heavy is imported before the run is locked and its status says that a worker is there.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.runs.directory import Run
from loratui.worker.training.journal import Journal
from loratui.worker.training.signals import Requests, StopRequestedError

log = logging.getLogger("loratui")


def main(arguments: list[str]) -> int:
    """Train; 0 finished or stopped as asked, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m loratui.worker train")
    parser.add_argument("run", type=Path, help="directory of the run")
    parser.add_argument("--rehearse", action="store_true", help="first try the longest batch, an evaluation, a save and a reload")
    parser.add_argument("--rehearsal-into", type=Path, help="only rehearse, and leave what was measured in this file")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    _quieten()
    run = Run(options.run.absolute())
    rank = int(os.environ.get("RANK", "0"))
    requests = Requests()
    try:
        plan = run.plan()
        if plan.hardware.cpu:  # whoever launched it: torch, not yet imported, must see no GPU
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if options.rehearsal_into:
            from loratui.worker.training.rehearse import perform

            return perform(run, plan, options.rehearsal_into)
        journal = Journal(run, writes=rank == 0)
    except (LoratuiError, OSError) as error:
        log.error("%s", error)
        return 1
    requests.install()
    began = time.monotonic()
    try:
        if options.rehearse:
            from loratui.worker.training.rehearse import before

            before(run, journal)
        from loratui.worker.training.session import Session

        outcome = Session(run, plan, journal, requests).execute()
    except StopRequestedError as error:
        journal.emit("stopped", step=journal.status.step, reason=str(error))
        journal.close("stopped", str(error))
        return 0
    except BaseException as error:  # noqa: BLE001 (whatever it is, the run has to say so)
        return _failed(journal, error)
    log.info("%s after %.1f s", outcome.state, time.monotonic() - began)
    if outcome.fix:
        from loratui.worker.training.recover import recover

        recover(run, journal, outcome.fix, outcome.message)
    journal.close(outcome.state, outcome.message)
    return 0


def _quieten() -> None:
    """Keep the log for what matters to a run: no notes of the libraries to their own developers."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in ("bitsandbytes", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _failed(journal: Journal, error: BaseException) -> int:
    """Say in one sentence why; the traceback goes to the log."""
    traceback.print_exc()
    phase = journal.status.phase
    try:
        from loratui.worker.training.failure import explain, memory_facts
    except BaseException as second:  # noqa: BLE001 (torch itself may be what cannot be imported)
        message = f"{type(error).__name__}: {error}" if second is not error else str(error)
        journal.emit("failed", message=message, code="error", step=journal.status.step)
        journal.close("failed", message)
        return 1
    failure = explain(error, phase)
    step = journal.status.step
    last = journal.run.last_checkpoint()
    if failure.code == "disk-full":
        message = f"{failure.message} The last whole checkpoint is {last.name}." if last else f"{failure.message} There is no checkpoint yet."
        journal.emit("finding", finding="disk-full", severity="error", message=message, step=step)
        journal.emit("stopped", step=step, reason=message, checkpoint=f"checkpoints/{last.name}" if last else "")
        journal.close("stopped", message)
        return 1
    if failure.code == "oom":
        facts = getattr(error, "facts", None) or memory_facts(error)
        from loratui.worker.training.recover import first_fix, recover

        journal.emit("oom", **{"where": failure.where, "message": failure.message, "step": step} | {key: value for key, value in facts.items() if key not in ("passed", "code")})
        recover(journal.run, journal, first_fix(facts.get("fixes", [])), failure.message)
    journal.emit("failed", message=failure.message, code=failure.code, where=failure.where, step=step)
    journal.close("failed", failure.message)
    return 1
