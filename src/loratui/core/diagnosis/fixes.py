"""Fixes as changes to a plan; each leaves out what the plan cannot take, or what would change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from loratui.core.diagnosis.curves import Curves, Fix
from loratui.core.lora_targets import ALPHA
from loratui.core.plan import Plan
from loratui.core.recommend.learning_rate import HOPELESS
from loratui.format import number_text

PUBLISHED_LORA_RATES, PUBLISHED_FULL_RATES = (1e-4, 1e-3), (1e-6, 3e-4)
"""Where nothing is proposed, published runs say what is far too high or too low."""
RATE = "training.learning_rate"
FAR = 3.0
"""From this factor on a learning rate is another than the proposed one: nearer, nobody knows which is better."""
CHECK_DATA = Fix("Look at the rows: wrong answers, empty ones, or two kinds of task in one file.")
CHECK_TEMPLATE = Fix("Check the chat template and what is trained on, on the dataset screen or with `loratui inspect`.")
CHECK_WEIGHTS = Fix(
    "Check the base model: fetch it again, or try model.dtype = fp32. No setting of the training mends it."
)
MORE_ROWS = Fix("More rows, or more varied ones.")


def kept(fixes: Iterable[Fix | None]) -> tuple[Fix, ...]:
    """The fixes that apply, each once."""
    found: list[Fix] = []
    for fix in fixes:
        if fix is not None and (not fix.changes or fix.changes not in [other.changes for other in found]):
            found.append(fix)
    return tuple(found)


def less_sure(fixes: Iterable[Fix | None]) -> list[Fix]:
    """The fixes that apply, as those that may help."""
    return [replace(fix, sure=False) for fix in fixes if fix is not None]


def proposed_rate(plan: Plan, curves: Curves) -> float:
    """The rate that the calculation proposes for this run; where that is not known, the plan's own held within
    published ones.
    """
    known = curves.proposed.get(RATE)
    if known:
        return float(known)
    low, high = PUBLISHED_FULL_RATES if plan.method.kind == "full" else PUBLISHED_LORA_RATES
    return min(max(plan.training.learning_rate, low), high)


def anew_with_proposed(plan: Plan, curves: Curves) -> Fix | None:
    """From the base with the proposed learning rate; None where the plan's is as good as that."""
    now, proposed = plan.training.learning_rate, proposed_rate(plan, curves)
    if max(now, proposed) < 1.1 * min(now, proposed):
        return None
    whose = "proposed" if curves.proposed.get(RATE) else "nearest published"
    return Fix(
        f"Start anew from the base with the {whose} learning rate {number_text(proposed)} instead of "
        f"{number_text(now)}.",
        {RATE: proposed},
        restart=True,
    )


def after_divergence(plan: Plan, curves: Curves, *, healthy_step: int) -> tuple[Fix, ...]:
    """What mends a training that diverged, or whose weights are no numbers, what most surely helps first. Where the
    rate is far above the proposed one nothing but a lower one does: AdamW's steps are as long as the rate, however
    gradients are clipped or averaged.

    healthy_step: the last step before it went wrong; 0 where it never went right, so that there is nothing to go
    back to.
    """
    now, proposed = plan.training.learning_rate, proposed_rate(plan, curves)
    anew = anew_with_proposed(plan, curves) if proposed < now else None
    lower = _lower(now, proposed, healthy_step)
    hopeless = now > HOPELESS * proposed
    first = [anew, lower] if hopeless or not healthy_step else [lower, anew]
    if hopeless:
        third = rounded(proposed / FAR)
        words = f"Start anew from the base with a third of that, {number_text(third)}."
        still_lower = Fix(words, {RATE: third}, True, sure=False)
        return kept([*first, still_lower])
    return kept([*first, *less_sure([warm_up(plan, curves), clip(plan, healthy_step), larger_batch(plan)])])


