"""Tables about the learning rate: its size, schedule, warm-up, and weight decay."""

from __future__ import annotations

from loratui.core.knowledge.table import CALCULATOR, CONFIGURATION, QUICK_START, QWEN, THEORY, Table, about

RATE = ("training.learning_rate",)
SCHEDULE = ("training.scheduler", "training.min_lr_ratio")
WARMUP = ("training.warmup_steps",)
DECAY = ("training.weight_decay",)

TABLES: tuple[Table, ...] = (
    Table(
        "Learning rate by size",
        ("model", "LoRA", "full"),
        (
            ("7B", "1e-4 to 3e-4", "1e-5 to 5e-5"),
            ("13B", "1e-4 to 2e-4", "5e-6 to 2e-5"),
            ("70B", "5e-5 to 1e-4", "1e-6 to 1e-5"),
        ),
        RATE,
        QUICK_START,
        "Sweep at batch 128: 3e-4 for most, 1e-3 for small Llamas; it follows width and family rather than size alone.",
        "parameters",
        named=about(7e9, 13e9, 70e9),
    ),
    Table(
        "Learning rates",
        ("rate", "for"),
        (
            ("1e-5", "very careful, large models"),
            ("5e-5", "careful"),
            ("1e-4", "a good start"),
            ("2e-4", "the usual rate of LoRA"),
            ("5e-4", "aggressive, small models"),
            ("1e-3", "risky"),
        ),
        RATE,
        CONFIGURATION,
        "1e-3 is the best rate of the sweep for Llama-3.2 1B and 3B at batch 128; 3e-3 diverges.",
    ),
    Table(
        "Rate and batch",
        ("batch", "rate"),
        (("4", "1.41e-4"), ("8", "2e-4"), ("16", "2.83e-4")),
        RATE,
        CALCULATOR,
        "2e-4 · √(batch / 8). At 128 that is 8e-4, near divergence; Marek et al. 2025 find no √.",
    ),
    Table(
        "Rate and batch",
        ("batch", "rate"),
        (("4", "2e-4"), ("8", "3e-4"), ("16", "4e-4")),
        RATE,
        QWEN,
        "Called linear there, but the figures follow √2 for each doubling.",
    ),
    Table(
        "Scaling rules",
        ("rule", "formula", "for"),
        (
            ("linear (Goyal et al. 2017)", "rate × batch / base", "batches of 256 to 8,192"),
            ("square root (Hoffer et al. 2017)", "rate × √(batch / base)", "batches of 8 to 64"),
        ),
        RATE,
        CALCULATOR,
        "Here: √(batch / 128), held between 0.6 and 1.5 for LoRA, and from 0.7 for full fine-tuning.",
    ),
    Table(
        "Rates by kind of training",
        ("training", "rate"),
        (("full fine-tuning", "1e-5 to 5e-5"), ("LoRA", "1e-4 to 3e-4"), ("from scratch", "1e-3 to 1e-2")),
        RATE,
        CALCULATOR,
    ),
    Table(
        "Signs of a wrong rate",
        ("sign", "meaning", "mend"),
        (
            ("loss jumps, diverges, NaN", "too high", "halve it"),
            ("loss falls very slowly", "too low", "double it"),
            ("stands still early", "too low", "3e-4 or 5e-4"),
            ("unstable", "too high", "1e-4"),
        ),
        RATE,
        f"{CONFIGURATION}; {QWEN}; {THEORY}",
    ),
    Table(
        "Schedules",
        ("schedule", "shape", "for"),
        (
            ("cosine", "smooth fall to near 0", "most runs"),
            ("linear", "even fall", "short runs"),
            ("constant", "none", "very short runs"),
            ("cosine_with_restarts", "falls again and again", "long runs"),
        ),
        SCHEDULE,
        QUICK_START,
        "No comparison shows a clear winner; QLoRA found constant a bit better than cosine.",
    ),
    Table(
        "Schedules: weaknesses",
        ("schedule", "weakness"),
        (
            ("linear", "abrupt at its ends"),
            ("step", "needs milestones"),
            ("polynomial", "less smooth than cosine"),
            ("constant", "overfits at the end"),
        ),
        SCHEDULE,
        CALCULATOR,
    ),
    Table(
        "Least rate",
        ("share of the peak", "effect"),
        (
            ("below 0.01", "training stops in effect"),
            ("0.1", "still learns at the end"),
            ("above 0.3", "settles too little"),
        ),
        SCHEDULE,
        CALCULATOR,
    ),
    Table(
        "Warm-up",
        ("share of the steps", "effect"),
        (("below 5 %", "unstable start"), ("5-10 %", "the guides' range"), ("above 20 %", "wastes training")),
        WARMUP,
        f"{CALCULATOR}; {QWEN}",
        "QLoRA, Tulu, OLMo 2 and SmolLM3 use 3 %; Thinking Machines none.",
    ),
    Table(
        "Why a warm-up",
        ("reason", "meaning"),
        (
            ("new matrices", "the adapter starts near 0 with large gradients"),
            ("Adam's averages", "they start at 0 and need steps to mean something"),
            ("early noise", "large early steps land in bad places"),
        ),
        WARMUP,
        f"{CALCULATOR}; {THEORY}",
    ),
    Table(
        "Weight decay",
        ("decay", "effect"),
        (("0", "none; may overfit"), ("0.01", "light, the usual value"), ("0.1", "strong; may underfit")),
        DECAY,
        QWEN,
        "No evidence for a value; decaying A and B is not decaying the weights. QLoRA and Tulu use 0.",
    ),
    Table(
        "Weight decay by data",
        ("data", "decay"),
        (("small", "0.01-0.05"), ("large", "0.001-0.01"), ("overfitting", "0.05-0.1")),
        DECAY,
        QWEN,
        "No evidence for a value.",
    ),
    Table(
        "Weight decay by training",
        ("training", "decay"),
        (("pre-training", "0.01-0.1"), ("fine-tuning", "0.01"), ("LoRA", "0.01")),
        DECAY,
        CALCULATOR,
        "Biases and norms are never decayed.",
    ),
)
