"""Reading another tool's settings: what was understood becomes plan values, the rest is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loratui.core.errors import PlanError
from loratui.core.plan_text import check_value
from loratui.core.presets import Preset

OPTIMIZERS = {
    "adamw_torch": "adamw_torch",
    "adamw": "adamw_torch",
    "adamw_hf": "adamw_torch",
    "adamw_torch_fused": "adamw_torch_fused",
    "adamw_bnb_8bit": "adamw_8bit",
    "adamw_8bit": "adamw_8bit",
    "paged_adamw": "paged_adamw_32bit",
    "paged_adamw_32bit": "paged_adamw_32bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
}
SILENT = frozenset(
    {
        "output_dir",
        "overwrite_output_dir",
        "logging_steps",
        "logging_dir",
        "logging_strategy",
        "logging_nan_inf_filter",
        "report_to",
        "run_name",
        "do_train",
        "do_eval",
        "plot_loss",
        "dataset_prepared_path",
        "wandb_project",
        "wandb_entity",
        "wandb_watch",
        "wandb_name",
        "wandb_log_model",
        "special_tokens",
        "tf32",
        "ddp_timeout",
        "data_seed",
        "preprocessing_num_workers",
        "dataloader_num_workers",
        "dataset_num_proc",
        "use_reentrant_gc",
        "gradient_checkpointing_kwargs",
        "save_strategy",
        "eval_strategy",
        "evaluation_strategy",
        "strict",
        "model_type",
        "tokenizer_type",
        "stage",
        "save_only_model",
        "shuffle_dataset",
        "shuffle_merged_datasets",
        "eval_sample_packing",
        "eval_packing",
        "pad_to_sequence_len",
        "dataset_train_split",
        "dataset_test_split",
        "dataset_dir",
        "use_peft",
        "xformers_attention",
        "s2_attention",
        "local_rank",
        "debug",
        "group_by_length",
        "quantization_method",
        "resume_from_checkpoint",
        "auto_resume_from_checkpoints",
        "hub_model_id",
        "push_to_hub",
    }
)
"""Keys that decide nothing of a plan, or that loratui always does its own way."""


@dataclass(frozen=True)
class Imported:
    """What was read. left_out: a sentence for each setting that did not carry over."""

    tool: str
    values: Mapping[str, Any]
    left_out: tuple[str, ...]
    warmup_ratio: float | None = None

    def preset(self, name: str) -> Preset:
        """The values as a preset, so that the calculation fills the rest and turns a warm-up ratio into steps."""
        return Preset(
            name,
            f"{name} ({self.tool})",
            f"Read from a {self.tool} configuration.",
            dict(self.values),
            warmup_ratio=self.warmup_ratio,
            notes=tuple(f"Not carried over from {self.tool}: {sentence}" for sentence in self.left_out),
        )


@dataclass
class Taker:
    """Takes keys out of a document one by one and remembers what was not taken."""

    tool: str
    document: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    warmup_ratio: float | None = None

    def get(self, *names: str) -> Any:
        """The value of the first of these keys that is there and not null; all of them count as taken."""
        self.taken.update(names)
        return next((self.document[name] for name in names if self.document.get(name) is not None), None)

    def put(self, key: str, value: Any, name: str = "") -> None:
        """Set a plan key; a value that a plan does not allow is told instead. name: the other tool's word for it."""
        try:
            self.values[key] = check_value(key, value)
        except PlanError as error:
            self.leave(f"{name or key} = {shown(value)}: {error.hint}")

    def copy(self, key: str, *names: str) -> None:
        """A plan key that another key equals, numbers written as text included."""
        value = self.get(*names)
        if value is not None:
            self.put(key, number(value), next(name for name in names if self.document.get(name) is not None))

    def flag(self, *names: str) -> bool:
        """Whether one of these keys is true."""
        return self.get(*names) in (True, "true", "True", "yes")

    def leave(self, sentence: str) -> None:
        """Tell what did not carry over."""
        self.left_out.append(sentence if sentence.endswith(".") else f"{sentence}.")

    def optimizer(self, *names: str) -> None:
        """The optimizer, by the names that these tools give it."""
        value = self.get(*names)
        if value is None:
            return
        if str(value) in OPTIMIZERS:
            self.put("training.optimizer", OPTIMIZERS[str(value)])
        else:
            self.leave(f"{names[0]} = {shown(value)}: loratui trains with AdamW")

    def schedule(self, name: str, minimum: Any = None, extra: Mapping[str, Any] | None = None) -> None:
        """The learning rate's schedule. minimum: the least share of the peak. extra: `lr_scheduler_kwargs`."""
        value = self.get(name)
        share = minimum if minimum is not None else (extra or {}).get("min_lr_rate")
        kinds = {
            "cosine": "cosine",
            "cosine_with_min_lr": "cosine",
            "linear": "linear",
            "constant": "constant",
            "constant_with_warmup": "constant",
            "cosine_with_restarts": "cosine_with_restarts",
        }
        if value is None:
            return
        if str(value) not in kinds:
            self.leave(f"{name} = {shown(value)}: loratui has cosine, linear, constant and cosine_with_restarts")
            return
        self.put("training.scheduler", kinds[str(value)])
        if kinds[str(value)] == "cosine":
            self.put("training.min_lr_ratio", number(share) if share is not None else 0.0)

    def warm_up(self) -> None:
        """Warm-up in steps, or as a share, which transformers also writes as a `warmup_steps` below 1."""
        steps, ratio = number(self.get("warmup_steps")), number(self.get("warmup_ratio"))
        if isinstance(steps, float) and 0 < steps < 1:
            steps, ratio = None, steps
        if (isinstance(steps, int | float) and steps > 0) or (steps == 0 and not ratio):
            self.put("training.warmup_steps", int(steps))
        elif isinstance(ratio, int | float):
            self.warmup_ratio = float(ratio)

    def precision(self) -> None:
        """`bf16` and `fp16`."""
        bf16, fp16 = self.get("bf16"), self.get("fp16")
        if bf16 in (True, "true", "full"):
            self.put("training.precision", "bf16")
        elif fp16 in (True, "true"):
            self.put("training.precision", "fp16")
        elif "auto" not in (bf16, fp16) and False in (bf16, fp16):
            self.put("training.precision", "fp32")

    def finish(self) -> Imported:
        """Everything taken, and a sentence for each key that was not and that says something."""
        for key, value in self.document.items():
            if key not in self.taken and key not in SILENT and value not in (None, False, "", [], {}, "none"):
                self.leave(f"{key} = {shown(value)}: loratui has no such setting")
        return Imported(self.tool, self.values, tuple(self.left_out), self.warmup_ratio)


def number(value: Any) -> Any:
    """A number that YAML read as text, such as 2e-4; anything else unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def shown(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
