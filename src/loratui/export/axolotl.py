"""A plan as Axolotl's YAML (keys as in axolotl/utils/schemas)."""

from __future__ import annotations

from typing import Any

from loratui.core.attention import is_flash
from loratui.core.liger import AXOLOTL_PLUGIN, AXOLOTL_SWITCHES
from loratui.core.plan import Plan
from loratui.core.schedule import scheduler_arguments
from loratui.export.arguments import attention, compiled
from loratui.export.document import Carrier, Export, Rows, common, header, yaml_text
from loratui.export.memory import Elsewhere
from loratui.export.preferences import axolotl_rows, axolotl_settings

TOOL = "Axolotl"


def to_axolotl(plan: Plan, rows: Rows, output: str, memory: Elsewhere | None = None) -> Export:
    """The plan as Axolotl's configuration."""
    carrier = Carrier(plan, TOOL)
    common(carrier, rows)
    dataset = _dataset if plan.training.objective == "sft" else _pairs
    document: dict[str, Any] = {"base_model": carrier["model.id"]}
    if carrier["model.revision"]:
        document["revision_of_model"] = plan.model.revision
    document["trust_remote_code"] = carrier["model.trust_remote_code"]
    document |= _template(carrier) | _method(carrier) | _lora(carrier)
    document |= {
        "datasets": [dataset(carrier, rows, rows.train)],
        "shuffle_merged_datasets": False,
        "val_set_size": 0.0,
    }
    if rows.held_out and carrier["evaluation.every_steps"]:
        document["test_datasets"] = [dataset(carrier, rows, rows.test) | {"split": "train"}]
    if plan.training.objective == "sft":
        document |= {"train_on_inputs": carrier["training.loss_on"] == "all"}
    else:
        carrier.without_meaning("training.loss_on")
        document |= axolotl_settings(carrier) | {"excess_length_strategy": "truncate"}
    document |= _training(carrier) | _numbers(carrier) | _keeping(carrier, rows)
    document["output_dir"] = output
    if memory is not None and memory.mend is not None and isinstance(memory.mend.value, tuple):
        document[memory.mend.key] = [*document.get(memory.mend.key, ()), *memory.mend.value]
    left_out = carrier.left_out()
    run = "axolotl train axolotl.yaml"
    return Export("axolotl", header(TOOL, run, left_out, memory) + yaml_text(document), left_out, run, ".yaml")


def _template(carrier: Carrier) -> dict[str, Any]:
    name = carrier["model.chat_template"]
    if not name:
        return {"chat_template": "tokenizer_default"}
    return {"chat_template": "chatml"} if name == "chatml" else {"chat_template": "jinja", "chat_template_jinja": name}


def _method(carrier: Carrier) -> dict[str, Any]:
    plan = carrier.plan
    quantization = carrier["method.quantization"]
    if plan.method.kind == "full":
        return {}
    if quantization == "none":
        return {"adapter": "lora"}
    if quantization == "int8":
        return {"adapter": "lora", "load_in_8bit": True}
    if carrier["method.compute_dtype"] != plan.training.precision:
        carrier.leave("method.compute_dtype", "Axolotl multiplies in the training precision.")
    return {
        "adapter": "qlora",
        "load_in_4bit": True,
        "bnb_config_kwargs": {
            "bnb_4bit_quant_type": quantization,
            "bnb_4bit_use_double_quant": carrier["method.double_quantization"],
        },
    }


def _lora(carrier: Carrier) -> dict[str, Any]:
    if carrier.plan.method.kind == "full":
        return {}
    alpha, variant, targets = carrier["lora.alpha"], carrier["lora.variant"], carrier["lora.targets"]
    if alpha != int(alpha):
        carrier.leave("lora.alpha", f"Axolotl takes whole numbers only; {round(alpha)} is written.")
    result: dict[str, Any] = {
        "lora_r": carrier["lora.r"],
        "lora_alpha": round(alpha),
        "lora_dropout": carrier["lora.dropout"],
        **({"lora_target_linear": True} if targets == "all-linear" else {"lora_target_modules": list(targets)}),
    }
    if variant != "lora":
        result["peft_use_dora" if variant == "dora" else "peft_use_rslora"] = True
    if carrier["lora.adapter"]:
        result["lora_model_dir"] = carrier.plan.lora.adapter
    return result


def _pairs(carrier: Carrier, rows: Rows, path: str) -> dict[str, Any]:
    return axolotl_rows(path, carrier.plan.training.objective)


