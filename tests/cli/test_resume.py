"""Resuming from the command line: what changed since is shown, and asked about."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Loratui = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.worker


def test_a_stopped_run_goes_on_and_a_changed_dataset_is_asked_about(loratui: Loratui, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"say {n}", "completion": f"it is {n}"}) + "\n" for n in range(12)))
    loratui("plan", "-m", "demo", "-d", "rows.jsonl", "-o", "plan.toml")
    first = loratui(
        "train", "plan.toml", "--output", "out", "--set", "training.epochs=1", "--set", "training.batch_size=2",
        "--set", "training.accumulation=1", "--set", "evaluation.every_steps=0", "--set", "evaluation.patience=0",
    )
    assert first.returncode == 0, first.stderr
    finished = loratui("resume", "out")
    assert finished.returncode == 1 and "finished" in finished.stderr

    with rows.open("a") as file:
        file.write('{"prompt": "say more", "completion": "more"}\n')
    asked = loratui("resume", "out", "--extend", "1")
    assert asked.returncode == 1
    assert "dataset's files changed" in asked.stderr and "--yes" in asked.stderr

    longer = loratui("resume", "out", "--extend", "1", "--yes")
    assert longer.returncode == 0, longer.stderr
    assert "finished" in longer.stdout
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "finished"
    assert (tmp_path / "out" / "plan.1.toml").is_file()
