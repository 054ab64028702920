"""Full fine-tuning, LoRA and QLoRA side by side: the same wishes on the same machine, each at its own best settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from loratui.core.memory.budget import Verdict, verdict
from loratui.core.plan import MethodKind, Plan
from loratui.core.presets import AUTO, Preset
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.core.storage import disk_need

DECIDED_BY_METHOD = ("method.kind", "method.quantization", "method.double_quantization")


@dataclass(frozen=True, slots=True)
class MethodFit:
    """One method as it would be proposed. chosen: whether it is the method of the proposal that it stands beside."""

    kind: MethodKind
    chosen: bool
    plan: Plan
    verdict: Verdict
    memory_bytes: int
    upper_bytes: int
    """The upper end of what it may take, by which it is judged."""
    room_bytes: int
    parameters_trained: int
    result_bytes: int
    """What the run leaves on disk: an adapter, or a whole model."""
    seconds: tuple[float, float] | None
    """Lowest and highest time of the run; None where the device's speed is not known."""
    time_basis: str = ""
    """What that time rests on, in words: rows of a table that rest on different things are not to be compared."""


def compare_methods(
    situation: Situation,
    preset: Preset = AUTO,
    by_hand: Mapping[str, Any] | None = None,
    *,
    beside: Proposal | None = None,
) -> tuple[MethodFit, ...]:
    """Each method with everything else that was wished for, the dearest first.

    by_hand: as for `propose`; the method itself and its quantisation are set aside, except where they belong to the
    method. beside: the proposal that these stand beside, computed from the same arguments; it is not computed again.
    Raises PlanError as `propose` does.
    """
    by_hand = dict(by_hand or {})
    chosen = beside or propose(situation, preset, by_hand)
    return tuple(
        _fit(
            chosen if kind == chosen.plan.method.kind else propose(situation, preset, _with_method(by_hand, kind)),
            chosen,
        )
        for kind in get_args(MethodKind)
    )


def _with_method(by_hand: Mapping[str, Any], kind: MethodKind) -> dict[str, Any]:
    kept = {key: value for key, value in by_hand.items() if key not in DECIDED_BY_METHOD}
    return {**kept, "method.kind": kind}


def _fit(proposal: Proposal, chosen: Proposal) -> MethodFit:
    time = proposal.time
    return MethodFit(
        kind=proposal.plan.method.kind,
        chosen=proposal is chosen,
        plan=proposal.plan,
        verdict=verdict(proposal.memory, proposal.budget),
        memory_bytes=proposal.memory.total_bytes,
        upper_bytes=proposal.memory.upper_bytes,
        room_bytes=proposal.budget.bytes,
        parameters_trained=proposal.parameters_trainable,
        result_bytes=disk_need(proposal.spec, proposal.plan).result_bytes,
        seconds=None if time is None else time.whole_seconds,
        time_basis="" if time is None else time.basis,
    )


def methods_json(methods: tuple[MethodFit, ...]) -> list[dict[str, Any]]:
    """The list that `loratui plan --json` prints under "methods"; sizes in bytes, times in seconds."""
    return [
        {
            "method": one.kind,
            "chosen": one.chosen,
            "verdict": one.verdict,
            "memory_total": one.memory_bytes,
            "budget": one.room_bytes,
            "seconds": None if one.seconds is None else list(one.seconds),
            "time_basis": one.time_basis,
            "result_bytes": one.result_bytes,
            "trainable": one.parameters_trained,
            "settings": {
                "model.dtype": one.plan.model.dtype,
                "training.precision": one.plan.training.precision,
                "training.batch_size": one.plan.training.batch_size,
                "training.accumulation": one.plan.training.accumulation,
                "training.checkpointing": one.plan.training.checkpointing,
                "training.optimizer": one.plan.training.optimizer,
                "training.learning_rate": one.plan.training.learning_rate,
            },
        }
        for one in methods
    ]
