"""Several processes train one run, as on several GPUs: here two on the CPU, begun by the same launcher."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from test_train_run import TIMEOUT, adapter_of, events_of, files, finish, losses, plan_for, same_adapter, wait_until  # noqa: F401 (a fixture among them)

from loratui.core.errors import PlanError
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.runs import stall
from loratui.runs.control import stop_run, wait_ended
from loratui.runs.directory import Run, step_of
from loratui.runs.events import Eval, Failed, Finding, Fix, Sample
from loratui.runs.recovery import allow, left
from loratui.runs.resume import resume_run
from loratui.runs.start import create_run, start_worker, wait_started
from waiting import wait_for

pytestmark = pytest.mark.worker
PYTHON = sys.executable

FULL_IN_ONE = """
import os
if os.environ.get("RANK") == "1" and not os.path.exists(os.environ["FULL_ONCE"]):
    import torch
    from trl import SFTTrainer
    original = SFTTrainer.training_step
    def full(self, *arguments, **options):
        if self.state.global_step == 7:
            open(os.environ["FULL_ONCE"], "w").close()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(self, *arguments, **options)
    SFTTrainer.training_step = full
"""
"""Python reads this when it starts: the second process has no memory left at one step, once."""


def together(files: Path, parallelism: str = "ddp", **changes: object) -> object:  # noqa: F811
    """A plan for two processes."""
    return plan_for(
        files, hardware__devices=[0, 1], hardware__parallelism=parallelism, training__batch_size=1, **changes
    )


def train(plan: object, path: Path, *, rehearse: bool = False) -> Run:
    run = create_run(plan, output=path)  # type: ignore[arg-type]
    start_worker(run, rehearse=rehearse)
    finish(run)
    return run


def processes_of(run: Run) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if str(run.path) in (process.info["cmdline"] or []):
            found.append(process)
    return found


@pytest.fixture(scope="module")
def divided(files: Path, ready_workers: None) -> Run:  # noqa: F811
    """An uninterrupted run whose weights are divided."""
    return train(together(files, "fsdp"), files / "divided")


@pytest.mark.usefixtures("ready_workers")
def test_divided_weights_learn_what_copies_learn(files: Path, tmp_path: Path, divided: Run) -> None:  # noqa: F811
    import torch

    copies = train(together(files, "ddp"), tmp_path / "copies")
    ours, theirs = losses(divided), losses(copies)
    assert sorted(ours) == sorted(theirs) and all(ours[step] == pytest.approx(theirs[step], abs=2e-4) for step in ours)
    one, two = adapter_of(divided), adapter_of(copies)
    assert one.keys() == two.keys() and all(torch.allclose(one[name], two[name], atol=1e-3) for name in one)
    assert [event for event in events_of(divided) if isinstance(event, Sample)], (
        "divided weights answer, all processes together"
    )
    assert all(event.loss for event in events_of(divided) if isinstance(event, Eval))
    assert any(isinstance(event, Finding) and event.finding == "no-gpu" for event in events_of(divided)), (
        "said, not hidden"
    )
    assert (divided.path / "accelerate.json").is_file(), (
        "the launcher's settings do not come from a person's own defaults"
    )


@pytest.mark.usefixtures("ready_workers")
@pytest.mark.parametrize(
    "changes",
    [
        {"method__kind": "full"},
        {
            "method__kind": "qlora",
            "method__quantization": "nf4",
            "method__double_quantization": True,
            "model__dtype": "bf16",
            "training__precision": "bf16",
        },
        {"lora__variant": "dora", "training__checkpointing": True},
    ],
)
def test_every_kind_can_be_divided(files: Path, tmp_path: Path, changes: dict[str, object]) -> None:  # noqa: F811
    run = train(together(files, "fsdp", evaluation__every_steps=0, training__max_steps=3, **changes), tmp_path / "run")
    assert len(losses(run)) == 3
    if changes.get("training__precision") == "bf16":  # summed and given back in float32: 7.210, not 7.2
        import torch

        found = torch.tensor(list(losses(run).values()), dtype=torch.float64)
        assert (found.bfloat16().double() != found).any()
    if changes["method__kind" if "method__kind" in changes else "lora__variant"] == "full":
        from transformers import AutoModelForCausalLM

        assert AutoModelForCausalLM.from_pretrained(run.model_path).num_parameters() > 0


@pytest.mark.usefixtures("whole_processes")
def test_a_process_killed_and_resumed_equals_uninterrupted(
    files: Path,  # noqa: F811
    divided: Run,
    forking_interpreter: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = create_run(together(files, "fsdp"), output=files / "killed-together")
    start_worker(run)
    wait_until(lambda: len(losses(run)) >= 6, run)
    time.sleep(random.random() * 0.3)
    ranks = [process for process in processes_of(run) if "RANK" in process.environ()]
    random.choice(ranks).kill()
    status = wait_ended(run, TIMEOUT)
    assert status.state == "failed" and "gone without a word" in status.message, status
    wait_for(lambda: not processes_of(run), "nobody left behind")
    monkeypatch.setattr(sys, "executable", forking_interpreter)
    resume_run(run)
    finish(run)
    assert losses(run) == losses(divided) and same_adapter(run, divided)


@pytest.mark.usefixtures("ready_workers")
def test_what_was_divided_stays_divided(files: Path, tmp_path: Path, divided: Run) -> None:  # noqa: F811
    import shutil

    run = Run(tmp_path / "run")
    shutil.copytree(divided.path, run.path)
    (run.path / "status.json").unlink()
    run.plan_path.write_text(
        plan_to_toml(with_values(run.plan(), {"hardware.parallelism": "ddp", "training.epochs": 3.0}))
    )
    start_worker(run)
    status = wait_ended(run, TIMEOUT)
    assert status.state == "failed" and "cannot change within a run" in status.message


@pytest.mark.usefixtures("whole_processes")
def test_one_that_hangs_is_told_and_a_stop_reaches_all_of_them(
    files: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forking_interpreter: str,
) -> None:
    run = create_run(together(files, training__epochs=40.0), output=tmp_path / "run")
    wait_started(run, TIMEOUT, pid=start_worker(run))
    wait_until(lambda: len(losses(run)) >= 3, run)
    monkeypatch.setattr(stall, "LEAST_SECONDS", 1.0)
    (hung,) = (one for one in processes_of(run) if one.environ().get("RANK") == "1")
    hung.suspend()
    wait_until(lambda: bool(stall.stall_words(run.status())), run)
    said = stall.stall_words(run.status())
    assert said.startswith("No step for ") and f"rocess {hung.pid} is stopped" in said, said
    assert f"`kill -CONT {hung.pid}` lets it go on." in said
    made = len(losses(run))
    hung.resume()
    wait_until(lambda: len(losses(run)) > made, run)
    watcher = psutil.Process(run.status().watcher_pid)
    watcher.suspend()
    stop_run(run, "command")
    assert wait_ended(run, TIMEOUT).state == "stopped", run.log_path.read_text()[-2000:]
    wait_for(lambda: not [one for one in processes_of(run) if one != watcher], "the ranks' end")
    last = run.last_checkpoint()
    started = [event.fields for event in events_of(run) if event.type == "started"]
    assert len(started) == 1 and started[0]["total_steps"] == 40 * 12, (
        "48 rows, two processes, two accumulated rows each"
    )
    assert last is not None

    monkeypatch.setattr(sys, "executable", forking_interpreter)
    pid = resume_run(run)
    watcher.resume()
    watcher.wait(TIMEOUT)
    wait_started(run, TIMEOUT, pid=pid)
    wait_until(lambda: len(losses(run)) > step_of(last) + 1, run)
    stop_run(run, "command")
    assert wait_ended(run, TIMEOUT).state == "stopped", "who watched before says nothing of the run that goes on"
    assert not [event for event in events_of(run) if isinstance(event, Failed)]


@pytest.mark.usefixtures("whole_processes")
def test_a_stop_before_they_have_begun(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = create_run(together(files), output=tmp_path / "run")
    pid = start_worker(run)
    wait_until(lambda: run.status().pid == pid, run)
    os.kill(pid, signal.SIGTERM)
    status = wait_ended(run, TIMEOUT)
    assert (status.state, status.message) == ("stopped", "a signal from outside stopped it (SIGTERM)")


@pytest.mark.usefixtures("ready_workers")
@pytest.mark.parametrize("allowed", [True, False])
def test_one_of_them_runs_out_of_memory(
    files: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    allowed: bool,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FULL_IN_ONE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("FULL_ONCE", str(tmp_path / "full"))
    plan = with_values(
        together(files, evaluation__every_steps=0), {"training.batch_size": 2, "training.accumulation": 1}
    )  # type: ignore[arg-type]
    run = create_run(plan, output=tmp_path / "run")
    if allowed:
        allow(run)
    start_worker(run)
    status = wait_ended(run, TIMEOUT)
    kinds = [event.type for event in events_of(run)]
    full = next(event for event in events_of(run) if event.type == "oom")
    assert "What would help" in full.fields["message"] and full.fields["fixes"], (
        "a process that does not write is heard"
    )
    if allowed:
        assert status.state == "finished" and left(run) == 2, run.log_path.read_text()[-3000:]
        assert run.plan().training.batch_size == 1 and run.plan().training.accumulation == 2
        assert any(isinstance(event, Fix) and event.by == "auto" for event in events_of(run))
        assert sorted(losses(run)) == list(range(1, status.total + 1))
    else:
        failed = next(event for event in events_of(run) if isinstance(event, Failed))
        assert status.state == "failed" and kinds.count("failed") == 1 and "Out of memory" in failed.message


@pytest.mark.usefixtures("ready_workers")
def test_they_are_rehearsed_together(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = train(together(files, "fsdp", training__max_steps=3), tmp_path / "run", rehearse=True)
    rehearsal = next(event.fields for event in events_of(run) if event.type == "rehearsal")
    assert rehearsal["seconds_per_step"] > 0 and rehearsal["checkpoint_bytes"] > 0
    assert sorted(losses(run)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method__kind": "qlora", "method__quantization": "int8"}, "8-bit weights cannot be divided"),
        ({"training__optimizer": "adamw_8bit"}, "adamw_torch_fused"),
    ],
)
def test_what_cannot_be_divided_is_refused(files: Path, changes: dict[str, object], words: str) -> None:  # noqa: F811
    from loratui.worker.training.config import DeviceTraits, check

    with pytest.raises(PlanError, match=words):
        check(together(files, "fsdp", **changes), DeviceTraits("cpu"))  # type: ignore[arg-type]
