"""What a claim counts, computed anew from the proposal: its plan with the claim's changes, by the core's public
functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from loratui.core.memory import Estimate, estimate
from loratui.core.plan import Plan
from loratui.core.proposal import Proposal
from loratui.core.recommend.context import changed
from loratui.core.recommend.followed import FOLLOWS
from loratui.core.schedule import make_schedule, packed_sequences
from loratui.core.time import predict, row_seconds

_estimates: dict[tuple[Any, ...], Estimate] = {}


def needed(owner: Proposal, changes: Mapping[str, Any]) -> Estimate:
    """The estimate of a proposal's plan with some keys changed."""
    plan = changed(owner.plan, {key: value for key, value in changes.items() if "." in key})
    key = (owner.spec, plan.model_dump_json(), owner.data, owner.device)
    if key not in _estimates:
        if len(_estimates) > 200:
            _estimates.clear()
        _estimates[key] = estimate(owner.spec, plan, owner.data, owner.device)
    return _estimates[key]


def _plan(owner: Proposal, changes: Mapping[str, Any]) -> Plan:
    return changed(owner.plan, {key: value for key, value in changes.items() if "." in key})


def _memory(owner: Proposal, changes: Mapping[str, Any]) -> float:
    return needed(owner, changes).total_bytes


def _weights(owner: Proposal, changes: Mapping[str, Any]) -> float:
    width = {"fp32": 4, "bf16": 2, "fp16": 2}[changes["model.dtype"]]
    return (
        width * owner.spec.total_parameters / (owner.device.count if changes["hardware.parallelism"] == "fsdp" else 1)
    )


def _states(owner: Proposal, changes: Mapping[str, Any]) -> float:
    return needed(owner, changes).states_bytes


def _rows(owner: Proposal, changes: Mapping[str, Any]) -> float:
    if "rows" in changes:
        return float(changes["rows"])
    return make_schedule(_plan(owner, changes), owner.data, owner.device.count).effective_batch_size


def _tokens(owner: Proposal, changes: Mapping[str, Any]) -> float:
    """Of a pass with so many average rows, or with the batch's rows as long as the longest."""
    training = _plan(owner, changes).training
    if "rows" in changes:
        return changes["rows"] * (
            training.max_length if training.packing else min(float(training.max_length), owner.data.mean)
        )
    return training.batch_size * min(training.max_length, owner.data.longest)


def _steps(owner: Proposal, changes: Mapping[str, Any]) -> float:
    training = owner.plan.training
    if training.max_steps:
        return training.max_steps
    rows = packed_sequences(owner.data, training.max_length) if training.packing else owner.data.examples
    return rows * training.epochs / changes["rows"]


def _seconds(owner: Proposal, changes: Mapping[str, Any], longest: bool = False) -> float:
    device, plan = replace(owner.device, count=changes.get("devices", owner.device.count)), _plan(owner, changes)
    time = predict(owner.spec, plan, owner.data, device, make_schedule(plan, owner.data, device.count))
    assert time is not None
    return time.high_seconds_per_step if longest else time.low_seconds_per_step


def _more_time(owner: Proposal, changes: Mapping[str, Any]) -> float:
    """By how many per cent a row takes longer than in the plan itself, by the middle of the prediction."""

    def seconds(plan: Plan) -> float:
        time = predict(owner.spec, plan, owner.data, owner.device, make_schedule(plan, owner.data, owner.device.count))
        if time is None:
            return row_seconds(owner.spec, plan, owner.data, owner.device)
        middle = math.sqrt(time.low_seconds_per_step * time.high_seconds_per_step)
        return middle / (plan.training.batch_size * plan.training.accumulation)

    supposed = {key: value for key, value in changes.items() if key in FOLLOWS}  # in both of those compared
    return (seconds(_plan(owner, changes)) / seconds(_plan(owner, supposed)) - 1) * 100


def _run(owner: Proposal, changes: Mapping[str, Any], longest: bool) -> float:
    """The run's shortest or longest time with these changes as a factor of the plan's own."""

    def seconds(plan: Plan) -> float:
        schedule = make_schedule(plan, owner.data, owner.device.count)
        time = predict(owner.spec, plan, owner.data, owner.device, schedule)
        assert time is not None
        return time.high_seconds if longest else time.low_seconds

    return seconds(_plan(owner, changes)) / seconds(owner.plan)


COUNTED: dict[str, Callable[[Proposal, Mapping[str, Any]], float]] = {
    "memory": _memory,
    "weights": _weights,
    "states": _states,
    "rows": _rows,
    "tokens": _tokens,
    "steps": _steps,
    "seconds": _seconds,
    "more time": _more_time,
    "times as long": lambda owner, changes: 1 + _more_time(owner, changes) / 100,
    "shortest run": lambda owner, changes: (_run(owner, changes, False) - 1) * 100,
    "longest run": lambda owner, changes: (_run(owner, changes, True) - 1) * 100,
    "shortest run as a factor": lambda owner, changes: _run(owner, changes, False),
    "longest run as a factor": lambda owner, changes: _run(owner, changes, True),
    "most seconds": lambda owner, changes: _seconds(owner, changes, True),
}
