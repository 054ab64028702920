"""Configurations of Axolotl, LLaMA-Factory and TRL (or transformers' TrainingArguments) as plan values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loratui.core.imports.reader import Imported, Taker, number, shown
from loratui.core.liger import AXOLOTL_PLUGIN, AXOLOTL_SWITCHES

AXOLOTL, LLAMA_FACTORY, TRL = "Axolotl", "LLaMA-Factory", "TRL"
_ATTENTION_KEYS = (
    ("flash_attention", "flash_attention_2"),
    ("sdp_attention", "sdpa"),
    ("eager_attention", "eager"),
    ("flex_attention", "flex_attention"),
)
_ALIKE = (
    ("training.accumulation", "gradient_accumulation_steps"),
    ("training.learning_rate", "learning_rate"),
    ("training.weight_decay", "weight_decay"),
    ("training.beta1", "adam_beta1"),
    ("training.beta2", "adam_beta2"),
    ("training.epsilon", "adam_epsilon"),
    ("training.max_grad_norm", "max_grad_norm"),
    ("training.seed", "seed"),
    ("saving.every_steps", "save_steps"),
    ("saving.keep", "save_total_limit"),
    ("evaluation.every_steps", "eval_steps"),
)
"""Keys that transformers' TrainingArguments and Axolotl name alike."""
_FACTORY_ATTENTION = {"sdpa": "sdpa", "disabled": "eager", "fa2": "flash_attention_2", "fa3": "flash_attention_3"}
_DTYPES = {"bfloat16": "bf16", "bf16": "bf16", "float16": "fp16", "fp16": "fp16", "float32": "fp32", "fp32": "fp32"}
_FORMATS = {"alpaca": "instruction", "chat_template": "messages", "completion": "text", "sharegpt": "messages"}


def import_axolotl(document: Mapping[str, Any]) -> Imported:
    """An Axolotl configuration. Unset keys are left to the calculation, except what Axolotl fixes by another key."""
    taker = Taker(AXOLOTL, document)
    taker.copy("model.id", "base_model")
    taker.copy("model.revision", "revision_of_model")
    taker.copy("model.trust_remote_code", "trust_remote_code")
    _axolotl_method(taker)
    _axolotl_data(taker)
    for key, name in (
        ("training.max_length", "sequence_len"),
        ("training.packing", "sample_packing"),
        ("training.batch_size", "micro_batch_size"),
        ("training.epochs", "num_epochs"),
        *_ALIKE,
        ("evaluation.batch_size", "eval_batch_size"),
        ("evaluation.patience", "early_stopping_patience"),
        ("training.padding_free", "batch_flattening"),
        ("training.group_by_length", "group_by_length"),
    ):
        taker.copy(key, name)
    _when(taker)
    _steps(taker)
    taker.schedule("lr_scheduler", taker.get("cosine_min_lr_ratio"), taker.get("lr_scheduler_kwargs"))
    taker.warm_up()
    taker.optimizer("optimizer")
    taker.precision()
    taker.put("training.checkpointing", bool(taker.get("gradient_checkpointing")))
    if taker.flag("torch_compile"):  # or "auto", which is left to the calculation
        taker.put("training.compile", True)
    if [taker.flag(name) for name in AXOLOTL_SWITCHES].count(True):
        _liger(taker)
        if document.get("plugins") == [AXOLOTL_PLUGIN]:
            taker.get("plugins")
    taker.put("training.loss_on", "all" if taker.flag("train_on_inputs") else "answers")
    for name, kernel in _ATTENTION_KEYS:
        if taker.flag(name):
            taker.put("model.attention", kernel)
    return taker.finish()


def _liger(taker: Taker) -> None:
    """Liger's kernels, unless the blocks are compiled, which does the same work."""
    if taker.values.get("training.compile"):
        taker.leave("Liger's kernels: loratui compiles the blocks instead, which fuses the same operations")
    else:
        taker.put("training.liger", True)


def _axolotl_method(taker: Taker) -> None:
    adapter, four, eight = taker.get("adapter"), taker.flag("load_in_4bit"), taker.flag("load_in_8bit")
    settings = taker.get("bnb_config_kwargs") or {}
    if adapter in (None, ""):
        taker.put("method.kind", "full")
        return
    if adapter not in ("lora", "qlora"):
        taker.leave(f"adapter = {shown(adapter)}: loratui trains lora and qlora")
    if four or adapter == "qlora":
        _four_bit(taker, settings.get("bnb_4bit_quant_type", "nf4"), settings.get("bnb_4bit_use_double_quant", True))
    elif eight:
        taker.put("method.kind", "qlora")
        taker.put("method.quantization", "int8")
    else:
        taker.put("method.kind", "lora")
    _lora(taker, "lora_r", "lora_alpha", "lora_dropout", "peft_use_dora", "peft_use_rslora")
    linear, names = taker.flag("lora_target_linear"), taker.get("lora_target_modules")
    if linear or names:
        taker.put("lora.targets", "all-linear" if linear else names, "lora_target_modules")
    taker.copy("lora.adapter", "lora_model_dir")


