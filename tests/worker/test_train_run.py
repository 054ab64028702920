"""Whole runs of the training worker in processes of their own: tiny random models, real TRL and PEFT, on the CPU."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_rows, write_tiny_model

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.schedule import times_in
from loratui.runs.control import save_now, stop_run, wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Checkpoint, Eval, Event, EventTail, Finished, Phase, Step, Stopped
from loratui.runs.resume import resume_run
from loratui.runs.start import create_run, start_worker, wait_started
from waiting import wait_for

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]
PYTHON = sys.executable
TIMEOUT = 120.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    write_tiny_model(folder / "model")
    write_rows(folder / "rows.jsonl", 60)
    return folder


def plan_for(files: Path, **changes: Any) -> Plan:
    values = {
        "model.id": str(files / "model"),
        "model.dtype": "fp32",
        "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0.2,
        "training.precision": "fp32",
        "training.batch_size": 2,
        "training.accumulation": 2,
        "training.max_length": 64,
        "training.epochs": 2.0,
        "training.learning_rate": 5e-3,
        "training.warmup_steps": 3,
        "lora.dropout": 0.1,
        "saving.every_steps": 5,
        "evaluation.every_steps": 10,
        "evaluation.batch_size": 4,
    }
    return with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})


def events_of(run: Run) -> list[Event]:
    tail = EventTail(run.events_path)
    events = tail.new_events()
    return events


def losses(run: Run) -> dict[int, float | None]:
    """Loss of each step; where a step was made twice, as it was made last."""
    return {event.step: event.loss for event in events_of(run) if isinstance(event, Step)}


def adapter_of(run: Run) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(run.adapter_path / "adapter_model.safetensors")


def same_adapter(one: Run, two: Run) -> bool:
    import torch

    first, second = adapter_of(one), adapter_of(two)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def wait_until(condition: Callable[[], bool], run: Run) -> None:
    until = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < until and not run.status().over, (run.status(), run.log_path.read_text()[-3000:])
        time.sleep(0.01)


def finish(run: Run) -> None:
    status = wait_ended(run, TIMEOUT)
    assert status.state == "finished", (status, run.log_path.read_text()[-3000:])


@pytest.fixture(scope="module")
def uninterrupted(files: Path, ready_workers: None) -> Run:
    run = create_run(plan_for(files), output=files / "uninterrupted")
    wait_started(run, TIMEOUT, pid=start_worker(run))
    finish(run)
    return run


def test_a_run_tells_its_whole_story(uninterrupted: Run) -> None:
    run = uninterrupted
    events = events_of(run)
    kinds = [event.type for event in events]
    assert kinds.index("data") < kinds.index("started") < kinds.index("step") and kinds[-1] == "finished"
    started = next(event.fields for event in events if event.type == "started")
    assert started["total_steps"] == 24 and started["examples"] == 48 and started["eval_examples"] == 12
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.step for step in steps] == list(range(1, 25))
    for step in steps:
        assert step.loss is not None and step.grad_norm is not None and step.learning_rate is not None
        assert step.tokens_per_second and step.memory_allocated and step.memory_peak and step.eta is not None
    assert steps[0].learning_rate == 0.0 and steps[3].learning_rate == pytest.approx(5e-3)
    assert steps[-1].tokens == 2 * next(event.fields["tokens"] for event in events if event.type == "data")
    assert (steps[-1].loss or 0) < (steps[0].loss or 0), "it learns"
    assert [event.fields["step"] for event in events if event.type == "eval"] == [0, 10, 20, 24]
    assert times_in(24, 10) == 3 and times_in(24, 5) == 5, "as the predicted time counts evaluations and checkpoints"
    saved = [event for event in events if isinstance(event, Checkpoint)]
    assert {5, 10, 15, 20, 24} <= {event.step for event in saved} and all(event.size_bytes > 0 for event in saved)
    status = run.status()
    assert (status.state, status.step, status.total) == ("finished", 24, 24)
    assert len(run.checkpoints()) <= 3, "only as many checkpoints are kept as the plan says, and the best"
    assert run.machine()["versions"]["trl"]
    told = [event for event in events if isinstance(event, Phase | Finished) and event.worker_seconds is not None]
    assert [event.type for event in told] == ["phase", "finished"], "its first word and its last say how old it is"
    first, last = (one.worker_seconds or 0.0 for one in told)
    assert isinstance(told[1], Finished) and 0 <= first < first + told[1].seconds <= last + 1e-3
    assert "finished; this worker took " in run.log_path.read_text()


def test_its_model_card_is_beside_the_result_and_its_code_loads_it(uninterrupted: Run) -> None:
    card = (uninterrupted.adapter_path / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.S)
    assert code is not None and "at step 24" in card and "[More Information Needed]" not in card
    places = {"PATH_OR_ID": str(uninterrupted.adapter_path), "PATH_OF_THE_BASE": uninterrupted.plan().model.id}
    names: dict[str, Any] = {}
    exec(re.sub("|".join(places), lambda found: places[found[0]], code[1]), names)
    assert type(names["model"]).__name__ == "PeftModelForCausalLM" and len(names["tokenizer"])


def test_what_it_measured_is_remembered(uninterrupted: Run) -> None:
    """Speed and memory, for the plans to come: the next prediction for this plan holds what the run's steps took."""
    from loratui.core.dataset import DataFacts
    from loratui.core.schedule import make_schedule
    from loratui.core.time import predict
    from loratui.machine.device import cpu_device
    from loratui.machine.host import read_host
    from loratui.models.find import find_model
    from loratui.runs.measured import read_measurements

    run, plan = uninterrupted, uninterrupted.plan()
    one = next(found for found in read_measurements() if found.run == str(run.path))
    seconds = sorted(event.seconds or 0.0 for event in events_of(run) if isinstance(event, Step))
    assert one.steps == 23 and seconds[0] <= one.seconds_per_step <= seconds[-1]
    assert one.predicted_bytes > 0 and one.measured_bytes > 0 and one.method == "lora" and one.family == "llama"
    assert min(one.importing_seconds, one.loading_seconds, one.prepared_tokens, one.ending_seconds) > 0
    judged = [event.seconds or 0.0 for event in events_of(run) if isinstance(event, Eval) and event.step]
    assert min(judged) <= one.evaluating_seconds <= max(judged) and one.answer_batches > 0
    saved = [event.seconds or 0.0 for event in events_of(run) if isinstance(event, Checkpoint)]
    assert min(saved) <= one.saving_seconds <= max(saved) and one.checkpoint_bytes > 10_000
    spec, data = find_model(plan.model.id).spec, DataFacts(48, (20,))
    guess = predict(spec, plan, data, cpu_device(read_host()), make_schedule(plan, data), [one])
    assert guess is not None and guess.measured and guess.speed is not None and guess.speed.same_model


