"""The rehearsal: two real steps on the longest batch, one evaluation batch, one save and reload, before the run; and
how fast its batches are, padded and end to end.

It happens in a process of its own, so that whatever it needs or breaks is gone when the run begins. The worker that
holds the run starts it (`before`), it does its work (`perform`) and leaves what it measured in a file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratui.child_process import signal_name
from loratui.core.batch_ways import faster_way
from loratui.core.compiling import verdict
from loratui.core.division import node_count
from loratui.core.errors import LoratuiError, WorkerError
from loratui.core.liger import verdict as liger_verdict
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.schedule import make_schedule
from loratui.files import write_whole
from loratui.format import size
from loratui.machine.memory_kills import MemoryKills, memory_killed, read_kills
from loratui.runs.directory import Run
from loratui.runs.status import is_alive, mark_of
from loratui.worker.training.ending import FELLOW_LOST, Ending, has_left, leave, take_left
from loratui.worker.training.gone import NODE_RANKS, PATIENCE_SECONDS, cause_of, gone, silent
from loratui.worker.training.journal import Journal
from loratui.worker.training.peaks import STEPS, Measure
from loratui.worker.training.processes import (
    end_with_children,
    hear_nothing,
    is_launched,
    launched,
    launcher_environment,
    node_name,
    process_count,
)
from loratui.worker.training.signals import Requests

if TYPE_CHECKING:
    from loratui.worker.training.compiled import Compiled
    from loratui.worker.training.dataset import Prepared

WATCH_SECONDS = 0.2
REHEARSED_FOR = "LORATUI_REHEARSED_FOR"
"""Process id of the worker that waits for a rehearsal."""


class RehearsalFailedError(WorkerError):
    """The rehearsal showed that the run would fail. `facts` are what it left."""

    def __init__(self, facts: dict[str, Any]) -> None:
        super().__init__(facts.get("message", "the rehearsal failed."), where="rehearsal")
        self.facts = facts
        self.code = facts.get("code", "worker")


def before(run: Run, journal: Journal) -> None:
    """Rehearse in a process of its own and tell what came of it. Raises RehearsalFailedError."""
    journal.phase(
        "rehearse", "Rehearsing: two steps on the longest batch, an evaluation, a save and a reload", state="rehearsing"
    )
    result = result_of(run)
    result.unlink(missing_ok=True)
    progress_of(result).unlink(missing_ok=True)
    kills = read_kills()
    child = begin(run)
    try:
        code = _watch(run, child, journal)
    except BaseException:
        end_with_children(child)
        child.wait()
        raise
    finally:
        clear(run)
        progress_of(result).unlink(missing_ok=True)
    facts = _facts_of(run, result, code, kills)
    if not facts.get("passed"):
        raise RehearsalFailedError(facts)
    journal.emit("rehearsal", **facts)
    tell_better(journal, run.plan(), facts)
    needed = facts["checkpoint_bytes"] * (run.plan().saving.keep + 1)
    free = shutil.disk_usage(run.path).free
    if needed > free:
        journal.emit(
            "finding",
            finding="disk-space",
            severity="warning",
            message=f"The checkpoints will need {size(needed)} and the disk has {size(free)} free.",
            fix={"saving.keep": 1},
        )


def tell_better(journal: Journal, plan: Plan, facts: dict[str, Any]) -> None:
    """Tell what was measured to be faster than what is planned, with the change that takes it."""
    compiled = facts.get("compiled", {})
    for finding, better in (
        ("faster-batches", faster_way(plan, facts.get("ways", {}))),
        ("liger-weighed", liger_verdict(plan, facts.get("liger", {}), compiled)),
        ("compiling-costs", verdict(plan, compiled)),
    ):
        if better is not None:
            message, change = better
            journal.emit("finding", finding=finding, severity="info", message=message, fix=change)


def _facts_of(run: Run, result: Path, code: int, kills: MemoryKills) -> dict[str, Any]:
    """What a rehearsal that ended left, or what is said in its place. code: its exit status."""
    plan = run.plan()
    if process_count(plan) > 1 and (code != 0 or has_left(run)):
        return _cause_among(run, plan, code, kills)
    try:
        found: dict[str, Any] = json.loads(result.read_bytes())
    except (OSError, ValueError):
        by_kernel = memory_killed(kills) if code == -signal.SIGKILL else ""
        how = (
            f"was killed {by_kernel}. Train shorter rows or smaller batches, or give it more memory."
            if by_kernel
            else f"was ended by {signal_name(-code)}, by somebody or by the system, and left no word."
            if code < 0
            else f"ended with status {code} and left no word; its log may say why."
        )
        return {"message": f"its process {how}", "code": "oom" if by_kernel else "worker"}
    return found


def _cause_among(run: Run, plan: Plan, code: int, kills: MemoryKills) -> dict[str, Any]:
    """Why a rehearsal of several processes failed: the cause, not the echo of those that waited for the lost one."""
    if silent(run, code):
        leave(run, NODE_RANKS, gone(plan, kills, nodes=(node_name(),)))
    cause, unheard = cause_of(run) if node_count(plan) > 1 else (take_left(run), ())
    if cause is None or cause.code == FELLOW_LOST:
        cause = gone(plan, kills, nodes=unheard)
    return cause.facts or {"message": cause.message, "code": cause.code, "where": cause.where}


def begin(run: Run) -> subprocess.Popen[bytes]:
    """Begin a rehearsal, on several nodes this one's part of it: each of them begins its own."""
    plan = run.plan()
    several = node_count(plan) > 1
    return subprocess.Popen(
        launched(run, plan, ["--rehearsal-into", str(result_of(run))], rehearsal=True),
        stdin=subprocess.DEVNULL,
        cwd="/",
        env=os.environ | {REHEARSED_FOR: str(os.getpid())} | (launcher_environment(plan) if several else {}),
        preexec_fn=hear_nothing if several else None,
    )


