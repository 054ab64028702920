"""After a checkpoint is loaded: what the plan says is written anew into optimizer and schedule, for the checkpoint
brings its own.

Moments, the number of updates, the state of chance and the order of the rows stay. Where the plan has not changed, the
same numbers are written over themselves: a resumed run stays bit for bit what it would have been.
"""

from __future__ import annotations

from typing import Any

import torch

KEPT = ("params", "lr")
"""Of a parameter group: what is trained, and the rate of the step in hand, which follows from the schedule."""


def group_settings(optimizer: Any) -> list[dict[str, Any]]:
    """Each parameter group's settings as the trainer has just made them from the plan, decay and no-decay apart."""
    return [{key: value for key, value in group.items() if key not in KEPT} for group in optimizer.param_groups]


def obey(optimizer: Any, scheduler: Any, wanted: list[dict[str, Any]]) -> None:
    """Write the settings into the loaded groups, and the rate of the step that comes next by the plan's schedule.

    scheduler: a LambdaLR with the plan's own function; of what it loaded only the number of its steps counts.
    """
    groups = optimizer.param_groups
    assert len(groups) == len(wanted), "the optimizer's groups are those that the plan makes"
    for group, settings in zip(groups, wanted, strict=True):
        group.update(settings)
        if "fused" in settings:
            _place_counts(optimizer, group, fused=bool(settings["fused"]))
    scheduler.base_lrs = [group["initial_lr"] for group in groups]
    rates = [
        rate * factor(scheduler.last_epoch)
        for rate, factor in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
    ]
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate
    scheduler._last_lr = list(rates)


def _place_counts(optimizer: Any, group: dict[str, Any], *, fused: bool) -> None:
    """The fused AdamW counts its updates on the parameter's device, the plain one on the CPU (torch 2.13,
    `_init_group`).
    """
    for parameter in group["params"]:
        state = optimizer.state.get(parameter)
        if state and isinstance(state.get("step"), torch.Tensor):
            state["step"] = state["step"].to(device=parameter.device if fused else "cpu", dtype=torch.float32)
