"""Resuming from the command line: what changed since is shown, and asked about."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loratui.paths import demo_model_path

Loratui = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


def test_a_stopped_run_goes_on_and_a_changed_dataset_or_base_is_asked_about(loratui: Loratui, tmp_path: Path) -> None:
    """A base that was made anew went unnoticed: the run went on, and diverged."""
    shutil.copytree(demo_model_path(), tmp_path / "base")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"say {n}", "completion": f"it is {n}"}) + "\n" for n in range(12)))
    loratui("plan", "-m", "./base", "-d", "rows.jsonl", "-o", "plan.toml")
    first = loratui(
        "train",
        "plan.toml",
        "--output",
        "out",
        "--set",
        "training.epochs=1",
        "--set",
        "training.batch_size=2",
        "--set",
        "training.accumulation=1",
        "--set",
        "evaluation.every_steps=0",
        "--set",
        "evaluation.patience=0",
    )
    assert first.returncode == 0, first.stderr
    finished = loratui("resume", "out")
    assert finished.returncode == 1 and "finished" in finished.stderr

    with rows.open("a") as file:
        file.write('{"prompt": "say more", "completion": "more"}\n')
    weights = bytearray((tmp_path / "base" / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    (tmp_path / "base" / "model.safetensors").write_bytes(weights)
    asked = loratui("resume", "out", "--extend", "1")
    assert asked.returncode == 1
    assert "dataset's files changed" in asked.stderr and "--yes" in asked.stderr
    assert "the base model's files changed" in asked.stderr

    longer = loratui("resume", "out", "--extend", "1", "--yes")
    assert longer.returncode == 0, longer.stderr
    assert "finished" in longer.stdout
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "finished"
    assert (tmp_path / "out" / "plan.1.toml").is_file()
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    told = [event["message"] for event in events if event.get("finding") == "resume-differs"]
    assert len(told) == 1 and "the base model's files changed" in told[0]


def begun(path: Path) -> Path:
    """A run that was stopped at step 40, as its worker left it; what a checkpoint holds is not read here."""
    from loratui.core.plan import Plan
    from loratui.runs.checkpoints import seal
    from loratui.runs.fingerprint import plan_values, versions
    from loratui.runs.start import create_run
    from loratui.runs.status import Status, write_status

    run = create_run(Plan(), output=path)
    checkpoint = run.checkpoints_path / "checkpoint-40"
    checkpoint.mkdir(parents=True)
    (checkpoint / "scheduler.pt").touch()
    (checkpoint / "trainer_state.json").write_text('{"global_step": 40}')
    seal(checkpoint, 40)
    run.fingerprint_path.write_text(json.dumps({"plan": plan_values(Plan()), "versions": versions()}))
    write_status(run.status_path, Status(state="stopped", step=40, created=1.0, ended=2.0))
    return path


@pytest.mark.parametrize(
    ("settings", "words", "flags"),
    [
        (["lora.r=8", "lora.alpha=16"], "lora.r: the trained weights have another shape", ["--anew"]),
        (["lora.targets=q_proj,v_proj"], "other layers have an adapter", ["--anew"]),
        (["training.max_length=512"], "other rows, or other tokens of them", ["--anew", "--from-weights"]),
    ],
)
def test_what_a_checkpoint_cannot_take_is_refused_with_the_way_that_works(
    loratui: Loratui, tmp_path: Path, settings: list[str], words: str, flags: list[str]
) -> None:
    begun(tmp_path / "out")
    done = loratui("resume", "out", "--yes", *(part for one in settings for part in ("--set", one)))
    assert done.returncode == 1 and words in done.stderr and all(flag in done.stderr for flag in flags), done.stderr
    assert (tmp_path / "out" / "checkpoints" / "checkpoint-40").is_dir() and not (
        tmp_path / "out" / "plan.1.toml"
    ).exists()
    if flags == ["--anew"]:
        other = loratui(
            "resume", "out", "--yes", "--from-weights", *(part for one in settings for part in ("--set", one))
        )
        assert other.returncode == 1 and "cannot go on from its weights" in other.stderr


def test_a_dataset_that_is_not_there_is_refused_before_anything_moves(loratui: Loratui, tmp_path: Path) -> None:
    begun(tmp_path / "out")
    done = loratui("resume", "out", "--from-weights", "--set", "dataset.path=/nix.jsonl")
    assert done.returncode == 2 and "/nix.jsonl: no such file" in done.stderr, done.stderr
    assert "restore what changed" not in done.stderr.lower()
    assert (tmp_path / "out" / "checkpoints" / "checkpoint-40").is_dir()
    assert not (tmp_path / "out" / "plan.1.toml").exists() and not (tmp_path / "out" / "earlier").exists()


def test_nothing_is_promised_before_it_is_agreed_to_and_a_running_run_is_said_first(
    loratui: Loratui, tmp_path: Path
) -> None:
    from loratui.runs.directory import Run
    from loratui.runs.status import signs_of_life, write_status

    begun(tmp_path / "out")
    done = loratui("resume", "out", "--yes", "--set", "lora.r=8")
    assert "It would start anew" in done.stderr and "It starts anew" not in done.stderr
    run = Run(tmp_path / "out")
    starting = {"state": "starting", "created": time.time(), "pid": 0, **signs_of_life()}
    write_status(run.status_path, run.status().model_copy(update=starting))
    done = loratui("resume", "out", "--set", "lora.r=8")
    assert done.returncode == 1 and "loratui: run out is still going" in done.stderr, done.stderr
    assert "cannot go on" not in done.stderr


def test_a_damaged_checkpoint_is_named_and_nothing_begins_anew_unasked(loratui: Loratui, tmp_path: Path) -> None:
    checkpoint = begun(tmp_path / "out") / "checkpoints" / "checkpoint-40"
    (checkpoint / "scheduler.pt").write_bytes(b"x")
    asked = loratui("resume", "out")
    assert asked.returncode == 1
    assert "checkpoint-40 is refused: scheduler.pt has 1 bytes instead of 0." in asked.stderr
    assert "no whole checkpoint is left" in asked.stderr and "--anew starts it anew" in asked.stderr
    assert checkpoint.is_dir() and not (tmp_path / "out" / "run.lock").exists()
