"""Workers as forks of a process that has imported torch and TRL already: the same code in a tenth of the time to
start.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any

from loratui.runs import control, resume, start
from loratui.runs.directory import Run
from loratui.runs.status import Status, write_status

BEGINS_ANEW = 77


@dataclass
class Child:
    """What `runs.start` wants to know of a worker that it started."""

    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        """Its exit status; None while it lives."""
        if self.code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if done else None
        return self.code


def start_forked(run: Run, *, rehearse: bool = False) -> int:
    """As `runs.start.start_worker`, for one process on the CPU."""
    plan, previous = run.plan(), run.status()
    write_status(
        run.status_path, Status(state="starting", created=time.time(), step=previous.step, total=previous.total)
    )
    environment = start.worker_environment(plan)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        children: dict[int, Any] = start._children
        children[pid] = Child(pid)
        return pid
    os.setsid()
    while True:  # a worker that begins anew asks for another, as it would replace itself by a fresh interpreter
        worker = os.fork()
        if not worker:
            _work(run, environment)
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        if code != BEGINS_ANEW:
            os._exit(abs(code))


def _work(run: Run, environment: dict[str, str]) -> None:
    """Be the worker; never returns."""
    from loratui.worker import train
    from loratui.worker.training import session

    code = 1
    try:
        log = os.open(run.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir("/")
        os.environ.clear()
        os.environ.update(environment)
        if environment.get("WORLD_FAULT"):
            sys.path.insert(0, environment["PYTHONPATH"].split(os.pathsep)[0])
            import faulty

            faulty.put(session)
        if environment.get("WORLD_STRIKE"):
            import strikes

            strikes.put(session)
        os.execv = lambda *_: os._exit(BEGINS_ANEW)  # type: ignore[assignment, misc]
        code = train.main([str(run.path)])
    except BaseException:  # this process ends here, whatever it is
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def use() -> None:
    """From now on workers of this process are forks of it."""
    import advice_replay

    from loratui.worker.training import session  # noqa: F401 (what takes the time)

    control.start_worker = start_forked
    resume.start_worker = start_forked
    advice_replay.start_worker = start_forked