def _lower(now: float, proposed: float, healthy_step: int) -> Fix:
    value = rounded(proposed if now > FAR * proposed else now / FAR)
    text = f"Lower the learning rate from {number_text(now)} to {number_text(value)}"
    if healthy_step:
        return Fix(
            f"{text}, and go on from a checkpoint up to step {healthy_step}, before it went wrong.", {RATE: value}
        )
    return Fix(f"{text}, and start anew from the base.", {RATE: value}, restart=True)


def rounded(rate: float) -> float:
    """A learning rate to two digits."""
    return float(f"{rate:.1e}")


def raised_rate(plan: Plan, curves: Curves) -> Fix | None:
    """From the base with the proposed rate where the plan's is well below; else with three times the plan's, once."""
    now, proposed = plan.training.learning_rate, proposed_rate(plan, curves)
    if now * 1.5 < proposed:
        return anew_with_proposed(plan, curves)
    value = rounded(now * FAR)
    if value > FAR * proposed or value > 1:
        return None
    return Fix(
        f"Start anew from the base with the learning rate {number_text(value)} instead of {number_text(now)}.",
        {RATE: value},
        restart=True,
    )


def halved_rate(plan: Plan) -> Fix:
    """Half the learning rate from here on."""
    value = rounded(plan.training.learning_rate / 2)
    now = number_text(plan.training.learning_rate)
    return Fix(f"Lower the learning rate from {now} to {number_text(value)}.", {RATE: value})


