"""Code that came with a model runs only after somebody agreed to that very code, whichever command loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_model import remote_model

Loratui = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]

SMALL = (
    "training.max_steps=2",
    "training.batch_size=2",
    "training.accumulation=1",
    "evaluation.every_steps=0",
    "evaluation.patience=0",
    "evaluation.prompts=",
    "model.trust_remote_code=true",
)


def test_a_plans_code_runs_once_agreed_and_is_asked_for_again_when_it_changed(
    loratui: Loratui, home: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    model = remote_model(tmp_path / "model", mark)
    (tmp_path / "plan.toml").write_text(f'[model]\nid = "{model}"\n[dataset]\npath = "demo"\n')
    settings = [part for one in SMALL for part in ("--set", one)]

    refused = loratui("train", "plan.toml", *settings)
    assert refused.returncode == 2 and "modeling_own.py" in refused.stderr and "--trust-remote-code" in refused.stderr
    assert not mark.exists() and not (home / "runs").exists()

    trained = loratui("train", "plan.toml", *settings, "--trust-remote-code", "--output", "run")
    assert trained.returncode == 0, trained.stderr
    assert mark.exists()

    mark.unlink()
    asked = loratui("chat", "run", "-q", "hello", "--side", "base", "-s", "max_tokens=2")
    assert asked.returncode == 0, asked.stderr  # it was agreed to: no second question
    assert mark.exists()

    mark.unlink()
    (model / "modeling_own.py").write_text((model / "modeling_own.py").read_text() + "\n# and something new\n")
    for command in (("resume", "run", "--extend", "1", "--yes"), ("chat", "run", "-q", "hello")):
        again = loratui(*command)
        assert again.returncode == 2 and "another than was agreed to" in again.stderr, again.stderr
    worker = subprocess.run(
        [sys.executable, "-m", "loratui.worker", "train", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env={**os.environ, "LORATUI_HOME": str(home), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert worker.returncode != 0  # whoever launches it
    assert not mark.exists()
