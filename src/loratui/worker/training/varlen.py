"""torch's own attention over rows of unlike length in a trainer's model, tried beside the plain one before anything is
learnt.

The longest rows of the first batch go through the model as the run will send them, and one by one through sdpa, which
needs no mask for a row alone. Where the kernel refuses, or the gradients differ (it is wrong, or rows see each other),
the plain attention stays, and rows that were to lie end to end are padded: sdpa would keep them apart by a mask over
all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from transformers.trainer_utils import unwrap_peft_model

from loratui.core.attention import TORCH_VARLEN
from loratui.core.compiling import TOLERANCE
from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.format import first_line
from loratui.worker.tokenised import IGNORED
from loratui.worker.training.first_batch import FirstBatch, apart
from loratui.worker.training.journal import Journal

log = logging.getLogger("loratui")
TRIED_ROWS = 2
"""Of the first batch: as few as can see each other, where they do."""


def use_varlen(trainer: Any, plan: Plan, journal: Journal) -> None:
    """Keep the attention where the plan asks for it and it computes the same; where it refuses, or computes otherwise,
    it is told and the plain one takes its place.
    """
    if plan.model.attention != TORCH_VARLEN:
        return
    journal.phase("prepare", "Trying torch's attention over rows of unlike length beside the plain one")
    plain = plain_attention(trainer.model)
    refused = try_varlen(trainer, plan, plain)
    if not refused:
        return
    if plan.training.packing and plain == "eager":
        raise PlanError(
            f"model.attention = {TORCH_VARLEN} is not used: {refused}; and eager cannot keep packed rows apart.",
            hint="Set training.packing to false and model.attention to eager.",
        )
    fix: dict[str, Any] = {"model.attention": plain}
    padded = plan.training.padding_free and not plan.training.packing
    if padded:
        trainer.data_collator = replace(trainer.data_collator, padding_free=False)
        fix["training.padding_free"] = False
    message = (
        f"torch's attention over rows of unlike length is not used: {refused}. {plain} computes instead"
        f"{', and the rows are padded' if padded else ''}."
    )
    step = journal.status.step
    journal.emit("finding", finding="no-varlen", severity="warning", step=step, message=message, fix=fix)


def try_varlen(trainer: Any, plan: Plan, plain: str) -> str:
    """Compare the gradients of the first batch's longest rows with those of the plain attention, which stays where they
    differ. Empty where they do not, else why, as the end of a sentence.
    """
    batch, model = FirstBatch(trainer, plan), unwrap_peft_model(trainer.model)
    rows = longest_rows(batch.batch)
    labels = sum(int((torch.as_tensor(row["labels"][1:]) != IGNORED).sum()) for row in rows)
    collator, refused = trainer.data_collator, ""
    try:
        with without_dropout(trainer.model):
            model.set_attn_implementation(plain)
            # a full run with its optimizer in the host's memory has no room for gradients twice
            wanted = [one.cpu() for one in batch.one_pass([collator([row]) for row in rows], labels)[1]]
            model.set_attn_implementation(TORCH_VARLEN)
            try:
                difference = apart(batch.one_pass([collator(rows)], labels)[1], wanted)
                if not difference <= TOLERANCE[plan.training.precision]:
                    refused = f"its gradients differ from those of {plain} by {difference:.1g} of their length"
            except Exception as error:  # of a kernel nothing may end a run that goes on without it
                log.warning("torch's attention over rows of unlike length could not be used", exc_info=True)
                refused = f"it fails here ({type(error).__name__}: {first_line(error)})"
        if refused:
            model.set_attn_implementation(plain)
    finally:
        batch.as_before()
    return refused


def plain_attention(model: Any) -> str:
    """The attention that takes its place: sdpa, or eager where the model's class has no sdpa."""
    return "sdpa" if getattr(unwrap_peft_model(model), "_supports_sdpa", False) else "eager"


def has_varlen(model: Any) -> bool:
    """Whether a model computes its attention by torch's own over rows of unlike length."""
    return getattr(unwrap_peft_model(model).config, "_attn_implementation", "") == TORCH_VARLEN


def as_computed(plan: Plan, trainer: Any) -> Plan:
    """The plan with the attention, and the way in which rows lie, that are in force."""
    if plan.model.attention != TORCH_VARLEN or has_varlen(trainer.model):
        return plan
    return with_values(plan, {"model.attention": plain_attention(trainer.model), "training.padding_free": False})


def longest_rows(batch: dict[str, Any]) -> list[dict[str, list[int]]]:
    """The longest rows of a batch, as the collator takes rows, whether they lie end to end or are padded."""
    if (starts := batch.get("cu_seq_lens_q")) is not None:
        places = [(0, begin, end) for begin, end in zip(starts.tolist()[:-1], starts.tolist()[1:], strict=True)]
    else:
        places = [(number, 0, length) for number, length in enumerate(batch["attention_mask"].sum(1).tolist())]
    places = sorted(places, key=lambda place: place[1] - place[2])[:TRIED_ROWS]
    return [
        {name: batch[name][number, begin:end].tolist() for name in ("input_ids", "labels")}
        for number, begin, end in places
    ]


@contextmanager
def without_dropout(model: Any) -> Iterator[None]:
    """While active nothing is dropped: rows together would draw other numbers of chance than one by one."""
    modules = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    shares = [module.p for module in modules]
    for module in modules:
        module.p = 0.0
    try:
        yield
    finally:
        for module, share in zip(modules, shares, strict=True):
            module.p = share
