"""Tables about the adapter."""

from __future__ import annotations

import math

from loratui.core.knowledge.table import CALCULATOR, CONFIGURATION, QUICK_START, QWEN, THEORY, Table

RANK = ("lora.r",)
ALPHA = ("lora.alpha",)
DROPOUT = ("lora.dropout",)
TARGETS = ("lora.targets",)
_RANK_EVIDENCE = (
    "Rank is a bound on capacity: it must hold what the data teaches. Published sweeps gain 0.003 (8B) to 0.018 (1B) "
    "nats from rank 16 to 128."
)
_DROPOUT_EVIDENCE = (
    "The guides contradict each other. Biderman et al. 2024: LoRA already regularises more than dropout; most tools "
    "now use 0."
)

TABLES: tuple[Table, ...] = (
    Table(
        "Rank: what it costs",
        ("rank", "parameters", "expressiveness", "memory", "speed"),
        (
            ("4", "very few", "limited", "minimal", "fastest"),
            ("8", "few", "moderate", "low", "fast"),
            ("16", "moderate", "good", "medium", "medium"),
            ("32", "many", "high", "higher", "slower"),
            ("64", "very many", "very high", "high", "slowest"),
        ),
        RANK,
        CALCULATOR,
        _RANK_EVIDENCE,
        "rank",
        named=((4, 4), (8, 8), (16, 16), (32, 32), (64, 64)),
    ),
    Table(
        "Rank: when",
        ("rank", "for"),
        (
            ("4-8", "a domain close to the model's own, little data"),
            ("16", "the usual choice"),
            ("32-64", "a distant domain, much data"),
        ),
        RANK,
        CALCULATOR,
        _RANK_EVIDENCE,
        "rank",
        named=((4, 8), (16, 16), (32, 64)),
    ),
    Table(
        "Rank by use",
        ("rank", "for", "memory"),
        (
            ("4", "small changes of style", "minimal"),
            ("8", "the usual fine-tuning", "low"),
            ("16", "complex tasks", "moderate"),
            ("32", "another domain", "higher"),
            ("64 and more", "close to full fine-tuning", "significant"),
        ),
        RANK,
        QUICK_START,
        "Starts at 8 and goes up when the model underfits. " + _RANK_EVIDENCE,
        "rank",
        named=((4, 4), (8, 8), (16, 16), (32, 32), (64, math.inf)),
    ),
    Table(
        "Rank: size and use",
        ("rank", "trainable", "memory", "for"),
        (
            ("4", "0.1-0.5 M", "low", "quick experiments, simple tasks"),
            ("8", "0.5-2 M", "moderate", "general use"),
            ("16", "2-8 M", "higher", "complex tasks"),
            ("32", "8-32 M", "high", "special domains"),
        ),
        RANK,
        CONFIGURATION,
        "The sizes fit models of some 100 M parameters; Qwen3-0.6B has 10.1 M at rank 16 with all layers.",
        "rank",
        named=((4, 4), (8, 8), (16, 16), (32, 32)),
    ),
    Table(
        "Rank by task",
        ("task", "rank"),
        (
            ("classification, extraction", "4"),
            ("writing, summaries", "8"),
            ("reasoning, another domain", "16"),
            ("medicine, law, technology", "32"),
        ),
        RANK,
        CONFIGURATION,
        _RANK_EVIDENCE,
    ),
    Table(
        "Rank by difficulty",
        ("task", "rank", "better", "worse"),
        (
            ("simple", "8", "faster, leaner", "may underfit complex tasks"),
            ("medium", "16", "", ""),
            ("complex", "32", "more expressive", "slower, more memory"),
            ("very complex, large data", "64", "most expressive", "overfits small data"),
        ),
        RANK,
        QWEN,
        _RANK_EVIDENCE,
    ),
    Table(
        "Alpha",
        ("rule", "scale alpha / r", "effect"),
        (
            ("alpha = r", "1", "conservative: keeps more of the base model"),
            ("alpha = 2r", "2", "the usual choice"),
            ("alpha = 4r", "4", "aggressive: stronger updates"),
        ),
        ALPHA,
        f"{QUICK_START}; {CONFIGURATION}; {QWEN}",
        (
            "With alpha constant at 32 the best learning rate does not depend on the rank; with alpha = 2r it falls "
            "as the rank grows."
        ),
    ),
    Table(
        "Alpha: when to move it",
        ("sign", "move"),
        (
            ("the model does not adapt enough, learning is slow", "up"),
            ("it forgets what it knew, training is unstable", "down"),
        ),
        ALPHA,
        f"{CONFIGURATION}; {QWEN}",
        "The same can be had by the learning rate: effective rate = alpha / r × learning rate.",
    ),
    Table(
        "Examples of alpha",
        ("r", "alpha", "scale"),
        (("8", "16", "2"), ("16", "32", "2"), ("32", "64", "2")),
        ALPHA,
        CALCULATOR,
    ),
    Table(
        "Dropout by size of the data",
        ("rows", "dropout"),
        (
            ("below 100", "0.1-0.2"),
            ("100-1,000", "0.05-0.1"),
            ("above 1,000", "0-0.05"),
        ),
        DROPOUT,
        QUICK_START,
        _DROPOUT_EVIDENCE,
        "examples",
        (100, 1_000),
    ),
    Table(
        "Dropout by size of the data",
        ("rows", "dropout"),
        (
            ("below 5,000, or noisy", "0.2"),
            ("5,000-50,000", "0.1"),
            ("above 50,000, clean", "0.05"),
        ),
        DROPOUT,
        CONFIGURATION,
        _DROPOUT_EVIDENCE,
        "examples",
        (5_000, 50_000),
    ),
    Table(
        "Dropout by size of the data",
        ("rows", "dropout"),
        (
            ("below 100", "0-0.05"),
            ("100-1,000", "0.05-0.1"),
            ("above 1,000", "0.1-0.2"),
        ),
        DROPOUT,
        QWEN,
        "The opposite of the other two guides. " + _DROPOUT_EVIDENCE,
        "examples",
        (100, 1_000),
    ),
    Table(
        "Dropout: effect",
        ("dropout", "effect"),
        (
            ("0", "none: may overfit small data"),
            ("0.05", "light, the usual choice"),
            ("0.1", "for very small data"),
            ("0.2", "heavy: small or noisy data"),
        ),
        DROPOUT,
        f"{CALCULATOR}; {CONFIGURATION}",
        _DROPOUT_EVIDENCE,
    ),
    Table(
        "Dropout elsewhere",
        ("training", "dropout"),
        (
            ("from scratch", "0.1-0.3"),
            ("full fine-tuning", "0.1"),
            ("LoRA", "0.05"),
        ),
        DROPOUT,
        CALCULATOR,
        "Current language models are pre-trained and fully fine-tuned with dropout 0.",
    ),
    Table(
        "Layers and what they do",
        ("layer", "role"),
        (
            ("q_proj", "what the model asks for: most critical"),
            ("k_proj", "what is offered to be found"),
            ("v_proj", "what is passed on"),
            ("o_proj", "blends the heads"),
            ("gate_proj", "which features are let through"),
            ("up_proj", "widens to the MLP"),
            ("down_proj", "narrows back"),
        ),
        TARGETS,
        CALCULATOR,
        "Biderman et al. 2024 and the PEFT benchmark: the MLP matters more than attention.",
    ),
    Table(
        "Layers to adapt",
        ("layers", "parameters", "use"),
        (
            ("q, v", "about 70 % fewer", "the oldest choice; similar domains"),
            ("q, k, v, o", "43 % fewer", "small adaptation"),
            ("all seven", "all", "full adaptation"),
            ("with norms", "a little more", "hardly a gain"),
        ),
        TARGETS,
        CALCULATOR,
        "The guide counts layers, not parameters: by the shapes of known models q, v leave out 77-90 % and q, k, v, o "
        "55-80 %. "
        "At the same number of parameters attention alone still loses: all > MLP > attention.",
    ),
    Table(
        "Layers to adapt",
        ("layers", "advice"),
        (
            ("q_proj, v_proj", "the least, enough for most tasks"),
            ("k_proj", "for complex tasks"),
            ("o_proj", "more expressive"),
            ("gate, up, down", "full adaptation"),
        ),
        TARGETS,
        QUICK_START,
        "Attention-only loses even at the same number of parameters.",
    ),
    Table(
        "Layers by the model's own names",
        ("group", "names"),
        (
            ("lean", "q_proj, v_proj"),
            ("attention", "q_proj, k_proj, v_proj, o_proj"),
            ("attention and MLP", "… and fc1, fc2 (or gate, up, down)"),
        ),
        TARGETS,
        CONFIGURATION,
        (
            "Names differ by family: c_attn, query_key_value, qkv_proj, gate_up_proj; all-linear takes them from the "
            "model itself."
        ),
    ),
    Table(
        "Layers: price",
        ("layers", "trainable", "speed", "result"),
        (
            ("attention", "8-16 M", "fastest", "good"),
            ("attention and MLP", "24-48 M", "medium", "better"),
            ("with the head", "48-96 M", "slowest", "best"),
        ),
        TARGETS,
        QWEN,
        "The head is left out here: trl refuses adapters on lm_head, and it costs rank × vocabulary.",
    ),
    Table(
        "Not adapted",
        ("part", "why"),
        (
            ("norms", "few parameters"),
            ("embeddings", "serve every task alike"),
            ("head", "usually frozen"),
        ),
        TARGETS,
        CALCULATOR,
    ),
    Table(
        "Rank and alpha in a sentence",
        ("setting", "effect"),
        (
            ("lora_r", "width of the low-rank matrices: more capacity, more memory, more overfitting; 8 to 64"),
            ("lora_alpha", "scales the update by alpha / r; often r or 2r"),
        ),
        (*RANK, *ALPHA),
        THEORY,
    ),
)
