"""The predicted peak of one training process, part by part."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from loratui.core.architecture import ModelSpec
from loratui.core.attention import TORCH_VARLEN, is_flash
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.liger import fused
from loratui.core.memory.formats import Formats, formats
from loratui.core.memory.overhead import Moving, load_extra, overhead
from loratui.core.memory.sharding import bucket_bytes, gathered_bytes, held_formats, together, working_formats
from loratui.core.memory.states import adapter_bytes, gradients_bytes, optimizer_bytes, scales_bytes, weights_bytes
from loratui.core.memory.step import PASS, Batch, evaluation, moments, optimizer_extra, reference_pass
from loratui.core.memory.trainers import LORATUI, ODDS, Software
from loratui.core.memory.traits import PUBLISHED_ABOVE
from loratui.core.plan import Plan
from loratui.core.preferences import computes_reference, copies_adapter, estimates_kl, holds_copy

LOADED = "The peak is while the weights are loaded."
PARTS = ("weights", "adapter", "gradients", "optimizer", "activations", "logits", "overhead")


@dataclass(frozen=True, slots=True)
class Estimate:
    """The peak and what it is made of, in bytes. The parts add up to `total_bytes`.

    Gradients and optimizer states are whole even where the peak comes before they are: `activations` is what the peak
    holds beyond them. Only a peak while loading has none of them: `weights` is then what is loaded.
    """

    parts: dict[str, int]
    peak_phase: str
    """"forward and backward", "optimizer step", "evaluation" or "load"."""
    peak_where: str
    """One sentence of where in the phase the peak is."""
    band: float | None
    """Share of the total by which the truth may differ, from what was measured; None where nothing was."""
    batch: Batch
    """The batch that decides."""
    states_bytes: int
    """The optimizer's states, wherever the peak is."""
    spread: dict[str, int] = field(default_factory=dict)
    """What the run may need beyond the total, by cause; where runs here measured it, what is left of that."""

    @property
    def total_bytes(self) -> int:
        """Peak of the whole process on its device."""
        return sum(self.parts.values())

    @property
    def upper_bytes(self) -> int:
        """The upper end of the band: what must be there for the plan to be said to fit."""
        return self.total_bytes + sum(self.spread.values())

    @property
    def lower_bytes(self) -> int:
        """The lower end: the total itself until runs here measured it; then as far below it as the upper end is
        above."""
        return self.total_bytes - (sum(self.spread.values()) if self.band is not None else 0)

    @property
    def tensors_bytes(self) -> int:
        """The peak without context, workspaces and fragmentation: what torch calls allocated."""
        return self.total_bytes - self.parts["overhead"]


def largest_training_batch(plan: Plan, data: DataFacts) -> Batch:
    """The batch that decides the peak: the longest row with its neighbours padded to it, or full packed rows."""
    training = plan.training
    longest = min(data.longest, training.max_length)
    share = 1.0 if training.loss_on == "all" else data.trained_share
    if training.packing:
        length = training.max_length * training.batch_size
        return Batch(1, length, True, max(1, round(length * share)))
    ragged = training.batch_size > 1 and data.lengths[0] < longest
    if training.padding_free:
        return Batch(
            1,
            longest * training.batch_size,
            training.batch_size > 1,
            max(1, round(longest * training.batch_size * share)),
        )
    rows = plan.sides * training.batch_size
    ragged = ragged or plan.sides > 1  # the sides of a pair are hardly ever of one length
    return Batch(rows, longest, ragged, max(1, round(longest * rows * share)))


def largest_evaluation_batch(plan: Plan, data: DataFacts) -> Batch | None:
    """The evaluation's own largest batch; None where the plan never evaluates."""
    if plan.evaluation.every_steps == 0:
        return None
    rows, longest = plan.evaluation.batch_size, min(data.longest, plan.training.max_length)
    if plan.training.packing:
        return Batch(1, plan.training.max_length * rows, True, plan.training.max_length * rows)
    ragged = plan.sides > 1 or (rows > 1 and data.lengths[0] < longest)
    rows *= plan.sides
    return Batch(rows, longest, ragged, rows * longest)


