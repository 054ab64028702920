"""Changing the plan of a run that has begun: what goes on, what is set aside, and what of it is recorded.

Nothing is deleted. What may not be gone on from is renamed within the run's directory, so that no worker takes it up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.core.continuing import Start, start_after, why
from loratui.core.errors import LoratuiError, RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import fields, plan_to_toml, with_values
from loratui.files import write_whole
from loratui.runs.course import Course, read_course, sound_until
from loratui.runs.directory import Run, step_of
from loratui.runs.start import with_absolute_paths

SPOILT = "diverged"
"""First word of the names of checkpoints that were written after the training went wrong."""


@dataclass(frozen=True)
class Continuation:
    """How a run would go on after a change. `changes` are (old, new) values by key; `spoilt` checkpoints are never gone
    on from.
    """

    plan: Plan
    changes: dict[str, list[Any]]
    start: Start
    because: str
    """Why not from the checkpoint, or why from an earlier one; empty where everything goes on."""
    checkpoint: Path | None = None
    """What it goes on from; None from the base."""
    spoilt: tuple[Path, ...] = ()
    aside: tuple[Path, ...] = ()
    """Folders that a start of another kind sets aside."""

    @property
    def from_step(self) -> int:
        return step_of(self.checkpoint) if self.checkpoint is not None else 0

    @property
    def words(self) -> str:
        """One or two sentences for a person, before or after it is done."""
        match self.start:
            case "checkpoint":
                text = f"It goes on from step {self.from_step}."
            case "adapter":
                text = (
                    f"It goes on from the weights of step {self.from_step}; optimizer, schedule and rows begin anew "
                    "at step 0."
                )
            case _:
                text = "It starts anew from the base model at step 0."
        if self.because:
            text += f" {self.because[0].upper()}{self.because[1:]}."
        kept = [folder.name for folder in (*self.spoilt, *self.aside)]
        return text + (f" Kept, but set aside: {', '.join(kept)}." if kept else "")


def may_begin(state: str, start: Start) -> bool:
    """Whether a run in this state may begin so: a finished one has nothing left to go on to from its last checkpoint.

    More epochs are another matter: `runs.resume.extend_run`.
    """
    return state != "finished" or start != "checkpoint"


def continuation(
    run: Run,
    changes: Mapping[str, Any],
    *,
    restart: bool = False,
    sound: int | None = None,
    course: Course | None = None,
) -> Continuation:
    """How the run would go on after these changes; nothing is changed yet.

    restart: from the base whatever the changes are. sound: the last step whose weights are sound, where somebody knows
    it; else the loss history decides. course: that history, where it has been read. PlanError where a value is not
    allowed.
    """
    before = run.plan()
    after = with_absolute_paths(with_values(before, changes))
    trained = _trained_plan(run, before)
    checkpoints = run.checkpoints()
    limit = sound
    if limit is None and checkpoints:
        limit = sound_until(course or read_course(run), precision=before.training.precision)
    spoilt = tuple(folder for folder in checkpoints if limit is not None and step_of(folder) > limit)
    last = after.training.max_steps
    usable = [folder for folder in checkpoints if folder not in spoilt and (not last or step_of(folder) <= last)]
    beyond = [folder for folder in checkpoints if folder not in spoilt and folder not in usable]
    moved = {key: after.get(key) for key in fields() if after.get(key) != trained.get(key)}
    start: Start = "anew" if restart else start_after(trained, moved)
    because = "" if restart or start == "checkpoint" else why(trained, moved)
    checkpoint = usable[-1] if usable else None
    if start != "anew" and checkpoint is None:
        checkpoint = run.first_weights()
        start = "adapter" if checkpoint is not None else "anew"
        because = (
            "there is no checkpoint from before it went wrong"
            if spoilt
            else "there is no checkpoint yet"
            if start == "anew"
            else because
        )
    elif spoilt and start != "anew":
        because = "; ".join(part for part in (because, "what was saved later is spoilt") if part)
    if start == "anew":
        checkpoint = None
    aside = tuple(beyond) if start == "checkpoint" else _leavings(run)
    pairs = {key: [before.get(key), after.get(key)] for key in fields() if before.get(key) != after.get(key)}
    return Continuation(after, pairs, start, because, checkpoint, () if start != "checkpoint" else spoilt, aside)


def change(run: Run, how: Continuation) -> dict[str, Any]:
    """Do it; the fields of the `fix` event that tells of it. The caller holds the run. RunError where the disk does not
    take it.
    """
    try:
        kept = [set_aside(folder) for folder in how.spoilt]
        kept += [set_aside(folder, "later") for folder in how.aside] if how.start == "checkpoint" else _clear(run, how)
        if how.changes:
            keep_plan(run)
            write_whole(run.plan_path, plan_to_toml(how.plan), durable=True)
    except OSError as error:
        raise RunError(
            f"the plan cannot be changed: {error.strerror or error}.",
            where=str(run.place),
            hint="Free some space and try again.",
        ) from None
    return {
        "changes": how.changes,
        "start": how.start,
        "from_step": how.from_step,
        "set_aside": [str(folder.relative_to(run.path)) for folder in kept],
        "message": how.words,
    }


def set_aside(folder: Path, word: str = SPOILT) -> Path:
    """Rename a checkpoint so that nothing goes on from it; its new path."""
    return folder.rename(_free(folder.with_name(f"{word}-{step_of(folder)}")))


def keep_plan(run: Run) -> None:
    """Copy plan.toml to the next free `plan.N.toml`."""
    number = 1
    while (run.path / f"plan.{number}.toml").exists():
        number += 1
    write_whole(run.path / f"plan.{number}.toml", run.plan_path.read_text(encoding="utf-8"), durable=True)


def _trained_plan(run: Run, plan: Plan) -> Plan:
    """The plan that the checkpoints were trained by: plan.toml may have been edited since."""
    known = (
        {key: value for key, value in run.fingerprint().get("plan", {}).items() if key in fields()}
        if run.checkpoints() or run.first_weights()
        else {}
    )
    try:
        return with_values(plan, known)
    except LoratuiError:
        return plan


def _leavings(run: Run) -> tuple[Path, ...]:
    """Checkpoints, results and what was made of them: of a training that a new start replaces."""
    found = [
        path
        for path in (run.checkpoints_path, run.adapter_path, run.model_path, run.merged_path)
        if path.is_dir() and any(path.iterdir())
    ]
    return tuple(found)


def _clear(run: Run, how: Continuation) -> list[Path]:
    """Move what an earlier start made into a folder of its own; where the weights go on, note whose they are."""
    weights = how.checkpoint
    kept: list[Path] = []
    if how.aside:
        place = _free(run.path / "earlier")
        place.mkdir()
        for folder in how.aside:
            if weights is not None and folder in weights.parents:
                weights = place / weights.relative_to(run.path)
            kept.append(folder.rename(place / folder.name))
    if weights is None:
        run.first_weights_path.unlink(missing_ok=True)
    else:
        write_whole(
            run.first_weights_path, json.dumps({"weights": str(weights.relative_to(run.path))}) + "\n", durable=True
        )
    return kept


def _free(path: Path) -> Path:
    """The path, or the first of path-2, path-3, … that does not exist."""
    number, found = 2, path
    while found.exists():
        found = path.with_name(f"{path.name}-{number}")
        number += 1
    return found
