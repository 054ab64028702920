"""Every option of the plan arrives at the libraries as the plan says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import fields, with_values

pytestmark = pytest.mark.worker
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
UNUSUAL = {
    "training.precision": "bf16",
    "training.batch_size": 3,
    "training.accumulation": 5,
    "training.max_length": 77,
    "training.epochs": 1.5,
    "training.max_steps": 19,
    "training.learning_rate": 3.25e-4,
    "training.scheduler": "cosine",
    "training.min_lr_ratio": 0.07,
    "training.warmup_steps": 6,
    "training.optimizer": "adamw_torch",
    "training.weight_decay": 0.011,
    "training.beta1": 0.87,
    "training.beta2": 0.993,
    "training.epsilon": 1e-7,
    "training.max_grad_norm": 0.3,
    "training.checkpointing": True,
    "training.seed": 7,
    "evaluation.every_steps": 4,
    "evaluation.batch_size": 6,
    "saving.every_steps": 9,
    "saving.keep": 5,
    "lora.r": 11,
    "lora.alpha": 23,
    "lora.dropout": 0.03,
    "lora.targets": ["q_proj", "down_proj"],
    "lora.variant": "rslora",
    "method.kind": "qlora",
    "method.quantization": "fp4",
    "method.double_quantization": True,
    "method.compute_dtype": "fp16",
}


def config_of(plan: Plan, kind: str = "cpu", evaluates: bool = True, processes: int = 1) -> Any:
    from loratui.worker.training.config import DeviceTraits, sft_config

    return sft_config(
        plan, Path("/tmp/nowhere/checkpoints"), DeviceTraits(kind), evaluates=evaluates, processes=processes
    )


def test_the_trainers_settings_are_the_plans() -> None:
    plan = with_values(Plan(), UNUSUAL)
    config, training = config_of(plan), plan.training
    expected = {
        "per_device_train_batch_size": 3,
        "gradient_accumulation_steps": 5,
        "num_train_epochs": 1.5,
        "max_steps": 19,
        "learning_rate": 3.25e-4,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.07},
        "warmup_steps": 6,
        "optim": "adamw_torch",
        "weight_decay": 0.011,
        "adam_beta1": 0.87,
        "adam_beta2": 0.993,
        "adam_epsilon": 1e-7,
        "max_grad_norm": 0.3,
        "bf16": True,
        "fp16": False,
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "seed": 7,
        "data_seed": 7,
        "per_device_eval_batch_size": 6,
        "eval_steps": 4,
        "save_steps": 9,
        "save_total_limit": 5,
        "packing": False,
        "padding_free": False,
        "max_length": None,
        "use_cpu": True,
        "logging_steps": 1,
        "report_to": [],
        "logging_nan_inf_filter": False,
        "dataloader_drop_last": False,
        "ignore_data_skip": False,
        "save_only_model": False,
        "completion_only_loss": False,
        "assistant_only_loss": False,
        "loss_type": "nll",
        "shuffle_dataset": False,
        "use_cache": False,
        "load_best_model_at_end": False,
        "disable_tqdm": True,
        "average_tokens_across_devices": True,
        "label_smoothing_factor": 0.0,
    }
    for name, value in expected.items():
        assert getattr(config, name) == value, name
    assert str(config.eval_strategy.value) == "steps" and str(config.save_strategy.value) == "steps"
    assert training.max_length == 77


@pytest.mark.parametrize(
    ("key", "value", "name", "expected"),
    [
        ("training.precision", "fp32", ("bf16", "fp16"), (False, False)),
        ("training.checkpointing", False, ("gradient_checkpointing",), (False,)),
        ("training.max_steps", 0, ("max_steps",), (-1,)),
        ("training.scheduler", "linear", ("lr_scheduler_type", "lr_scheduler_kwargs"), ("linear", {})),
        ("training.scheduler", "constant", ("lr_scheduler_type",), ("constant_with_warmup",)),
        ("training.scheduler", "cosine_with_restarts", ("lr_scheduler_type",), ("cosine_with_restarts",)),
        (
            "training.packing",
            True,
            ("packing", "padding_free", "packing_strategy", "max_length", "eval_packing"),
            (True, True, "bfd", 77, False),
        ),
        ("training.padding_free", True, ("packing", "padding_free", "max_length"), (False, True, None)),
        ("saving.every_steps", 0, ("save_steps",), (2**31 - 1,)),
        ("training.optimizer", "paged_adamw_8bit", ("optim",), ("paged_adamw_8bit",)),
    ],
)
def test_one_option_at_a_time(key: str, value: Any, name: tuple[str, ...], expected: tuple[Any, ...]) -> None:
    config = config_of(with_values(Plan(), UNUSUAL | {key: value}))
    assert tuple(getattr(config, one) for one in name) == expected


def test_batches_go_to_a_card_beside_its_work(tmp_path: Path) -> None:
    from loratui.worker.training.config import DeviceTraits, trainer_settings

    for kind in ("cpu", "cuda"):
        settings = trainer_settings(Plan(), tmp_path, DeviceTraits(kind), evaluates=False)
        both = settings["dataloader_pin_memory"], settings["accelerator_config"]["non_blocking"]
        assert both == (kind == "cuda", kind == "cuda")


@pytest.mark.parametrize(
    ("parallelism", "processes", "divides"), [("ddp", 2, False), ("fsdp", 2, True), ("fsdp", 1, False)]
)
def test_several_processes_divide_weights_where_the_plan_says_so(
    parallelism: str, processes: int, divides: bool
) -> None:
    config = config_of(with_values(Plan(), {"hardware.parallelism": parallelism}), processes=processes)
    assert config.fsdp is divides and (config.fsdp_plugin_args is not None) is divides
    assert config.accelerator_config.gradient_accumulation_kwargs == {"sync_each_batch": divides}
    if divides:
        settings = config.fsdp_plugin_args
        assert (
            settings["fsdp_version"] == 2
            and settings["reshard_after_forward"] is True
            and settings["cpu_ram_efficient_loading"] is True
        )
        assert settings["state_dict_type"] == "FULL_STATE_DICT" and settings["activation_checkpointing"] is False
        quantised = with_values(
            Plan(), {"hardware.parallelism": "fsdp", "method.kind": "qlora", "method.quantization": "nf4"}
        )
        assert config_of(quantised, processes=2).fsdp_plugin_args["cpu_ram_efficient_loading"] is False


@pytest.mark.parametrize(("nodes", "gpus", "copies"), [(2, 4, 2), (1, 4, 0), (4, 1, 0)])
def test_hybrid_is_copies_across_nodes_of_shares_within(nodes: int, gpus: int, copies: int) -> None:
    from loratui.core.division import share_count

    placed = {"cluster.engine": "slurm", "cluster.nodes": nodes, "cluster.gpus_per_node": gpus}
    plan = with_values(Plan(), placed | {"hardware.parallelism": "hybrid"})
    config = config_of(plan, processes=nodes * gpus)
    assert share_count(plan) == gpus and config.fsdp is (gpus > 1), "one GPU a node holds a copy"
    mesh = config.parallelism_config
    assert (mesh is not None) is bool(copies)
    if mesh is not None:
        assert (mesh.dp_replicate_size, mesh.dp_shard_size) == (copies, gpus)


def test_no_rows_or_no_wish_means_no_evaluation() -> None:
    assert config_of(with_values(Plan(), UNUSUAL), evaluates=False).eval_strategy == "no"
    assert config_of(with_values(Plan(), UNUSUAL | {"evaluation.every_steps": 0})).eval_strategy == "no"


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
def test_the_adapters_settings_are_the_plans(variant: str) -> None:
    from loratui.worker.training.config import lora_config

    config = lora_config(with_values(Plan(), UNUSUAL | {"lora.variant": variant}), LLAMA)
    assert config is not None
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias, str(config.task_type)) == (
        11,
        23,
        0.03,
        "none",
        "CAUSAL_LM",
    )
    assert (config.use_rslora, config.use_dora) == (variant == "rslora", variant == "dora")
    assert (
        config.init_lora_weights is True
        and config.modules_to_save is None
        and config.target_modules == {"q_proj", "down_proj"}
    )


def test_full_fine_tuning_has_no_adapter() -> None:
    from loratui.worker.training.config import lora_config

    assert lora_config(with_values(Plan(), {"method.kind": "full"}), LLAMA) is None


@pytest.mark.parametrize(("quantization", "double"), [("nf4", True), ("nf4", False), ("fp4", True), ("int8", False)])
def test_quantisation_is_the_plans(quantization: str, double: bool) -> None:
    import torch

    from loratui.worker.base_model import planned_quantization as quantization_config

    plan = with_values(Plan(), UNUSUAL | {"method.quantization": quantization, "method.double_quantization": double})
    config = quantization_config(plan)
    assert config is not None
    if quantization == "int8":
        assert config.load_in_8bit and not config.load_in_4bit
        return
    assert config.load_in_4bit and not config.load_in_8bit
    assert (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (quantization, double)
    assert config.bnb_4bit_compute_dtype == torch.float16


def test_an_unquantised_base_has_no_quantisation() -> None:
    from loratui.worker.base_model import planned_quantization as quantization_config

    assert quantization_config(Plan()) is None


@pytest.mark.parametrize(
    ("changes", "kind", "bf16", "words"),
    [
        ({"training.precision": "bf16"}, "cuda", False, "bf16"),
        ({"training.precision": "fp16"}, "cpu", True, "fp16 needs a GPU"),
        ({"training.precision": "fp16", "method.kind": "full", "model.dtype": "fp16"}, "cuda", True, "trained whole"),
        ({"model.attention": "eager", "training.packing": True}, "cpu", True, "packing"),
        ({"model.attention": "flash_attention_2"}, "cpu", True, "needs a GPU"),
        ({"model.attention": "flex_attention"}, "cpu", True, "needs a GPU"),
        ({"model.attention": "kernels-community/flash-attn3"}, "cpu", True, "needs a GPU"),
        ({"model.attention": "kernels-community/flash-attn3"}, "cuda", True, "package kernels, which is not installed"),
    ],
)
def test_what_cannot_work_is_refused_before_loading(changes: dict[str, Any], kind: str, bf16: bool, words: str) -> None:
    from loratui.worker.training.config import DeviceTraits, check

    with pytest.raises(PlanError, match=words):
        check(with_values(Plan(), changes), DeviceTraits(kind, bf16=bf16, name="Tesla T4"))


def test_every_key_of_the_plan_is_used_by_the_worker() -> None:
    """A key that nothing reads would be a promise that nobody keeps."""
    source = (
        "".join(
            path.read_text()
            for folder in ("worker", "runs", "data", "cluster")
            for path in (Path(__file__).parents[2] / "src" / "loratui" / folder).rglob("*.py")
        )
        + (Path(__file__).parents[2] / "src" / "loratui" / "core" / "schedule.py").read_text()
    )
    planning_only = {"hardware.gpu"}
    missing = [key for key in fields() if key not in planning_only and f".{key.partition('.')[2]}" not in source]
    assert not missing


def test_memory_is_asked_for_in_segments_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of unlike length leave holes between fixed segments; what a person set stays."""
    from loratui.runs.start import worker_environment

    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    cpu = with_values(Plan(), {"hardware.cpu": True})
    assert worker_environment(cpu)["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    own = {"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}
    assert worker_environment(cpu, own)["PYTORCH_ALLOC_CONF"] == "max_split_size_mb:64"
    assert "PYTORCH_ALLOC_CONF" not in worker_environment(cpu, {"PYTORCH_CUDA_ALLOC_CONF": "backend:native"})


