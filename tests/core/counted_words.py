"""The figures of reasons that carry no claims, read out of their words and counted anew."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from loratui.core.dataset import DataFacts
from loratui.core.lora_targets import adapter_parameters
from loratui.core.proposal import Proposal
from loratui.core.recommend.evaluation import ROW_SPREAD_NATS

EXPONENTS = {"Llama": 0.781, "Qwen": 0.0775}
"""tinker-cookbook's get_lr."""


def number(text: str) -> float:
    return float(text.replace(",", ""))


def effective(owner: Proposal) -> int:
    training = owner.plan.training
    return training.batch_size * training.accumulation * owner.device.count


def same(told: float, counted: float, share: float = 0.06) -> bool:
    """Equal to the two digits that are told."""
    return math.isclose(told, counted, rel_tol=share, abs_tol=1e-12)


def learning_rate(owner: Proposal, why: str, formula: str) -> list[bool]:
    held = [number(rows) == effective(owner) for rows in re.findall(r"for ([\d,]+) rows a step", why)]
    held += [number(steps) == owner.schedule.total_steps for steps in re.findall(r"for a run of ([\d,]+) step", why)]
    told = [factor for factor in re.findall(r"× ([\d.]+) \(", formula) if abs(float(factor) - 1) > 0.011]
    held += [factor in re.findall(r"× ([\d.]+) for", why) for factor in told]
    own = re.search(r"(?:gives|formula is) ([\d.e-]+) at a batch of 128; here", why)
    if own and "held at" not in why:
        made = float(own[1]) * math.prod(float(one) for one in re.findall(r"× ([\d.]+) for", why))
        held.append(same(made, float(owner.recommendations["training.learning_rate"].value), 0.13))
    scale = re.search(r"scaled by ([\d.]+) where", why)
    if scale:
        lora = owner.plan.lora
        held.append(same(float(scale[1]), lora.alpha / (lora.r**0.5 if lora.variant == "rslora" else lora.r)))
    found = re.search(r"published for (\w+): 5e-4 · \(2,000 / ([\d,]+)\)\^[\d.]+ = ([\d.e-]+)", formula)
    if found:
        width = owner.spec.hidden_size
        published = 5e-4 * (2000 / max(width, 1)) ** EXPONENTS[found[1]]
        held += [number(found[2]) == width, same(float(found[3]), published)]
    product = re.search(r"= ([\d.e-]+), kept within ([\d.e-]+) … ([\d.e-]+)$", formula)
    if product:
        factors = math.prod(float(one) for one in re.findall(r"× ([\d.]+) \(", formula))
        start = re.search(r"(?:= |gives )([\d.e-]+) (?:at batch|for)", formula)
        if start:
            held.append(same(float(product[1]), float(start[1]) * factors, 0.12))
        held.append(float(product[2]) <= float(owner.recommendations["training.learning_rate"].value) * 1.0001)
    return held


def eval_fraction(owner: Proposal, why: str, formula: str) -> list[bool]:
    told = re.search(r"([\d,]+) of ([\d,]+)(?: rows)?: their loss is known to about ± ([\d.]*\d)", why)
    if told is None:
        return []
    rows, usable, error = (number(one) for one in told.groups())
    value = float(owner.recommendations["dataset.eval_fraction"].value)
    return [same(error, ROW_SPREAD_NATS / math.sqrt(rows)), abs(rows - value * usable) <= max(1.0, 0.06 * rows)]


def rank(owner: Proposal, why: str, formula: str) -> list[bool]:
    told = re.search(r"^([\d,]+) parameters: (.*) for ([\d,]+) trained tokens", why)
    if told is None:
        return []
    parameters, tokens = number(told[1]), number(told[3])
    held = [told[2].startswith("room enough") == (2 * parameters >= tokens)]
    if owner.plan.method.kind != "full" and owner.plan.lora.r == owner.recommendations["lora.r"].value:
        plain = owner.plan.model_copy(update={"lora": owner.plan.lora.model_copy(update={"variant": "lora"})})
        held.append(parameters == adapter_parameters(owner.spec, plain))
    return held


def epochs(owner: Proposal, why: str, formula: str) -> list[bool]:
    rows = re.search(r"(?:^|alone: )([\d,]+) rows", why)
    last = re.search(r"training.max_steps = ([\d,]+) ends", why)
    held = [(last is not None) == (owner.plan.training.max_steps > 0)]
    held += [number(last[1]) == owner.plan.training.max_steps] if last else []
    steps = re.search(r"([\d.]+) passes make ([\d,]+) steps of (\d+) rows", why)
    held += [] if rows is None else [abs(number(rows[1]) - owner.data.examples) <= 0.11 * owner.data.examples + 1]
    if rows is not None and steps is not None:
        counted = math.ceil(number(rows[1]) / number(steps[3])) * float(steps[1])
        held += [number(steps[2]) == round(counted), counted >= 100]
    return held