def warm_up(plan: Plan, curves: Curves) -> Fix | None:
    """Twice the warm-up, and at least 3 % of the run; from the base, since a warm-up that is over cannot be made
    longer.
    """
    total = max(curves.total_steps, len(curves.steps))
    value = min(max(10, 2 * plan.training.warmup_steps, total * 3 // 100), total // 2)
    if value <= plan.training.warmup_steps:
        return None
    return Fix(
        f"Start anew and warm up over {value} steps instead of {plan.training.warmup_steps}.",
        {"training.warmup_steps": value},
        restart=True,
    )


def larger_batch(plan: Plan) -> Fix:
    """Twice the accumulation: smoother gradients for no memory, but time."""
    passes = plan.training.accumulation * 2
    return Fix(
        f"Accumulate {passes} batches a step instead of {plan.training.accumulation}: smoother gradients, no more "
        "memory, twice the time a step.",
        {"training.accumulation": passes},
    )


def safer_precision(plan: Plan, curves: Curves) -> Fix | None:
    """Out of float16: to bfloat16 where the device is known to compute in it, else to float32."""
    if plan.training.precision != "fp16":
        return None
    other = "bf16" if curves.bf16 else "fp32"
    changes = {"training.precision": other} | (
        {"method.compute_dtype": other} if plan.method.compute_dtype == "fp16" else {}
    )
    if plan.model.dtype == "fp16" and plan.method.kind == "full":
        changes["model.dtype"] = "fp32"
    words = (
        "bfloat16, which has float32's range"
        if curves.bf16
        else "float32: slower, and with twice the memory for activations"
    )
    return Fix(f"Leave float16, whose largest number is 65,504, for {words}.", changes)


def clip(plan: Plan, healthy_step: int = 1) -> Fix | None:
    """Clip gradients at 0.3, as QLoRA does."""
    if 0 < plan.training.max_grad_norm <= 0.3:
        return None
    return Fix("Clip gradients at 0.3.", {"training.max_grad_norm": 0.3}, restart=not healthy_step)


def rank(plan: Plan, factor: float) -> Fix | None:
    """Another rank; alpha as it is where it is the constant 32, else the scale kept. It starts anew: another shape."""
    if plan.method.kind == "full" or plan.lora.adapter:
        return None
    value = round(plan.lora.r * factor)
    alpha = plan.lora.alpha if plan.lora.alpha == ALPHA else plan.lora.alpha * value / plan.lora.r
    if value < 2 or value > 256 or alpha > 4096:
        return None
    word = "more" if factor > 1 else "less"
    changes: dict[str, Any] = {"lora.r": value, **({} if alpha == plan.lora.alpha else {"lora.alpha": alpha})}
    return Fix(
        f"Rank {value} instead of {plan.lora.r}: {word} capacity. It starts anew from the base.", changes, restart=True
    )


def all_layers(plan: Plan) -> Fix | None:
    """Adapters on every linear layer."""
    if plan.method.kind == "full" or plan.lora.targets == "all-linear" or plan.lora.adapter:
        return None
    return Fix("Adapt all linear layers. It starts anew from the base.", {"lora.targets": "all-linear"}, restart=True)


def dropout(plan: Plan) -> Fix | None:
    """More dropout, up to 0.2."""
    if plan.method.kind == "full" or plan.lora.dropout >= 0.2:
        return None
    value = 0.05 if plan.lora.dropout < 0.05 else 0.1 if plan.lora.dropout < 0.1 else 0.2
    return Fix(
        f"Start anew with dropout {value:g} instead of {plan.lora.dropout:g}.", {"lora.dropout": value}, restart=True
    )


def decay(plan: Plan) -> Fix | None:
    """More weight decay, up to 0.1."""
    if plan.training.weight_decay >= 0.1:
        return None
    value = 0.01 if plan.training.weight_decay < 0.01 else 0.1
    return Fix(
        f"Start anew with weight decay {number_text(value)} instead of {number_text(plan.training.weight_decay)}.",
        {"training.weight_decay": value},
        restart=True,
    )


def keep_best(plan: Plan, curves: Curves) -> Fix | None:
    """End the run and take the weights of its best evaluation; for one that has reached its last step: train anew to
    there.
    """
    points = curves.evaluations
    if not points:
        return None
    best = min(range(len(points)), key=lambda index: points[index][1])
    step, worse = points[best][0], len(points) - 1 - best
    if not curves.reached_end and plan.evaluation.every_steps:
        patience = max(1, min(3, worse))
        if plan.evaluation.patience and plan.evaluation.patience <= patience:
            return None
        since = curves.since_best()
        if since is not None and since.told == "unknown":
            return Fix(
                f"Keep the best: the result is the checkpoint of step {step}, unless a better one comes. "
                f"{since.rows:,} held-out rows cannot tell that none will, so it trains to its end.",
                {"evaluation.patience": patience},
            )
        return Fix(
            f"Stop after {patience} evaluation{'s' if patience > 1 else ''} without a better loss: the run ends at "
            f"the next one, and its result is the checkpoint of step {step}.",
            {"evaluation.patience": patience},
        )
    if step >= curves.steps[-1] or plan.training.max_steps == step:
        return None
    return Fix(
        f"Start anew and end at step {step}, where the held-out loss was lowest.",
        {"training.max_steps": step},
        restart=True,
    )


def fewer_epochs(plan: Plan) -> Fix | None:
    """One epoch less, or half of many; from the base, so that the learning rate falls with the shorter run."""
    if plan.training.max_steps or plan.training.epochs <= 1:
        return None
    epochs = plan.training.epochs
    value = float(round(epochs / 2)) if epochs > 4 else max(1.0, epochs - 1)
    return Fix(f"Start anew with {value:g} epochs instead of {epochs:g}.", {"training.epochs": value}, restart=True)


def more_epochs(plan: Plan) -> Fix:
    """Half the run again, at least one epoch."""
    if plan.training.max_steps:
        value = plan.training.max_steps * 3 // 2
        return Fix(f"{value} steps instead of {plan.training.max_steps}.", {"training.max_steps": value})
    epochs = plan.training.epochs + max(1.0, round(plan.training.epochs / 2))
    return Fix(f"{epochs:g} epochs instead of {plan.training.epochs:g}.", {"training.epochs": epochs})
