"""Changing the plan of a run that has begun: what goes on, what is set aside, and what of it is recorded.

Nothing is deleted. What may not be gone on from is renamed within the run's directory, so that no worker takes it up.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.core.errors import LoratuiError, RunError
from loratui.core.mix import sections_of
from loratui.core.plan import Plan
from loratui.core.plan_change import Start, start_after, why
from loratui.core.plan_text import fields, plan_from_toml, plan_to_toml, with_values
from loratui.data.find import find_evaluation, find_planned
from loratui.files import make_folder, read_document, write_whole
from loratui.format import value_text
from loratui.models.adapter import read_adapter, require_fit
from loratui.models.find import find_model
from loratui.runs.checkpoints import DAMAGED, Refused
from loratui.runs.course import Course, read_course, sound_until
from loratui.runs.directory import Run, step_of
from loratui.runs.events import Data
from loratui.runs.extension import LENGTH, extension_words, lengthens
from loratui.runs.fingerprint import trained_values
from loratui.runs.start import with_absolute_paths

SPOILT = "diverged"
"""First word of the names of checkpoints that were written after the training went wrong."""

KEPT_PLAN = "plan.{}.toml"
"""The plan as it was before the first change, the second one, …"""


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
    restored: Path | None = None
    """The folder of checkpoints that an earlier start set aside, and that is the run's own again."""
    length_words: str = ""
    """What another number of steps means, in a sentence or two."""
    kept_words: str = ""
    """What an earlier change has left in the plan that a new start trains by; empty where it is the first one's."""

    @property
    def from_step(self) -> int:
        return step_of(self.checkpoint) if self.checkpoint is not None else 0

    @property
    def longer(self) -> bool:
        """Whether it lets a run that made its last step go on beyond it."""
        return lengthens(self.changes, self.plan)

    @property
    def words(self) -> str:
        """One or two sentences for a person, once it is agreed to."""
        return self._words(agreed=True)

    @property
    def would(self) -> str:
        """The same before anybody has agreed to it."""
        return self._words(agreed=False)

    def _words(self, *, agreed: bool) -> str:
        go, begin, start = (
            ("goes on", "begin anew", "starts anew")
            if agreed
            else ("would go on", "would begin anew", "would start anew")
        )
        why_so = f" ({self.because})" if self.because else ""
        match self.start:
            case "checkpoint":
                text = f"It {go} from step {self.from_step}{why_so}. {self.length_words}".rstrip()
            case "adapter":
                text = (
                    f"It {go} from the weights of step {self.from_step}; optimizer, schedule and rows {begin} at "
                    f"step 0{why_so}."
                )
            case _:
                text = f"It {start} from the base model at step 0{why_so}. {self.kept_words}".rstrip()
        kept = [folder.name for folder in (*self.spoilt, *self.aside)]
        if not kept:
            return text
        return f"{text} {'Kept' if agreed else 'These would be kept'}, but set aside: {', '.join(kept)}."


def may_begin(state: str, start: Start, *, longer: bool) -> bool:
    """Whether a run in this state may begin so: a finished one goes on from its last checkpoint only where it becomes
    longer.
    """
    return state != "finished" or start != "checkpoint" or longer


