"""One run: a directory, and its files by name."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.core.errors import LoratuiError, RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import whole_plan_from_toml, with_values
from loratui.files import open_regular, read_document, read_object
from loratui.runs.checkpoints import is_whole as is_whole_checkpoint
from loratui.runs.checkpoints import step_of as step_of
from loratui.runs.folders import argument_of, typed_here
from loratui.runs.jobs import by_scheduler, last_job
from loratui.runs.status import Status, judged, read_status, why_no_status
from loratui.runs.waiting import waiting_words

HERE = Path("/proc/self/cwd")
"""This process's working directory, wherever it is moved to."""

ORIGIN = "origin.json"
"""What a run keeps of where it was made, signed with its directory (`runs.origin`)."""

MERGE_NOTE = "merge.json"
"""In a merged model's folder: its proof, and onto which base it was merged."""

AS_BEFORE = {"split_by": "order", "long_text": "cut"}
"""Settings of the dataset that came later, and what a run without them was begun with."""


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
    def argument(self) -> str:
        """What the commands take for it, from anywhere; not quoted."""
        return argument_of(self.place)

    @property
    def typed_anywhere(self) -> str:
        """What one types for it in a shell, wherever that stands; quoted."""
        return shlex.quote(self.argument)

    @property
    def typed(self) -> str:
        """What one types for it in a shell that stands here; quoted."""
        return typed_here(self.place)

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
    def evaluations_path(self) -> Path:
        """A folder for each evaluation of the result: what was answered, row by row, and the figures."""
        return self.path / "evaluations"

    @property
    def merged_is_current(self) -> bool:
        """Whether `merged_path` holds the adapter as it is now (see `merge_is_current`)."""
        return self.merge_is_current(self.adapter_path, self.merged_path)

    def merge_is_current(self, adapter: Path, merged: Path) -> bool:
        """Whether a merge holds this adapter of the run, or of a checkpoint, as it is now, and says onto which base it
        was merged: older merges of quantised trainings do not, and answer otherwise than they were trained.
        """
        try:
            if not (merged / MERGE_NOTE).is_file() and self.plan().method.quantization != "none":
                return False
            weights = (adapter / "adapter_model.safetensors").stat()
            return (merged / "config.json").stat().st_mtime >= weights.st_mtime
        except (OSError, LoratuiError):
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
        wrote it, or where it cannot be read: it is only a help.
        """
        try:
            found = read_object(self.proposed_path)
        except OSError:
            return {}
        return {
            name: found[name] for name, kind in (("values", dict), ("bf16", bool)) if isinstance(found.get(name), kind)
        }

    @property
    def first_weights_path(self) -> Path:
        """Names the trained weights that step 0 begins from, where a change let the weights go on and nothing else."""
        return self.path / "first_weights.json"

    def first_weights(self) -> Path | None:
        """The checkpoint whose weights step 0 begins from; None from the base, or from `lora.adapter`. RunError where
        that cannot be known, or it names a place outside the run.
        """
        found = self._noted(self.first_weights_path)
        if not found:
            return None
        name = found.get("weights")
        if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
            raise RunError("it names no checkpoint of this run.", where=str(self.first_weights_path))
        return self.path / name

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
        """The plan, whole; RunError when the directory holds none or it cannot be read, PlanError when it is broken or
        cut.
        """
        try:
            text = read_document(self.plan_path)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{self.path} is no run: it has no plan.toml.") from None
        except OSError as error:
            raise RunError(
                f"the run's plan cannot be read: {error.strerror or error}.", where=str(self.plan_path)
            ) from None
        plan = whole_plan_from_toml(text, where=str(self.plan_path))
        if all(re.search(rf"^{key} *=", text, re.MULTILINE) for key in AS_BEFORE):
            return plan  # as this program writes it: what is slow of a long list of runs is not done twice
        given = tomllib.loads(text).get("dataset", {})
        old = {key: value for key, value in AS_BEFORE.items() if key not in given}
        return with_values(plan, {f"dataset.{key}": value for key, value in old.items()}) if old else plan

    def machine(self) -> dict[str, Any]:
        """`machine.json`; empty before the worker wrote it. RunError where it cannot be read."""
        return self._noted(self.machine_path)

    def created(self) -> float:
        """Unix seconds at which the run was begun: its origin was signed when its directory was made, before its worker
        was loaded and said a word. Of its first event where that is older (a copy's files may be new) or it was never
        signed, of its oldest file where it has none; 0 where it is gone.
        """
        signed = self._written(self.path / ORIGIN)
        try:
            with open_regular(self.events_path) as file:
                first = float(json.loads(file.readline(1 << 20))["time"])
            if not math.isfinite(first):
                raise ValueError
            return min(first, signed)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):  # not begun, or torn
            first = min(map(self._written, self.path.glob("*.*")), default=math.inf)
            return first if math.isfinite(first) else 0.0

    @staticmethod
    def _written(path: Path) -> float:
        """Unix seconds at which a file was written last; infinite where it is not there."""
        try:
            return path.stat().st_mtime
        except OSError:
            return math.inf

    def fingerprint(self) -> dict[str, Any]:
        """`fingerprint.json`, of which every part is an object; empty before the worker wrote it. RunError where it
        cannot be read.
        """
        hint = "Put it back from a copy, or move it away: then nobody can tell what changed since."
        found = self._noted(self.fingerprint_path, hint)
        wrong = [part for part in ("plan", "data", "base", "versions") if not isinstance(found.get(part, {}), dict)]
        if wrong:
            raise RunError(f"its part {wrong[0]!r} is no object.", where=str(self.fingerprint_path), hint=hint)
        return found

    def _noted(self, path: Path, hint: str = "") -> dict[str, Any]:
        try:
            return read_object(path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RunError(f"it cannot be read: {error.strerror or error}.", where=str(path), hint=hint) from None

    def status(self) -> Status:
        """The status with its true state (`lost` decided now)."""
        status = read_status(self.status_path)
        if status is None and not self.path.is_dir():
            return Status(state="lost", message=f"There is no directory {self.path} any more: it was moved or removed.")
        if status is None:
            return Status(state="lost", message=why_no_status(self.status_path))
        found = self._judged(status)
        if not found.over or status.over:
            return found
        again = read_status(self.status_path)  # its last word may have come between the reading and the look for it
        return found if again == status else self._judged(again)

    def _judged(self, status: Status | None) -> Status:
        """The status with its true state: by the scheduler's word where one executes the run, else by its process."""
        if status is not None and not status.over and (job := last_job(self.path)) is not None:
            return by_scheduler(status, job, self.path)
        if status is not None and status.state == "queued" and not status.pid:
            words = waiting_words(self.place)
            gone = "It is in no queue any more: `loratui queue add` puts it in again."
            return status.model_copy(update={"message": words} if words else {"state": "lost", "message": gone})
        return judged(status, folder=self.path)

    def in_use(self) -> bool:
        """Whether a worker holds the run's lock at this moment (of this machine, or of one that shares its locks)."""
        try:
            with open_regular(self.lock_path) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def checkpoints(self) -> list[Path]:
        """Whole checkpoints, oldest first, as far as names and sizes tell."""
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