def max_length(owner: Proposal, why: str, formula: str) -> list[bool]:
    data, value = owner.data, int(owner.recommendations["training.max_length"].value)
    longest = re.search(r"(?:the longest has (?:about )?|to have up to )([\d,]+) tokens", why)
    share = re.search(r"Covers ([\d.]+)%", why)
    times = re.search(r"would cost ([\d.]+) times", why)
    held = [] if longest is None else [number(longest[1]) == data.longest]
    if share is not None:
        held.append(abs(float(share[1]) / 100 - covered(data, value)) < 0.006)
    if times is not None:
        held.append(abs(float(times[1]) - data.longest / value) < 0.06)
    if "No row is cut" in why:
        held.append(data.longest <= value)
    return held


def covered(data: DataFacts, value: int) -> float:
    return sum(row <= value for row in data.lengths) / len(data.lengths)


def evaluations(owner: Proposal, why: str, formula: str) -> list[bool]:
    steps = owner.schedule.total_steps
    told = re.search(r"^(One|[\d,]+) looks? at the held-out rows", why)
    every = int(owner.recommendations["evaluation.every_steps"].value)
    if told is None or not every:
        return []
    looks = 1 if told[1] == "One" else number(told[1])
    return [looks == math.ceil(steps / every)]


def alpha(owner: Proposal, why: str, formula: str) -> list[bool]:
    told = re.search(r"scale = ([\d.]+) / (√?)([\d,]+) = ([\d.]+)", formula)
    if told is None:
        return []
    r = number(told[3])
    return [same(float(told[4]), float(told[1]) / (math.sqrt(r) if told[2] else r)), r == owner.plan.lora.r]


def packing(owner: Proposal, why: str, formula: str) -> list[bool]:
    told = re.search(r"([\d,]+) rows of ([\d,]+) tokens on average", formula)
    few = re.search(r"([\d,]+) rows are too few", why)
    held = [] if told is None else [abs(number(told[2]) - owner.data.mean) <= 0.51]
    return held + ([number(few[1]) < 10_000] if few else [])


def warmup(owner: Proposal, why: str, formula: str) -> list[bool]:
    told = re.search(r"3 % of ([\d,]+) steps", formula)
    return [] if told is None else [number(told[1]) == owner.schedule.total_steps]


def beta2(owner: Proposal, why: str, formula: str) -> list[bool]:
    told = re.search(r"^([\d,]+) rows a step", formula)
    return [] if told is None else [number(told[1]) == effective(owner)]


def saving(owner: Proposal, why: str, formula: str) -> list[bool]:
    told = re.search(r"= evaluation.every_steps = ([\d,]+)", formula)
    return [] if told is None else [number(told[1]) == owner.plan.evaluation.every_steps]


def precision(owner: Proposal, why: str, formula: str) -> list[bool]:
    told = re.search(r"compute capability (\d+)\.(\d+)", formula)
    return [] if told is None else [(int(told[1]), int(told[2])) == owner.device.compute_capability]


def group_by_length(owner: Proposal, why: str, formula: str) -> list[bool]:
    """Padding counted over all batches of that many rows that a thousand draws make."""
    told = re.search(r"(\d+) a batch, padding would add ([\d,]+)% to the tokens", why)
    if told is None:
        return []
    batch, held = owner.plan.training.batch_size, [("One row a pass" in why) == (owner.plan.training.batch_size == 1)]
    held.append(number(told[1]) == (batch if batch > 1 else 8))
    cut = [min(row, owner.plan.training.max_length) for row in owner.data.lengths]
    count, rows = len(cut), int(told[1])
    tops = sum(((place + 1) ** rows - place**rows) * length for place, length in enumerate(cut)) / count**rows
    return [*held, abs(tops / (sum(cut) / count) - 1 - number(told[2]) / 100) < 0.006]


COUNTED: dict[str, Callable[[Proposal, str, str], list[bool]]] = {
    "training.learning_rate": learning_rate,
    "dataset.eval_fraction": eval_fraction,
    "lora.r": rank,
    "training.epochs": epochs,
    "training.max_length": max_length,
    "evaluation.every_steps": evaluations,
    "lora.alpha": alpha,
    "training.packing": packing,
    "training.warmup_steps": warmup,
    "training.beta2": beta2,
    "saving.every_steps": saving,
    "training.precision": precision,
    "training.group_by_length": group_by_length,
}
