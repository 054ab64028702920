"""One run: a directory, and its files by name."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_from_toml, with_values
from loratui.runs.status import Status, judged, read_status

HERE = Path("/proc/self/cwd")
"""This process's working directory, wherever it is moved to."""


@dataclass(frozen=True)
class Run:
    """A run's directory. Reading never changes it."""

    path: Path

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def place(self) -> Path:
        """Where the directory lies now, as other processes would name it."""
        return Path(os.path.realpath(self.path)) if self.path == HERE else self.path

    @property
    def plan_path(self) -> Path:
        return self.path / "plan.toml"

    @property
    def machine_path(self) -> Path:
        return self.path / "machine.json"

    @property
    def status_path(self) -> Path:
        return self.path / "status.json"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log_path(self) -> Path:
        return self.path / "worker.log"

    @property
    def checkpoints_path(self) -> Path:
        return self.path / "checkpoints"

    @property
    def adapter_path(self) -> Path:
        """The result in PEFT's own layout; a fully trained model lies in `model_path` instead."""
        return self.path / "adapter"

    @property
    def model_path(self) -> Path:
        return self.path / "model"

    @property
    def merged_path(self) -> Path:
        """The adapter merged into its base, where somebody asked for that."""
        return self.path / "merged"

    @property
    def merged_is_current(self) -> bool:
        """Whether `merged_path` holds the adapter as it is now."""
        try:
            return (self.merged_path / "config.json").stat().st_mtime >= (
                self.adapter_path / "adapter_model.safetensors"
            ).stat().st_mtime
        except OSError:
            return False

    @property
    def fingerprint_path(self) -> Path:
        """What the run was trained on and with: compared before it is resumed."""
        return self.path / "fingerprint.json"

    @property
    def proposed_path(self) -> Path:
        """What the calculation would propose for this run, as its worker found it."""
        return self.path / "proposed.json"

    def proposed(self) -> dict[str, Any]:
        """`proposed.json`: `values` by plan key, and whether the device computes in bfloat16; empty before the worker
        wrote it.
        """
        return _read_json(self.proposed_path)

    @property
    def first_weights_path(self) -> Path:
        """Names the trained weights that step 0 begins from, where a change let the weights go on and nothing else."""
        return self.path / "first_weights.json"

    def first_weights(self) -> Path | None:
        """The checkpoint whose weights step 0 begins from; None from the base, or from `lora.adapter`."""
        name = _read_json(self.first_weights_path).get("weights")
        return self.path / name if isinstance(name, str) else None

    @property
    def rehearsal_path(self) -> Path:
        """Where a rehearsal saves its checkpoint; nothing of it is kept."""
        return self.path / ".rehearsal"

    @property
    def left_out_path(self) -> Path:
        """Every row of the dataset that is neither trained on nor held out, with its place and the reason."""
        return self.path / "left_out.jsonl"

    @property
    def lock_path(self) -> Path:
        """Locked by the worker for as long as it lives, whatever kills it."""
        return self.path / "run.lock"

    def plan(self) -> Plan:
        """The plan; RunError when the directory holds none, PlanError when it is broken."""
        try:
            text = self.plan_path.read_text(encoding="utf-8")
        except OSError:
            raise RunError(f"{self.path} is no run: it has no plan.toml.") from None
        plan = plan_from_toml(text, where=str(self.plan_path))
        if "split_by" not in tomllib.loads(text).get(
            "dataset", {}
        ):  # it was begun before rows were held out by content
            plan = with_values(plan, {"dataset.split_by": "order"})
        return plan

    def machine(self) -> dict[str, Any]:
        """`machine.json`; empty before the worker wrote it."""
        return _read_json(self.machine_path)

    def created(self) -> float:
        """Unix seconds at which the run began: of its first event, or of its oldest file where it has none; 0 where it
        is gone.
        """
        try:
            with self.events_path.open("rb") as file:
                first = json.loads(file.readline(1 << 20))["time"]
            return float(first)
        except (OSError, ValueError, KeyError, TypeError):  # it has not begun, or its first line is torn
            times = []
            for kept in self.path.glob("*.*"):
                with contextlib.suppress(OSError):
                    times.append(kept.stat().st_mtime)
            return min(times, default=0.0)

    def fingerprint(self) -> dict[str, Any]:
        """`fingerprint.json`; empty before the worker wrote it."""
        return _read_json(self.fingerprint_path)

    def status(self) -> Status:
        """The status with its true state (`lost` decided now)."""
        status = read_status(self.status_path)
        if status is None and not self.path.is_dir():
            return Status(state="lost", message=f"There is no directory {self.path} any more: it was moved or removed.")
        return judged(status, folder=self.path)

    def in_use(self) -> bool:
        """Whether a worker holds the run's lock at this moment (of this machine, or of one that shares its locks)."""
        try:
            with self.lock_path.open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def checkpoints(self) -> list[Path]:
        """Whole checkpoints, oldest first. The trainer writes `trainer_state.json` last: without it a folder is
        none.
        """
        found: list[tuple[int, Path]] = []
        if self.checkpoints_path.is_dir():
            for folder in self.checkpoints_path.glob("checkpoint-*"):
                number = folder.name.removeprefix("checkpoint-")
                if number.isdigit() and is_whole_checkpoint(folder):
                    found.append((int(number), folder))
        return [folder for _, folder in sorted(found)]

    def last_checkpoint(self) -> Path | None:
        """The newest whole checkpoint."""
        return next(iter(reversed(self.checkpoints())), None)


def held_here(run: Run) -> Run:
    """Make the run's directory this process's own, so that it is found even when somebody moves it meanwhile."""
    os.chdir(run.path)
    return Run(HERE) if HERE.exists() else run


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint's folder, set aside or not, is of: the first number in its name."""
    numbers = [part for part in checkpoint.name.split("-") if part.isdigit()]
    return int(numbers[0]) if numbers else 0


def is_whole_checkpoint(folder: Path) -> bool:
    """Whether a checkpoint was written to its end, and not half deleted since: its last file is complete JSON."""
    if (folder / "checkpoint-is-incomplete.txt").exists() or not (folder / "scheduler.pt").is_file():
        return False
    state = _read_json(folder / "trainer_state.json")
    return isinstance(state.get("global_step"), int)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