def continuation(
    run: Run,
    changes: Mapping[str, Any],
    *,
    restart: bool = False,
    sound: int | None = None,
    course: Course | None = None,
    damaged: Sequence[Refused] = (),
) -> Continuation:
    """How the run would go on after these changes; nothing is changed yet.

    restart: from the base whatever the changes are. sound: the last step whose weights are sound, where somebody knows
    it; else the loss history decides. course: that history, where it has been read. damaged: checkpoints that were read
    and that nothing may go on from. PlanError where a value is not allowed.
    """
    before = run.plan()
    after = with_absolute_paths(with_values(before, changes))
    trained = trained_plan(run, before)
    refused = {one.folder for one in damaged}
    checkpoints = [folder for folder in run.checkpoints() if folder not in refused]
    moved = {key: after.get(key) for key in fields() if after.get(key) != trained.get(key)}
    pairs = {
        key: [trained.get(key) if key in moved else before.get(key), after.get(key)]
        for key in fields()
        if key in moved or before.get(key) != after.get(key)
    }
    _check_found(after, pairs)
    back = None if checkpoints or restart else _way_back(run, after)
    if back is not None:
        return Continuation(after, pairs, "checkpoint", f"{back.parent.name} was set aside", back, restored=back.parent)
    if course is None:
        course = read_course(run) if checkpoints else Course()
    limit = sound
    if limit is None and checkpoints:
        limit = sound_until(course, precision=before.training.precision)
    spoilt = tuple(folder for folder in checkpoints if limit is not None and step_of(folder) > limit)
    last = after.training.max_steps
    usable = [folder for folder in checkpoints if folder not in spoilt and (not last or step_of(folder) <= last)]
    beyond = [folder for folder in checkpoints if folder not in spoilt and folder not in usable]
    deciding = changes_that_count(moved, trained, course.data)
    start: Start = "anew" if restart else start_after(trained, deciding)
    because = "" if restart or start == "checkpoint" else why(trained, deciding)
    checkpoint = usable[-1] if usable else None
    if start != "anew" and checkpoint is None:
        checkpoint = run.first_weights()
        start = "adapter" if checkpoint is not None else "anew"
        because = why_no_checkpoint(run, spoilt, last, damaged) if start == "anew" or spoilt or damaged else because
    elif spoilt and start != "anew":
        because = "; ".join(part for part in (because, "what was saved later is spoilt") if part)
    if start == "anew":
        checkpoint = None
    if start != "checkpoint" or checkpoint is None:
        kept = _kept_words(run, after, pairs) if start == "anew" else ""
        return Continuation(after, pairs, start, because, checkpoint, (), _leavings(run), kept_words=kept)
    words = extension_words(run, course, trained, after, step_of(checkpoint)) if LENGTH & pairs.keys() else ""
    return Continuation(after, pairs, start, because, checkpoint, spoilt, tuple(beyond), length_words=words)


def _kept_words(run: Run, after: Plan, changed: Mapping[str, Any]) -> str:
    """What the plan keeps of earlier changes: whoever starts anew may take it for the plan that the run began with."""
    try:
        first = with_absolute_paths(plan_from_toml(read_document(run.path / KEPT_PLAN.format(1))))
    except (OSError, LoratuiError):  # it was never changed, or nobody can tell how
        return ""
    kept = [key for key in fields() if key not in changed and first.get(key) != after.get(key)]
    told = ", ".join(f"{key} {value_text(after.get(key))} (it began with {value_text(first.get(key))})" for key in kept)
    return f"It keeps what was changed since the run began: {told}." if told else ""


def changes_that_count(moved: Mapping[str, Any], trained: Plan, data: Data | None) -> dict[str, Any]:
    """The changes without those that the run's own data proves to change nothing: where no row was cut, a higher
    maximum length leaves every row as it is (packed rows apart, which are joined to that length).
    """
    found = dict(moved)
    length = found.get("training.max_length", 0)
    higher = length > trained.training.max_length
    if higher and data is not None and data.examples and not data.cut and not trained.training.packing:
        del found["training.max_length"]
    return found


def why_no_checkpoint(run: Run, spoilt: Sequence[Path] = (), last: int = 0, damaged: Sequence[Refused] = ()) -> str:
    """Why there is none to go on from, a few words. spoilt: those that would be set aside now. last: the plan's
    training.max_steps. damaged: those that were refused.
    """
    if damaged and not spoilt:
        return f"no whole checkpoint is left; {damaged[0].folder.name}: {damaged[0].reason}"
    set_aside = sorted(run.checkpoints_path.glob(f"{SPOILT}-*"), key=step_of)
    climbed = "was written after the loss began to climb"
    if spoilt:
        return f"{spoilt[0].name} {climbed}, and there is none from before"
    beyond = [folder for folder in run.checkpoints() if last and step_of(folder) > last]
    if beyond:
        return f"the run is already past step {last}: its first checkpoint is {beyond[0].name}"
    if set_aside:
        step = step_of(set_aside[0])
        return f"checkpoint-{step} {climbed}; it is kept as {set_aside[0].name}"
    broken = sorted(run.checkpoints_path.glob(f"{DAMAGED}-*"), key=step_of)
    if broken:
        return f"no whole checkpoint is left; a damaged one is kept as {broken[-1].name}"
    earlier = sorted(folder for folder in run.path.glob("earlier*/checkpoints"))
    if earlier:
        return f"there is no checkpoint yet; those from before are kept in {earlier[-1].relative_to(run.path)}"
    return "there is no checkpoint yet"


