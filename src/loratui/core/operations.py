"""How many tokens and operations a pass over the rows takes, padding counted."""

from __future__ import annotations

import math
from functools import lru_cache

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.lora_targets import count_adapter, resolve_targets
from loratui.core.plan import Plan
from loratui.core.preferences import passes_beside


def active_parameters(spec: ModelSpec) -> int:
    """Weights of linear layers that a token passes through; of experts only those that are asked. The head apart.

    In parameters. Routers are counted whole. Source: the config, as `core.families` or a worker read it.
    """
    total = 0
    for linear in spec.linears:
        share = spec.experts_per_token / spec.experts if linear.kind == "expert" and spec.experts else 1.0
        total += round(linear.count * linear.in_features * linear.out_features * share)
    return total


@lru_cache(maxsize=256)
def expected_longest(data: DataFacts, rows: int, cut: int) -> float:
    """Mean over random batches of `rows` rows of the longest row's tokens, after cutting at `cut`."""
    before = total = 0.0
    for length, share in data.shares:
        if length >= cut:
            break
        upto = share**rows
        total += (upto - before) * length
        before = upto
    return total + (1.0 - before) * cut


WINDOW_BATCHES = 50
"""About so many batches in which rows are sorted together where they are grouped by length
(`worker/training/length_groups.py`)."""


@lru_cache(maxsize=256)
def grouped_longest(data: DataFacts, rows: int, cut: int) -> float:
    """Mean over batches of `rows` rows of like length of the longest row's tokens, after cutting at `cut`."""
    if rows == 1:
        return expected_longest(data, 1, cut)
    lengths, whole = data.lengths, max(1, data.examples // rows)
    batches = whole // max(1, round(whole / WINDOW_BATCHES))
    count = len(lengths)
    tops = (min(count - 1, max(0, math.ceil(count * number / batches) - 1)) for number in range(1, batches + 1))
    return sum(min(lengths[top], cut) for top in tops) / batches


def longest_of_batch(plan: Plan, data: DataFacts, rows: int) -> float:
    """Mean tokens of the longest of `rows` rows that are padded together."""
    cut = plan.training.max_length
    if plan.training.group_by_length:
        return grouped_longest(data, rows, cut)
    return expected_longest(data, rows, cut)


def tokens_per_pass(plan: Plan, data: DataFacts) -> float:
    """Tokens of an average forward pass of one device, padding included."""
    training = plan.training
    if training.packing:
        return float(training.batch_size * training.max_length)
    if training.padding_free:
        return training.batch_size * expected_longest(data, 1, training.max_length)
    return plan.sides * training.batch_size * longest_of_batch(plan, data, training.batch_size)


def flops_per_token(spec: ModelSpec, plan: Plan, tokens_per_row: float) -> float:
    """Operations of forward and backward for one token.

    tokens_per_row: decides attention's share, counted as half of the square (causal). Norms, activations and the
    optimizer's step are left out: below 1 % from a width of about 1,000. Source: Kaplan et al. 2020 (2001.08361), 2.1.
    """
    weights, head, attention = _weights_head_attention(spec, tokens_per_row)
    forward = 2.0 * (weights + head) + attention
    recomputed = 2.0 * weights + attention if plan.training.checkpointing else 0.0
    recomputed += forward * passes_beside(plan)
    if plan.method.kind == "full":
        return 3.0 * forward + recomputed
    adapter = count_adapter(resolve_targets(spec, plan.lora.targets), plan.lora.r)
    again = 2.0 * adapter if plan.training.checkpointing else 0.0
    return 4.0 * (weights + head) + 3.0 * attention + recomputed + 6.0 * adapter + again


def _weights_head_attention(spec: ModelSpec, tokens_per_row: float) -> tuple[int, int, float]:
    return (
        active_parameters(spec),
        spec.vocab_size * spec.hidden_size,
        2.0 * spec.layers * spec.heads * spec.head_dim * tokens_per_row,
    )


def forward_flops_per_token(spec: ModelSpec, plan: Plan, tokens_per_row: float) -> float:
    """Operations of one token in a pass of the trained model without gradients: of a held-out row or of an answer."""
    weights, head, attention = _weights_head_attention(spec, tokens_per_row)
    adapter = 0 if plan.method.kind == "full" else count_adapter(resolve_targets(spec, plan.lora.targets), plan.lora.r)
    return 2.0 * (weights + head + adapter) + attention


def evaluation_pass(spec: ModelSpec, plan: Plan, data: DataFacts, devices: int) -> tuple[int, float]:
    """Batches of one evaluation on each device, and the operations of one: a forward pass over rows like the trained
    ones, of pairs over both sides, and the passes beside it (the reference's, KTO's KL).
    """
    size = plan.evaluation.batch_size
    tokens = longest_of_batch(plan, data, size)
    batches = math.ceil(math.ceil(data.eval_examples / size) / max(1, devices))
    models = 1 + passes_beside(plan)
    return batches, forward_flops_per_token(spec, plan, tokens) * models * tokens * size * plan.sides


def flops_per_pass(spec: ModelSpec, plan: Plan, data: DataFacts) -> float:
    """Operations of one device's forward and backward pass over an average batch, padding included."""
    tokens = tokens_per_pass(plan, data)
    row = tokens / (plan.sides * plan.training.batch_size)
    return flops_per_token(spec, plan, row) * tokens