def _axolotl_data(taker: Taker) -> None:
    sets, held = taker.get("datasets") or [], number(taker.get("val_set_size"))
    tests = taker.get("test_datasets") or []
    if isinstance(sets, list) and sets and isinstance(sets[0], Mapping):
        first = sets[0]
        taker.put("dataset.path", str(first.get("path") or "demo"), "datasets")
        if first.get("split"):
            taker.put("dataset.split", str(first["split"]), "datasets.split")
        kind = str(first.get("type") or "")
        if kind in _FORMATS:
            taker.put("dataset.format", _FORMATS[kind])
        elif kind:
            taker.leave(
                f"datasets.type = {shown(kind)}: loratui recognises the format itself; check it on the dataset screen"
            )
        if len(sets) > 1:
            taker.leave(f"{len(sets) - 1} more of the datasets: loratui trains on one; join the files")
    if isinstance(tests, list) and tests and isinstance(tests[0], Mapping) and tests[0].get("path"):
        taker.put("dataset.eval_path", str(tests[0]["path"]), "test_datasets")
    _held_out(taker, held, "val_set_size")


def import_llama_factory(document: Mapping[str, Any]) -> Imported:
    """A LLaMA-Factory configuration."""
    taker = Taker(LLAMA_FACTORY, document)
    stage = document.get("stage")
    if stage not in (None, "sft", "pt"):
        taker.leave(f"stage = {shown(stage)}: loratui fine-tunes on answers only")
    taker.copy("model.id", "model_name_or_path")
    taker.copy("model.revision", "model_revision")
    taker.copy("model.trust_remote_code", "trust_remote_code")
    kernel = taker.get("flash_attn")
    if kernel in _FACTORY_ATTENTION:
        taker.put("model.attention", _FACTORY_ATTENTION[str(kernel)])
    elif kernel not in (None, "auto"):
        taker.leave(f"flash_attn = {shown(kernel)}: loratui has no such kernel")
    _factory_method(taker)
    data = taker.get("dataset")
    if data:
        taker.leave(f"dataset = {shown(data)}: LLaMA-Factory's names of datasets mean nothing here; give the file")
    if taker.get("eval_dataset"):
        taker.leave("eval_dataset: give the file as dataset.eval_path")
    _held_out(taker, number(taker.get("val_size")), "val_size")
    if taker.get("template"):
        taker.leave(
            f"template = {shown(document['template'])}: loratui takes the model's own chat template; compare a "
            "rendered row"
        )
    taker.copy("training.max_length", "cutoff_len")
    taker.copy("training.packing", "packing")
    taker.get("neat_packing")
    taker.put("training.loss_on", "all" if taker.flag("train_on_prompt") or stage == "pt" else "answers")
    _arguments(taker)
    taker.get("gradient_checkpointing")
    taker.put("training.checkpointing", not taker.flag("disable_gradient_checkpointing"))
    return taker.finish()


def _factory_method(taker: Taker) -> None:
    kind, bits = str(taker.get("finetuning_type") or "lora"), number(taker.get("quantization_bit"))
    quantisation, double = taker.get("quantization_type") or "nf4", taker.get("double_quantization")
    pure = taker.flag("pure_bf16")
    if kind == "full":
        taker.put("method.kind", "full")
        taker.put("model.dtype", "bf16" if pure else "fp32")
        return
    if kind != "lora":
        taker.leave(f"finetuning_type = {shown(kind)}: loratui trains lora, qlora and full")
    if bits == 4:
        _four_bit(taker, quantisation, True if double is None else double)
    elif bits == 8:
        taker.put("method.kind", "qlora")
        taker.put("method.quantization", "int8")
    elif bits is not None:
        taker.leave(f"quantization_bit = {shown(bits)}: bitsandbytes has 4 and 8")
    else:
        taker.put("method.kind", "lora")
    _lora(taker, "lora_rank", "lora_alpha", "lora_dropout", "use_dora", "use_rslora")
    if "lora.r" not in taker.values:
        taker.put("lora.r", 8)
    if "lora.alpha" not in taker.values:
        taker.put("lora.alpha", 2 * taker.values["lora.r"])
    target = taker.get("lora_target")
    if target is not None:
        names = [name.strip() for name in target.split(",")] if isinstance(target, str) else list(target)
        taker.put("lora.targets", "all-linear" if names == ["all"] else names, "lora_target")
    taker.copy("lora.adapter", "adapter_name_or_path")


