"""What other tools know of learning preferences: the form of their rows, and the names of their settings."""

from __future__ import annotations

from typing import Any

from loratui.core.plan import Plan
from loratui.export.document import Carrier, RowKind


def kind_for(objective: str, tool: str) -> RowKind:
    """The form of rows that a tool reads where it learns preferences; messages where it learns answers."""
    if objective == "sft":
        return "messages"
    if objective == "kto":
        return "judged" if tool == "trl" else "judged-messages"
    if tool == "axolotl" and objective == "orpo":
        return "whole-sides"
    return "pairs" if tool == "trl" else "sides"


def why_not(plan: Plan, tool: str) -> str:
    """Why a tool cannot learn what the plan learns; empty where it can."""
    objective: str = plan.training.objective
    if tool == "axolotl" and objective == "kto":
        return "Axolotl's KTO reads rows as finished text, without a chat template: it would learn another text."
    return ""


def llama_factory_settings(carrier: Carrier) -> dict[str, Any]:
    """What is learnt, in LLaMA-Factory's names (0.9.5: hparams/finetuning_args.py)."""
    plan = carrier.plan
    objective: str = plan.training.objective
    settings: dict[str, Any] = {
        "stage": "kto" if objective == "kto" else "dpo",
        "pref_beta": carrier["preference.beta"],
    }
    if objective == "orpo":
        return settings | {"pref_loss": "orpo"}
    settings |= _reference(carrier)
    if objective == "kto":
        if carrier["preference.kto_loss"] != "kto":
            carrier.leave("preference.kto_loss", "LLaMA-Factory has KTO's own loss alone.")
        return settings | {
            "kto_chosen_weight": carrier["preference.desirable_weight"],
            "kto_rejected_weight": carrier["preference.undesirable_weight"],
        }
    loss, length, sft = (carrier[f"preference.{name}"] for name in ("loss", "length_weight", "sft_weight"))
    if loss in ("sigmoid", "ipo"):
        settings["pref_loss"] = loss
    else:
        carrier.leave("preference.loss", "LLaMA-Factory has no such loss; sigmoid is written.")
    if carrier["preference.label_smoothing"]:
        carrier.leave("preference.label_smoothing", "LLaMA-Factory's own is cDPO's, which is no robust loss.")
    if sft:
        settings["pref_ftx"] = sft
        carrier.say(
            "the chosen answers' own loss: LLaMA-Factory takes the mean of each answer, TRL that of all tokens."
        )
    return settings | ({"ld_alpha": length} if length < 1 else {})


def _reference(carrier: Carrier) -> dict[str, Any]:
    """Of an adapter that is trained further, the reference is that adapter; LLaMA-Factory would take the base."""
    plan = carrier.plan
    if carrier["preference.reference"] == "precomputed":
        carrier.leave("preference.reference", "LLaMA-Factory computes the reference at each step.")
    if plan.method.kind == "full" or not plan.lora.adapter:
        return {}
    return {"ref_model": plan.model.id, "ref_model_adapters": plan.lora.adapter}


def axolotl_settings(carrier: Carrier) -> dict[str, Any]:
    """What is learnt, in Axolotl's names (0.19: utils/schemas/config.py, core/builders/rl.py)."""
    settings: dict[str, Any] = {"rl": carrier.plan.training.objective, "rl_beta": carrier["preference.beta"]}
    if carrier.plan.training.objective == "orpo":
        carrier.say(
            "the end of an answer: where the chat template writes something after it (a line break), Axolotl's ORPO "
            "learns that too, and one more end token."
        )
        return settings
    sft = carrier["preference.sft_weight"]
    settings |= {
        "dpo_loss_type": [carrier["preference.loss"], *(["sft"] if sft else [])],
        **({"dpo_loss_weights": [1.0, sft]} if sft else {}),
        "precompute_ref_log_probs": carrier["preference.reference"] == "precomputed",
    }
    if smoothing := carrier["preference.label_smoothing"]:
        settings["dpo_label_smoothing"] = smoothing
    if carrier["preference.length_weight"] < 1:
        carrier.leave("preference.length_weight", "Axolotl has no setting for it.")
    return settings


def axolotl_rows(path: str, objective: str) -> dict[str, Any]:
    """A dataset of pairs. Its ORPO takes both conversations whole (prompt_strategies/orpo/chat_template.py)."""
    if objective == "orpo":
        return {"path": path, "ds_type": "json", "type": "chat_template.argilla"}
    return {
        "path": path,
        "ds_type": "json",
        "type": "chat_template.default",
        "field_messages": "messages",
        "field_chosen": "chosen",
        "field_rejected": "rejected",
    }
