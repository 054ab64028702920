"""A plan as LLaMA-Factory's YAML (keys as in llamafactory/hparams), with its dataset_info.json."""

from __future__ import annotations

import json
from typing import Any

from loratui.core.plan import Plan
from loratui.export.arguments import attention, leave_patience, training_arguments
from loratui.export.document import Carrier, Export, Rows, common, header, yaml_text
from loratui.export.memory import Elsewhere
from loratui.export.preferences import llama_factory_settings

TOOL = "LLaMA-Factory"
ATTENTION = {"sdpa": "sdpa", "eager": "disabled", "flash_attention_2": "fa2", "flash_attention_3": "fa3"}


PREFERENCE_COLUMNS = {
    "sides": {"chosen": "chosen", "rejected": "rejected"},
    "judged-messages": {"kto_tag": "label"},
}
"""Columns beside the messages."""


def to_llama_factory(plan: Plan, rows: Rows, output: str, memory: Elsewhere | None = None) -> Export:
    """The plan as LLaMA-Factory's configuration."""
    carrier = Carrier(plan, TOOL)
    common(carrier, rows)
    leave_patience(carrier, TOOL)
    sft = plan.training.objective == "sft"
    kernel = attention(carrier)
    document: dict[str, Any] = {
        "model_name_or_path": carrier["model.id"],
        **({"model_revision": plan.model.revision} if carrier["model.revision"] else {}),
        "trust_remote_code": carrier["model.trust_remote_code"],
        "flash_attn": ATTENTION.get(kernel, "auto"),
        **({"stage": "pt" if rows.kind == "text" else "sft"} if sft else llama_factory_settings(carrier)),
        "do_train": True,
    }
    document |= _method(carrier)
    document |= {"dataset_dir": rows.folder, "dataset": "train"}
    if rows.held_out and carrier["evaluation.every_steps"]:
        document["eval_dataset"] = "test"
    _template(carrier)
    if rows.kind == "tokens":
        carrier.say("rows that are tokens already: LLaMA-Factory reads text only.")
    if not rows.all_answers_train:
        carrier.say("answers marked to bear no loss: LLaMA-Factory learns from every answer of a conversation.")
    if kernel not in ATTENTION:
        carrier.leave("model.attention", "LLaMA-Factory has no such kernel; it chooses one.")
    document |= {
        "cutoff_len": carrier["training.max_length"],
        "packing": carrier["training.packing"],
        **({"neat_packing": True} if plan.training.packing else {}),
        **({"train_on_prompt": carrier["training.loss_on"] == "all"} if sft else {}),
    }
    carrier.without_meaning("training.loss_on")
    if carrier["training.padding_free"] and not plan.training.packing:
        carrier.leave("training.padding_free", "LLaMA-Factory pads; use its neat_packing instead.")
    arguments = training_arguments(carrier, rows, output)
    arguments.pop("gradient_checkpointing")
    arguments.pop("gradient_checkpointing_kwargs", None)
    arguments.pop("liger_kernel_config", None)
    if arguments.pop("use_liger_kernel", False):
        document["enable_liger_kernel"] = True
        carrier.say("a loss of its own beside Liger's kernels: LLaMA-Factory takes Liger's loss with them.")
    document |= {"disable_gradient_checkpointing": not plan.training.checkpointing, "use_reentrant_gc": False}
    if memory is not None and memory.mend is not None:
        document[memory.mend.key] = memory.mend.value
    left_out = carrier.left_out()
    run = "llamafactory-cli train llama-factory.yaml"
    return Export(
        "llama-factory",
        header(TOOL, run, left_out, memory) + yaml_text(document | arguments),
        left_out,
        run,
        ".yaml",
        files={"dataset_info.json": dataset_info(rows)},
    )


def _method(carrier: Carrier) -> dict[str, Any]:
    plan = carrier.plan
    quantization, dtype = carrier["method.quantization"], carrier["model.dtype"]
    if plan.method.kind == "full":
        if dtype == "bf16" and plan.training.precision == "bf16":
            return {"finetuning_type": "full", "pure_bf16": True}
        if dtype != "fp32":
            carrier.leave("model.dtype", "LLaMA-Factory holds trained weights in float32 (or in bf16 with pure_bf16).")
        return {"finetuning_type": "full"}
    if dtype != plan.training.precision:
        carrier.leave("model.dtype", "LLaMA-Factory holds the frozen weights in the training precision.")
    alpha, targets, variant = carrier["lora.alpha"], carrier["lora.targets"], carrier["lora.variant"]
    if alpha != int(alpha):
        carrier.leave("lora.alpha", f"LLaMA-Factory takes whole numbers only; {round(alpha)} is written.")
    result: dict[str, Any] = {
        "finetuning_type": "lora",
        "lora_rank": carrier["lora.r"],
        "lora_alpha": round(alpha),
        "lora_dropout": carrier["lora.dropout"],
        "lora_target": "all" if targets == "all-linear" else ",".join(targets),
    }
    if variant != "lora":
        result["use_dora" if variant == "dora" else "use_rslora"] = True
    if carrier["lora.adapter"]:
        result["adapter_name_or_path"] = plan.lora.adapter
    if quantization == "int8":
        result |= {"quantization_method": "bnb", "quantization_bit": 8}
    elif quantization != "none":
        result |= {
            "quantization_method": "bnb",
            "quantization_bit": 4,
            "quantization_type": quantization,
            "double_quantization": carrier["method.double_quantization"],
        }
        if carrier["method.compute_dtype"] != plan.training.precision:
            carrier.leave("method.compute_dtype", "LLaMA-Factory multiplies in the training precision.")
    return result


def _template(carrier: Carrier) -> None:
    if carrier["model.chat_template"]:
        carrier.leave(
            "model.chat_template", "LLaMA-Factory has templates of its own; set `template` to one of its names."
        )
    else:
        carrier.say(
            "the chat template: LLaMA-Factory takes the tokenizer's own where `template` is not set; compare a "
            "rendered row."
        )


def dataset_info(rows: Rows) -> str:
    """LLaMA-Factory's description of the exported rows."""
    described: dict[str, Any] = {}
    for name in ("train", "test") if rows.held_out else ("train",):
        entry: dict[str, Any] = {"file_name": f"{name}.jsonl"}
        if rows.kind == "text":
            entry["columns"] = {"prompt": "text"}
        else:
            entry |= {
                "formatting": "sharegpt",
                **({"ranking": True} if rows.kind == "sides" else {}),
                "columns": {"messages": "messages"} | PREFERENCE_COLUMNS.get(rows.kind, {}),
                "tags": {
                    "role_tag": "role",
                    "content_tag": "content",
                    "user_tag": "user",
                    "assistant_tag": "assistant",
                    "system_tag": "system",
                    "observation_tag": "tool",
                    "function_tag": "function_call",
                },
            }
        described[name] = entry
    return json.dumps(described, indent=2) + "\n"