def _check_found(plan: Plan, changed: Mapping[str, Any]) -> None:
    """Refuse a dataset, model or adapter that cannot be found, before anything is moved. LoratuiError in one
    sentence.
    """
    if {
        "dataset.path",
        "dataset.split",
        "dataset.configuration",
        "dataset.encoding",
    } & changed.keys() and not plan.dataset.parts:
        find_planned(plan.dataset)
    for section in sections_of(plan.dataset) if "dataset.parts" in changed else ():
        find_planned(section)
    if "dataset.eval_path" in changed and plan.dataset.eval_path:
        find_evaluation(plan.dataset)
    if {"model.id", "model.revision"} & changed.keys():
        find_model(plan.model.id, revision=plan.model.revision)
    if {"lora.adapter", "method.kind"} & changed.keys() and plan.lora.adapter:
        require_fit(plan, read_adapter(plan.lora.adapter))


def _way_back(run: Run, plan: Plan) -> Path | None:
    """The checkpoint that a change set aside and that this plan goes on from, where nothing was trained since."""
    for place in sorted(run.path.glob("earlier*"), key=lambda folder: folder.stat().st_mtime, reverse=True):
        held = Run(place)
        checkpoints = held.checkpoints()
        if not checkpoints or not held.fingerprint() or held.fingerprint() != run.fingerprint():
            continue
        then = trained_plan(held, plan)
        moved = {key: plan.get(key) for key in fields() if plan.get(key) != then.get(key)}
        if start_after(then, moved) == "checkpoint":
            limit = plan.training.max_steps
            sound = sound_until(read_course(run), precision=plan.training.precision)
            usable = [folder for folder in checkpoints if not limit or step_of(folder) <= limit]
            whole = bool(usable) and usable == checkpoints and (sound is None or step_of(usable[-1]) <= sound)
            return usable[-1] if whole else None  # else some of them would have to be set aside again
    return None


def change(run: Run, how: Continuation) -> dict[str, Any]:
    """Do it; the fields of the `fix` event that tells of it. The caller holds the run. RunError where the disk does not
    take it.
    """
    try:
        before = run.plan()
        if how.restored is not None:
            _put_back(run, how.restored)
        kept = [set_aside(folder) for folder in how.spoilt]
        kept += [set_aside(folder, "later") for folder in how.aside] if how.start == "checkpoint" else _clear(run, how)
        if how.changes:
            keep_plan(run, with_values(before, {key: old for key, (old, _) in how.changes.items()}))
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


def keep_plan(run: Run, trained: Plan) -> None:
    """Copy plan.toml to the next free `plan.N.toml`; before it the plan that was trained by, where no hand but an
    editor's has changed it since.
    """
    present = run.plan()
    known = []
    for path in run.path.glob("plan.*.toml"):
        with contextlib.suppress(OSError, LoratuiError):  # one that cannot be read is not the one that is looked for
            known.append(plan_from_toml(read_document(path)))
    if trained not in (present, *known):
        write_whole(_next_kept(run), plan_to_toml(trained), durable=True)
    write_whole(_next_kept(run), read_document(run.plan_path), durable=True)


def _next_kept(run: Run) -> Path:
    number = 1
    while (run.path / KEPT_PLAN.format(number)).exists():
        number += 1
    return run.path / KEPT_PLAN.format(number)


def trained_plan(run: Run, plan: Plan) -> Plan:
    """The plan that the checkpoints were trained by: plan.toml may have been edited since."""
    known = trained_values(run.fingerprint()) if run.checkpoints() or run.first_weights() else {}
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
        make_folder(place, exist_ok=False)
        for folder in how.aside:
            if weights is not None and folder in weights.parents:
                weights = place / weights.relative_to(run.path)
            kept.append(folder.rename(place / folder.name))
        if run.fingerprint_path.exists():  # by which plan and rows they were made: a later change may lead back
            write_whole(place / run.fingerprint_path.name, read_document(run.fingerprint_path))
    if weights is None:
        run.first_weights_path.unlink(missing_ok=True)
    else:
        write_whole(
            run.first_weights_path, json.dumps({"weights": str(weights.relative_to(run.path))}) + "\n", durable=True
        )
    return kept


def _put_back(run: Run, checkpoints: Path) -> None:
    """The checkpoints of an earlier start are the run's own again."""
    if run.checkpoints_path.exists():
        if any(run.checkpoints_path.iterdir()):  # set aside or torn ones, of the start that came to nothing
            run.checkpoints_path.rename(_free(checkpoints.with_name("checkpoints-later")))
        else:
            run.checkpoints_path.rmdir()
    checkpoints.rename(run.checkpoints_path)
    run.first_weights_path.unlink(missing_ok=True)


def _free(path: Path) -> Path:
    """The path, or the first of path-2, path-3, … that does not exist."""
    number, found = 2, path
    while found.exists():
        found = path.with_name(f"{path.name}-{number}")
        number += 1
    return found
