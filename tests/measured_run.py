"""What a run would have measured that did what a proposal proposes."""

from __future__ import annotations

from loratui.core.measured import Measurement
from loratui.core.operations import flops_per_pass
from loratui.core.proposal import Proposal


def measured_by_a_run(proposal: Proposal, model: str) -> Measurement:
    """Three seconds a step, of a run that kept the model as this."""
    plan = proposal.plan
    return Measurement(
        run="/runs/a",
        time=1.0,
        device=proposal.device.name,
        method=plan.method.kind,
        family=proposal.spec.family,
        model=model,
        checkpointing=plan.training.checkpointing,
        passes=plan.training.accumulation,
        flops_per_step=flops_per_pass(proposal.spec, plan, proposal.data) * plan.training.accumulation,
        seconds_per_step=3.0,
        steps=50,
    )
