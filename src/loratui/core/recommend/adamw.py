"""AdamW's five numbers."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core import rules_of_thumb
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation

SMALL_BATCH = 16


def beta2_for(effective_batch_size: int) -> float:
    """Keeps the half-life of the squared gradient in rows: 0.95 at 512 rows a step; 0.999 up to 16."""
    return 0.999 if effective_batch_size <= SMALL_BATCH else round(0.95 ** (effective_batch_size / 512), 4)


def adamw(context: Context) -> Iterator[Recommendation]:
    """`training.beta1`, `beta2`, `epsilon`, `weight_decay` and `max_grad_norm`."""
    training = context.plan().training
    effective = training.batch_size * training.accumulation * context.device.count
    yield Recommendation(
        "training.beta1",
        0.9,
        "Averages the gradient over about ten steps.",
        "1 / (1 − 0.9) = 10 steps",
        "Kingma & Ba 2014; the default of torch and transformers.",
        rule_of_thumb=rules_of_thumb.BETA1,
        up="Smoother, slower to turn.",
        down="Noisier, quicker to turn.",
    )
    beta2 = beta2_for(effective)
    yield Recommendation(
        "training.beta2",
        beta2,
        "A long memory of the gradient's size: right for small batches."
        if effective <= SMALL_BATCH
        else "A memory of the gradient's size as long in rows as at the published setting.",
        (
            f"{effective} rows a step: 0.999 up to {SMALL_BATCH}, else 0.95^({effective}/512) = "
            f"{0.95 ** (effective / 512):.4f}"
        ),
        "Marek et al. 2025 (2507.07101): keep the half-life in tokens, 0.95 at 512 rows is 0.9992 at 8.",
        rule_of_thumb=rules_of_thumb.BETA2,
        up="Steadier steps.",
        down="Adapts faster; 0.95 is wrong for small batches.",
        disagreement="litgpt's recipes use 0.95 at any batch.",
    )
    yield Recommendation(
        "training.epsilon",
        1e-8,
        "Only keeps AdamW from dividing by zero.",
        "step = mean / (√variance + 1e-8)",
        "Kingma & Ba 2014; torch.",
        rule_of_thumb=rules_of_thumb.EPSILON,
        up="1e-6 and above damps small gradients.",
        down="Risks overflow in float16.",
    )
    yield Recommendation(
        "training.weight_decay",
        0.0,
        "None: no evidence for a value, and decaying A and B is not decaying the weights."
        if not context.full
        else "None: recent recipes for full fine-tuning use 0 to 0.1 without a clear gain.",
        "weight − rate × 0 × weight at each step",
        "QLoRA and Tulu 0; Unsloth 0.001; torchtune 0.01; the PEFT benchmark 0.1.",
        rule_of_thumb=rules_of_thumb.WEIGHT_DECAY,
        up="Pulls towards the base model (LoRA) or towards 0 (full).",
        down="0: nothing is pulled back.",
        disagreement="The guides say 0.01, and up to 0.1 against overfitting.",
    )
    yield Recommendation(
        "training.max_grad_norm",
        1.0,
        "A guard against a single bad batch.",
        "gradients longer than 1.0 are shortened to 1.0",
        "transformers, PEFT benchmark; Pascanu et al. 2013.",
        rule_of_thumb=rules_of_thumb.MAX_GRAD_NORM,
        up="0: no clipping (torchtune).",
        down="0.3 (QLoRA) or 0.2 (SmolLM3): clips most steps, a lower effective rate.",
        disagreement="0.2, 0.3, 1.0 and none are all in use.",
    )
