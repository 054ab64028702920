"""Making a run and starting its worker."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from loratui.child_process import start_detached
from loratui.core.errors import LoratuiError, RunError
from loratui.core.mix import named_paths, sections_of, with_paths
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml
from loratui.data.find import require_findable
from loratui.files import make_folder, open_own, open_regular, write_whole
from loratui.format import plain_letters
from loratui.models.adapter import read_adapter, require_fit
from loratui.models.trust import not_agreed, unanswered
from loratui.paths import runs_home, without_tilde
from loratui.runs.beside import note_beside, start_beside, track, tracked
from loratui.runs.directory import Run, step_of
from loratui.runs.elsewhere import remember
from loratui.runs.jobs import last_job, no_job
from loratui.runs.origin import sign
from loratui.runs.own import require_own
from loratui.runs.recovery import allow
from loratui.runs.result import require_undamaged
from loratui.runs.status import Status, signs_of_life, write_status
from loratui.runs.submit import require_submittable, submit_run
from loratui.runs.worker_settings import WORKER_SETTINGS
from loratui.settings import has_way, read_settings

DYING_SECONDS = 5.0
_children: dict[int, subprocess.Popen[bytes]] = {}
"""Workers that this process started: kept so that a dead one can be told from a living one."""


def run_name(plan: Plan, now: float | None = None) -> str:
    """A readable name: model, method, date and time, e.g. `demo-lora-20261120-2231`."""
    model = plan.model.id.rstrip("/").split("/")[-1]
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", plain_letters(model)).strip("-._").lower()[:40] or "model"
    return f"{model}-{plan.method.kind}-{time.strftime('%Y%m%d-%H%M', time.localtime(now))}"


def with_absolute_paths(plan: Plan) -> Plan:
    """The plan with every file and folder that it names relative to here made absolute; names that are no path stay.

    A run is executed from elsewhere, and resumed from anywhere.
    """
    found = {}
    for key, given in named_paths(plan).items():
        path = without_tilde(given)
        if given not in ("", "demo") and not path.is_absolute() and path.exists():
            found[key] = str(path.absolute())
    return with_paths(plan, found)


def create_run(plan: Plan, name: str = "", output: Path | str | None = None) -> Run:
    """Make a run's directory with its complete plan. `output` names the directory itself; else it lies in
    `runs_home()`.

    Raises RunError when the directory is in use, cannot be made, or the disk is full; DatasetError where the rows are
    gone; PlanError where an adapter that is to be trained further has another shape.
    """
    for section in sections_of(plan.dataset):
        require_findable(section.path)
        require_findable(section.eval_path)
    if plan.lora.adapter:
        require_undamaged(without_tilde(plan.lora.adapter).absolute())
        require_fit(plan, read_adapter(plan.lora.adapter))
    path = without_tilde(output).absolute() if output else _fresh_path(name or run_name(plan), chosen=bool(name))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        hint = "Choose another directory"
        raise RunError(
            f"{path} is in use: it already holds files.",
            hint=f"{hint}, or continue that run with `loratui resume`."
            if (path / "plan.toml").exists()
            else f"{hint}.",
        )
    run = Run(path)
    try:
        make_folder(path)
        write_whole(run.plan_path, plan_to_toml(with_absolute_paths(plan)), durable=True)
        for empty in (run.events_path, run.log_path):
            os.close(open_own(empty, os.O_WRONLY | os.O_CREAT))
        sign(run)
        write_status(run.status_path, Status(state="starting", created=time.time(), **signs_of_life()))
    except OSError as error:
        raise RunError(
            f"the run's directory cannot be written: {error.strerror or error}.",
            where=str(path),
            hint="Free some space or choose another directory.",
        ) from None
    if path.parent != runs_home():
        try:
            remember(path)
        except OSError as error:  # it trains all the same
            note_beside(run, f"`loratui runs` will not list it: {error.strerror or error}")
    return run


def _fresh_path(name: str, *, chosen: bool) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise RunError(f"{name!r} is no name for a run.", hint="Use letters, digits, dots, dashes and underscores.")
    path = runs_home() / name
    number = 2
    while not chosen and path.exists():
        path = runs_home() / f"{name}-{number}"
        number += 1
    return path


def worker_command(run: Run, *, rehearse: bool = False, until: int = 0) -> list[str]:
    """The command that executes a run; any launcher may run it. For several GPUs it begins a process for each by
    itself. until: the step after which it is evaluated, saved and stopped; 0: none.
    """
    more = (["--rehearse"] if rehearse else []) + (["--until", str(until)] if until else [])
    return [sys.executable, "-m", "loratui.worker", "train", str(run.path), *more]


def worker_environment(plan: Plan, environment: dict[str, str] | None = None) -> dict[str, str]:
    """The worker's environment: it sees the plan's GPUs and no others (a trainer with two in sight refuses to
    start).
    """
    result = dict(os.environ if environment is None else environment)
    own = dict(WORKER_SETTINGS)
    if "PYTORCH_CUDA_ALLOC_CONF" in result or sys.platform != "linux":
        own.pop("PYTORCH_ALLOC_CONF")
    result = {**own, **result, **{key: WORKER_SETTINGS[key] for key in ("CUDA_DEVICE_ORDER", "PYTHONUNBUFFERED")}}
    result["CUDA_VISIBLE_DEVICES"] = _visible_devices(plan, result.get("CUDA_VISIBLE_DEVICES"))
    if "HIP_VISIBLE_DEVICES" in result:  # which ROCm asks first
        result["HIP_VISIBLE_DEVICES"] = result["CUDA_VISIBLE_DEVICES"] or "-1"
    return result


def _visible_devices(plan: Plan, visible: str | None) -> str:
    """What the worker's CUDA_VISIBLE_DEVICES must be: UUIDs where NVML tells them (a MIG slice has no number in CUDA).

    Raises DeviceError where the plan names a GPU that is not there, hidden or lost.
    """
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import visible_devices

    if plan.hardware.cpu:
        return ""
    machine = detect_machine()
    if machine.gpus:
        return visible_devices(machine, plan.hardware.devices)
    if plan.hardware.devices:
        return ",".join(map(str, plan.hardware.devices))
    return "0" if visible is None else visible.split(",")[0]


def require_planned_gpu(plan: Plan) -> None:
    """Refuse to train on processors what was planned for a GPU by its name. DeviceError."""
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import DeviceError

    if plan.hardware.gpu and not detect_machine().gpus:
        raise DeviceError(
            f"this plan is for a GPU ({plan.hardware.gpu}), and none is found on this machine.",
            hint="Train it there, or plan anew for this machine's processors: loratui plan --set hardware.cpu=true. "
            "Where torch sees a GPU that NVML does not, add --set hardware.gpu= (nothing after the sign) here.",
        )


def rehearses(plan: Plan) -> bool:
    """Whether a run is rehearsed where nobody said otherwise: on GPUs, where memory is what most often ends a run."""
    from loratui.machine.detect import detect_machine

    if plan.cluster.engine:
        return not plan.hardware.cpu and plan.cluster.gpus_per_node > 0
    return not plan.hardware.cpu and bool(detect_machine().gpus)


def begin_run(
    plan: Plan,
    *,
    output: Path | str | None = None,
    rehearse: bool | None = None,
    auto_recover: bool = False,
    trackers: Sequence[str] = (),
) -> tuple[Run, int]:
    """Make a run and start its worker, or hand it to the scheduler that its plan names; the run, and the worker's
    process id (0 where a scheduler has it). rehearse: None lets the machine decide. trackers: those that follow it.

    What takes time and what may fail comes before the directory is made, and ctrl+c waits until the worker is there: a
    run is made and started, or not made. Raises as `create_run` and `start_worker` do.
    """
    environment = None
    if plan.cluster.engine:
        require_submittable(plan, without_tilde(output).absolute() if output else runs_home())
    else:
        require_planned_gpu(plan)
        environment = worker_environment(plan)
    first = rehearses(plan) if rehearse is None else rehearse
    with _uninterrupted():
        run = create_run(plan, output=output)
        try:
            if auto_recover:
                allow(run)
            track(run, trackers)
            return run, start_worker(run, rehearse=first, environment=environment)
        except (LoratuiError, OSError) as error:
            failed = Status(state="failed", created=time.time(), message=f"It was never started: {error}")
            with contextlib.suppress(OSError):
                write_status(run.status_path, failed)
            raise


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl+c takes effect at the end. On another thread than the main one it does not arrive anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def start_worker(run: Run, *, rehearse: bool = False, environment: dict[str, str] | None = None, until: int = 0) -> int:
    """Start the run's worker in a session of its own; its process id. environment: where it is known already. until:
    the step after which it stops, 0 for the end. A run that a scheduler places is submitted instead, and 0 is what
    there is to return.

    It inherits nothing but its log: closing the terminal, killing the interface or losing the connection changes
    nothing for it. Raises RunError when the run already has a worker, is not its own (`require_own`) or the
    process cannot be made; ModelError where the model brings code that nobody agreed to run.
    """
    plan = run.plan()
    require_own(run)
    if (code := unanswered(plan)) is not None:
        raise not_agreed(code)
    if _held(run):
        raise RunError(
            f"run {run.name} already has a worker ({_holder(run)}).",
            hint=f"Watch it with `loratui attach {run.typed}`.",
        )
    previous, last = run.status(), run.last_checkpoint()
    step = min(previous.step, step_of(last) if last is not None else 0)  # where it goes on from
    if plan.cluster.engine:
        submit_run(run, rehearse=rehearse, step=step, total=previous.total)
        _start_beside(run)
        return 0
    environment = environment or worker_environment(plan)
    try:
        no_job(run.path)
        write_status(
            run.status_path,
            Status(state="starting", created=time.time(), step=step, total=previous.total, **signs_of_life()),
        )
        with os.fdopen(open_own(run.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as log:
            command = worker_command(run, rehearse=rehearse, **({"until": until} if until else {}))
            process = start_detached(command, log, environment)
    except OSError as error:
        raise RunError(f"the worker cannot be started: {error.strerror or error}.", where=str(run.path)) from None
    _children[process.pid] = process
    _start_beside(run)
    return process.pid


def tell_people(run: Run) -> None:
    """Start the process that tells people what becomes of the run, where they named a way to be told."""
    try:
        if has_way(read_settings().notify):
            start_beside(run, "loratui.notify", str(run.place))
    except LoratuiError as error:
        note_beside(run, error.sentence)


def _start_beside(run: Run) -> None:
    """Start the processes that tell people how the run ended and copy it into trackers, where somebody named any. What
    goes wrong with them ends no run: it stands in `beside.log`.
    """
    tell_people(run)
    try:
        settings = read_settings()
        for name in dict.fromkeys((*settings.track.live, *tracked(run))):
            start_beside(run, "loratui.trackers", str(run.place), name, settings.track.project)
    except LoratuiError as error:
        note_beside(run, error.sentence)


def _held(run: Run) -> bool:
    """Whether another worker holds the run. One that was just killed gives its lock back only when its memory is
    freed.
    """
    until = time.monotonic() + DYING_SECONDS
    while run.in_use():
        if not run.status().over or time.monotonic() >= until:
            return True
        time.sleep(0.05)
    return False


def _holder(run: Run) -> str:
    job = last_job(run.path)
    return f"job {job.id}" if job is not None else f"process {run.status().pid}"


def exit_status_of(pid: int) -> int | None:
    """Exit status of a worker that this process started; None while it lives, or when it is not ours to know."""
    process = _children.get(pid)
    return process.poll() if process is not None else None


def wait_started(run: Run, timeout: float = 60.0, *, pid: int = 0) -> Status:
    """Wait until the worker has taken the run over; RunError in one sentence when it dies before.

    `pid`: what start_worker gave. Returns the newest status also when time runs out while the worker still lives.
    """
    until = time.monotonic() + timeout
    while True:
        status = run.status()
        if status.state == "queued" or (not pid and status.over and last_job(run.path) is not None):
            return status
        if status.pid and (status.state not in ("starting", "failed", "lost") or status.over):
            if status.state == "failed":
                raise RunError(f"the worker failed: {status.message}", where=run.name)
            return status
        code = exit_status_of(pid) if pid else None
        if code is not None or status.state in ("failed", "lost"):
            raise RunError(_death(run, code, run.status()), where=run.name, hint=f"Its log: {run.log_path}")
        if time.monotonic() >= until:
            return status
        time.sleep(0.05)


def _death(run: Run, code: int | None, status: Status) -> str:
    if status.state == "failed" and status.message:
        return f"the worker failed: {status.message}"
    how = "" if code is None else f" (exit status {code})" if code >= 0 else f" (killed by signal {-code})"
    last = last_log_line(run)
    return f"the worker died at start{how}" + (f"; its last line was: {last}" if last else ".")


def last_log_line(run: Run) -> str:
    """The last line that the worker printed, shortened to 300 characters; empty when it printed none."""
    try:
        with open_regular(run.log_path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
