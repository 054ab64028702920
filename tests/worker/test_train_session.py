"""The training itself, in this process: methods, invariants, and what goes wrong on the way."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_contrary_rows, write_rows, write_tiny_model

from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.directory import Run
from loratui.runs.events import Event, EventTail
from loratui.runs.start import create_run
from loratui.worker.training.journal import Journal
from loratui.worker.training.signals import Requests

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("session")
    write_tiny_model(folder / "model", hidden=64)
    write_rows(folder / "rows.jsonl", 40)
    write_contrary_rows(folder / "contrary.jsonl")
    return folder


def train(files: Path, path: Path, **changes: Any) -> tuple[Run, Any, list[Event]]:
    """A run in this process: the directory, how it ended, and its events."""
    from loratui.worker.training.session import Session

    values = {
        "model.id": str(files / "model"),
        "model.dtype": "fp32",
        "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0.2,
        "training.precision": "fp32",
        "training.batch_size": 4,
        "training.accumulation": 1,
        "training.max_length": 64,
        "training.max_steps": 4,
        "training.learning_rate": 5e-3,
        "method.compute_dtype": "fp32",
    }
    plan = with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})
    run = create_run(plan, output=path) if not path.exists() else Run(path)
    journal = Journal(run)
    state, outcome = "failed", None
    try:
        outcome = Session(run, plan, journal, Requests()).execute()
        state = outcome.state
    finally:
        journal.close(state)  # type: ignore[arg-type]
    return run, outcome, EventTail(run.events_path).new_events()


def losses(events: list[Event]) -> list[float]:
    return [event.fields["loss"] for event in events if event.type == "step"]


def evaluations(events: list[Event]) -> list[tuple[Any, ...]]:
    names = ("step", "loss", "best", "exact_match", "rouge_l")
    return [tuple(event.fields[name] for name in names) for event in events if event.type == "eval"]


def test_one_times_four_equals_four_times_one(files: Path, tmp_path: Path) -> None:
    _, _, whole = train(files, tmp_path / "whole", training__batch_size=4, training__accumulation=1)
    _, _, parts = train(files, tmp_path / "parts", training__batch_size=1, training__accumulation=4)
    assert losses(whole) == pytest.approx(losses(parts), rel=1e-4)
    assert [event.fields["tokens"] for event in whole if event.type == "step"] == [
        event.fields["tokens"] for event in parts if event.type == "step"
    ]


def test_padding_free_and_checkpointing_change_no_loss(files: Path, tmp_path: Path) -> None:
    _, _, plain = train(files, tmp_path / "plain")
    _, _, free = train(files, tmp_path / "free", training__padding_free=True)
    _, _, recomputed = train(files, tmp_path / "recomputed", training__checkpointing=True)
    assert losses(plain) == pytest.approx(losses(free), rel=1e-4)
    assert losses(plain) == pytest.approx(losses(recomputed), rel=1e-5)


def test_packing_learns_from_every_token_once(files: Path, tmp_path: Path) -> None:
    _, _, events = train(
        files,
        tmp_path / "run",
        training__packing=True,
        training__max_steps=0,
        training__epochs=1.0,
        training__batch_size=1,
    )
    data = next(event.fields for event in events if event.type == "data")
    steps = [event.fields for event in events if event.type == "step"]
    assert steps[-1]["tokens"] == data["tokens"] and len(steps) < data["examples"]


@pytest.mark.parametrize(
    ("changes", "trained"),
    [
        ({"lora__variant": "dora"}, "lora_magnitude_vector"),
        ({"lora__variant": "rslora", "lora__targets": ["q_proj"]}, "lora_A"),
        ({"method__kind": "qlora", "method__quantization": "nf4", "method__double_quantization": True}, "lora_A"),
        ({"method__kind": "qlora", "method__quantization": "fp4", "method__double_quantization": False}, "lora_A"),
        ({"method__kind": "qlora", "method__quantization": "int8"}, "lora_A"),
    ],
)
def test_every_kind_of_adapter_trains(files: Path, tmp_path: Path, changes: dict[str, Any], trained: str) -> None:
    from safetensors import safe_open

    run, outcome, events = train(files, tmp_path / "run", evaluation__every_steps=2, training__max_steps=3, **changes)
    assert outcome.state == "finished" and len(losses(events)) == 3
    with safe_open(run.adapter_path / "adapter_model.safetensors", "pt") as tensors:
        names = list(tensors.keys())
    assert any(trained in name for name in names)
    if "lora__targets" in changes:
        assert all("q_proj" in name for name in names)


def test_full_fine_tuning_writes_a_model(files: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    run, _, events = train(files, tmp_path / "run", method__kind="full")
    assert events[-1].fields["result"] == "model"
    AutoModelForCausalLM.from_pretrained(run.model_path)
    started = next(event.fields for event in events if event.type == "started")
    assert started["parameters_trainable"] == started["parameters_total"]


def test_an_adapter_is_trained_further(files: Path, tmp_path: Path) -> None:
    first, _, one = train(files, tmp_path / "first", training__max_steps=8)
    _, _, two = train(files, tmp_path / "second", training__max_steps=8, lora__adapter=str(first.adapter_path))
    assert losses(two)[0] < losses(one)[0] * 0.98, "it goes on from what was learnt"
    with pytest.raises(LoratuiError, match=r"lora\.r = 8, but the adapter in lora\.adapter has 16"):
        train(files, tmp_path / "third", lora__adapter=str(first.adapter_path), lora__r=8)
    with pytest.raises(
        LoratuiError, match=r"lora\.targets = q_proj,v_proj reaches 4 layers, but the adapter in lora\.adapter has 14"
    ):
        train(files, tmp_path / "fourth", lora__adapter=str(first.adapter_path), lora__targets=["q_proj", "v_proj"])


def test_patience_ends_the_run_with_the_best_adapter(files: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    run, outcome, events = train(
        files,
        tmp_path / "run",
        dataset__eval_path=str(files / "contrary.jsonl"),
        training__learning_rate=0.5,
        training__max_grad_norm=0.0,
        training__max_steps=40,
        training__scheduler="constant",
        evaluation__every_steps=2,
        evaluation__patience=2,
        saving__keep=1,
    )
    evaluations = [event.fields for event in events if event.type == "eval"][1:]  # the first is that of the base
    best = min(evaluations, key=lambda one: one["loss"])
    assert outcome.state == "finished" and "no better evaluation" in outcome.message
    assert evaluations[-1]["step"] < 40 and evaluations.index(best) == len(evaluations) - 3
    assert events[-1].fields["best_step"] == best["step"]
    since = evaluations[-1]["beside_best"]
    assert since["step"] == best["step"] and since["rows"] == 24 and since["low"] > -0.01 * best["loss"]
    assert since["difference"] == pytest.approx(evaluations[-1]["loss"] - best["loss"], abs=1e-4)
    assert f"95 % between {since['low']:+.2g} and {since['high']:+.2g}, 24 rows" in outcome.message
    kept, result = (
        load_file(folder / "adapter_model.safetensors")
        for folder in (run.checkpoints_path / f"checkpoint-{best['step']}", run.adapter_path)
    )
    assert all(torch.equal(kept[name], result[name]) for name in result)


def test_three_rows_end_no_run(files: Path, tmp_path: Path) -> None:
    """What they say changes by chance from one evaluation to the next: it is told, and the best one is the result."""
    _, outcome, events = train(
        files,
        tmp_path / "run",
        dataset__eval_count=3,
        training__learning_rate=0.5,
        training__max_grad_norm=0.0,
        training__max_steps=16,
        training__scheduler="constant",
        evaluation__every_steps=2,
        evaluation__patience=1,
    )
    judged = [event.fields for event in events if event.type == "eval"][1:]
    best = min(judged, key=lambda one: one["loss"])
    told = [one.fields for one in events if one.type == "finding" and one.fields["finding"] == "held-out-noise"]
    assert outcome.state == "finished" and judged[-1]["step"] == 16 and any(not one["best"] for one in judged[:-1])
    assert told and all(one["severity"] == "info" and "3 rows)" in one["message"] for one in told)
    assert events[-1].fields["result_step"] == best["step"]


def test_a_stop_does_not_wait_for_a_long_evaluation(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.worker.training.trainer import Trainer

    evaluated = []

    def slow(self: Trainer, *arguments: Any, **options: Any) -> Any:
        if self.state.global_step:  # before the first step there is nothing to save, and a stop is heeded at once
            evaluated.append(self.state.global_step)
            wishes.stop, wishes.reason = True, "asked to stop (SIGTERM)"
        return original(self, *arguments, **options)

    original = Trainer.prediction_step
    monkeypatch.setattr(Trainer, "prediction_step", slow)
    wishes = Requests()
    monkeypatch.setattr("test_train_session.Requests", lambda: wishes)
    options = {"evaluation__every_steps": 2, "training__max_steps": 6, "evaluation__batch_size": 1}
    run, outcome, _ = train(files, tmp_path / "run", **options)
    assert outcome.state == "stopped" and evaluated == [2], "one batch of eight, then it stopped"
    assert [folder.name for folder in run.checkpoints()] == ["checkpoint-2"]
    monkeypatch.undo()
    _, outcome, events = train(files, tmp_path / "run", **options)
    _, _, whole = train(files, tmp_path / "whole", **options)
    assert outcome.state == "finished" and losses(events) == losses(whole)
    assert evaluations(events) == evaluations(whole), "the one that was broken off is made, whole, by who goes on"


def test_a_run_stops_before_its_scheduler_does(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.worker.training.signals import RESERVE_SECONDS

    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time() + RESERVE_SECONDS + 8)))
    run, outcome, events = train(
        files, tmp_path / "run", training__max_steps=100_000, evaluation__every_steps=0, saving__every_steps=100_000
    )
    assert outcome.state == "stopped" and "the scheduler's time limit" in outcome.message
    last = run.last_checkpoint()
    assert last is not None and last.name == f"checkpoint-{len(losses(events))}"


@pytest.mark.parametrize(
    ("text", "now", "near"),
    [("", 0, False), ("1000", 2000, False), ("1000", 900, False), ("1000", 935, True), ("soon", 0, False)],
)
def test_a_time_limit_counts_two_steps_and_two_saves(text: str, now: int, near: bool) -> None:
    from loratui.worker.training.signals import TimeLimit

    assert TimeLimit({"SLURM_JOB_END_TIME": text}, now=now).near(1.0, 2.0, now=now) is near


def test_a_loss_that_is_no_number_stops_the_run(files: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "model"
    write_tiny_model(broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    run, outcome, events = train(files, tmp_path / "run", model__id=str(broken), saving__every_steps=1)
    assert outcome.state == "failed" and outcome.code == "loss-nan" and "not a number" in outcome.message
    finding = next(event.fields for event in events if event.type == "finding")
    assert finding["finding"] == "loss-nan" and not finding["fix"], "no learning rate mends the very first step"
    assert any("base model" in fix["advice"] for fix in finding["fixes"])
    assert not run.checkpoints() and not run.adapter_path.exists(), "nothing broken is kept"


def test_a_loss_that_climbs_for_good_stops_the_run(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From step 40 on the learning rate is absurd: the checkpoint before that is what a resume goes on from."""
    from transformers import TrainerCallback

    from loratui.worker.training.callbacks import RunCallback

    class Absurd(RunCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **options: Any) -> None:
            if state.global_step >= 40:
                for group in options["optimizer"].param_groups:
                    group["lr"] = 0.3

    assert issubclass(Absurd, TrainerCallback)
    monkeypatch.setattr("loratui.worker.training.session.RunCallback", Absurd)
    run, outcome, events = train(
        files,
        tmp_path / "run",
        training__max_steps=400,
        training__scheduler="constant",
        training__max_grad_norm=0.0,
        method__kind="full",
        saving__every_steps=15,
        saving__keep=50,
        evaluation__every_steps=0,
    )
    assert (
        outcome.state == "failed"
        and "diverged" in outcome.message
        and outcome.fixes[0]["change"]["training.learning_rate"] < 5e-3
    )
    finding = next(event.fields for event in events if event.type == "finding")
    assert (
        finding["finding"] == "diverged" and max(event.fields["step"] for event in events if event.type == "step") < 200
    )
    last = run.last_checkpoint()
    assert last is not None and last.name == "checkpoint-30", [folder.name for folder in run.checkpoints_path.iterdir()]
    assert (run.checkpoints_path / "diverged-45").is_dir(), "kept, but nothing goes on from it"


