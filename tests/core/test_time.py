"""Operations and seconds of a step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loratui.core.dataset import DataFacts, uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.operations import active_parameters, expected_longest, flops_per_token, tokens_per_pass
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.schedule import make_schedule
from loratui.core.time import eta_seconds, launch_seconds, predict, utilisation
from loratui.core.time_around import SEAL_SECONDS

LLAMA = read_config(
    {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    }
)
MIXTURE = read_config({"model_type": "qwen3_moe", "num_hidden_layers": 48, "head_dim": 128})
A100 = Device(
    name="A100",
    memory_total_bytes=80 * 2**30,
    memory_free_bytes=80 * 2**30,
    compute_capability=(8, 0),
    peak_flops=312e12,
)


def plan(**values: Any) -> Plan:
    return with_values(Plan(), {key.replace("__", "."): value for key, value in values.items()})


def test_full_fine_tuning_takes_six_operations_a_weight_and_token() -> None:
    flops = flops_per_token(LLAMA, plan(method__kind="full"), 512)
    weights = LLAMA.total_parameters - LLAMA.embedding_parameters
    assert flops == pytest.approx(6 * weights, rel=0.02)


def test_lora_takes_two_thirds_and_checkpointing_half_as_much_again() -> None:
    full, lora = flops_per_token(LLAMA, plan(method__kind="full"), 512), flops_per_token(LLAMA, plan(), 512)
    assert lora / full == pytest.approx(2 / 3, rel=0.03)
    assert flops_per_token(LLAMA, plan(training__checkpointing=True), 512) / lora == pytest.approx(1.5, rel=0.05)


def test_experts_count_as_far_as_they_are_asked() -> None:
    assert active_parameters(MIXTURE) / 1e9 == pytest.approx(
        2.7, abs=0.15
    )  # published: 3.3 B active with embedding and head


def test_padding_is_counted() -> None:
    data = DataFacts(100, (10, 20, 30, 40))
    assert expected_longest(data, 1, 100) == 25
    assert expected_longest(data, 1000, 100) == pytest.approx(40)
    assert expected_longest(data, 1000, 25) == pytest.approx(25)
    assert tokens_per_pass(plan(training__batch_size=2), data) == pytest.approx(
        2 * (10 * 1 + 20 * 3 + 30 * 5 + 40 * 7) / 16
    )
    assert tokens_per_pass(plan(training__batch_size=2, training__packing=True, training__max_length=64), data) == 128
    assert tokens_per_pass(plan(training__batch_size=2, training__padding_free=True), data) == 50


def test_a_range_until_something_was_measured() -> None:
    data, settings = uniform(1000, 512), plan(training__batch_size=4, training__accumulation=4)
    schedule = make_schedule(settings, data)
    guess = predict(LLAMA, settings, data, A100, schedule)
    assert guess is not None and not guess.measured
    assert guess.low_seconds_per_step < guess.high_seconds_per_step
    assert guess.low_seconds == guess.low_seconds_per_step * schedule.total_steps + guess.seconds_per_save[0]
    # 8B LoRA on an A100: published figures lie near 3,000-5,000 tokens a second.
    assert (
        guess.tokens_per_step / guess.high_seconds_per_step < 4_000 < guess.tokens_per_step / guess.low_seconds_per_step
    )
    assert "peak" in guess.basis


def test_evaluations_and_checkpoints_are_part_of_it() -> None:
    data = DataFacts(1_000, (512,), eval_examples=200)
    often = plan(
        training__batch_size=4,
        training__accumulation=4,
        evaluation__every_steps=10,
        evaluation__batch_size=8,
        saving__every_steps=20,
    )
    never = plan(training__batch_size=4, training__accumulation=4)
    guess, bare = (predict(LLAMA, one, data, A100, make_schedule(one, data)) for one in (often, never))
    assert guess is not None and bare is not None
    assert (guess.evaluations, guess.evaluated_rows, guess.saves, bare.evaluations, bare.saves) == (19, 200, 10, 0, 1)
    assert guess.low_seconds == pytest.approx(
        guess.low_seconds_per_step * 189 + guess.seconds_per_evaluation[0] * 19 + guess.seconds_per_save[0] * 10
    )
    assert guess.high_seconds > bare.high_seconds
    # A forward pass over a row takes about half of what LoRA's forward and backward take (2 of 4 operations a weight).
    per_row = guess.seconds_per_evaluation[0] / 200
    assert per_row == pytest.approx(guess.low_seconds_per_step / 16 / 2, rel=0.1)
    assert "19 evaluations of 200 rows and 10 checkpoints, and up to 9 more: one at each evaluation" in guess.counted
    assert guess.saving_seconds[1] == pytest.approx(19 * (guess.seconds_per_save[1] + SEAL_SECONDS[1]))
    for begun, before, one in zip(guess.starting, bare.starting, guess.seconds_per_evaluation, strict=True):
        assert begun == pytest.approx(before + one), "what it begins with is evaluated before the first step"
    at_each = plan(training__batch_size=4, training__accumulation=4, evaluation__every_steps=20, saving__every_steps=10)
    every = predict(LLAMA, at_each, data, A100, make_schedule(at_each, data))
    assert every is not None and every.better_saves == 0 and "more" not in every.counted


def test_a_mixture_reaches_less_of_the_peak_than_a_dense_model() -> None:
    """The same operations take longer in many small products, and where torch has no grouped product far longer."""
    dense, mixed = utilisation(LLAMA, plan(), A100), utilisation(MIXTURE, plan(), A100)
    assert mixed[0] < dense[0] / 4 and mixed[1] < dense[1] / 4
    v100 = replace(A100, compute_capability=(7, 0))
    assert launch_seconds(MIXTURE, v100)[0] > 3 * launch_seconds(MIXTURE, A100)[0]
    assert launch_seconds(LLAMA, v100) == launch_seconds(LLAMA, A100)


def test_an_unknown_peak_gives_no_prediction() -> None:
    nameless = replace(A100, **{"peak_flops": None})
    data = uniform(10, 10)
    assert predict(LLAMA, plan(), data, nameless, make_schedule(plan(), data)) is None


def test_eta_is_not_moved_by_one_slow_step() -> None:
    assert eta_seconds([1.0] * 20 + [60.0], 100) == 100.0
    assert eta_seconds([], 100) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lora__variant": "dora"}, ", but without the norms that DoRA computes of whole weights"),
        ({"lora__dropout": 0.1}, ", but without dropout's masks"),
        ({}, "checkpoint"),
        ({"method__kind": "full", "lora__variant": "dora", "lora__dropout": 0.1}, "checkpoint"),
    ],
)
def test_what_takes_time_and_is_not_in_it_is_said(values: dict[str, Any], said: str) -> None:
    made, data = plan(**values), uniform(1_000, 512)
    guess = predict(LLAMA, made, data, A100, make_schedule(made, data, 1))
    assert guess is not None and said in guess.counted and ("without" in guess.counted) is said.startswith(",")
