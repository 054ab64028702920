"""Tables about methods, memory and quantisation."""

from __future__ import annotations

from loratui.core.knowledge.table import CALCULATOR, CONFIGURATION, QUICK_START, QWEN, THEORY, Table, about

METHOD = ("method.kind",)
QUANTISATION = ("method.quantization", "method.double_quantization")
SAVERS = ("training.checkpointing", "training.batch_size", "method.kind")

TABLES: tuple[Table, ...] = (
    Table(
        "Three methods",
        ("", "full", "LoRA", "QLoRA"),
        (
            (
                "mechanism",
                "updates every weight",
                "frozen weights, small trained matrices",
                "LoRA on a base held in 4 bits",
            ),
            ("memory", "very high", "medium", "very low: the base takes a quarter"),
            ("speed", "slowest", "fast", "a little slower than LoRA"),
            ("storage", "a whole model", "an adapter of some MB", "an adapter of some MB"),
            (
                "for",
                "great resources, another model",
                "little memory, another domain, switching adapters",
                "consumer cards",
            ),
        ),
        METHOD,
        THEORY,
    ),
    Table(
        "Which method",
        ("situation", "method"),
        (
            ("a cluster, and new knowledge", "full"),
            ("A100, A10: most fine-tuning", "LoRA"),
            ("T4, L4, 3090, 4090, Colab: 7B to 70B", "QLoRA"),
        ),
        METHOD,
        THEORY,
        (
            "LoRA learns instructions as well as full fine-tuning and forgets less; for code and mathematics it stays "
            "behind (Biderman et al. 2024)."
        ),
    ),
    Table(
        "Memory by size",
        ("model", "4 bit", "8 bit", "16 bit"),
        (
            ("7B", "6-8 GB", "10-12 GB", "16-20 GB"),
            ("13B", "10-12 GB", "18-22 GB", "30-36 GB"),
            ("34B", "22-26 GB", "40-48 GB", "70 GB and more"),
            ("70B", "40-48 GB", "80 GB and more", "140 GB and more"),
        ),
        (*METHOD, "method.quantization"),
        QUICK_START,
        "Of LoRA with short rows; the estimate counts this model and these rows.",
        "parameters",
        named=about(7e9, 13e9, 34e9, 70e9),
    ),
    Table(
        "Formats of 4 bits",
        ("format", "meaning", "advice"),
        (("nf4", "levels that follow a normal distribution", "best for most"), ("fp4", "a small float", "a fallback")),
        QUANTISATION,
        QUICK_START,
    ),
    Table(
        "4 bit or not",
        ("", "4 bit", "unquantised"),
        (
            ("memory", "about 75 % less", "four times as much"),
            ("speed", "slower", "faster"),
            ("result", "less than 2 % worse", "a little better"),
            ("for", "T4 (needed), V100", "A100"),
        ),
        (*METHOD, "method.quantization"),
        QWEN,
    ),
    Table(
        "8 bit",
        ("setting", "meaning"),
        (("load_in_8bit", "the base in 8 bits, for very large models"),),
        ("method.quantization",),
        CONFIGURATION,
        "bitsandbytes int8 keeps its inputs for the backward pass, also with checkpointing: NF4 is leaner.",
    ),
    Table(
        "Five ways to need less memory",
        ("way", "setting"),
        (
            ("recompute activations", "training.checkpointing = true"),
            ("smaller batch, more accumulation", "training.batch_size, training.accumulation"),
            ("4-bit base", "method.kind = qlora"),
            ("shorter rows", "training.max_length"),
            ("fewer layers", "lora.targets"),
        ),
        SAVERS,
        QUICK_START,
    ),
    Table(
        "Out of memory: in this order",
        ("step", "change"),
        (
            ("1", "batch 1, accumulation 16"),
            ("2", "maximum length 1,024 or 512"),
            ("3", "rank 8, alpha 16"),
            ("4", "q_proj and v_proj alone"),
            ("5", "4 bit"),
        ),
        SAVERS,
        QWEN,
        "Checkpointing belongs between the first and the second: it costs time only.",
    ),
    Table(
        "Faster",
        ("change", "value"),
        (
            ("larger batch", "8 × 2"),
            ("shorter rows", "1,024"),
            ("fewer epochs", "2"),
            ("checkpointing", "on"),
        ),
        SAVERS,
        QWEN,
        "Checkpointing makes a step about a third slower; it helps only where it allows a much larger batch.",
    ),
    Table(
        "Better",
        ("change", "value"),
        (
            ("rank and alpha", "32 and 64"),
            ("layers", "all seven"),
            ("epochs", "5, watched for overfitting"),
            ("effective batch", "32"),
        ),
        ("lora.r", "lora.targets", "training.epochs", "training.accumulation"),
        QWEN,
    ),
    Table(
        "What takes memory",
        ("part", "folk rule"),
        (
            ("weights", "2 bytes a parameter"),
            ("optimizer", "8 bytes a trained parameter"),
            ("activations", "12 bytes a token and layer"),
            ("margin", "15 % kept free"),
        ),
        SAVERS,
        CALCULATOR,
        "Traced: activations take 5,700 bytes a token and layer with checkpointing and 74,000 without (Qwen3-0.6B).",
    ),
    Table(
        "Why keep some memory free",
        ("reason", "meaning"),
        (
            ("fragmentation", "allocations do not pack without gaps"),
            ("framework", "CUDA and torch need room"),
            ("passing buffers", "the backward pass needs more for a moment"),
            ("safety", "running out loses the run"),
        ),
        SAVERS,
        CALCULATOR,
        "Here these are estimated one by one, and the reserve is 3 %.",
    ),
    Table(
        "Memory by length and batch",
        ("rule", "formula"),
        (("guide", "batch × length²"),),
        ("training.max_length",),
        CONFIGURATION,
        "batch × length with a fused attention kernel; the square comes from kept attention scores (eager).",
    ),
)
