"""A plan as a task of SkyPilot: what it says, that SkyPilot's own parser takes it, and that it goes on by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from loratui.commands.export import command
from loratui.core.errors import InputError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, whole_plan_from_toml, with_values
from loratui.export import Rows, export_plan

SITE = {"cluster.engine": "slurm", "cluster.gpus_per_node": 2, "cluster.gpu_type": "h100"}


def task_of(values: dict[str, Any], **options: Any) -> tuple[dict[str, Any], Plan, tuple[str, ...]]:
    """The task, the plan that goes with it, and what did not carry over."""
    export = export_plan(
        with_values(Plan(), values), "skypilot", Rows("/here/task-data"), output="/here/My Task-output"
    )
    return yaml.safe_load(export.text), whole_plan_from_toml(export.files["plan.toml"]), export.left_out


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"hardware.gpu": "A100 80GB", "hardware.devices": [0, 3]}, {"A100-80GB": 2}),
        ({"hardware.gpu": "A100"}, {"A100": 1}),
        ({"hardware.gpu": "RTX 4090"}, {"RTX4090": 1}),
        ({"hardware.gpu": "RTX A6000"}, {"RTXA6000": 1}),
        ({"hardware.gpu": "GH200"}, {"GH200": 1}),
        (SITE | {"cluster.nodes": 2}, {"H100": 4}),
    ],
)
def test_the_gpus_are_those_of_the_plan(values: dict[str, Any], wanted: dict[str, int]) -> None:
    task, there, _ = task_of(values)
    assert task["resources"] == {"accelerators": wanted, "use_spot": True}
    (count,) = wanted.values()
    assert there.processes == count and not there.cluster.engine and not there.hardware.gpu
    assert task["name"] == "loratui-my-task" == task["file_mounts"]["~/loratui-runs"]["name"]


def test_a_training_on_processors_asks_for_no_gpu() -> None:
    task, there, _ = task_of({"hardware.cpu": True})
    assert "accelerators" not in task["resources"] and there.hardware.cpu and there.processes == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "which GPU is to be rented"),
        ({"hardware.gpu": "24GB"}, "rents cards by name"),
        (SITE | {"cluster.nodes": 5}, "at most 8"),
    ],
)
def test_what_cannot_be_rented_is_said(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        task_of(values)


def test_files_of_this_machine_are_mounted_and_named_by_their_place_there(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "model").mkdir()
    paths = {"model.id": str(tmp_path / "model"), "dataset.path": str(tmp_path / "rows.jsonl")}
    task, there, _ = task_of({"hardware.gpu": "L4", **paths})
    mounts = {place: here for place, here in task["file_mounts"].items() if isinstance(here, str)}
    assert mounts[there.dataset.path] == paths["dataset.path"] and mounts[there.model.id] == paths["model.id"]
    assert there.training == with_values(Plan(), paths).training, "nothing else is another"
    task, there, _ = task_of({"hardware.gpu": "L4", "model.id": "Qwen/Qwen3-4B"})
    assert there.model.id == "Qwen/Qwen3-4B" and len(task["file_mounts"]) == 2


def test_what_has_no_meaning_there_is_named() -> None:
    more = {"cluster.nodes": 2, "cluster.setup": ["module load cuda"], "model.trust_remote_code": True}
    *_, told = task_of(SITE | more | {"saving.every_steps": 0})
    keys = [sentence.partition(":")[0] for sentence in told]
    assert keys == [
        "cluster",
        "cluster.nodes = 2",
        "cluster.setup",
        "model.trust_remote_code",
        "saving.every_steps = 0",
    ]


def test_the_plan_of_an_earlier_task_is_not_replaced_unasked(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(plan_to_toml(with_values(Plan(), {"hardware.gpu": "L4"})))
    kept = tmp_path / "task-data" / "plan.toml"
    kept.parent.mkdir()
    kept.write_text("mine")
    arguments = [str(plan), "--to", "skypilot", "-o", str(tmp_path / "task.yaml"), "--no-rows"]
    with pytest.raises(InputError, match="it is there already"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert kept.read_text() == "mine" and not (tmp_path / "task.yaml").exists()
    done = CliRunner().invoke(command, [*arguments, "--force"], catch_exceptions=False)
    assert done.exit_code == 0 and whole_plan_from_toml(kept.read_text()).hardware.gpu == ""


def test_a_runs_name_comes_before_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.runs.start import create_run

    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    create_run(with_values(Plan(), {"hardware.gpu": "L4"}), "thesis")
    create_run(with_values(Plan(), {"hardware.gpu": "T4"}), output=tmp_path / "thesis")
    for given, card in (("thesis", "L4"), ("./thesis/", "T4")):
        done = CliRunner().invoke(command, [given, "--to", "skypilot", "-o", f"{card}.yaml", "--no-rows"])
        assert done.exit_code == 0, done.output
        task = yaml.safe_load((tmp_path / f"{card}.yaml").read_text())
        assert task["resources"]["accelerators"] == {card: 1}


def test_skypilots_own_parser_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    sky = pytest.importorskip("sky", reason="SkyPilot is not installed")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n')
    for values in ({"hardware.gpu": "A100 80GB", "hardware.devices": [0, 1]}, {"hardware.cpu": True}, SITE):
        plan = tmp_path / "plan.toml"
        plan.write_text(plan_to_toml(with_values(Plan(), {"dataset.path": str(rows), **values})))
        file = tmp_path / "task.yaml"
        done = CliRunner().invoke(command, [str(plan), "--to", "skypilot", "-o", str(file), "--force"])
        assert done.exit_code == 0, done.output
        task, written = sky.Task.from_yaml(str(file)), yaml.safe_load(file.read_text())
        (resources,) = task.resources
        assert resources.use_spot and task.num_nodes == 1 and task.run == written["run"]
        assert (resources.accelerators or {}) == written["resources"].get("accelerators", {})
        assert set(task.storage_mounts) == {"~/loratui-runs"} and set(task.file_mounts) == {
            "~/loratui-plan",
            "~/loratui-files/dataset-path/rows.jsonl",
        }


@pytest.mark.worker
def test_the_task_goes_on_where_the_machine_was_taken_back(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))
    from tiny_model import write_rows, write_tiny_model

    from loratui.runs.directory import Run
    from loratui.runs.stall import WORKING

    values = {
        "model.id": str(write_tiny_model(tmp_path / "model")),
        "dataset.path": str(write_rows(tmp_path / "rows.jsonl")),
        "model.dtype": "fp32",
        "training.precision": "fp32",
        "training.max_length": 64,
        "training.max_steps": 60,
        "saving.every_steps": 5,
        "evaluation.every_steps": 0,
        "hardware.cpu": True,
    }
    (tmp_path / "plan.toml").write_text(plan_to_toml(with_values(Plan(), values)))
    done = CliRunner().invoke(
        command, [str(tmp_path / "plan.toml"), "--to", "skypilot", "-o", str(tmp_path / "t.yaml")]
    )
    assert done.exit_code == 0, done.output
    task = yaml.safe_load((tmp_path / "t.yaml").read_text())
    home = tmp_path / "rented"
    own = home / "loratui-venv" / "bin"
    own.mkdir(parents=True)
    (own / "loratui").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m loratui "$@"\n')
    (own / "loratui").chmod(0o755)
    for place, here in task["file_mounts"].items():
        there = home / place.removeprefix("~/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.mkdir() if isinstance(here, dict) else there.symlink_to(here)
    environment = os.environ | {"HOME": str(home), "LORATUI_HOME": str(home / "own"), "CUDA_VISIBLE_DEVICES": ""}

    def begun() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "-e", "-c", task["run"]], env=environment, start_new_session=True, stdout=subprocess.DEVNULL
        )

    run = Run(home / "loratui-runs" / task["name"])
    first = begun()
    until = time.monotonic() + 120
    while run.last_checkpoint() is None:
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.05)
    worker = run.status().pid
    for pid in (worker, first.pid):
        os.killpg(os.getpgid(pid), signal.SIGKILL)
    first.wait()
    status = json.loads(run.status_path.read_text())
    assert status["state"] in WORKING  # it may have been writing its next checkpoint
    gone = {"host": "another", "boot": "another", "heartbeat": time.time() - 300}
    run.status_path.write_text(json.dumps(status | gone))  # as the bucket of a lost machine has it
    assert begun().wait(timeout=180) == 0
    assert run.status().state == "finished" and run.status().step == 60
    started = [json.loads(line) for line in run.events_path.read_text().splitlines() if '"started"' in line]
    assert len(started) == 2 and started[1]["resumed_from"], "it went on, and did not begin anew"
    finished = run.events_path.read_bytes()
    assert begun().wait(timeout=280) == 0 and run.events_path.read_bytes() == finished, "done is done"
