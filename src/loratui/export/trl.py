"""A plan as the YAML of TRL's own command, `trl sft --config` (TRL 1.16: SFTConfig, ModelConfig, ScriptArguments)."""

from __future__ import annotations

from typing import Any

from loratui.core.plan import Plan
from loratui.export.arguments import attention, leave_patience, training_arguments, without_padding
from loratui.export.document import Carrier, Export, Rows, common, header, yaml_text
from loratui.export.memory import Elsewhere
from loratui.export.torch_code import FORMATS

TOOL = "TRL"


def to_trl(plan: Plan, rows: Rows, output: str, memory: Elsewhere | None = None) -> Export:
    """The plan as a configuration of `trl sft`."""
    carrier = Carrier(plan, TOOL)
    common(carrier, rows)
    leave_patience(carrier, TOOL)
    document: dict[str, Any] = {
        "model_name_or_path": carrier["model.id"],
        **({"model_revision": plan.model.revision} if carrier["model.revision"] else {}),
        "trust_remote_code": carrier["model.trust_remote_code"],
        "dtype": FORMATS[carrier["model.dtype"]],
        "attn_implementation": attention(carrier),
        "dataset_name": rows.folder,
        "dataset_train_split": "train",
        "dataset_test_split": "test",
    }
    document |= _method(carrier)
    document |= {
        "max_length": carrier["training.max_length"],
        "packing": carrier["training.packing"],
        "padding_free": without_padding(carrier),
        "eval_packing": False,
        "shuffle_dataset": False,
    }
    document |= _loss(carrier, rows)
    if carrier["model.chat_template"]:
        if plan.model.chat_template.endswith((".jinja", ".j2", ".jinja2")):
            document["chat_template_path"] = plan.model.chat_template
        else:
            carrier.leave("model.chat_template", "TRL takes a .jinja file; set chat_template_path.")
    if rows.kind == "tokens":
        carrier.say("labels of rows that are tokens already: TRL reads input_ids and completion_mask.")
    document |= training_arguments(carrier, rows, output)
    left_out = carrier.left_out()
    run = "trl sft --config trl.yaml"
    return Export("trl", header(TOOL, run, left_out, memory) + yaml_text(document), left_out, run, ".yaml")


def _method(carrier: Carrier) -> dict[str, Any]:
    plan = carrier.plan
    quantization = carrier["method.quantization"]
    if plan.method.kind == "full":
        return {"use_peft": False}
    targets, variant = carrier["lora.targets"], carrier["lora.variant"]
    alpha = carrier["lora.alpha"]
    if alpha != int(alpha):
        carrier.leave("lora.alpha", f"TRL's command takes whole numbers only; {round(alpha)} is written.")
    if carrier["lora.adapter"]:
        carrier.leave("lora.adapter", "TRL's command begins a new adapter.")
    result: dict[str, Any] = {
        "use_peft": True,
        "lora_r": carrier["lora.r"],
        "lora_alpha": round(alpha),
        "lora_dropout": carrier["lora.dropout"],
        "lora_target_modules": ["all-linear"] if targets == "all-linear" else list(targets),
        "use_rslora": variant == "rslora",
        "use_dora": variant == "dora",
    }
    if quantization == "int8":
        result["load_in_8bit"] = True
    elif quantization != "none":
        result |= {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": quantization,
            "use_bnb_nested_quant": carrier["method.double_quantization"],
        }
        if carrier["method.compute_dtype"] != plan.model.dtype:
            carrier.leave(
                "method.compute_dtype", f"TRL's command multiplies in the weights' format ({plan.model.dtype})."
            )
    return result


def _loss(carrier: Carrier, rows: Rows) -> dict[str, Any]:
    """On what tokens loss is borne."""
    if carrier["training.loss_on"] == "all":
        return {"completion_only_loss": False, "assistant_only_loss": False}
    if rows.kind == "prompt-completion":
        carrier.say(
            "what the chat template writes after the stop token (a line break, mostly): TRL learns that too, and "
            "its loss reads a little lower."
        )
        return {"completion_only_loss": True, "assistant_only_loss": False}
    if rows.kind != "messages":
        return {"assistant_only_loss": False}
    carrier.say(
        "answers: TRL finds them by its chat template's generation marks, which it has for the known families only; "
        "where it says that it cannot, use the transformers script."
    )
    if not rows.all_answers_train:
        carrier.say("answers marked to bear no loss: TRL learns from every answer of a conversation.")
    return {"assistant_only_loss": True}
