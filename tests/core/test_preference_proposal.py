"""What is proposed where preferences are learnt: rates, beta, passes, rows of a step, reference, memory and time."""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.dataset import DataFacts, uniform
from loratui.core.errors import PlanError
from loratui.core.hardware import Device
from loratui.core.knowledge.preference_recipes import RECIPES, whole_model_rate
from loratui.core.presets import Preset
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.models.find import find_model

GIB = 2**30
CARD = Device(
    name="A100",
    memory_total_bytes=80 * GIB,
    memory_free_bytes=80 * GIB,
    compute_capability=(8, 0),
    peak_flops=312e12,
)
UNEVEN = DataFacts(60_000, tuple(range(20, 1000, 7)))
DPO = {"training.objective": "dpo"}


def made(
    model: str = "meta-llama/Llama-3.1-8B",
    data: DataFacts = UNEVEN,
    preset: Preset | None = None,
    held: dict[str, Any] | None = None,
    **changes: Any,
) -> Proposal:
    values = DPO | {key.replace("__", "."): value for key, value in changes.items()}
    situation = Situation(find_model(model, online=False).spec, data, CARD)
    return propose(situation, *([preset] if preset else []), by_hand=values, held=held)


def test_rates_are_those_of_the_recipes() -> None:
    for one in RECIPES:
        assert whole_model_rate(one.parameters) == pytest.approx(one.rate)
    assert whole_model_rate(1e6) == 1e-6 and whole_model_rate(1e12) == 2e-7
    assert 2e-7 < whole_model_rate(30e9) < 5e-7
    rates = [whole_model_rate(size * 1e8) for size in range(1, 1000, 7)]
    assert rates == pytest.approx(sorted(rates, reverse=True)), "larger models never take more"
    assert made(method__kind="full").plan.training.learning_rate == pytest.approx(5e-7)
    assert made().plan.training.learning_rate == pytest.approx(5e-6), "an adapter takes ten times as much"
    answers = made(training__objective="sft").plan.training.learning_rate
    assert made().plan.training.learning_rate < answers / 5


def test_every_value_has_its_reason() -> None:
    proposal = made()
    for key in [*(key for key in proposal.recommendations if key.startswith("preference.")), "training.learning_rate"]:
        reason = proposal.recommendations[key]
        for name in ("why", "formula", "source", "up", "down"):
            assert getattr(reason, name).strip(), (key, name)
        assert reason.why.endswith(".") and "\n" not in reason.why
    assert {key for key in proposal.recommendations if key.startswith("preference.")} == {
        "preference.loss",
        "preference.beta",
        "preference.label_smoothing",
        "preference.sft_weight",
        "preference.length_weight",
        "preference.reference",
    }
    assert not any(key.startswith("preference.") for key in made(training__objective="sft").recommendations)


@pytest.mark.parametrize(
    ("loss", "beta", "smoothing"),
    [("sigmoid", 0.1, 0.0), ("sigmoid_norm", 5.0, 0.0), ("apo_zero", 0.05, 0.0), ("robust", 0.1, 0.1)],
)
def test_beta_follows_the_loss(loss: str, beta: float, smoothing: float) -> None:
    plan = made(preference__loss=loss).plan
    assert (plan.preference.beta, plan.preference.label_smoothing) == (beta, smoothing)


@pytest.mark.parametrize(
    ("pairs", "epochs", "rows"), [(60_000, 1.0, 32), (1_000, 1.0, 8), (200, 2.0, 4), (40, 3.0, 4), (3, 3.0, 2)]
)
def test_passes_and_rows_of_a_step_follow_the_pairs(pairs: int, epochs: float, rows: int) -> None:
    plan = made(data=uniform(pairs, 200)).plan
    assert (plan.training.epochs, plan.effective_batch_size) == (epochs, rows)


