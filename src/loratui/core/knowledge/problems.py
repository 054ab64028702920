"""Tables of what goes wrong, and of generating with the result."""

from __future__ import annotations

from loratui.core.knowledge.table import CONFIGURATION, QUICK_START, QWEN, THEORY, Table

PROBLEMS: tuple[Table, ...] = (
    Table(
        "The loss does not fall",
        ("cause", "mend"),
        (
            ("learning rate too low", "raise it"),
            ("rank too low", "raise it"),
            ("bad data", "look at the rows"),
            ("wrong format", "check the chat template"),
        ),
        ("training.learning_rate", "lora.r", "model.chat_template"),
        QUICK_START,
    ),
    Table(
        "The loss explodes or is NaN",
        ("cause", "mend"),
        (
            ("learning rate too high", "lower it"),
            ("no warm-up", "add one"),
            ("number format", "try another"),
        ),
        ("training.learning_rate", "training.warmup_steps", "training.precision"),
        QUICK_START,
    ),
    Table(
        "The model writes nonsense",
        ("cause", "mend"),
        (
            ("wrong chat template", "the base model's own"),
            ("stop token", "check the tokenizer"),
            ("severe overfitting", "fewer epochs, dropout"),
        ),
        ("model.chat_template", "training.epochs", "lora.dropout"),
        QUICK_START,
    ),
    Table(
        "Out of memory",
        ("cause", "mend"),
        (
            ("batch too large", "smaller, with more accumulation"),
            ("rows too long", "shorter maximum"),
            ("too many layers", "fewer"),
        ),
        ("training.batch_size", "training.max_length", "lora.targets"),
        QUICK_START,
    ),
    Table(
        "Signs of overfitting",
        ("sign",),
        (
            ("the training loss falls on while the evaluation loss rises",),
            ("answers repeat themselves",),
            ("training rows are recited",),
        ),
        ("training.epochs", "evaluation.patience"),
        f"{QUICK_START}; {QWEN}",
    ),
    Table(
        "Against overfitting",
        ("way", "how"),
        (
            ("early stopping", "after three evaluations without a better loss"),
            ("regularisation", "weight decay, LoRA dropout"),
            ("more data", "new rows, paraphrases, noise"),
            ("less capacity", "lower rank or learning rate"),
        ),
        ("evaluation.patience", "training.weight_decay", "lora.dropout", "lora.r"),
        THEORY,
    ),
    Table(
        "Signs of underfitting",
        ("sign", "mend"),
        (
            ("the loss stays high", "more capacity (rank)"),
            ("it still falls at the end", "more epochs"),
            ("poor answers", "less regularisation"),
        ),
        ("training.epochs", "lora.r"),
        f"{QWEN}; {CONFIGURATION}",
    ),
    Table(
        "Training is unstable",
        ("step", "change"),
        (
            ("1", "learning rate 1e-4"),
            ("2", "warm-up of 200 steps"),
            ("3", "larger effective batch"),
            ("4", "look for broken rows"),
        ),
        ("training.learning_rate", "training.warmup_steps", "training.accumulation"),
        QWEN,
    ),
    Table(
        "Poor results",
        ("step", "change"),
        (
            ("1", "rank 32"),
            ("2", "5 epochs"),
            ("3", "check data and format"),
            ("4", "more varied rows"),
        ),
        ("lora.r", "training.epochs"),
        QWEN,
    ),
    Table(
        "Training is slow",
        ("step", "change"),
        (
            ("1", "larger batch"),
            ("2", "shorter rows"),
            ("3", "fewer epochs"),
            ("4", "checkpointing"),
        ),
        ("training.batch_size", "training.checkpointing"),
        QWEN,
        "The fourth makes it slower.",
    ),
    Table(
        "The training loss",
        ("sign", "meaning"),
        (
            ("falls from about 2 to 0.5", "as it should"),
            ("stands still", "raise the learning rate"),
            ("erratic", "lower it, or a larger batch"),
        ),
        ("training.learning_rate",),
        QWEN,
    ),
    Table(
        "Adjusting",
        ("setting", "decides", "up if", "down if"),
        (
            ("rank", "capacity", "underfitting", "out of memory"),
            ("epochs", "time", "the loss still falls", "overfitting"),
            ("batch", "speed, memory", "memory is left", "out of memory"),
            ("learning rate", "speed of learning", "slow", "unstable"),
            ("maximum length", "context", "rows are cut", "out of memory"),
            ("dropout", "regularisation", "overfitting", "underfitting"),
        ),
        (
            "lora.r",
            "training.epochs",
            "training.batch_size",
            "training.learning_rate",
            "training.max_length",
            "lora.dropout",
        ),
        QWEN,
    ),
    Table(
        "Working method",
        ("step", "advice"),
        (
            ("1", "start small: rank, batch, epochs"),
            ("2", "watch loss and ROUGE"),
            ("3", "change one thing at a time"),
            ("4", "keep checkpoints"),
            ("5", "watch the memory"),
        ),
        ("training.epochs", "saving.keep"),
        CONFIGURATION,
    ),
    Table(
        "Training an adapter further",
        ("step", "advice"),
        (
            ("rows", "add them to the old ones"),
            ("learning rate", "lower: 1e-4"),
            ("adapter", "name its folder"),
        ),
        ("lora.adapter", "training.learning_rate"),
        QWEN,
    ),
)

GENERATION: tuple[Table, ...] = (
    Table(
        "Generation",
        ("setting", "usual", "range", "effect"),
        (
            ("temperature", "0.7", "0.1-2.0", "low: repeatable; high: inventive"),
            ("max tokens", "2,048", "512-4,096", "longest answer"),
            ("top-p", "0.95", "0.1-1.0", "low: focused; high: varied"),
            ("top-k", "50", "1-100", "candidates for each token"),
            ("repetition penalty", "1.1", "1.0-2.0", "against repeated phrases"),
        ),
        ("generation",),
        QWEN,
    ),
    Table(
        "Temperature",
        ("temperature", "for"),
        (
            ("0.1-0.3", "fixed formats, production"),
            ("0.5-0.7", "balanced"),
            ("0.8-1.2", "more variety, may leave the trained style"),
            ("1.5-2.0", "not for structured answers"),
        ),
        ("generation",),
        QWEN,
    ),
    Table(
        "Problems when generating",
        ("problem", "mend"),
        (
            ("out of memory", "4 bit, or fewer tokens"),
            ("poor answers", "lower temperature, or more tokens"),
            ("repeats itself", "repetition penalty 1.5"),
            ("model not found", "check base and adapter paths"),
        ),
        ("generation",),
        QWEN,
    ),
    Table(
        "Faster generation",
        ("way", "why"),
        (
            ("load the model once", "loading takes longer than answering"),
            ("several inputs at once", "shares the loading"),
            ("a GPU", "far faster"),
            ("4 bit", "unless quality decides"),
            ("no more tokens than needed", "each costs time"),
        ),
        ("generation",),
        QWEN,
    ),
)
