"""The plan as the libraries' own settings, with nothing that matters left to their defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.parallelism_config import ParallelismConfig
from peft import LoraConfig
from transformers.utils.import_utils import KERNELS_MAX_VERSION, KERNELS_MIN_VERSION, is_kernels_available
from trl.trainer.sft_config import SFTConfig

from loratui.core.accelerators import ACCELERATORS, Vendor, best_format, vendor_fault
from loratui.core.attention import TORCH_VARLEN, is_of_hub, needs_gpu
from loratui.core.compiling import why_not_compiled
from loratui.core.division import node_count, share_count
from loratui.core.errors import ModelError, PlanError, WorkerError
from loratui.core.liger import SWITCHES, why_no_liger
from loratui.core.lora_targets import peft_targets
from loratui.core.plan import Plan
from loratui.core.schedule import scheduler_arguments
from loratui.core.varlen import SINCE, why_no_varlen
from loratui.machine.other_cards import other_cards
from loratui.worker.shape import shape_of
from loratui.worker.varlen_attention import is_there

NEVER = 2**31 - 1
"""A step number that no run reaches."""


@dataclass(frozen=True)
class DeviceTraits:
    """What of the device decides settings."""

    kind: str
    bf16: bool = True
    tf32: bool = False
    name: str = "CPU"
    vendor: Vendor = "nvidia"


def find_device(*, cpu: bool = False) -> DeviceTraits:
    """The device that this process trains on. cpu: the processors, whatever cards torch sees."""
    if torch.cuda.is_available():
        number = torch.cuda.current_device()
        name = torch.cuda.get_device_name(number)
        if torch.version.hip:  # its numbers of architecture are AMD's, and it has no TF32
            architecture = str(getattr(torch.cuda.get_device_properties(number), "gcnArchName", ""))
            return DeviceTraits("cuda", best_format("amd", architecture) == "bf16", name=name, vendor="amd")
        modern = torch.cuda.get_device_capability(number) >= (8, 0)
        return DeviceTraits("cuda", bf16=modern, tf32=modern, name=name)
    if cpu:  # no variable hides these two
        return DeviceTraits("cpu")
    if torch.xpu.is_available():
        bf16 = bool(torch.xpu.is_bf16_supported())
        return DeviceTraits("xpu", bf16, name=torch.xpu.get_device_name(), vendor="intel")
    if torch.backends.mps.is_available():
        bf16 = bool(torch.backends.mps.is_macos_or_newer(14, 0))
        return DeviceTraits("mps", bf16, name="Apple GPU (MPS)", vendor="apple")
    return DeviceTraits("cpu")


def require_gpu(device: DeviceTraits, plan: Plan) -> None:
    """Refuse to train on the CPU for days where a GPU was given that torch does not see (WorkerError)."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if device.kind == "cpu" and plan.cluster.engine and plan.cluster.gpus_per_node and not plan.hardware.cpu:
        raise WorkerError(
            f"torch sees no GPU on {os.environ.get('SLURMD_NODENAME') or 'this node'}, though the job asked for "
            f"{plan.cluster.gpus_per_node}.",
            hint="A module may be missing (cluster.setup). To train on processors, set hardware.cpu=true.",
        )
    if device.kind == "cpu" and given.startswith(("GPU-", "MIG-")):
        raise WorkerError(
            f"torch does not see the GPU that this run was given ({given}).",
            hint="`loratui doctor` says why. To train on the CPU instead, set hardware.cpu=true.",
        )
    if device.kind == "cpu" and not plan.hardware.cpu and given not in ("", "-1"):
        others = other_cards(os.environ)
        if others.gpus and others.vendor:
            accelerator = ACCELERATORS[others.vendor]
            raise WorkerError(
                f"torch does not see the {accelerator.called} card that this run was given.",
                hint=f"It has to be built for {accelerator.runtime}: {accelerator.wheels} To train on the CPU instead, "
                "set hardware.cpu=true.",
            )


