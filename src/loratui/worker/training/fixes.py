"""Ways to mend a training that went wrong, from what its course shows and what the calculation would propose for it."""

from __future__ import annotations

import json
import logging
from typing import Any

from loratui.core.diagnosis import after_divergence, after_not_finite
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import fields
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.files import write_whole
from loratui.models.adapter import read_adapter
from loratui.runs.course import read_course, sound_until
from loratui.runs.directory import Run, step_of
from loratui.runs.failure import SPOILT, failed_fixes, pending_fix, was_tried
from loratui.runs.history import other_events
from loratui.runs.verdict import as_fields, spoilt_end
from loratui.worker.shape import shape_of
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.memory import device as this_device

log = logging.getLogger("loratui")
OPEN = ("training.learning_rate", "training.warmup_steps")
"""The keys that are proposed for a fix; everything else is as the plan has it."""


def fixes_after(run: Run, plan: Plan, kind: str, step: int) -> list[dict[str, Any]]:
    """The ways after a finding of this kind at this step, the best first, as a `finding` event carries them; without
    those that have been tried and did not help.
    """
    course = read_course(run)
    known = run.proposed()
    curves = course.curves(proposed=known.get("values"), bf16=known.get("bf16"))
    sound = _kept_until(run, sound_until(course, precision=plan.training.precision, ended=True) or 0)
    found = (
        after_divergence(plan, curves, healthy_step=sound)
        if kind == "diverged"
        else after_not_finite(plan, curves, step=step, healthy_step=sound)
    )
    return _untried(run, [as_fields(fix) for fix in found])


def _kept_until(run: Run, sound: int) -> int:
    """The last sound step; 0 where no checkpoint up to it is there to go back to."""
    return sound if any(step_of(checkpoint) <= sound for checkpoint in run.checkpoints()) else 0


def spoilt_at_the_end(run: Run, plan: Plan) -> tuple[dict[str, Any], int | None] | None:
    """Where a run that made its last step is spoilt all the same: a `finding` event's fields, and the last sound
    step.
    """
    found = spoilt_end(run, plan)
    if found is None:
        return None
    finding, last = found
    told = {
        "finding": finding.kind,
        "severity": "error",
        "message": finding.message,
        "step": last.step if last else 0,
        "fixes": _untried(run, [as_fields(fix) for fix in finding.fixes]),
    }
    return told, finding.sound


def _untried(run: Run, ways: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events = list(other_events(run.events_path))
    last = pending_fix(events)  # not judged yet: it went wrong again after it
    failed = [*failed_fixes(events), *([last] if last is not None and last.reason in SPOILT else [])]
    return [way for way in ways if not was_tried(failed, way["change"], bool(way.get("restart")))]


def first_change(fixes: list[dict[str, Any]]) -> dict[str, Any]:
    """The best fix's keys and values; empty where only a person can do something."""
    return next((dict(fix["change"]) for fix in fixes if fix["change"]), {})


def write_proposed(run: Run, plan: Plan, prepared: Prepared, model_config: dict[str, Any], *, bf16: bool) -> None:
    """`proposed.json`, for whoever looks for a fix: the proposed values, and whether the device computes
    in bfloat16. What goes wrong is logged: no run ends for it.
    """
    by_hand = {key: plan.get(key) for key in fields() if key not in OPEN}
    try:
        adapter = read_adapter(plan.lora.adapter) if plan.lora.adapter and plan.method.kind != "full" else None
        found = propose(
            Situation(
                shape_of(model_config, plan.model.id),
                prepared.facts,
                this_device(cpu=plan.hardware.cpu),
                adapter=adapter,
            ),
            by_hand=by_hand,
        ).plan
        document = {"values": {key: found.get(key) for key in OPEN}, "bf16": bf16}
        write_whole(run.proposed_path, json.dumps(document, indent=1) + "\n")
    except (LoratuiError, OSError, ValueError, ZeroDivisionError) as error:
        log.warning("what would be proposed for this run is not known: %s", error)
