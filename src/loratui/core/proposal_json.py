"""A proposal as the object that `loratui plan --json` prints: its keys are a contract."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from loratui.core.memory import verdict
from loratui.core.proposal import Proposal
from loratui.core.recommendation import Instead, Recommendation
from loratui.core.time import Prediction


def proposal_json(proposal: Proposal) -> dict[str, Any]:
    """The object that `loratui plan --json` prints; sizes in bytes."""
    schedule, memory = proposal.schedule, proposal.memory
    return {
        "plan": proposal.plan.model_dump(),
        "parameters": {"total": proposal.parameters_total, "trainable": proposal.parameters_trainable},
        "memory": {
            "total": memory.total_bytes,
            "budget": proposal.budget.bytes,
            "headroom": proposal.headroom_bytes,
            "fits": proposal.fits,
            "verdict": proposal.verdict,
            "at_max_length": _filled_json(proposal),
            "upper": memory.upper_bytes,
            "lower": memory.lower_bytes,
            "spread": dict(memory.spread),
            "device_total": proposal.device.memory_total_bytes,
            "device_free": proposal.device.memory_free_bytes,
            "parts": dict(memory.parts),
            "peak_phase": memory.peak_phase,
            "peak_where": memory.peak_where,
            "band": memory.band,
            "measured_runs": proposal.device.learned.runs if proposal.device.learned else 0,
        },
        "schedule": {
            "examples": schedule.examples,
            "effective_batch_size": schedule.effective_batch_size,
            "steps_per_epoch": schedule.steps_per_epoch,
            "total_steps": schedule.total_steps,
            "warmup_steps": schedule.warmup_steps,
        },
        "recommendations": {
            key: _reason_json(reason, proposal.instead(key)) for key, reason in proposal.recommendations.items()
        },
        "rule_of_thumb": proposal.rule_of_thumb._asdict(),
        "origins": dict(proposal.origins),
        "time": _time_json(proposal.time),
        "alternatives": [
            {
                "change": dict(other.change),
                "held": list(other.held),
                "memory_total": other.memory_total_bytes,
                "fits": other.fits,
                "cost": other.cost,
            }
            for other in proposal.alternatives
        ],
        "warnings": list(proposal.warnings),
    }


def _reason_json(reason: Recommendation, other: Instead | None) -> dict[str, Any]:
    return {
        "value": reason.value,
        "why": reason.why,
        "formula": reason.formula,
        "source": reason.source,
        "rule_of_thumb": reason.rule_of_thumb,
        "up": reason.up,
        "down": reason.down,
        "disagreement": reason.disagreement,
        "claims": [asdict(claim) for claim in reason.claims],
        "instead": other
        and {
            "yours": other.yours,
            "proposed": other.proposed,
            "memory": other.memory_bytes,
            "time_factors": other.time_factors and list(other.time_factors),
            "cost": other.cost,
        },
    }


def _filled_json(proposal: Proposal) -> dict[str, Any] | None:
    """The memory of rows as long as `training.max_length`, where lengths are only guessed; sizes in bytes."""
    filled = proposal.at_max_length
    if filled is None:
        return None
    return {
        "tokens": proposal.plan.training.max_length,
        "total": filled.total_bytes,
        "upper": filled.upper_bytes,
        "verdict": verdict(filled, proposal.budget),
    }


def _time_json(prediction: Prediction | None) -> dict[str, Any] | None:
    if prediction is None:
        return None
    return {
        "seconds_per_step": [prediction.low_seconds_per_step, prediction.high_seconds_per_step],
        "seconds": list(prediction.whole_seconds),
        "starting_seconds": list(prediction.starting),
        "evaluations": prediction.evaluations,
        "evaluation_seconds": list(prediction.evaluation_seconds),
        "saves": prediction.saves,
        "better_saves": prediction.better_saves,
        "saving_seconds": list(prediction.saving_seconds),
        "flops_per_step": prediction.flops_per_step,
        "tokens_per_step": prediction.tokens_per_step,
        "measured": prediction.measured,
        "runs": prediction.speed.runs if prediction.speed else 0,
        "basis": prediction.basis,
        "left_out": list(prediction.left_out),
    }
