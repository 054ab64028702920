"""The part of a plan that is transformers' TrainingArguments, which three of the tools share."""

from __future__ import annotations

from typing import Any

from loratui.core.attention import TORCH_VARLEN
from loratui.core.schedule import scheduler_arguments
from loratui.export.document import Carrier, Rows


def training_arguments(carrier: Carrier, rows: Rows, output: str, *, compiles: bool = True) -> dict[str, Any]:
    """Names and values of TrainingArguments (transformers 5). compiles: whether the tool leaves compiling and
    kernels to them.
    """
    plan = carrier.plan
    schedule, schedule_arguments = scheduler_arguments(plan)
    carrier.without_meaning("training.scheduler", "training.min_lr_ratio")
    precision = carrier["training.precision"]
    arguments: dict[str, Any] = {
        "output_dir": output,
        "per_device_train_batch_size": carrier["training.batch_size"],
        "gradient_accumulation_steps": carrier["training.accumulation"],
        **({"train_sampling_strategy": "group_by_length"} if carrier["training.group_by_length"] else {}),
        "num_train_epochs": carrier["training.epochs"],
        "max_steps": carrier["training.max_steps"] or -1,
        "learning_rate": carrier["training.learning_rate"],
        "lr_scheduler_type": schedule,
        **({"lr_scheduler_kwargs": schedule_arguments} if schedule_arguments else {}),
        "warmup_steps": carrier["training.warmup_steps"],
        "optim": carrier["training.optimizer"],
        "weight_decay": carrier["training.weight_decay"],
        "adam_beta1": carrier["training.beta1"],
        "adam_beta2": carrier["training.beta2"],
        "adam_epsilon": carrier["training.epsilon"],
        "max_grad_norm": carrier["training.max_grad_norm"],
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "gradient_checkpointing": carrier["training.checkpointing"],
        **({"gradient_checkpointing_kwargs": {"use_reentrant": False}} if plan.training.checkpointing else {}),
        **(compiled(carrier) | liger(carrier) if compiles else {}),
        "seed": carrier["training.seed"],
        "data_seed": plan.training.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "save_strategy": "steps" if carrier["saving.every_steps"] else "no",
        **(
            {"save_steps": plan.saving.every_steps, "save_total_limit": carrier["saving.keep"]}
            if plan.saving.every_steps
            else {}
        ),
    }
    carrier.without_meaning("saving.keep")
    if rows.held_out and carrier["evaluation.every_steps"]:
        arguments |= {
            "eval_strategy": "steps",
            "eval_steps": plan.evaluation.every_steps,
            "per_device_eval_batch_size": carrier["evaluation.batch_size"],
        }
    else:
        carrier.without_meaning("evaluation.batch_size")
        arguments["eval_strategy"] = "no"
    return arguments


def compiled(carrier: Carrier) -> dict[str, Any]:
    """Compiling, in the name that transformers' trainer and those that rest on it share."""
    if not carrier["training.compile"]:
        return {}
    carrier.say("the blocks compiled one by one: transformers' trainer compiles the whole model, which begins later.")
    return {"torch_compile": True}


def liger(carrier: Carrier) -> dict[str, Any]:
    """Liger's kernels, in the names of transformers' trainer; the loss stays the tool's own."""
    if not carrier["training.liger"]:
        return {}
    carrier.say("which of Liger's kernels are used: the tool takes all that Liger has for the model, but its loss.")
    return {
        "use_liger_kernel": True,
        "liger_kernel_config": {"cross_entropy": False, "fused_linear_cross_entropy": False},
    }


def attention(carrier: Carrier) -> str:
    """The attention that another tool is told. torch_varlen is made known to transformers by this program alone."""
    asked = str(carrier["model.attention"])
    if asked != TORCH_VARLEN:
        return asked
    carrier.leave("model.attention", f"{TORCH_VARLEN} is made known to transformers by loratui; sdpa is written.")
    return "sdpa"


def without_padding(carrier: Carrier) -> bool:
    """`padding_free` for a tool that can do it: not where the attention that is written would need a mask for it."""
    asked = bool(carrier["training.padding_free"])
    if not asked or carrier.plan.model.attention != TORCH_VARLEN or carrier.plan.training.packing:
        return asked
    carrier.leave("training.padding_free", "by sdpa it costs a mask over all rows of a batch; they are padded.")
    return False


def leave_patience(carrier: Carrier, tool: str) -> None:
    """Early stopping, where a tool has no setting for it."""
    if carrier["evaluation.every_steps"] and carrier["evaluation.patience"]:
        carrier.leave("evaluation.patience", f"{tool} has no setting for early stopping.")
