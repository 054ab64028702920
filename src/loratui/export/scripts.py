"""A plan as a Python script: plain Transformers + PEFT, which runs as it is, and Unsloth."""

from __future__ import annotations

import json
import pprint
from typing import Any

from loratui.core.plan import Plan
from loratui.export.arguments import attention, training_arguments
from loratui.export.document import Carrier, Export, Rows, common, header
from loratui.export.memory import Elsewhere
from loratui.export.script_text import (
    EARLY_STOPPING,
    FULL_WEIGHTS,
    LOAD_TOKENIZER,
    PEFT_ADAPTER,
    PLAIN_MODEL,
    PLAIN_TRAINER,
    ROWS,
    UNSLOTH_MODEL,
    UNSLOTH_TRAINER,
)
from loratui.export.torch_code import FORMATS, quantization_code

SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def to_transformers(plan: Plan, rows: Rows, output: str, memory: Elsewhere | None = None) -> Export:
    """The plan as a script that needs transformers, peft, and (for QLoRA) bitsandbytes."""
    carrier = Carrier(plan, "The script")
    common(carrier, rows)
    if carrier["training.packing"]:
        carrier.leave("training.packing", "the script pads rows; more steps of fewer tokens.")
    if carrier["training.padding_free"] and not plan.training.packing:
        carrier.leave("training.padding_free", "the script pads rows.")
    arguments = training_arguments(carrier, rows, output)
    if memory is not None and memory.mend is not None:
        arguments[memory.mend.key] = memory.mend.value
        arguments.pop("liger_kernel_config", None)  # the option that mends the memory is the loss
    patience = carrier["evaluation.patience"] if rows.held_out and carrier["evaluation.every_steps"] else 0
    if patience:
        arguments |= {"metric_for_best_model": "loss", "greater_is_better": False}
    values = _values(carrier, rows) | {"QUANTIZATION": quantization_of(carrier)}
    adapter = (
        FULL_WEIGHTS
        if plan.method.kind == "full"
        else PEFT_ADAPTER.format(lora=lora_settings(carrier), continued=carrier["lora.adapter"])
    )
    run = "python train_transformers.py"
    left_out = carrier.left_out()
    parts = [
        header("plain Transformers and PEFT", run, left_out, memory),
        "import json\n",
        "import torch",
        _imports(plan, patience=bool(patience)),
        "",
        constants(values),
        LOAD_TOKENIZER,
        ROWS,
        PLAIN_MODEL,
        adapter,
        PLAIN_TRAINER.format(
            arguments=dictionary(arguments), callbacks=EARLY_STOPPING.format(patience=patience) if patience else ""
        ),
    ]
    return Export("transformers", "\n".join(parts), left_out, run, ".py")


def to_unsloth(plan: Plan, rows: Rows, output: str, memory: Elsewhere | None = None) -> Export:
    """The plan as a script for Unsloth."""
    carrier = Carrier(plan, "Unsloth")
    common(carrier, rows)
    quantization = carrier["method.quantization"]
    if quantization == "fp4":
        carrier.leave("method.quantization", "Unsloth's 4 bit is nf4.")
    if quantization in ("nf4", "fp4"):
        if not carrier["method.double_quantization"]:
            carrier.leave("method.double_quantization", "Unsloth always quantises the scales too.")
        if carrier["method.compute_dtype"] != plan.model.dtype:
            carrier.leave("method.compute_dtype", "Unsloth multiplies in the weights' format.")
    carrier.without_meaning("model.attention")
    carrier.say("the attention kernel: Unsloth brings its own.")
    if carrier["training.packing"]:
        carrier.leave("training.packing", "rows come tokenised and labelled, and are padded.")
    if carrier["training.padding_free"] and not plan.training.packing:
        carrier.leave("training.padding_free", "Unsloth decides for itself.")
    if carrier["training.compile"]:
        carrier.leave("training.compile", "Unsloth compiles what it chooses.")
    if carrier["training.liger"]:
        carrier.leave("training.liger", "Unsloth brings kernels of its own.")
    if carrier["evaluation.patience"] and plan.evaluation.every_steps:
        carrier.leave("evaluation.patience", "the script does not stop early.")
    adapter = ""
    if plan.method.kind != "full":
        adapter = _unsloth_adapter(carrier)
    arguments = training_arguments(carrier, rows, output, compiles=False)
    arguments.pop("gradient_checkpointing")
    arguments.pop("gradient_checkpointing_kwargs", None)
    values = _values(carrier, rows) | {
        "LOAD_IN_4BIT": quantization in ("nf4", "fp4"),
        "LOAD_IN_8BIT": quantization == "int8",
        "FULL": plan.method.kind == "full",
    }
    run = "python train_unsloth.py"
    left_out = carrier.left_out()
    parts = [
        header("Unsloth", run, left_out, memory),
        "from unsloth import FastLanguageModel  # before transformers: it changes it\n",
        "import json\n",
        "import torch",
        "from transformers import DataCollatorForSeq2Seq",
        "from trl import SFTConfig, SFTTrainer\n",
        constants(values),
        UNSLOTH_MODEL,
        ROWS,
        adapter,
        UNSLOTH_TRAINER.format(arguments=dictionary(arguments)),
    ]
    return Export("unsloth", "\n".join(parts), left_out, run, ".py")


