"""What the calculation would propose for this run, left in its directory: whoever looks for a fix compares with it."""

from __future__ import annotations

import json
import logging
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import fields
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.files import write_whole
from loratui.models.adapter import read_adapter
from loratui.runs.directory import Run
from loratui.worker.shape import shape_of
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.memory import device as this_device

log = logging.getLogger("loratui")
OPEN = ("training.learning_rate", "training.warmup_steps")
"""The keys that are proposed; everything else is as the plan has it."""


def write_proposed(run: Run, plan: Plan, prepared: Prepared, model_config: dict[str, Any], *, bf16: bool) -> None:
    """`proposed.json`: the proposed values, and whether the device computes in bfloat16. What goes wrong is logged: no
    run ends for it.
    """
    mine = {key: plan.get(key) for key in fields() if key not in OPEN}
    try:
        adapter = read_adapter(plan.lora.adapter) if plan.lora.adapter and plan.method.kind != "full" else None
        found = propose(
            Situation(shape_of(model_config, plan.model.id), prepared.facts, this_device(), adapter=adapter), mine=mine
        ).plan
        document = {"values": {key: found.get(key) for key in OPEN}, "bf16": bf16}
        write_whole(run.proposed_path, json.dumps(document, indent=1) + "\n")
    except (LoratuiError, OSError, ValueError, ZeroDivisionError) as error:
        log.warning("what would be proposed for this run is not known: %s", error)