def _dataset(carrier: Carrier, rows: Rows, path: str) -> dict[str, Any]:
    if rows.kind == "text":
        return {"path": path, "ds_type": "json", "type": "completion", "field": "text"}
    if rows.kind == "tokens":
        carrier.say(
            "rows that are tokens already: Axolotl reads them too, with input_ids, labels and attention_mask; add "
            "the mask."
        )
        return {"path": path, "ds_type": "json"}
    dataset: dict[str, Any] = {
        "path": path,
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }
    if not rows.all_answers_train:
        dataset["message_field_training"] = "train"
    return dataset


def _training(carrier: Carrier) -> dict[str, Any]:
    training: dict[str, Any] = {
        "sequence_len": carrier["training.max_length"],
        "sample_packing": carrier["training.packing"],
        "eval_sample_packing": False,
        "pad_to_sequence_len": False,
        "micro_batch_size": carrier["training.batch_size"],
        "gradient_accumulation_steps": carrier["training.accumulation"],
        "num_epochs": carrier["training.epochs"],
        **({"group_by_length": True} if carrier["training.group_by_length"] else {}),
    }
    if carrier["training.padding_free"] and not carrier.plan.training.packing:  # its packing never pads
        if is_flash(carrier.plan.model.attention):
            training["batch_flattening"] = True
        else:
            carrier.leave(
                "training.padding_free", "Axolotl concatenates rows under FlashAttention only; they are padded."
            )
    if carrier["training.max_steps"]:
        training["max_steps"] = carrier.plan.training.max_steps
    training |= {"learning_rate": carrier["training.learning_rate"], "lr_scheduler": carrier["training.scheduler"]}
    if carrier.plan.training.scheduler == "constant":
        training["lr_scheduler"] = "constant_with_warmup"
    if carrier.plan.training.scheduler == "cosine":
        training["cosine_min_lr_ratio"] = carrier["training.min_lr_ratio"]
    if carrier.plan.training.scheduler == "cosine_with_restarts":
        training["lr_scheduler_kwargs"] = scheduler_arguments(carrier.plan)[1]
    return training | {
        "warmup_steps": carrier["training.warmup_steps"],
        "optimizer": carrier["training.optimizer"],
        "weight_decay": carrier["training.weight_decay"],
        "adam_beta1": carrier["training.beta1"],
        "adam_beta2": carrier["training.beta2"],
        "adam_epsilon": carrier["training.epsilon"],
        "max_grad_norm": carrier["training.max_grad_norm"],
        "gradient_checkpointing": carrier["training.checkpointing"],
        **({"gradient_checkpointing_kwargs": {"use_reentrant": False}} if carrier.plan.training.checkpointing else {}),
        **compiled(carrier),
        **_liger(carrier),
        "seed": carrier["training.seed"],
    }


def _liger(carrier: Carrier) -> dict[str, Any]:
    """Axolotl's plugin, with its switches of what lies inside the blocks."""
    if not carrier["training.liger"]:
        return {}
    return {"plugins": [AXOLOTL_PLUGIN], **dict.fromkeys(AXOLOTL_SWITCHES, True)}


def _numbers(carrier: Carrier) -> dict[str, Any]:
    precision = carrier["training.precision"]
    if carrier["model.dtype"] != precision:
        carrier.leave("model.dtype", f"Axolotl holds the weights in the training precision ({precision}).")
    return {
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "tf32": False,
        "attn_implementation": attention(carrier),
    }


def _keeping(carrier: Carrier, rows: Rows) -> dict[str, Any]:
    saving: dict[str, Any] = {"save_total_limit": carrier["saving.keep"], "logging_steps": 1}
    if carrier["saving.every_steps"]:
        saving["save_steps"] = carrier.plan.saving.every_steps
    else:
        saving["save_strategy"] = "no"
    if carrier["evaluation.every_steps"] and rows.held_out:
        saving |= {
            "eval_steps": carrier.plan.evaluation.every_steps,
            "eval_batch_size": carrier["evaluation.batch_size"],
        }
        patience, between = carrier["evaluation.patience"], carrier.plan.saving.every_steps
        if patience and between % carrier.plan.evaluation.every_steps == 0:
            saving["early_stopping_patience"] = patience
        elif patience:
            carrier.leave(
                "evaluation.patience",
                "Axolotl stops early only where saving.every_steps is a multiple of evaluation.every_steps.",
            )
    else:
        saving["eval_strategy"] = "no"
    return saving
