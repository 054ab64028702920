"""For a class whose block is not modelled: what its activations really take, beside what the formulas say.

Four real steps on fake tensors (adapter and full, with and without checkpointing), a few seconds for a model of 32
blocks. The share between trace and formula hardly changes with the length of the rows, so one length speaks for all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loratui.core.architecture import ModelSpec, activation_kind
from loratui.core.dataset import uniform
from loratui.core.hardware import Device
from loratui.core.memory import estimate
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.format import first_line

TOKENS = 1024
_DEVICE = Device(name="any", memory_total_bytes=2**40, memory_free_bytes=2**40, compute_capability=(9, 0))


def activation_ratios(config: Mapping[str, Any], spec: ModelSpec) -> tuple[tuple[str, float], ...]:
    """By kind of training, what a traced step holds for activations over the formula's; kinds that cannot be traced are
    left out, with a word in the log.
    """
    found: list[tuple[str, float]] = []
    for full in (False, True):
        for checkpointing in (False, True):
            try:
                ratio = _ratio(config, spec, full, checkpointing)
            except Exception as error:  # noqa: BLE001 (a foreign class may fail on fake tensors in any way; the formula stays)
                logging.getLogger("loratui").warning(
                    "%s could not be traced: %s: %s", spec.family, type(error).__name__, first_line(error)
                )
                continue
            if ratio is not None:
                found.append((activation_kind(full=full, checkpointing=checkpointing), round(ratio, 4)))
    return tuple(found)


def _ratio(config: Mapping[str, Any], spec: ModelSpec, full: bool, checkpointing: bool) -> float | None:
    from loratui.worker.tracing.step import trace_step

    tokens = min(TOKENS, spec.max_positions)
    plan = with_values(
        Plan(),
        {
            "method.kind": "full" if full else "lora",
            "training.checkpointing": checkpointing,
            "training.accumulation": 2,
            "training.batch_size": 1,
            "training.max_length": tokens,
            "model.dtype": "bf16",
            "training.precision": "bf16",
            "model.attention": "sdpa" if spec.sdpa else "eager",
            "evaluation.every_steps": 0,
        },
    )
    said = estimate(replace(spec, activation_ratios=()), plan, uniform(100, tokens), _DEVICE)
    traced = trace_step(dict(config), plan, rows=1, tokens=tokens, spec=spec, accumulates=True)
    # gradients of an earlier pass are there, so that they are states too
    states = said.parts["weights"] + said.parts["adapter"] + said.parts["gradients"] + said.parts["optimizer"]
    formula, real = said.tensors_bytes - states, max(traced.forward_bytes, traced.backward_bytes) - states
    return real / formula if formula > 0 and real > 0 else None
