"""A plan that learns preferences as a script of TRL's own trainers (TRL 1.16: DPOTrainer, KTOTrainer, and ORPOTrainer
of `trl.experimental`): TRL's command begins no run on an adapter, and knows no ORPO.
"""

from __future__ import annotations

from typing import Any

from loratui.core.plan import Plan
from loratui.export.arguments import attention, leave_patience, training_arguments
from loratui.export.document import Carrier, Export, Rows, common, header
from loratui.export.memory import Elsewhere
from loratui.export.script_text import LOAD_MODEL
from loratui.export.scripts import Code, constants, dictionary, lora_settings, quantization_of
from loratui.export.torch_code import FORMATS

TRAINERS = {"dpo": ("trl", "DPO"), "orpo": ("trl.experimental.orpo", "ORPO"), "kto": ("trl", "KTO")}
"""Where the trainer of an objective comes from, and how its class and its settings begin."""
LOAD = """
set_seed(SEED)
tokenizer = AutoTokenizer.from_pretrained(MODEL, revision=REVISION, trust_remote_code=TRUST_REMOTE_CODE)
if CHAT_TEMPLATE:
    with open(CHAT_TEMPLATE, encoding="utf-8") as file:
        tokenizer.chat_template = file.read()
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
"""
ADAPTER = """
CONTINUED = "{continued}"  # folder of an adapter that is trained further; TRL keeps a copy of it as the reference
if CONTINUED:
    model, adapter = PeftModel.from_pretrained(model, CONTINUED, is_trainable=True), None
else:
    adapter = LoraConfig({lora})
"""
TRAIN = """
arguments = {arguments}
files = {{"train": TRAIN_ROWS}} | ({{"test": TEST_ROWS}} if TEST_ROWS else {{}})
rows = load_dataset("json", data_files=files)
trainer = {name}Trainer(
    model=model,
    args={name}Config(**arguments, use_cpu=not torch.cuda.is_available()),
    train_dataset=rows["train"],
    eval_dataset=rows["test"] if TEST_ROWS else None,
    processing_class=tokenizer,{adapter}
)
trainer.train()
trainer.save_model()
"""


def to_trl_script(plan: Plan, rows: Rows, output: str, memory: Elsewhere | None = None) -> Export:
    """The plan as a script that needs trl, peft, and (for QLoRA) bitsandbytes."""
    carrier = Carrier(plan, "TRL")
    common(carrier, rows)
    leave_patience(carrier, "the script")
    module, name = TRAINERS[plan.training.objective]
    arguments = training_arguments(carrier, rows, output) | _learnt(carrier)
    arguments |= {"max_length": carrier["training.max_length"]}
    carrier.without_meaning("training.loss_on", "training.packing", "training.padding_free")
    carrier.say(
        "what the chat template writes after the stop token (a line break, mostly): TRL learns that too, as the same "
        "token of every answer."
    )
    values = _constants(carrier, rows)
    full = plan.method.kind == "full"
    adapter = "" if full else ADAPTER.format(lora=lora_settings(carrier), continued=carrier["lora.adapter"])
    run = "python train_trl.py"
    left_out = carrier.left_out()
    quantised = ["BitsAndBytesConfig"] if plan.method.quantization != "none" else []
    parts = [
        header("TRL", run, left_out, memory),
        "import torch",
        "from datasets import load_dataset",
        *([] if full else ["from peft import LoraConfig, PeftModel"]),
        f"from transformers import {', '.join(['AutoModelForCausalLM', 'AutoTokenizer', *quantised, 'set_seed'])}",
        f"from {module} import {name}Config, {name}Trainer\n",
        constants(values),
        LOAD.strip("\n"),
        LOAD_MODEL.strip("\n"),
        adapter,
        TRAIN.format(
            arguments=dictionary(arguments), name=name, adapter="" if full else "\n    peft_config=adapter,"
        ).lstrip("\n"),
    ]
    return Export("trl", "\n".join(parts), left_out, run, ".py")


def _learnt(carrier: Carrier) -> dict[str, Any]:
    """What is learnt, in the names of TRL's settings."""
    objective: str = carrier.plan.training.objective
    beta = {"beta": carrier["preference.beta"], "disable_dropout": True}
    if objective == "orpo":
        return beta
    reference = {"precompute_ref_log_probs": carrier["preference.reference"] == "precomputed"}
    if objective == "kto":
        weights = {name: carrier[f"preference.{name}"] for name in ("desirable_weight", "undesirable_weight")}
        return {"loss_type": carrier["preference.kto_loss"], **beta, **weights, **reference}
    sft = carrier["preference.sft_weight"]
    length = carrier["preference.length_weight"]
    return {
        "loss_type": [carrier["preference.loss"], *(["sft"] if sft else [])],
        **({"loss_weights": [1.0, sft]} if sft else {}),
        **beta,
        "label_smoothing": carrier["preference.label_smoothing"],
        **({"ld_alpha": length} if length < 1 else {}),
        **reference,
    }


def _constants(carrier: Carrier, rows: Rows) -> dict[str, Any]:
    plan, template = carrier.plan, carrier["model.chat_template"]
    if template and not template.endswith((".jinja", ".j2", ".jinja2")):
        carrier.leave("model.chat_template", "the script reads a .jinja file; set CHAT_TEMPLATE.")
        template = ""
    return {
        "MODEL": carrier["model.id"],
        "REVISION": carrier["model.revision"] or None,
        "TRUST_REMOTE_CODE": carrier["model.trust_remote_code"],
        "DTYPE": Code(f"torch.{FORMATS[carrier['model.dtype']]}"),
        "ATTENTION": attention(carrier),
        "QUANTIZATION": quantization_of(carrier),
        "CHAT_TEMPLATE": template,
        "TRAIN_ROWS": rows.train,
        "TEST_ROWS": rows.test if rows.held_out and plan.evaluation.every_steps else None,
        "SEED": carrier["training.seed"],
    }
