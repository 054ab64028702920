"""The plan as TRL's settings for learning preferences, with nothing that matters left to their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl.trainer.dpo_config import DPOConfig
from trl.trainer.kto_config import KTOConfig

from loratui.core.plan import Plan
from loratui.core.preferences import estimates_kl
from loratui.worker.training.config import DeviceTraits, trainer_settings

if TYPE_CHECKING:
    from trl.experimental.orpo import ORPOConfig


def dpo_config(plan: Plan, output: Path, device: DeviceTraits, *, evaluates: bool) -> DPOConfig:
    """Every setting of the trainer that compares the sides of pairs with a reference."""
    preference = plan.preference
    return DPOConfig(
        **trainer_settings(plan, output, device, evaluates=evaluates),
        # what is learnt
        loss_type=[preference.loss, *(["sft"] if preference.sft_weight else [])],
        loss_weights=[1.0, *([preference.sft_weight] if preference.sft_weight else [])],
        beta=preference.beta,
        label_smoothing=preference.label_smoothing,
        ld_alpha=preference.length_weight if preference.length_weight < 1 else None,
        f_divergence_type="reverse_kl",
        use_weighting=False,
        **_with_reference(plan),
        # the rows: they come tokenised and cut
        truncation_mode="keep_start",
        padding_free=False,
    )


def kto_config(plan: Plan, output: Path, device: DeviceTraits, *, evaluates: bool) -> KTOConfig:
    """Every setting of the trainer that judges answers one by one."""
    preference, order = plan.preference, "sequential" if estimates_kl(plan) else "random"
    settings = trainer_settings(plan, output, device, evaluates=evaluates)
    return KTOConfig(
        **settings | {"train_sampling_strategy": order},  # the rows come shuffled once, for the KL's sake
        # what is learnt
        loss_type=preference.kto_loss,
        beta=preference.beta,
        desirable_weight=preference.desirable_weight,
        undesirable_weight=preference.undesirable_weight,
        **_with_reference(plan),
    )


def _with_reference(plan: Plan) -> dict[str, Any]:
    """What the trainers share that compare with a reference."""
    return dict(
        disable_dropout=True,  # the model is compared with its reference: both without chance
        precompute_ref_log_probs=plan.preference.reference == "precomputed",
        precompute_ref_batch_size=None,
        sync_ref_model=False,
        max_length=None,
        pad_to_multiple_of=None,
        dataset_num_proc=None,
        remove_unused_columns=False,
    )


def orpo_config(plan: Plan, output: Path, device: DeviceTraits, *, evaluates: bool) -> ORPOConfig:
    """Every setting of the trainer that adds an odds ratio to the loss of chosen answers."""
    from loratui.worker.training.orpo_library import ORPOConfig

    settings = trainer_settings(plan, output, device, evaluates=evaluates)
    del settings["activation_offloading"]  # it knows none
    return ORPOConfig(
        **settings,
        beta=plan.preference.beta,
        disable_dropout=True,
        generate_during_eval=False,
        max_length=plan.training.max_length,  # the rows come tokenised and cut
        max_completion_length=None,
        padding_value=None,
        dataset_num_proc=None,
        remove_unused_columns=False,
    )