def check(plan: Plan, device: DeviceTraits) -> None:
    """Refuse what cannot work, in one sentence (PlanError)."""
    training = plan.training
    if training.precision == "bf16" and not device.bf16:
        raise PlanError(
            f"training.precision = bf16 does not run well on {device.name}.",
            hint=(
                "Set training.precision, model.dtype and method.compute_dtype to fp16, or to fp32 for a model that "
                "overflows in fp16."
            ),
        )
    if training.precision == "fp16" and device.kind == "cpu":
        raise PlanError("training.precision = fp16 needs a GPU.", hint="Set it to fp32 or bf16.")
    if training.precision == "fp16" and plan.method.kind == "full" and plan.model.dtype == "fp16":
        raise PlanError(
            "weights held in fp16 cannot be trained whole: the small changes would be lost.",
            hint="Set model.dtype to fp32.",
        )
    if training.packing and plan.model.attention == "eager":
        raise PlanError(
            "training.packing needs another attention kernel than eager.", hint="Set model.attention to sdpa."
        )
    if device.kind != "cpu" and (fault := vendor_fault(plan, device.vendor)):
        raise PlanError(fault[0], hint=fault[1])
    if share_count(plan) > 1:
        _check_sharding(plan)
    if plan.training.compile and (reason := why_not_compiled(plan)):
        raise PlanError(reason, hint="Set training.compile to false.")
    if reason := why_no_liger(plan):
        raise PlanError(reason, hint="Set training.liger to false.")
    if reason := why_no_varlen(plan):
        raise PlanError(reason, hint="Set model.attention to sdpa.")
    _check_attention(plan.model.attention, device)


def _check_attention(attention: str, device: DeviceTraits) -> None:
    if device.kind == "cpu" and needs_gpu(attention):
        raise PlanError(f"model.attention = {attention} needs a GPU.", hint="Set it to sdpa.")
    if attention == TORCH_VARLEN and not is_there():
        raise PlanError(
            f"model.attention = {attention} comes with torch {'.'.join(map(str, SINCE))} and later, and "
            f"this is torch {torch.__version__}.",
            hint="Set it to sdpa.",
        )
    if is_of_hub(attention) and not is_kernels_available():
        raise PlanError(
            f"model.attention = {attention} comes from the hub by the package kernels, which is not installed, or in a "
            f"version that transformers does not take (it takes {KERNELS_MIN_VERSION} and later, below "
            f"{KERNELS_MAX_VERSION}).",
            hint=f"Run: pip install 'kernels>={KERNELS_MIN_VERSION},<{KERNELS_MAX_VERSION}'. Or set it to sdpa.",
        )


def _check_sharding(plan: Plan) -> None:
    """bitsandbytes 0.50 has neither 8-bit layers nor optimizers that FSDP2 could divide."""
    if plan.method.quantization == "int8":
        raise PlanError(
            "8-bit weights cannot be divided among GPUs (hardware.parallelism = fsdp).",
            hint="Set method.quantization to nf4, or hardware.parallelism to ddp.",
        )
    if not plan.training.optimizer.startswith("adamw_torch"):
        raise PlanError(
            (
                f"training.optimizer = {plan.training.optimizer} cannot be divided among GPUs (hardware.parallelism = "
                "fsdp)."
            ),
            hint="Set training.optimizer to adamw_torch_fused: its states are divided instead.",
        )


def is_sharded(plan: Plan, processes: int) -> bool:
    """Whether the weights are divided among several processes (FSDP2)."""
    return processes > 1 and (plan.hardware.parallelism == "fsdp" or share_count(plan) > 1)


def mesh(plan: Plan) -> ParallelismConfig | None:
    """Copies across nodes of shares within them (hybrid); None where the processes form one row."""
    nodes, shares = node_count(plan), share_count(plan)
    if plan.hardware.parallelism != "hybrid" or nodes == 1 or shares == 1:
        return None
    return ParallelismConfig(dp_replicate_size=nodes, dp_shard_size=shares)