def result_of(run: Run) -> Path:
    """What a rehearsal leaves for whoever waits for it."""
    return run.place / "rehearsal.json"


def progress_of(result: Path) -> Path:
    """Where a rehearsal tells how far it is, while it goes on."""
    return result.with_suffix(".progress.json")


def _watch(run: Run, child: subprocess.Popen[bytes], journal: Journal) -> int:
    """Wait for a rehearsal's process and tell how far it is; its exit status. Those that wait for one that failed, here
    or on another node, are ended.
    """
    told, failed_since, progress = 0, 0.0, progress_of(result_of(run))
    while True:
        try:
            return child.wait(WATCH_SECONDS)
        except subprocess.TimeoutExpired:
            if not failed_since and has_left(run):
                failed_since = time.monotonic()
            elif failed_since and time.monotonic() - failed_since > PATIENCE_SECONDS:
                end_with_children(child)
            try:
                now = json.loads(progress.read_bytes())
            except (OSError, ValueError):
                continue
            if now["done"] > told:
                told = now["done"]
                journal.phase("rehearse", f"Rehearsing: {now['message']}", state="rehearsing", done=told, of=now["of"])


def clear(run: Run) -> None:
    """Remove what a rehearsal that was killed left behind. The caller holds the run."""
    shutil.rmtree(run.rehearsal_path, ignore_errors=True)


def end_with(run: Run, worker: int) -> None:
    """In a process of a rehearsal: end when the run's worker is gone, and leave nothing behind."""
    mark = mark_of(worker)

    def watch() -> None:
        while mark is not None and is_alive(mark):
            time.sleep(WATCH_SECONDS)
        clear(run)
        os._exit(1)

    threading.Thread(target=watch, name="worker-watch", daemon=True).start()


def perform(run: Run, plan: Plan, result: Path) -> int:
    """Rehearse in this process and write what was measured; 0 when it passed."""
    import traceback

    from loratui.worker.training.failure import explain, memory_facts

    if worker := os.environ.pop(REHEARSED_FOR, ""):
        end_with(run, int(worker))
    rank = int(os.environ.get("RANK", "0"))
    progress = progress_of(result) if rank == 0 else None
    measure = Measure(progress, evaluates=plan.evaluation.every_steps > 0, cpu=plan.hardware.cpu)
    try:
        facts = {"passed": True, **_try_out(run, plan, measure)}
    except Exception as error:  # noqa: BLE001 (whatever it is, the worker that waits has to be told)
        traceback.print_exc()
        failure = explain(error, measure.phase)
        facts = {"passed": False, "code": failure.code, "message": failure.message, "where": failure.where}
        if failure.code == "oom":
            facts |= getattr(error, "facts", None) or memory_facts(error)
        if isinstance(error, LoratuiError):
            facts["message"] = error.sentence
    if not facts["passed"] and is_launched():  # those that wait for the one that broke break too: the watch judges
        return leave(run, rank, Ending("failed", facts["message"], facts["code"], facts.get("where", ""), facts=facts))
    if rank == 0:
        write_whole(result, json.dumps(facts) + "\n")
    return 0 if facts["passed"] else 1


