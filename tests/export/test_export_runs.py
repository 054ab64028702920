"""The exported script and TRL file, run as they are, against our own worker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.paths import PACKAGE, demo_model_path

pytestmark = [
    pytest.mark.worker,
    pytest.mark.usefixtures("ready_workers"),
    pytest.mark.skipif(not (demo_model_path() / "model.safetensors").is_file(), reason="the demo model is not built"),
]
PYTHON = sys.executable
"""What is exported runs in an interpreter of its own, as it does elsewhere."""
STEPS = 4
PREFERENCES_FILE = PACKAGE / "demo" / "preferences.jsonl"
VALUES = {
    "model.dtype": "fp32",
    "training.precision": "fp32",
    "training.max_steps": STEPS,
    "training.batch_size": 8,
    "training.accumulation": 2,
    "training.max_length": 128,
    "training.learning_rate": 3e-3,
    "training.warmup_steps": 1,
    "saving.every_steps": 0,
    "evaluation.every_steps": 0,
    "dataset.eval_fraction": 0.05,
}


OURS = ["-m", "loratui"]


def run(arguments: list[str], folder: Path) -> str:
    environment = dict(os.environ, OMP_NUM_THREADS="1", LORATUI_HOME=str(folder / "home"), CUDA_VISIBLE_DEVICES="")
    result = subprocess.run(
        [sys.executable if arguments[:2] == OURS else PYTHON, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=folder,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout + result.stderr


def loratui(*arguments: str) -> list[str]:
    return [*OURS, *arguments]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, ready_workers: None) -> tuple[Path, list[float]]:
    """A folder with the plan, and the losses of our own worker."""
    folder = tmp_path_factory.mktemp("export")
    plan = folder / "plan.toml"
    plan.write_text(plan_to_toml(with_values(Plan(), VALUES)))
    run(loratui("train", str(plan), "--output", str(folder / "run")), folder)
    lines = (folder / "run" / "events.jsonl").read_text().splitlines()
    return folder, [event["loss"] for event in map(json.loads, lines) if event["type"] == "step"]


def losses(output: str) -> list[float]:
    """What transformers prints at each step."""
    return [float(number) for number in re.findall(r"\'loss\': \'?([0-9.]+)", output)]


def test_transformers_script_reaches_the_same_losses(trained: tuple[Path, list[float]]) -> None:
    folder, ours = trained
    run(loratui("export", "plan.toml", "--to", "transformers", "-o", "script.py"), folder)
    theirs = losses(run(["script.py"], folder))
    assert len(ours) == STEPS
    assert theirs == pytest.approx(ours, rel=2e-3)  # they are printed with four digits
    assert (folder / "script-output" / "adapter_model.safetensors").is_file()


def test_trl_command_reaches_the_same_losses(trained: tuple[Path, list[float]]) -> None:
    """TRL also learns the line break after the stop token: 1 easy token in about 32 more, so its mean is lower by
    that.
    """
    folder, ours = trained
    run(loratui("export", "plan.toml", "--to", "trl", "-o", "trl.yaml"), folder)
    theirs = losses(run(["-m", "trl.scripts.sft", "--config", "trl.yaml"], folder))
    assert len(theirs) == STEPS
    assert all(0.94 * by_hand < loss < by_hand for by_hand, loss in zip(ours, theirs, strict=True)), (ours, theirs)


def test_trl_command_reaches_exactly_the_same_losses_where_nothing_follows_the_stop_token(
    trained: tuple[Path, list[float]],
) -> None:
    """The line break is the whole difference: under a chat template that ends with the stop token there is none."""
    folder, _ = trained
    (folder / "ends.toml").write_text(
        plan_to_toml(with_values(Plan(), VALUES | {"model.chat_template": ending_template(folder)}))
    )
    run(loratui("train", "ends.toml", "--output", str(folder / "run-ends")), folder)
    run(loratui("export", "ends.toml", "--to", "trl", "-o", "ends.yaml"), folder)
    ours = [
        event["loss"]
        for event in map(json.loads, (folder / "run-ends" / "events.jsonl").read_text().splitlines())
        if event["type"] == "step"
    ]
    theirs = losses(run(["-m", "trl.scripts.sft", "--config", "ends.yaml"], folder))
    assert len(ours) == STEPS
    assert theirs == pytest.approx(ours, rel=2e-3)


def ending_template(folder: Path) -> str:
    """A chat template of the demo model after whose stop token nothing stands."""
    template = (demo_model_path() / "chat_template.jinja").read_text()
    line_break = "{{- '\\n' }}\n{%- endfor %}"
    assert line_break in template
    ends = "{%- if not (loop.last and message['role'] == 'assistant') %}{{- '\\n' }}{%- endif %}\n{%- endfor %}"
    (folder / "ends.jinja").write_text(template.replace(line_break, ends))
    return str(folder / "ends.jinja")


PREFERENCES: dict[str, dict[str, Any]] = {
    "dpo": {"preference.beta": 0.3},
    "dpo on an adapter": {"preference.sft_weight": 0.2},
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_the_trl_script_learns_preferences_with_the_same_losses(
    name: str, trained: tuple[Path, list[float]], tmp_path: Path
) -> None:
    """Of an adapter that is trained further, TRL's copy of it is the reference, as it is ours."""
    on = {"lora.adapter": str(trained[0] / "run" / "adapter")} if name.endswith("adapter") else {}
    values = VALUES | {"dataset.path": str(PREFERENCES_FILE), "model.chat_template": ending_template(tmp_path)}
    values |= {"training.objective": "dpo", "training.learning_rate": 1e-3, **PREFERENCES[name], **on}
    (tmp_path / "plan.toml").write_text(plan_to_toml(with_values(Plan(), values)))
    run(loratui("train", "plan.toml", "--output", str(tmp_path / "run")), tmp_path)
    run(loratui("export", "plan.toml", "--to", "trl", "-o", "train.py"), tmp_path)
    told = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    ours = [event for event in told if event["type"] == "step"]
    output = run(["train.py"], tmp_path)
    margins = [float(number) for number in re.findall(r"\'rewards/margins\': \'?(-?[0-9.e-]+)", output)]
    assert len(ours) == STEPS and losses(output) == pytest.approx([event["loss"] for event in ours], rel=2e-3)
    assert margins == pytest.approx([event["reward_margin"] for event in ours], rel=5e-3, abs=1e-4)
    assert margins[-1] > 0.05 and (tmp_path / "train-output" / "adapter_model.safetensors").is_file()