def test_the_result_is_in_pefts_own_layout(uninterrupted: Run, files: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = json.loads((uninterrupted.adapter_path / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 16, 32)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(files / "model"), str(uninterrupted.adapter_path)
    )
    assert any("lora_A" in name for name, _ in model.named_parameters())
    assert AutoTokenizer.from_pretrained(uninterrupted.adapter_path).chat_template
    assert not list(uninterrupted.adapter_path.glob("*.bin")), "nothing pickled in the result"


def test_stopped_and_resumed_equals_uninterrupted(uninterrupted: Run, files: Path) -> None:
    run = create_run(uninterrupted.plan(), output=files / "stopped")
    wait_started(run, TIMEOUT, pid=start_worker(run))
    wait_until(lambda: len(losses(run)) >= 7, run)
    stop_run(run, "command")
    status = wait_ended(run, TIMEOUT)
    assert status.state == "stopped", status
    done = max(losses(run))
    assert done < 24, "the worker was quicker than the signal"
    assert status.message == "you stopped it with `loratui stop`"
    assert [(one.by, one.step) for one in events_of(run) if isinstance(one, Stopped)] == [("command", done)]
    last = run.last_checkpoint()
    assert last is not None and last.name == f"checkpoint-{done}", "the last step was saved"
    wait_started(run, TIMEOUT, pid=resume_run(run))
    finish(run)
    starts = [event.fields for event in events_of(run) if event.type == "started"]
    assert [start["step"] for start in starts] == [0, done] and starts[1]["resumed_from"] == last.name
    assert losses(run) == losses(uninterrupted)
    assert same_adapter(run, uninterrupted)
    steps = [event for event in events_of(run) if isinstance(event, Step)]
    assert steps[-1].tokens == [event for event in events_of(uninterrupted) if isinstance(event, Step)][-1].tokens


def test_killed_and_resumed_equals_uninterrupted(uninterrupted: Run, files: Path) -> None:
    run = create_run(uninterrupted.plan(), output=files / "killed")
    pid = start_worker(run)
    wait_started(run, TIMEOUT, pid=pid)
    wait_until(lambda: len(losses(run)) >= 12, run)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: run.status().state == "lost", run.status)
    whole = run.last_checkpoint()
    assert whole is not None
    half = run.checkpoints_path / "checkpoint-23"  # as a kill in the middle of saving leaves it
    half.mkdir()
    (half / "adapter_model.safetensors").write_bytes(b"\x00" * 100)
    with run.events_path.open("a") as file:
        file.write('{"type":"step","ti')
    run.status_path.write_text("{")
    wait_started(run, TIMEOUT, pid=resume_run(run))
    finish(run)
    assert [event.fields["resumed_from"] for event in events_of(run) if event.type == "started"] == ["", whole.name]
    assert losses(run) == losses(uninterrupted)
    assert same_adapter(run, uninterrupted)