def import_trl(document: Mapping[str, Any]) -> Imported:
    """A configuration of `trl sft`, or a YAML of TrainingArguments."""
    taker = Taker(TRL, document)
    taker.copy("model.id", "model_name_or_path", "model_name")
    taker.copy("model.revision", "model_revision")
    taker.copy("model.trust_remote_code", "trust_remote_code")
    taker.copy("model.attention", "attn_implementation")
    dtype = taker.get("dtype", "torch_dtype")
    if dtype in _DTYPES:
        taker.put("model.dtype", _DTYPES[str(dtype)])
    elif dtype not in (None, "auto"):
        taker.leave(f"dtype = {shown(dtype)}: loratui holds weights in bf16, fp16 or fp32")
    _trl_method(taker)
    taker.copy("dataset.path", "dataset_name")
    taker.copy("dataset.configuration", "dataset_config")
    taker.copy("model.chat_template", "chat_template_path")
    taker.copy("training.max_length", "max_length", "max_seq_length")
    taker.copy("training.packing", "packing")
    taker.copy("training.padding_free", "padding_free")
    completion, assistant = taker.get("completion_only_loss"), taker.get("assistant_only_loss")
    if completion or assistant:
        taker.put("training.loss_on", "answers")
    elif completion is False and not assistant:
        taker.put("training.loss_on", "all")
    _arguments(taker)
    return taker.finish()


def _trl_method(taker: Taker) -> None:
    document = taker.document
    peft = document.get("use_peft")
    four, eight = taker.flag("load_in_4bit"), taker.flag("load_in_8bit")
    quantisation, double = taker.get("bnb_4bit_quant_type") or "nf4", taker.flag("use_bnb_nested_quant")
    if not peft and not four and not eight and (peft is False or "lora_r" not in document):
        if peft is False:
            taker.put("method.kind", "full")
        taker.taken.update(key for key in document if key.startswith("lora_"))
        return
    if four:
        _four_bit(taker, quantisation, double)
    elif eight:
        taker.put("method.kind", "qlora")
        taker.put("method.quantization", "int8")
    else:
        taker.put("method.kind", "lora")
    _lora(taker, "lora_r", "lora_alpha", "lora_dropout", "use_dora", "use_rslora")
    names = taker.get("lora_target_modules")
    if names:
        listed = [names] if isinstance(names, str) else list(names)
        taker.put("lora.targets", "all-linear" if listed == ["all-linear"] else listed, "lora_target_modules")


def _four_bit(taker: Taker, kind: Any, double: Any) -> None:
    taker.put("method.kind", "qlora")
    taker.put("method.quantization", kind, "bnb_4bit_quant_type")
    taker.put("method.double_quantization", double)


def _lora(taker: Taker, rank: str, alpha: str, dropout: str, dora: str, stabilised: str) -> None:
    taker.copy("lora.r", rank)
    taker.copy("lora.alpha", alpha)
    taker.copy("lora.dropout", dropout)
    variant = "dora" if taker.flag(dora) else "rslora" if taker.flag(stabilised) else "lora"
    taker.flag(stabilised)
    taker.put("lora.variant", variant)


def _held_out(taker: Taker, share: Any, name: str) -> None:
    if isinstance(share, int | float) and not isinstance(share, bool):
        if 0 <= share <= 0.5:
            taker.put("dataset.eval_fraction", float(share), name)
        else:
            taker.leave(f"{name} = {shown(share)}: loratui holds out a share of at most a half, or a file")


def _when(taker: Taker) -> None:
    """Evaluations and checkpoints that are switched off; "epoch" is left to the calculation, which looks about as
    often.
    """
    for key, *names in (
        ("evaluation.every_steps", "eval_strategy", "evaluation_strategy"),
        ("saving.every_steps", "save_strategy"),
    ):
        if taker.get(*names) in ("no", False):
            taker.put(key, 0)


def _steps(taker: Taker) -> None:
    steps = number(taker.get("max_steps"))
    if isinstance(steps, int | float) and steps > 0:
        taker.put("training.max_steps", int(steps))


def _arguments(taker: Taker) -> None:
    """The keys of transformers' TrainingArguments."""
    for key, *names in (
        ("training.batch_size", "per_device_train_batch_size"),
        ("training.epochs", "num_train_epochs"),
        *_ALIKE,
        ("evaluation.batch_size", "per_device_eval_batch_size"),
        ("training.checkpointing", "gradient_checkpointing", "activation_checkpointing"),
    ):
        taker.copy(key, *names)
    if taker.flag("torch_compile"):
        taker.put("training.compile", True)
    if taker.flag("use_liger_kernel", "enable_liger_kernel"):
        _liger(taker)
        taker.get("liger_kernel_config")
    order = taker.get("train_sampling_strategy")
    if taker.flag("group_by_length") or order == "group_by_length":
        taker.put("training.group_by_length", True)
    elif order not in (None, "random"):
        taker.leave(f"train_sampling_strategy = {shown(order)}: loratui draws rows at random or by length")
    _when(taker)
    _steps(taker)
    taker.schedule("lr_scheduler_type", extra=taker.get("lr_scheduler_kwargs"))
    taker.warm_up()
    taker.optimizer("optim")
    taker.precision()