def estimate(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, software: Software = LORATUI) -> Estimate:
    """The peak of the device's memory (of the host's for a CPU) while this plan trains.

    spec: the model's shape. data: row lengths. device: what it trains on; decides context and workspaces. Of several
    devices it is the peak of one. software: the trainer; this program's own unless another is asked for.
    Raises PlanError where `lora.targets` names layers that the model lacks.
    """
    plan, data = _carried(plan, software), data.at(plan.training.max_length)
    if plan.training.objective == "orpo":
        software = software._replace(loss=ODDS)
    if software.unties_head and spec.tied_embeddings:
        spec = replace(spec, tied_embeddings=False, head_parameters=spec.vocab_size * spec.hidden_size)
    shared = together(plan, device)
    whole = formats(plan, software)
    held = held_formats(whole, shared)
    whole_weights, adapter, gradients, optimizer = _states(spec, plan, held)
    scales = scales_bytes(spec, held)
    weights = shared.share(whole_weights - scales) + scales
    adapter, gradients, optimizer = map(shared.share, (adapter, gradients, optimizer))
    form = working_formats(whole, shared)._replace(fused=fused(plan, spec.family))
    batch = largest_training_batch(plan, data)
    eval_batch = largest_evaluation_batch(plan, data)
    if holds_copy(plan):
        weights += shared.share(weights_bytes(spec, held))
    if copies_adapter(plan):
        adapter *= 2
    found = moments(spec, plan, form, batch, gradients)
    if computes_reference(plan):
        found.append(reference_pass(spec, plan, form, batch, gradients))
    if estimates_kl(plan):
        before = evaluation(spec, plan, form, batch, gradients)
        waiting = gradients if plan.training.accumulation > 1 else 0
        found.append(before._replace(phase=PASS, where="in the forward pass for KTO's KL", gradients=waiting))
    highest = max(found, key=lambda moment: moment.total)
    in_loss = max(moment.logits for moment in found)
    if eval_batch is not None:
        evaluated = evaluation(spec, plan, form, eval_batch, gradients)
        if evaluated.total > highest.total:
            highest = evaluated
    gathered = gathered_bytes(spec, form, shared)
    highest = highest._replace(activations=highest.activations + gathered)
    logits = min(highest.logits, max(0, highest.total - gradients))
    activations = max(0, highest.total - gradients - logits)
    if spec.activation_ratios and highest.phase == PASS:
        ratio = spec.activation_ratio(full=form.full, checkpointing=plan.training.checkpointing)
        activations = max(0, round((activations + logits) * ratio) - logits)
    phase, where = highest.phase, f"The peak is {highest.where}."
    parts = {
        "weights": weights,
        "adapter": adapter,
        "gradients": gradients + bucket_bytes(gradients, shared),
        "optimizer": optimizer,
        "activations": activations,
        "logits": logits,
    }
    loaded, adapted = (0, 0) if shared.divided else _loaded(spec, plan, held)
    if form.quantised and loaded + adapted > sum(parts.values()):
        parts = dict.fromkeys(parts, 0) | {"weights": loaded, "adapter": adapted}
        phase, where = "load", LOADED
    pass_bytes = max(moment.total - moment.gradients for moment in found if moment.phase == PASS)
    moving = Moving(
        activations + logits, in_loss, min(pass_bytes, optimizer_extra(plan, gradients, form)), _uneven(plan, data)
    )
    kernels = form.quantised or is_flash(plan.model.attention) or plan.training.compile or bool(form.fused)
    beside = overhead(device, form, moving, kernels=kernels)
    parts["overhead"] = beside.bytes
    if device.learned is not None:
        spread = {"measured": round(sum(parts.values()) * device.learned.band)}
        return Estimate(parts, phase, where, device.learned.band, batch, optimizer, spread)
    above = round(sum(parts.values()) * PUBLISHED_ABOVE.get(spec.family, 0.0))
    spread = {**beside.spread, **({"family": above} if above else {})}
    return Estimate(parts, phase, where, None, batch, optimizer, spread)


def _loaded(spec: ModelSpec, plan: Plan, form: Formats) -> tuple[int, int]:
    """Weights and adapter, in bytes, while a quantised base is loaded: it is packed layer by layer, and the adapter is
    made when the last layer's 16-bit weight has gone. One that is divided waits in the host's memory, and comes to the
    device block by block: less than the blocks that training gathers.
    """
    base, extra, adapter = weights_bytes(spec, form), load_extra(spec, form), adapter_bytes(spec, plan, form)
    return (base + extra, 0) if extra >= adapter else (base, adapter)


def _carried(plan: Plan, software: Software) -> Plan:
    """The plan as far as the trainer can do it: what it cannot pack or concatenate it pads, what it cannot divide it
    copies, and where it has no torch_varlen it takes sdpa."""
    if plan.hardware.parallelism != "ddp" and not software.divides:
        plan = plan.model_copy(update={"hardware": plan.hardware.model_copy(update={"parallelism": "ddp"})})
    training = plan.training
    masked = plan.model.attention == TORCH_VARLEN and not software.varlen
    if masked:
        plan = plan.model_copy(update={"model": plan.model.model_copy(update={"attention": "sdpa"})})
    changes = {
        **({"packing": False} if training.packing and not software.packs else {}),
        **({"compile": False} if training.compile and not software.compiles else {}),
        **({"liger": False} if training.liger and not software.liger else {}),
        **(
            {"padding_free": False}
            if training.padding_free and not training.packing and (masked or not software.padding_free)
            else {}
        ),
    }
    return plan.model_copy(update={"training": training.model_copy(update=changes)}) if changes else plan


def _uneven(plan: Plan, data: DataFacts) -> bool:
    """Whether batches are of unlike length, so that the allocator cannot give one step's blocks to the next."""
    return not plan.training.packing and data.lengths[0] < min(data.longest, plan.training.max_length)


def _states(spec: ModelSpec, plan: Plan, form: Formats) -> tuple[int, int, int, int]:
    """Weights, adapter, gradients and optimizer states in bytes."""
    return (
        weights_bytes(spec, form),
        adapter_bytes(spec, plan, form),
        gradients_bytes(spec, plan, form),
        optimizer_bytes(spec, plan, form),
    )


__all__ = ["PARTS", "Estimate", "estimate", "largest_evaluation_batch", "largest_training_batch"]