def _imports(plan: Plan, *, patience: bool) -> str:
    names = [
        "AutoModelForCausalLM",
        "AutoTokenizer",
        "DataCollatorForSeq2Seq",
        "Trainer",
        "TrainingArguments",
        "set_seed",
    ]
    names += ["BitsAndBytesConfig"] if plan.method.quantization != "none" else []
    names += ["EarlyStoppingCallback"] if patience else []
    peft = [] if plan.method.kind == "full" else ["from peft import LoraConfig, PeftModel, get_peft_model"]
    ordered = [*sorted(name for name in names if name != "set_seed"), "set_seed"]
    return "\n".join([*peft, f"from transformers import {', '.join(ordered)}"])


def _values(carrier: Carrier, rows: Rows) -> dict[str, Any]:
    plan = carrier.plan
    return {
        "MODEL": carrier["model.id"],
        "REVISION": carrier["model.revision"] or None,
        "TRUST_REMOTE_CODE": carrier["model.trust_remote_code"],
        "DTYPE": Code(f"torch.{FORMATS[carrier['model.dtype']]}"),
        "ATTENTION": attention(carrier),
        "CHAT_TEMPLATE": carrier["model.chat_template"],
        "TRAIN_ROWS": rows.train,
        "TEST_ROWS": rows.test if rows.held_out and plan.evaluation.every_steps else None,
        "MAX_LENGTH": carrier["training.max_length"],
        "LOSS_ON": carrier["training.loss_on"],
        "SEED": carrier["training.seed"],
    }


def quantization_of(carrier: Carrier) -> Code:
    """The quantisation of the base, as Python."""
    kind = carrier["method.quantization"]
    if kind in ("none", "int8"):
        return Code(quantization_code(kind, double=False, compute_dtype="bf16"))
    return Code(
        quantization_code(
            kind, double=carrier["method.double_quantization"], compute_dtype=carrier["method.compute_dtype"]
        )
    )


def lora_settings(carrier: Carrier) -> str:
    """The arguments of peft's LoraConfig, as Python."""
    alpha, variant = carrier["lora.alpha"], carrier["lora.variant"]
    settings = {
        "task_type": "CAUSAL_LM",
        "r": carrier["lora.r"],
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "lora_dropout": carrier["lora.dropout"],
        "target_modules": carrier["lora.targets"],
        "use_rslora": variant == "rslora",
        "use_dora": variant == "dora",
        "bias": "none",
    }
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def _unsloth_adapter(carrier: Carrier) -> str:
    targets, variant = carrier["lora.targets"], carrier["lora.variant"]
    if carrier["lora.adapter"]:
        carrier.leave("lora.adapter", "load the adapter's folder as MODEL instead, and leave get_peft_model out.")
    if variant == "dora":
        carrier.leave("lora.variant", "Unsloth's fast path has no DoRA; plain LoRA is written.")
    settings = {
        "r": carrier["lora.r"],
        "lora_alpha": carrier["lora.alpha"],
        "lora_dropout": carrier["lora.dropout"],
        "target_modules": list(SEVEN) if targets == "all-linear" else list(targets),
        "bias": "none",
        "use_gradient_checkpointing": carrier["training.checkpointing"],
        "random_state": carrier["training.seed"],
        "use_rslora": variant == "rslora",
    }
    inner = ",\n".join(f"    {name}={value!r}" for name, value in settings.items())
    return f"model = FastLanguageModel.get_peft_model(\n    model,\n{inner},\n)\n"


class Code(str):
    """A piece of Python, to be written as it stands."""

    __slots__ = ()


def constants(values: dict[str, Any]) -> str:
    """A line `NAME = value` for each."""
    return (
        "\n".join(f"{name} = {value if isinstance(value, Code) else _literal(value)}" for name, value in values.items())
        + "\n"
    )


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def dictionary(values: dict[str, Any]) -> str:
    """A dictionary, as Python."""
    return pprint.pformat(values, sort_dicts=False, width=110)