def test_a_full_disk_leaves_the_last_whole_checkpoint(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import Trainer

    from loratui.worker.training.failure import explain

    options = {"training__max_steps": 6, "saving__every_steps": 2}
    _, _, whole = train(files, tmp_path / "whole", **options)
    save = Trainer._save_optimizer_and_scheduler

    def full(self: Any, folder: str) -> None:
        if self.state.global_step == 4:
            torch.save({}, Path(folder) / "optimizer.pt")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, folder)

    monkeypatch.setattr(Trainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(OSError, match="No space") as caught:
        train(files, tmp_path / "run", **options)
    assert explain(caught.value, "save").code == "disk-full"
    run = Run(tmp_path / "run")
    assert [folder.name for folder in run.checkpoints_path.glob("checkpoint-*")] == ["checkpoint-2"], (
        "the half-written one gave its space back"
    )
    monkeypatch.undo()
    _, outcome, events = train(files, run.path, **options)
    assert outcome.state == "finished"
    resumed = {event.fields["step"]: event.fields["loss"] for event in events if event.type == "step"}
    assert list(resumed.values()) == losses(whole)


def test_the_last_state_is_told_on_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for a new status.json beside the old one: the old one is written over, and is whole."""
    from loratui.worker.training import journal as journals

    run = create_run(Plan(), output=tmp_path / "run")
    journal = Journal(run)
    inode = run.status_path.stat().st_ino

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journals, "write_status", full)
    journal.close("stopped", "The disk is full.")
    assert (
        run.status().state == "stopped"
        and run.status().message == "The disk is full."
        and run.status_path.stat().st_ino == inode
    )


@pytest.mark.parametrize(
    "text",
    ["basic_ios::clear: iostream error", "[enforce fail at inline_container.cc:672] . unexpected pos 73152 vs 73040"],
)
def test_torchs_words_for_a_full_disk(text: str) -> None:
    from loratui.worker.training.failure import is_disk_full

    assert is_disk_full(RuntimeError(text))
    assert not is_disk_full(RuntimeError("PytorchStreamReader failed reading zip archive: inline_container.cc")), (
        "a broken file is not a full disk"
    )


def test_out_of_memory_is_recognised_and_placed() -> None:
    import torch

    from loratui.worker.training.failure import explain, memory_facts

    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has …")
    assert (explain(error, "train").code, explain(error, "train").where) == ("oom", "step")
    assert (
        explain(error, "evaluate").where == "evaluation"
        and explain(error, "save").where == "save"
        and explain(error, "load_model").where == "load"
    )
    assert memory_facts(error)["requested_bytes"] == int(2.5 * 2**30)
    assert (
        explain(
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "train"
        ).code
        == "oom"
    )
    assert explain(RuntimeError("shapes do not match"), "train").code == "error"


def test_a_fix_for_full_memory_keeps_the_losses(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import Trainer

    from loratui.worker.training.memory import MemoryFullError

    options = {"training__max_steps": 6, "saving__every_steps": 2}
    _, _, whole = train(files, tmp_path / "whole", **options)
    step = Trainer.training_step

    def full(self: Any, *arguments: Any, **values: Any) -> Any:
        if self.state.global_step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64.00 MiB.")
        return step(self, *arguments, **values)

    monkeypatch.setattr(Trainer, "training_step", full)
    with pytest.raises(MemoryFullError, match="while training") as caught:
        train(files, tmp_path / "run", **options)
    monkeypatch.undo()
    facts = caught.value.facts
    assert (facts["where"], facts["cause"], facts["requested_bytes"]) == ("step", "size", 64 << 20)
    fix = facts["fixes"][0]
    assert (
        fix["change"] == {"training.batch_size": 2, "training.accumulation": 2}
        and fix["memory_total"] > 0
        and fix["start"] == "checkpoint"
    )
    _, outcome, events = train(files, tmp_path / "run", **options, training__batch_size=2, training__accumulation=2)
    assert outcome.state == "finished"
    resumed = {event.fields["step"]: event.fields["loss"] for event in events if event.type == "step"}
    assert list(resumed.values()) == pytest.approx(losses(whole), rel=1e-4)


def test_why_the_memory_was_full() -> None:
    from loratui.worker.training.memory import cause_of

    gib = 1 << 30
    card = {"total_bytes": 80 * gib, "requested_bytes": 2 * gib}
    assert cause_of(card | {"reserved_bytes": 78 * gib, "allocated_bytes": 77 * gib, "free_bytes": gib}) == "size"
    assert (
        cause_of(card | {"reserved_bytes": 78 * gib, "allocated_bytes": 70 * gib, "free_bytes": gib}) == "fragmentation"
    )
    assert cause_of(card | {"reserved_bytes": 30 * gib, "allocated_bytes": 29 * gib, "free_bytes": gib}) == "neighbour"


def test_what_differs_on_resume_is_said(files: Path, tmp_path: Path) -> None:
    train(files, tmp_path / "run", saving__every_steps=2)
    _, _, events = train(
        files, tmp_path / "run", saving__every_steps=2, training__max_steps=6, training__learning_rate=1e-3
    )
    finding = next(
        event.fields for event in events if event.type == "finding" and event.fields["finding"] == "resume-differs"
    )
    assert "training.learning_rate was 0.005 and is 0.001" in finding["message"] and "saving" not in finding["message"]


def test_answers_at_each_evaluation(files: Path, tmp_path: Path) -> None:
    _, _, events = train(
        files,
        tmp_path / "run",
        evaluation__every_steps=2,
        evaluation__prompts=["1 and 2 is", "hello"],
        evaluation__batch_size=2,
    )
    pinned = [event.fields for event in events if event.type == "sample" and event.fields["pinned"]]
    assert [(sample["step"], sample["prompt"]) for sample in pinned] == [
        (2, "1 and 2 is"),
        (2, "hello"),
        (4, "1 and 2 is"),
        (4, "hello"),
    ]
    evaluations = [event.fields for event in events if event.type == "eval"][1:]  # the first is that of the base
    for one in evaluations:
        assert (
            0 <= one["exact_match"] <= 1
            and 0 <= one["rouge_l"] <= 1
            and one["generated"] == 8
            and one["token_accuracy"] is not None
        )
    compared = [event.fields for event in events if event.type == "sample" and not event.fields["pinned"]]
    assert all(sample["expected"].isdigit() and " is" in sample["prompt"] for sample in compared) and compared


def test_figures_of_answers() -> None:
    from loratui.evaluation.scoring import exact_match, rouge

    assert [exact_match("a b ", "a b"), exact_match("c", "d")] == [1, 0]
    # Lin 2004, "ROUGE", section 3.1: the longest common subsequence of these is "police the gunman": P = R = 3/4
    assert rouge("rougeL", "police kill the gunman", "police killed the gunman") == pytest.approx(0.75)


def test_rows_that_cannot_be_used_are_counted(files: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    good = (files / "rows.jsonl").read_text()
    rows.write_text('{"prompt": "x"}\n{"prompt": "' + "long " * 80 + '", "completion": "never seen"}\n' + good)
    _, _, events = train(
        files,
        tmp_path / "run",
        dataset__path=str(rows),
        training__max_steps=1,
        dataset__eval_fraction=0.0,
        dataset__exclude=[2, 3],
    )
    data = next(event.fields for event in events if event.type == "data")
    assert (data["rows"], data["unusable"], data["without_answer"], data["cut"], data["examples"]) == (40, 1, 1, 1, 38)
    record = [json.loads(line) for line in (tmp_path / "run" / "left_out.jsonl").read_text().splitlines()]
    assert [(one["index"], one["line"], one["kind"]) for one in record] == [
        (0, 1, "missing"),
        (2, 3, "by-hand"),
        (3, 4, "by-hand"),
        (1, 2, "no-answer"),
    ]
    assert data["left_out"] == 4 and all(one["message"].endswith(".") and one["file"] for one in record)
