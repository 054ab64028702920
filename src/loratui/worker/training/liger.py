"""Liger's kernels in a trainer's model, tried beside the plain ones before anything is learnt.

They are put in by transformers' own function, with the switches of the model's family (`core/liger.py`); the trainer
puts them in once more when it starts, which changes nothing. What liger-kernel 0.8.5 writes for these switches can be
taken back whole: attributes of the modules, and names in the file of the model's class (`apply_rotary_pos_emb`, and
classes of norms and MLPs that later models would be built of). It writes to no class and to nothing of torch's, as it
would for a loss.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Any

from transformers.integrations.liger import apply_liger_kernel
from transformers.trainer_utils import unwrap_peft_model

from loratui.core.compiling import TOLERANCE
from loratui.core.liger import PACKAGE, liger_config
from loratui.core.plan import Plan
from loratui.format import first_line
from loratui.machine.device import has_liger
from loratui.worker.training.compiled import plain_blocks
from loratui.worker.training.config import DeviceTraits
from loratui.worker.training.first_batch import FirstBatch, apart
from loratui.worker.training.journal import Journal

log = logging.getLogger("loratui")
_ABSENT = object()


class Patched:
    """What was written over while Liger's kernels were put in, so that it can be put back."""

    def __init__(self, model: Any) -> None:
        code = vars(sys.modules[type(unwrap_peft_model(model)).__module__])
        self.places = [module.__dict__ for module in model.modules()] + [code]
        self.before = [dict(place) for place in self.places]
        self.changed: list[tuple[dict[str, Any], str, Any]] = []

    def note(self) -> None:
        """Remember what has changed until now: passes that follow may change what is theirs."""
        self.changed = [
            (place, name, before.get(name, _ABSENT))
            for place, before in zip(self.places, self.before, strict=True)
            for name, value in place.items()
            if before.get(name, _ABSENT) is not value
        ]

    def undo(self) -> None:
        """Put it back."""
        for place, name, value in self.changed:
            if value is _ABSENT:
                place.pop(name, None)
            else:
                place[name] = value


def liger_modules(model: Any) -> int:
    """How many modules of a model compute by a forward pass of Liger's."""
    own = (module.__dict__.get("forward") for module in model.modules())
    return sum(getattr(one, "__module__", "").startswith("liger_kernel") for one in own)


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of trying: seconds of a pass over the first batch, the quicker of two, and why they were taken out."""

    plain_seconds: float = 0.0
    liger_seconds: float = 0.0
    refused: str = ""
    """As the end of a sentence; empty where they compute the same."""


def use_liger(trainer: Any, plan: Plan, journal: Journal) -> Tried | None:
    """Put Liger's kernels in where the plan asks for them; where they refuse, or compute otherwise, it is told and the
    plain ones stay.
    """
    if not plan.training.liger:
        return None
    journal.phase("prepare", "Trying Liger's kernels beside the plain ones")
    tried = try_liger(trainer, plan)
    if not tried.refused:
        return tried
    trainer.args.use_liger_kernel = False
    message = f"Liger's kernels are not used: {tried.refused}. The model's own operations compute instead."
    fix, step = {"training.liger": False}, journal.status.step
    journal.emit("finding", finding="no-liger", severity="warning", step=step, message=message, fix=fix)
    return tried


def could_use(plan: Plan, device: DeviceTraits) -> bool:
    """Whether Liger's kernels, which the plan does not ask for, might be of use to it: where they would be proposed,
    as far as it is known here.
    """
    here = device.kind == "cuda" and device.vendor == "nvidia" and has_liger()
    return here and not plan.training.liger and plan.processes == 1 and plan.training.objective == "sft"


def weigh_liger(trainer: Any, plan: Plan) -> Tried:
    """Time Liger's kernels beside the plain ones in a model that goes on without them; compiled blocks compute plainly
    meanwhile.
    """
    asked = trainer.args.liger_kernel_config
    with plain_blocks(trainer.model):
        tried = try_liger(trainer, plan, keep=False)
    trainer.args.liger_kernel_config = asked
    return tried


def try_liger(trainer: Any, plan: Plan, *, keep: bool = True) -> Tried:
    """Put Liger's kernels in and compare the first batch's gradients and its time with the plain ones'. They stay where
    they compute the same and are to be kept.
    """
    model = trainer.model
    family = str(unwrap_peft_model(model).config.model_type)
    switches = trainer.args.liger_kernel_config = liger_config(family)
    if not any(switches.values()):
        return Tried(refused=f"they are not used here for models of the kind {family}")
    batch, patched = FirstBatch(trainer, plan), Patched(model)
    refused, plain, fused = "", 0.0, 0.0
    try:
        plain, wanted = batch.quicker_pass()
        try:
            try:
                apply_liger_kernel(model, switches)
            finally:
                patched.note()
            if not liger_modules(model):
                refused = f"{PACKAGE} found nothing to replace in this {family}"
            else:
                fused, found = batch.quicker_pass()
                difference = apart(found, wanted)
                if not difference <= TOLERANCE[plan.training.precision]:
                    refused = f"their gradients differ from the plain ones' by {difference:.1g} of their length"
        except Exception as error:  # of a package of kernels nothing may end a run that goes on without it
            log.warning("Liger's kernels could not be used", exc_info=True)
            refused = f"they fail here ({type(error).__name__}: {first_line(error)})"
        if refused or not keep:
            patched.undo()
    finally:
        batch.as_before()
    return Tried(round(plain, 4), round(fused, 4), refused)