def test_the_settings_of_preferences_are_the_plans() -> None:
    from loratui.worker.training.config import DeviceTraits
    from loratui.worker.training.preference_config import dpo_config

    changes = {
        "training.objective": "dpo",
        "preference.loss": "robust",
        "preference.beta": 0.37,
        "preference.label_smoothing": 0.2,
        "preference.sft_weight": 0.6,
        "preference.length_weight": 0.9,
        "preference.reference": "precomputed",
    }
    unusual = UNUSUAL | {"lora.dropout": 0.0}
    plan, place = with_values(Plan(), unusual | changes), Path("/tmp/nowhere/checkpoints")
    config = dpo_config(plan, place, DeviceTraits("cpu"), evaluates=True)
    expected = {
        "loss_type": ["robust", "sft"],
        "loss_weights": [1.0, 0.6],
        "beta": 0.37,
        "label_smoothing": 0.2,
        "ld_alpha": 0.9,
        "precompute_ref_log_probs": True,
        "disable_dropout": True,
        "max_length": None,
    }
    assert {name: getattr(config, name) for name in expected} == expected
    shared = config_of(with_values(Plan(), unusual))
    alike = ("learning_rate", "optim", "warmup_steps", "per_device_train_batch_size", "gradient_accumulation_steps")
    assert {name: getattr(config, name) for name in alike} == {name: getattr(shared, name) for name in alike}
    plainer = with_values(plan, {"preference.sft_weight": 0.0, "preference.length_weight": 1.0})
    config = dpo_config(plainer, place, DeviceTraits("cpu"), evaluates=True)
    assert (config.loss_type, config.loss_weights, config.ld_alpha) == (["robust"], [1.0], None)