def rehearsed_plan(plan: Plan) -> Plan:
    """The plan cut down to two steps, everything that decides memory kept."""
    evaluates = plan.evaluation.every_steps > 0
    return with_values(
        plan,
        {
            "training.max_steps": STEPS,
            "training.warmup_steps": 0,
            "training.accumulation": min(2, plan.training.accumulation),
            "evaluation.every_steps": STEPS if evaluates else 0,
            "evaluation.patience": 0,
            "evaluation.prompts": [],
            "saving.every_steps": STEPS,
            "saving.keep": 1,
        },
    )


def _try_out(run: Run, plan: Plan, measure: Measure) -> dict[str, Any]:
    from loratui.worker.training.batch_ways import can_choose
    from loratui.worker.training.batch_ways import measure as time_ways
    from loratui.worker.training.config import check, require_gpu
    from loratui.worker.training.failure import is_out_of_memory
    from loratui.worker.training.liger import could_use, weigh_liger
    from loratui.worker.training.measure import remember
    from loratui.worker.training.memory import out_of_memory
    from loratui.worker.training.session import Session
    from loratui.worker.training.varlen import as_computed

    short = rehearsed_plan(plan)
    session = Session(run, short, Journal(run, writes=False), Requests())
    require_gpu(session.device, short)
    check(short, session.device)
    measure.begin("load_model")
    every_row: list[Prepared] = []

    def select(whole: Prepared, plan: Plan) -> Prepared:
        every_row.append(whole)
        return longest_rows(whole, plan)

    trainer, prepared = session.build(output=run.rehearsal_path, select=select)
    trainer.add_callback(measure.callback())
    measure.begin("train")
    try:
        trainer.train()
    except Exception as error:
        if is_out_of_memory(error):
            raise out_of_memory(error, plan, prepared, trainer.model, measure.phase) from error
        raise
    checkpoint = run.rehearsal_path / f"checkpoint-{STEPS}"
    measure.begin("reload")
    trainer._load_from_checkpoint(str(checkpoint))
    trainer._load_optimizer_and_scheduler(str(checkpoint))
    measure.end()
    ways = time_ways(trainer, every_row[0], plan) if can_choose(plan, session.processes) else {}
    liger = weigh_liger(trainer, plan) if could_use(plan, session.device) else session.liger
    if measure.seconds_per_step:
        model: Any = trainer.model
        remember(
            run,
            as_computed(plan, trainer),
            prepared,
            session.device,
            model.config.to_dict(),
            seconds_per_step=measure.seconds_per_step,
            steps=STEPS,
            peak_bytes=max(measure.peaks.values()),
            compiled=session.compiled,
            liger=bool(trainer.args.use_liger_kernel),
        )
    return {
        "seconds_per_step": measure.seconds_per_step,
        "memory_peak": max(measure.peaks.values()),
        "memory_peaks": measure.peaks,
        "longest_tokens": prepared.train.longest,
        "ways": ways,
        "liger": asdict(liger) if liger is not None else {},
        "compiled": _compiled(session.compiled, every_row[0], plan),
        "checkpoint_bytes": sum(file.stat().st_size for file in checkpoint.rglob("*") if file.is_file()),
    }


def _compiled(found: Compiled | None, prepared: Prepared, plan: Plan) -> dict[str, Any]:
    """What was measured of compiled blocks, with the steps of the run that is to come; empty where none were tried."""
    if found is None:
        return {}
    steps = make_schedule(plan, prepared.facts.at(plan.training.max_length)).total_steps
    return asdict(found) | {"steps": steps}


def longest_rows(prepared: Prepared, plan: Plan) -> Prepared:
    """The rows of the longest batches: enough for two steps, and one batch to evaluate."""
    import numpy as np

    from loratui.worker.training.dataset import Prepared
    from loratui.worker.training.rows import Rows

    def longest(rows: Rows, count: int, tokens: int = 0) -> Rows:
        lengths = rows.lengths
        order = np.argsort(-lengths, kind="stable").tolist()
        kept: list[int] = []
        held = 0
        while order and (len(kept) < count or held < tokens):  # the same rows again where there are too few
            for at in order:
                if len(kept) >= count and held >= tokens:
                    break
                kept.append(at)
                held += int(lengths[at])
        return rows.chosen(kept)

    training = plan.training
    wanted = STEPS * training.batch_size * training.accumulation
    train = longest(prepared.train, wanted, wanted * training.max_length if training.packing else 0)
    return Prepared(train, longest(prepared.held_out, plan.evaluation.batch_size), prepared.plain)
