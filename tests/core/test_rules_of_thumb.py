"""The worked example of the folk calculation, figure by figure."""

from __future__ import annotations

import pytest

from loratui.core import rules_of_thumb as rule_of_thumb

PARAMETERS, WIDTH, LAYERS, MODULES, TOKENS, EXAMPLES, GPU_GB = 619_000_000, 896, 24, 7, 512, 1_000, 16.0


def test_model_memory_is_1_21_gb() -> None:
    assert round(rule_of_thumb.model_memory_gb(619), 2) == 1.21


def test_adapter_has_4_816_896_parameters() -> None:
    assert rule_of_thumb.adapter_parameters(16, WIDTH, LAYERS, MODULES) == 4_816_896


def test_share_of_the_model_is_0_77_to_0_78_percent() -> None:
    assert 0.0077 <= rule_of_thumb.adapter_parameters(16, WIDTH, LAYERS, MODULES) / PARAMETERS < 0.0078


def test_optimizer_states_are_0_038_gb() -> None:
    assert round(rule_of_thumb.optimizer_memory_gb(4.816896), 3) == 0.038


def test_full_fine_tuning_would_need_130_times_as_much() -> None:
    whole, adapter = rule_of_thumb.optimizer_memory_gb(619), rule_of_thumb.optimizer_memory_gb(4.8)
    assert whole == pytest.approx(4.836, abs=0.001) and whole / adapter == pytest.approx(129, abs=1)


def test_activations_of_a_row_are_147_456_bytes() -> None:
    assert rule_of_thumb.activation_bytes(TOKENS, LAYERS) == 147_456


def test_available_memory_is_12_5_gb() -> None:
    # The example prints 12.6; its own formula gives 12.54.
    available = rule_of_thumb.available_memory_gb(
        GPU_GB, rule_of_thumb.model_memory_gb(619), rule_of_thumb.optimizer_memory_gb(4.816896)
    )
    assert available == pytest.approx(12.54, abs=0.01)


def test_about_90_000_rows_would_fit_and_the_cap_makes_it_4() -> None:
    assert pytest.approx(91_750, rel=0.01) == 12.6 / (147_456 / 1024**3)
    assert rule_of_thumb.batch_size(12.6, 147_456) == 4


def test_at_least_one_row_where_nothing_fits() -> None:
    assert rule_of_thumb.batch_size(0.0, 147_456) == 1


@pytest.mark.parametrize(("batch", "passes"), [(4, 2), (2, 4), (1, 8), (3, 2), (16, 1)])
def test_accumulation_reaches_an_effective_batch_of_8(batch: int, passes: int) -> None:
    assert rule_of_thumb.accumulation(batch) == passes


@pytest.mark.parametrize(("steps", "warmup"), [(375, 38), (100, 10), (70, 7), (5, 1), (0, 0)])
def test_warmup_is_a_tenth_rounded_up(steps: int, warmup: int) -> None:
    assert rule_of_thumb.warmup_steps(steps) == warmup


@pytest.mark.parametrize(("batch", "rate"), [(4, 1.41e-4), (8, 2e-4), (16, 2.83e-4)])
def test_learning_rate_follows_the_root_of_the_batch(batch: int, rate: float) -> None:
    assert rule_of_thumb.learning_rate(batch) == pytest.approx(rate, rel=0.005)


def test_precision_is_fp16_on_a_t4() -> None:
    assert (rule_of_thumb.precision(False), rule_of_thumb.precision(True)) == ("fp16", "bf16")


def test_the_whole_example() -> None:
    found = rule_of_thumb.calculate(
        parameters=PARAMETERS, width=WIDTH, layers=LAYERS, tokens=TOKENS, examples=EXAMPLES, gpu_gb=GPU_GB, bf16=False
    )
    assert round(found.model_gb, 2) == 1.21
    assert found.adapter_parameters == 4_816_896
    assert found.activation_bytes_per_row == 147_456
    assert (found.batch_size, found.accumulation, found.effective_batch_size) == (4, 2, 8)
    assert (found.steps_per_epoch, found.total_steps, found.warmup_steps) == (125, 375, 38)
    assert found.learning_rate == 2e-4
    assert found.precision == "fp16"
    assert round(found.total_gb, 2) == 1.25
    assert found.total_gb / GPU_GB == pytest.approx(0.078, abs=0.001)


def test_fixed_values() -> None:
    assert (rule_of_thumb.RANK, rule_of_thumb.ALPHA, rule_of_thumb.DROPOUT, len(rule_of_thumb.TARGETS)) == (
        16,
        32,
        0.05,
        7,
    )
    assert (
        rule_of_thumb.BETA1,
        rule_of_thumb.BETA2,
        rule_of_thumb.EPSILON,
        rule_of_thumb.WEIGHT_DECAY,
        rule_of_thumb.MAX_GRAD_NORM,
    ) == (0.9, 0.999, 1e-8, 0.01, 1.0)
    assert (rule_of_thumb.EPOCHS, rule_of_thumb.SCHEDULER, rule_of_thumb.MIN_LR_RATIO, rule_of_thumb.SAFETY_MARGIN) == (
        3,
        "cosine",
        0.1,
        0.85,
    )