def test_save_now_second_worker_and_hang_up(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", PYTHON)  # a process of its own from its start on
    run = create_run(
        plan_for(files, training__epochs=40.0, saving__every_steps=0, evaluation__every_steps=0),
        output=files / "signals",
    )
    pid = start_worker(run)
    wait_started(run, TIMEOUT, pid=pid)
    wait_until(lambda: len(losses(run)) >= 3, run)
    os.kill(pid, signal.SIGHUP)
    save_now(run)
    wait_until(lambda: run.last_checkpoint() is not None, run)
    with pytest.raises(RunError, match="already has a worker"):
        start_worker(run)
    from loratui.worker.train import main

    before = run.status_path.read_bytes()
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    }
    assert main([str(run.path)]) == 1, "the lock refuses it also when it is started by hand"
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert json.loads(before)["pid"] == pid == run.status().pid
    os.kill(pid, signal.SIGINT)
    assert wait_ended(run, TIMEOUT).state == "stopped"
    saved = [event for event in events_of(run) if isinstance(event, Checkpoint)]
    assert len(saved) == 2 and saved[-1].step == max(losses(run))


def test_a_rehearsal_comes_first(files: Path) -> None:
    run = create_run(plan_for(files, training__max_steps=7), output=files / "rehearsed")
    pid = start_worker(run, rehearse=True)
    assert wait_started(run, TIMEOUT, pid=pid).state in ("rehearsing", "running")
    finish(run)
    kinds = [event.type for event in events_of(run)]
    assert kinds.index("rehearsal") < kinds.index("started") and kinds.count("step") == 7
    measured = next(event.fields for event in events_of(run) if event.type == "rehearsal")
    assert set(measured["memory_peaks"]) >= {"load_model", "train", "evaluate", "save", "reload"}
    from loratui.runs.measured import read_measurements

    one = next(found for found in read_measurements() if found.run == str(run.path))
    assert one.measured_bytes > 0 and one.predicted_bytes > 0
    begun = next(event.time for event in events_of(run) if event.type == "phase")
    rehearsed = next(event.time for event in events_of(run) if event.type == "rehearsal")
    assert one.rehearsing_seconds > 0 and one.importing_seconds > 0 < one.loading_seconds
    assert one.rehearsing_seconds > (rehearsed - begun) / 2, "what it took is told apart from the imports"
    assert (
        measured["checkpoint_bytes"] > 10_000 and measured["seconds_per_step"] > 0 and measured["longest_tokens"] <= 64
    )
    told = [one.fields for one in events_of(run) if one.type == "phase" and one.fields.get("phase") == "rehearse"]
    assert all(one["of"] in (5, 6) for one in told[1:]) and len(told) >= 2, "its stages are told while it goes on"
    assert not (run.path / ".rehearsal").exists() and not list(run.path.glob("**/rehearsal.progress.json"))


def test_a_rehearsal_that_fails_spares_the_run(files: Path, tmp_path: Path) -> None:
    run = create_run(plan_for(files, lora__targets=["no_such_layer"]), output=tmp_path / "run")
    start_worker(run, rehearse=True)
    status = wait_ended(run, TIMEOUT)
    assert status.state == "failed" and "rehearsal: " in status.message and "no_such_layer" in status.message
    assert "started" not in [event.type for event in events_of(run)]


@pytest.mark.parametrize(("gone", "words"), [("model", "no such folder"), ("rows", "no such file")])
def test_what_cannot_work_is_said_in_one_sentence(files: Path, tmp_path: Path, gone: str, words: str) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n')
    changes = {"model__id": "/nowhere/model"} if gone == "model" else {"dataset__path": str(rows)}
    run = create_run(plan_for(files, **changes), output=tmp_path / "run")
    rows.unlink()  # between the start and the worker
    pid = start_worker(run)
    with pytest.raises(RunError, match=words) as caught:
        wait_started(run, TIMEOUT, pid=pid)
        wait_ended(run, TIMEOUT)
        raise RunError(run.status().message)
    assert "Traceback" not in str(caught.value) and "\n" not in str(caught.value)
    assert run.status().state == "failed"
    assert events_of(run)[-1].type == "failed"
    assert "Traceback" in run.log_path.read_text()