SHARED = (
    "learning_rate",
    "optim",
    "warmup_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "seed",
)


def test_the_settings_of_judged_answers_are_the_plans() -> None:
    from loratui.worker.training.config import DeviceTraits
    from loratui.worker.training.preference_config import kto_config

    changes = {
        "training.objective": "kto",
        "lora.dropout": 0.0,
        "preference.beta": 0.37,
        "preference.desirable_weight": 1.7,
        "preference.undesirable_weight": 0.6,
        "preference.reference": "precomputed",
    }
    plan, place = with_values(Plan(), UNUSUAL | changes), Path("/tmp/nowhere/checkpoints")
    config = kto_config(plan, place, DeviceTraits("cpu"), evaluates=True)
    expected = {
        "loss_type": "kto",
        "beta": 0.37,
        "desirable_weight": 1.7,
        "undesirable_weight": 0.6,
        "precompute_ref_log_probs": True,
        "train_sampling_strategy": "sequential",
        "disable_dropout": True,
        "max_length": None,
    }
    assert {name: getattr(config, name) for name in expected} == expected
    shared = config_of(with_values(Plan(), UNUSUAL))
    assert {name: getattr(config, name) for name in SHARED} == {name: getattr(shared, name) for name in SHARED}
    unpaired = with_values(plan, {"preference.kto_loss": "apo_zero_unpaired", "preference.reference": "each-step"})
    config = kto_config(unpaired, place, DeviceTraits("cpu"), evaluates=True)
    assert (config.loss_type, config.train_sampling_strategy) == ("apo_zero_unpaired", "random")
    assert not config.precompute_ref_log_probs


def test_the_settings_of_the_odds_ratio_are_the_plans() -> None:
    from loratui.worker.training.config import DeviceTraits
    from loratui.worker.training.preference_config import orpo_config

    changes = {"training.objective": "orpo", "lora.dropout": 0.0, "preference.beta": 0.37}
    plan = with_values(Plan(), UNUSUAL | changes)
    config = orpo_config(plan, Path("/tmp/nowhere/checkpoints"), DeviceTraits("cpu"), evaluates=True)
    assert (config.beta, config.disable_dropout, config.max_length) == (0.37, True, 77)
    shared = config_of(with_values(Plan(), UNUSUAL))
    assert {name: getattr(config, name) for name in SHARED} == {name: getattr(shared, name) for name in SHARED}