def trainer_settings(
    plan: Plan, output: Path, device: DeviceTraits, *, evaluates: bool, processes: int = 1
) -> dict[str, Any]:
    """Every setting that a trainer has whatever it learns. `evaluates`: whether there are rows to evaluate on.
    processes: that train together.
    """
    training, saving, evaluation = plan.training, plan.saving, plan.evaluation
    schedule, schedule_arguments = scheduler_arguments(plan)
    evaluates = evaluates and evaluation.every_steps > 0
    sharded = is_sharded(plan, processes)
    return dict(
        output_dir=str(output),
        # the batch and how often
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.accumulation,
        num_train_epochs=training.epochs,
        max_steps=training.max_steps or -1,
        average_tokens_across_devices=True,
        auto_find_batch_size=False,
        # the optimizer
        optim=training.optimizer,
        learning_rate=training.learning_rate,
        lr_scheduler_type=schedule,
        lr_scheduler_kwargs=schedule_arguments,
        warmup_steps=training.warmup_steps,
        weight_decay=training.weight_decay,
        adam_beta1=training.beta1,
        adam_beta2=training.beta2,
        adam_epsilon=training.epsilon,
        max_grad_norm=training.max_grad_norm,
        label_smoothing_factor=0.0,
        # numbers and memory
        bf16=training.precision == "bf16",
        fp16=training.precision == "fp16",
        tf32=True if device.tf32 else None,
        use_cpu=device.kind == "cpu",
        gradient_checkpointing=training.checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if training.checkpointing else None,
        activation_offloading=False,
        torch_compile=False,  # the whole model, wrapped: its blocks are compiled in place (`compiled.py`)
        use_liger_kernel=training.liger,  # which kernels: by the model's family, once it is loaded (`liger.py`)
        liger_kernel_config=dict.fromkeys(SWITCHES, False) if training.liger else None,
        use_cache=False,
        # the rows
        train_sampling_strategy="random",
        dataloader_num_workers=0,
        dataloader_drop_last=False,
        dataloader_pin_memory=device.kind == "cuda",
        dataloader_persistent_workers=False,
        # evaluation
        eval_strategy="steps" if evaluates else "no",
        eval_steps=evaluation.every_steps if evaluates else None,
        per_device_eval_batch_size=evaluation.batch_size,
        eval_accumulation_steps=None,
        eval_on_start=False,
        prediction_loss_only=True,
        metric_for_best_model="loss",
        greater_is_better=False,
        load_best_model_at_end=False,
        # checkpoints
        save_strategy="steps",
        save_steps=saving.every_steps or NEVER,
        save_total_limit=saving.keep,
        save_only_model=False,
        ignore_data_skip=False,
        restore_callback_states_from_checkpoint=False,
        push_to_hub=False,
        # what is said
        logging_strategy="steps",
        logging_steps=1,
        logging_first_step=False,
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="no",
        log_level="warning",
        disable_tqdm=True,
        report_to="none",
        # chance
        seed=training.seed,
        data_seed=training.seed,
        full_determinism=False,
        # several processes
        ddp_find_unused_parameters=False,
        fsdp=sharded,
        fsdp_config=fsdp_settings(plan) if sharded else None,
        parallelism_config=mesh(plan) if sharded else None,
        # without it every GPU would add up whole gradients until the last forward pass of a step
        # from pinned memory a batch goes to the card beside its work
        accelerator_config={
            "gradient_accumulation_kwargs": {"sync_each_batch": sharded},
            "non_blocking": device.kind == "cuda",
        },
    )


def sft_config(plan: Plan, output: Path, device: DeviceTraits, *, evaluates: bool, processes: int = 1) -> SFTConfig:
    """Every setting of the trainer that learns answers."""
    training = plan.training
    return SFTConfig(
        **trainer_settings(plan, output, device, evaluates=evaluates, processes=processes),
        # the rows: they come tokenised, labelled and cut
        max_length=training.max_length if training.packing else None,
        packing=training.packing,
        packing_strategy="bfd",
        padding_free=training.padding_free or training.packing,
        eval_packing=False,
        completion_only_loss=False,
        assistant_only_loss=False,
        loss_type="nll",
        shuffle_dataset=False,
        dataset_num_proc=None,
        dataset_kwargs=None if training.packing else {"skip_prepare_dataset": True},
        pad_to_multiple_of=None,
        remove_unused_columns=training.packing,  # else each batch comes out of the store, ids and labels alone
    )


def fsdp_settings(plan: Plan) -> dict[str, Any]:
    """FSDP2: each block is gathered when it is needed and given back afterwards; checkpoints are written whole.

    Only rank 0 reads the weights, which bitsandbytes' layers cannot do: of those every process keeps its share as it
    loads (`divided_base.py`).
    """
    return {
        "version": 2,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "reshard_after_forward": True,
        "cpu_offload": False,
        "cpu_ram_efficient_loading": plan.method.quantization == "none",
        "state_dict_type": "FULL_STATE_DICT",
        "activation_checkpointing": False,
    }


def target_modules(plan: Plan, model_config: Mapping[str, Any]) -> str | list[str]:
    """The layers that the plan counts, as PEFT names them: its own "all-linear" would reach into experts and image
    towers.
    """
    targets = plan.lora.targets
    try:
        spec = shape_of(model_config, plan.model.id)
    except ModelError:
        return targets
    return peft_targets(spec, targets) if spec.known else targets


def lora_config(plan: Plan, model_config: Mapping[str, Any]) -> LoraConfig | None:
    """The adapter's settings; None for full fine-tuning. model_config: the loaded model's, as a dict."""
    if plan.method.kind == "full":
        return None
    lora = plan.lora
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=int(lora.alpha) if float(lora.alpha).is_integer() else lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=target_modules(plan, model_config),
        use_rslora=lora.variant == "rslora",
        use_dora=lora.variant == "dora",
        bias="none",
        init_lora_weights=True,
        modules_to_save=None,
        inference_mode=False,
    )
