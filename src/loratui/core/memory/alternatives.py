"""The gentlest ways to make a plan fit, in the order of the OOM ladder, each with its price.

The order is that of the third seed (batch 1 with more accumulation, shorter rows, lower rank, fewer modules, 4 bit), with
checkpointing after the batch: it costs time only. The effective batch is kept on every rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.lora_targets import attention_names, resolve_targets
from loratui.core.memory.budget import budget
from loratui.core.memory.estimate import estimate
from loratui.core.memory.fit import changed, longest_length
from loratui.core.plan import Plan


@dataclass(frozen=True, slots=True)
class Alternative:
    """One change of the plan. cost: what it costs in speed or quality, in words."""

    change: dict[str, Any]
    memory_total_bytes: int
    cost: str
    fits: bool


def alternatives(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device) -> list[Alternative]:
    """Each rung alone, then all rungs so far together where one alone is not enough; stops at the first sum that fits.

    Every entry needs less memory than the plan; the list is empty only where nothing can be lowered.
    """
    limit = budget(device).bytes
    before = estimate(spec, plan, data, device).total_bytes
    found: list[Alternative] = []
    together: dict[str, Any] = {}
    costs: list[str] = []
    for change, cost in _rungs(spec, plan, data, device):
        alone = _weigh(spec, plan, data, device, change, cost, limit)
        if alone.memory_total_bytes >= before:
            continue
        found.append(alone)
        together |= change
        costs.append(cost)
        if len(costs) == 1:
            if alone.fits:
                break
            continue
        total = _weigh(spec, plan, data, device, together, " ".join(costs), limit)
        if total.fits:
            found.append(total)
            break
    return found


def _weigh(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, change: dict[str, Any], cost: str, limit: int) -> Alternative:
    values = {key.replace(".", "__"): value for key, value in change.items()}
    needed = estimate(spec, changed(plan, **values), data, device)
    return Alternative(dict(change), needed.total_bytes, cost, needed.upper_bytes <= limit)


def _rungs(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device) -> list[tuple[dict[str, Any], str]]:
    training = plan.training
    rungs: list[tuple[dict[str, Any], str]] = []
    if training.batch_size > 1:
        rows = training.batch_size * training.accumulation
        rungs.append(({"training.batch_size": 1, "training.accumulation": rows}, "Slower steps; the same effective batch, the same result."))
    if not training.checkpointing:
        rungs.append(({"training.checkpointing": True}, "About a third slower; the same result."))
    if device.count > 1 and plan.hardware.parallelism == "ddp" and plan.method.quantization != "int8":
        change = {} if plan.training.optimizer.startswith("adamw_torch") else {"training.optimizer": "adamw_torch_fused"}
        rungs.append(({"hardware.parallelism": "fsdp", **change}, "Each GPU holds a share of the weights: more traffic between them; the same result."))
    length = min(training.max_length, data.longest)
    if length > 256:
        shorter = max(256, min(length // 2, _fitting_length(spec, plan, data, device) or length // 2)) // 8 * 8
        lost = sum(1 for row in data.lengths if row > shorter) / len(data.lengths)
        rungs.append(({"training.max_length": shorter}, f"Rows over {shorter} tokens are cut: {lost:.0%} of them."))
    if plan.method.kind != "full":
        if plan.lora.r > 8:
            rungs.append((
                {"lora.r": 8, "lora.alpha": plan.lora.alpha * 8 / plan.lora.r}, "A smaller adapter: less capacity for new facts.",
            ))
        attention = list(attention_names(spec))
        if attention and len(resolve_targets(spec, plan.lora.targets)) > len(resolve_targets(spec, attention)):
            rungs.append(({"lora.targets": attention}, "Attention layers alone learn less than all layers at the same rank."))
    if plan.method.kind == "full":
        rungs.append(({"method.kind": "lora"}, "An adapter instead of all weights: less capacity, and less is forgotten."))
    if plan.method.kind != "qlora" or plan.method.quantization == "int8":
        rungs.append((
            {"method.kind": "qlora", "method.quantization": "nf4", "method.double_quantization": True},
            "The base is read in 4 bit: a little slower, and a slight loss of quality.",
        ))
    return rungs


def _fitting_length(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device) -> int:
    leanest = changed(
        plan, training__batch_size=1, training__accumulation=plan.training.batch_size * plan.training.accumulation,
        training__checkpointing=True,
    )
    return longest_length(spec, leanest, data, device)