def test_the_reference_is_computed_once_where_that_saves() -> None:
    assert made().plan.preference.reference == "each-step"
    assert made(training__epochs=3).plan.preference.reference == "precomputed"
    full = made(method__kind="full")
    assert full.plan.preference.reference == "precomputed"
    copied = made(method__kind="full", preference__reference="each-step")
    weights = full.memory.parts["weights"]
    assert copied.memory.parts["weights"] == 2 * weights, "the frozen copy"
    time = made(training__epochs=3).time
    assert time is not None and "the reference's pass before the first step" in time.counted


def test_an_adapter_that_is_gone_on_from_is_held_twice() -> None:
    fixed: dict[str, Any] = {"training__batch_size": 4, "method__kind": "lora", "lora__r": 16}
    new, further = made(**fixed), made(lora__adapter="somewhere", **fixed)
    assert further.memory.parts["adapter"] == 2 * new.memory.parts["adapter"]
    answers = made(training__objective="sft", lora__adapter="somewhere", **fixed)
    assert answers.memory.parts["adapter"] == new.memory.parts["adapter"]


def test_both_sides_and_the_reference_take_memory_and_time() -> None:
    fixed = {
        "training__batch_size": 4,
        "training__accumulation": 2,
        "method__kind": "lora",
        "training__max_length": 512,
    }
    pairs, answers = made(**fixed), made(training__objective="sft", **fixed)
    assert pairs.memory.batch.rows == 2 * answers.memory.batch.rows == 8
    assert pairs.memory.total_bytes > answers.memory.total_bytes
    once = made(preference__reference="precomputed", **fixed)
    assert answers.time and pairs.time and once.time
    assert pairs.time.high_seconds_per_step > once.time.high_seconds_per_step > 1.9 * answers.time.high_seconds_per_step


def test_what_is_for_answers_does_not_count_for_pairs() -> None:
    values = {"lora.dropout": 0.1, "training.learning_rate": 1e-4, "lora.r": 8}
    preset = Preset("small-data", "", "", values=values, warmup_ratio=0.03)
    found = made(preset=preset)
    assert found.plan.lora.r == 8 and found.plan.lora.dropout == 0 and found.plan.training.learning_rate < 1e-5
    assert any("small-data is made for learning answers" in told for told in found.warnings)
    kept = made(held={"training.learning_rate": 2e-6, "lora.r": 64})
    assert (kept.plan.lora.r, kept.plan.training.learning_rate) == (64, 2e-6)
    assert kept.origins["training.learning_rate"] == "held", "what is held of pairs is held"
    pairs = Preset("pairs", "", "", values={**DPO, "training.epochs": 1})
    spec = find_model("meta-llama/Llama-3.1-8B", online=False).spec
    answers = propose(Situation(spec, UNEVEN, CARD), pairs, held={"training.objective": "sft", "training.epochs": 4})
    assert answers.plan.training.objective == "sft" and answers.plan.training.epochs == 4


def test_answers_at_an_evaluation_are_written_by_the_trained_model_alone() -> None:
    fixed: dict[str, Any] = {
        "training__batch_size": 4,
        "method__kind": "lora",
        "evaluation__batch_size": 8,
        "lora__r": 16,
    }
    data = DataFacts(1_000, UNEVEN.lengths, eval_examples=50, trained_share=0.3)
    pairs, answers = made(data=data, **fixed).time, made(data=data, training__objective="sft", **fixed).time
    assert pairs and answers and pairs.seconds_per_answering == pytest.approx(answers.seconds_per_answering, rel=0.01)
    assert pairs.seconds_per_evaluation[1] > 3 * answers.seconds_per_evaluation[1], "both sides, and the reference"


def test_what_cannot_be_is_refused_while_planning() -> None:
    with pytest.raises(PlanError, match="it trains on one device so far"):
        made(hardware__devices=[0, 1])
    with pytest.raises(PlanError, match="pairs are padded"):
        made(training__packing=True)
