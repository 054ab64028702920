"""Tables about the run: batch, epochs, length, optimizer, numbers."""

from __future__ import annotations

from loratui.core.knowledge.table import CALCULATOR, CONFIGURATION, QUICK_START, QWEN, THEORY, Table, about

BATCH = ("training.batch_size",)
PASSES = ("training.accumulation",)
EPOCHS = ("training.epochs",)
LENGTH = ("training.max_length",)
DECAY = ("training.weight_decay",)
PRECISION = ("training.precision", "model.dtype", "method.compute_dtype")
_EPOCHS_EVIDENCE = (
    "Recipes by size of the data: 15 and 5 for 1,000 rows (LIMA, s1), 3 for 10,000 to 50,000 (QLoRA, Alpaca), 1 to 2 "
    "for hundreds of thousands (Zephyr, Tulu 3). The evaluation loss decides."
)
_BATCH_EVIDENCE = (
    "LoRA bears large batches less than full fine-tuning, and small batches are stable: below 32 for small data, at "
    "least 100 steps."
)
_LENGTH_EVIDENCE = "With a fused attention kernel memory grows in proportion to the length, not with its square."

TABLES: tuple[Table, ...] = (
    Table(
        "Effective batch by size of the data",
        ("rows", "effective batch"),
        (
            ("below 500", "8-16"),
            ("500-5,000", "16-32"),
            ("above 5,000", "32-64"),
        ),
        (*BATCH, *PASSES),
        QUICK_START,
        _BATCH_EVIDENCE,
        "examples",
        (500, 5_000),
    ),
    Table(
        "Batch against accumulation",
        ("batch", "accumulation", "memory", "speed"),
        (
            ("1", "16", "lowest", "slowest"),
            ("2", "8", "low", "slow"),
            ("4", "4", "medium", "medium"),
            ("8", "2", "higher", "fast"),
        ),
        (*BATCH, *PASSES),
        QUICK_START,
        "All four give the same steps; on a busy GPU they are about as fast.",
    ),
    Table(
        "Largest batch by memory",
        ("memory", "model", "batch"),
        (
            ("8 GB", "below 0.5B", "2-4"),
            ("12 GB", "small to medium", "4-8"),
            ("16 GB", "1-3B", "4-8"),
            ("24 GB", "7B", "8-16"),
        ),
        BATCH,
        CONFIGURATION,
        "Depends on the length above all: the estimate answers it for this model and these rows.",
        "memory_bytes",
        named=about(8e9, 12e9, 16e9, 24e9, below=0.95, above=1.1),
    ),
    Table(
        "Batch on a T4 (Qwen 1.8B, 4 bit)",
        ("batch", "memory"),
        (("1", "6 GB"), ("2", "8 GB"), ("4", "12 GB"), ("8", "out of memory")),
        BATCH,
        QWEN,
    ),
    Table(
        "Batch: which way",
        ("batch", "better", "worse"),
        (
            ("1-2", "little memory, more updates", "slower, noisier"),
            ("8-16", "faster, steadier", "more memory, perhaps another rate"),
        ),
        BATCH,
        f"{QWEN}; {CALCULATOR}; {THEORY}",
        "Like the number of opinions one hears before changing one's mind.",
    ),
    Table(
        "Batch by card",
        ("card", "batch"),
        (("T4", "2-4"), ("V100, A100", "8-16"), ("little memory", "1, and accumulate")),
        (*BATCH, *PASSES),
        QWEN,
    ),
    Table(
        "Effective batch",
        ("guide", "rows a step"),
        (("calculator", "8"), ("Qwen guide", "16-32"), ("quick start", "8-64 by data")),
        PASSES,
        f"{CALCULATOR}; {QWEN}; {QUICK_START}",
        _BATCH_EVIDENCE,
    ),
    Table(
        "Epochs by size of the data",
        ("rows", "epochs", "why"),
        (
            ("below 500", "3-5", "several passes are needed"),
            ("500-5,000", "2-3", "between coverage and overfitting"),
            ("above 5,000", "1-2", "one pass often suffices"),
        ),
        EPOCHS,
        QUICK_START,
        _EPOCHS_EVIDENCE,
        "examples",
        (500, 5_000),
    ),
    Table(
        "Epochs by size of the data",
        ("rows", "epochs"),
        (
            ("below 1,000", "5-10"),
            ("1,000-5,000", "3-7"),
            ("5,000-50,000", "3-5"),
            ("above 50,000", "1-3"),
        ),
        EPOCHS,
        CONFIGURATION,
        _EPOCHS_EVIDENCE,
        "examples",
        (1_000, 5_000, 50_000),
    ),
    Table(
        "Epochs",
        ("epochs", "effect"),
        (
            ("1-2", "quick; may underfit; for large data"),
            ("3-5", "balanced"),
            ("5 and more", "risk of overfitting; for large, varied data"),
        ),
        EPOCHS,
        QWEN,
        _EPOCHS_EVIDENCE,
    ),
    Table(
        "Epochs and why 3",
        ("reason", "meaning"),
        (
            ("transfer", "the model knows the language already"),
            ("overfitting", "more passes memorise"),
            ("forgetting", "too many overwrite what it knew"),
            ("experience", "2-4 are best for most"),
        ),
        EPOCHS,
        f"{CALCULATOR}; {THEORY}",
        _EPOCHS_EVIDENCE,
    ),
    Table(
        "Length by kind of text",
        ("text", "tokens"),
        (
            ("tweets, titles, questions", "128"),
            ("paragraphs, summaries", "512"),
            ("articles", "1,024"),
            ("papers", "2,048"),
        ),
        LENGTH,
        CONFIGURATION,
        "Here it is read from the data itself.",
    ),
    Table(
        "Memory by length (T4, 4 bit)",
        ("tokens", "memory"),
        (("512", "4 GB"), ("1,024", "8 GB"), ("2,048", "12 GB"), ("4,096", "20 GB and more")),
        LENGTH,
        QWEN,
        _LENGTH_EVIDENCE,
    ),
    Table(
        "Length: which way",
        ("length", "better", "worse"),
        (
            ("512-1,024", "less memory", "may cut long rows"),
            ("2,048-4,096", "longer context", "more memory, slower"),
        ),
        LENGTH,
        f"{QWEN}; {CONFIGURATION}",
        "Cover 90-95 % of the rows. " + _LENGTH_EVIDENCE,
    ),
    Table(
        "AdamW or Adam",
        ("optimizer", "decay"),
        (("Adam", "added to the gradient, and so scaled away"), ("AdamW", "taken from the weight itself")),
        ("training.optimizer", *DECAY),
        CALCULATOR,
    ),
    Table(
        "Beta 1",
        ("value", "effect"),
        (("below 0.8", "noisy"), ("0.9", "about ten steps"), ("above 0.95", "slow to turn")),
        ("training.beta1",),
        CALCULATOR,
    ),
    Table(
        "Beta 2",
        ("value", "for"),
        (
            ("0.999", "sparse gradients, transformers: about a thousand steps"),
            ("0.99", "dense gradients, faster adaptation"),
        ),
        ("training.beta2",),
        CALCULATOR,
        "Keep its half-life in tokens: 0.95 at batch 512 is 0.9992 at batch 8.",
    ),
    Table(
        "Epsilon",
        ("value", "effect"),
        (("1e-12", "unstable in float16"), ("1e-8", "the usual value"), ("1e-4", "acts as a lower rate")),
        ("training.epsilon",),
        CALCULATOR,
    ),
    Table(
        "Gradient clip",
        ("training", "norm"),
        (("pre-training, fine-tuning", "1.0"), ("vision", "5-10"), ("below 0.5", "slow")),
        ("training.max_grad_norm",),
        CALCULATOR,
        "QLoRA 0.3, SmolLM3 0.2, torchtune none.",
    ),
    Table(
        "Number formats",
        ("format", "bits", "exponent", "mantissa", "largest", "digits"),
        (
            ("fp32", "32", "8", "23", "3.4e38", "about 7"),
            ("fp16", "16", "5", "10", "65,504", "about 3"),
            ("bf16", "16", "8", "7", "3.4e38", "about 2"),
        ),
        PRECISION,
        CALCULATOR,
    ),
    Table(
        "Formats: for and against",
        ("format", "for", "against"),
        (
            (
                "fp16",
                "on every card since the V100, 2-3 times as fast as fp32",
                "overflows above 65,504, loses gradients below 6e-5, needs loss scaling",
            ),
            ("bf16", "fp32's range, no loss scaling", "fewer digits; needs compute capability 8.0 (A100 and later)"),
        ),
        PRECISION,
        f"{CALCULATOR}; {CONFIGURATION}",
    ),
    Table(
        "Mixed precision",
        ("part", "format"),
        (("weights, activations, gradients", "16 bit"), ("optimizer states, master weights", "32 bit")),
        PRECISION,
        CALCULATOR,
        "Adapters of PEFT stay in 32 bit on a 16-bit base.",
    ),
    Table(
        "Speed and memory on a T4",
        ("format", "memory", "speed"),
        (("fp32", "100 %", "1"), ("fp16", "50 %", "2-3"), ("bf16", "not supported", "")),
        PRECISION,
        CALCULATOR,
    ),
    Table(
        "Early stopping",
        ("setting", "value"),
        (("patience", "3 evaluations without a better loss"),),
        ("evaluation.patience",),
        f"{QUICK_START}; {THEORY}",
    ),
    Table(
        "Keeping the best",
        ("advice", "why"),
        (
            ("keep the best checkpoints", "the last one is not always the best"),
            ("ROUGE beside the loss", "what counts is the text"),
        ),
        ("saving.keep", "evaluation.every_steps"),
        CONFIGURATION,
    ),
)
