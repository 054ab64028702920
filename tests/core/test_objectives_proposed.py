"""What is proposed for ORPO and KTO, and what a plan of either refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_preference_proposal import CARD, UNEVEN

from loratui.core.dataset import DataFacts, uniform
from loratui.core.errors import PlanError
from loratui.core.knowledge.preference_recipes import KTO_RATES, ORPO_RECIPES, whole_model_rate
from loratui.core.memory.alternatives import alternatives
from loratui.core.operations import flops_per_pass
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.preferences import described, fair_weight, is_fair, passes_beside
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.models.find import find_model

JUDGED = replace(UNEVEN, desirable_share=0.5)
KTO: dict[str, Any] = {"training.objective": "kto", "training.batch_size": 4}


def made(objective: str, data: DataFacts = JUDGED, **changes: Any) -> Proposal:
    values = {"training.objective": objective} | {key.replace("__", "."): value for key, value in changes.items()}
    return propose(Situation(find_model("meta-llama/Llama-3.1-8B", online=False).spec, data, CARD), by_hand=values)


@pytest.mark.parametrize("objective", ["orpo", "kto"])
def test_every_value_has_its_reason(objective: str) -> None:
    proposal = made(objective)
    own = {key for key in proposal.recommendations if key.startswith("preference.")}
    assert own == {"preference.beta"} | (
        set()
        if objective == "orpo"
        else {f"preference.{name}" for name in ("kto_loss", "desirable_weight", "undesirable_weight", "reference")}
    )
    for key in [*own, "training.learning_rate", "training.epochs", "lora.dropout", "training.packing"]:
        reason = proposal.recommendations[key]
        for name in ("why", "formula", "source", "up", "down"):
            assert getattr(reason, name).strip(), (key, name)
        assert reason.why.endswith(".") and "\n" not in reason.why
        assert "pairs" not in reason.why or objective == "orpo", "answers are judged one by one"


def test_orpos_rates_are_those_of_its_recipes() -> None:
    for one in ORPO_RECIPES:
        assert whole_model_rate(one.parameters, ORPO_RECIPES) == pytest.approx(one.rate)
    whole = made("orpo", method__kind="full").plan.training.learning_rate
    assert whole == pytest.approx(5e-6) and made("orpo").plan.training.learning_rate == pytest.approx(10 * whole)
    assert made("orpo").plan.training.epochs == 3 and made("orpo").plan.preference.reference == "each-step"


def test_ktos_rates_stay_where_they_are_advised() -> None:
    lowest, highest = KTO_RATES
    for kind in ("full", "lora", "qlora"):
        assert lowest <= made("kto", method__kind=kind).plan.training.learning_rate <= highest


@pytest.mark.parametrize(("answers", "epochs", "rows"), [(60_000, 1, 32), (2_000, 1, 16), (400, 3, 16), (6, 3, 4)])
def test_steps_of_judged_answers(answers: int, epochs: float, rows: int) -> None:
    plan = made("kto", uniform(answers, 200)).plan
    assert (plan.training.epochs, plan.effective_batch_size) == (epochs, rows)
    assert plan.training.batch_size >= 4, "the KL is estimated from a pass's rows"


def test_on_little_memory_two_rows_must_do() -> None:
    card = replace(CARD, memory_total_bytes=20 * 2**30, memory_free_bytes=20 * 2**30)
    spec = find_model("meta-llama/Llama-3.1-8B", online=False).spec
    values = {"training.objective": "kto", "training.max_length": 4096, "method.kind": "lora"}
    plan = propose(Situation(spec, uniform(60_000, 4096), card), by_hand=values).plan
    assert plan.training.batch_size == 2


@pytest.mark.parametrize(
    ("share", "weights"), [(0.5, (1.0, 1.0)), (0.57, (1.0, 1.0)), (0.8, (1.0, 4.0)), (0.25, (3.0, 1.0)), (1.0, (1, 1))]
)
def test_the_rarer_kind_is_weighted_up(share: float, weights: tuple[float, float]) -> None:
    preference = made("kto", replace(JUDGED, desirable_share=share)).plan.preference
    assert (preference.desirable_weight, preference.undesirable_weight) == pytest.approx(weights)
    if 0 < share < 1:
        assert is_fair(share, 1 - share, *weights)


def test_which_weight_makes_both_kinds_count_alike() -> None:
    assert fair_weight(10, 40) == ("preference.desirable_weight", 4.0)
    assert fair_weight(40, 10) == ("preference.undesirable_weight", 4.0)
    assert is_fair(40, 30) and not is_fair(30, 40) and not is_fair(50, 30)


def test_ktos_reference_is_computed_once_from_three_passes_on() -> None:
    assert made("kto").plan.preference.reference == "each-step"
    assert made("kto", training__epochs=2).plan.preference.reference == "each-step", "1.25 by work, of which 0.99 come"
    assert made("kto", training__epochs=3).plan.preference.reference == "precomputed"
    assert made("kto", method__kind="full").plan.preference.reference == "precomputed"
    recomputed = {"training__checkpointing": True, "training__epochs": 2}
    assert made("kto", **recomputed).plan.preference.reference == "each-step", "a step takes longer, and that not"
    reason = made("dpo", training__epochs=3, training__checkpointing=False).recommendations["preference.reference"]
    assert "3 × (4 + 2) / (3 × 4 + 2) = 1.29 times" in reason.formula and reason.value == "precomputed"


@pytest.mark.parametrize(("width", "once"), [(256, False), (767, False), (768, True), (4096, True)])
def test_a_narrow_model_gains_too_little_by_computing_the_reference_once(width: int, once: bool) -> None:
    """As measured: 1.131 times as fast at width 256, 1.279 at 768 (`benchmarks/results/preference_speed.json`)."""
    spec = replace(find_model("meta-llama/Llama-3.1-8B", online=False).spec, hidden_size=width)
    values = {"training.objective": "dpo", "training.epochs": 3, "training.checkpointing": False, "method.kind": "lora"}
    reason = propose(Situation(spec, UNEVEN, CARD), by_hand=values).recommendations["preference.reference"]
    assert (reason.value == "precomputed") is once
    assert once or f"a model of width {width} is too narrow to gain" in reason.why


def test_passes_beside_the_trained_one_take_time() -> None:
    def beside(**changes: Any) -> int:
        return passes_beside(with_values(Plan(), KTO | {key.replace("__", "."): v for key, v in changes.items()}))

    assert beside() == 3 and beside(preference__reference="precomputed") == 1
    assert beside(preference__kto_loss="apo_zero_unpaired") == 1
    assert passes_beside(with_values(Plan(), {"training.objective": "orpo"})) == 0
    spec = find_model("meta-llama/Llama-3.1-8B", online=False).spec

    def work(**changes: Any) -> float:
        values = {"training.batch_size": 4, "training.max_length": 512} | changes
        return flops_per_pass(spec, with_values(Plan(), values), uniform(1000, 512))

    answers = work()
    forward = (work(**KTO) - work(**KTO, **{"preference.reference": "precomputed"})) / 2
    assert work(**KTO, **{"preference.reference": "precomputed"}) == pytest.approx(answers + forward, rel=0.01)
    assert work(**{"training.objective": "orpo"}) == pytest.approx(2 * answers, rel=0.01), "both sides"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({**KTO, "training.batch_size": 1}, "the KL is estimated from the other rows of a batch: set it to 2 or more"),
        ({**KTO, "training.packing": True}, "answers are padded: set it to false"),
        ({**KTO, "training.group_by_length": True}, "its KL needs them in a fixed order"),
        ({**KTO, "preference.loss": "ipo"}, 'preference.loss = "ipo" exclude each other: only dpo heeds it'),
        ({**KTO, "preference.sft_weight": 0.5}, "preference.sft_weight = 0.5 exclude each other: only dpo heeds it"),
        ({"training.objective": "dpo", "preference.desirable_weight": 2}, "only kto heeds it: leave it at 1"),
        ({"training.objective": "orpo", "preference.length_weight": 0.5}, "only dpo heeds it: leave it at 1"),
        ({"training.objective": "orpo", "preference.reference": "precomputed"}, "it has no reference"),
        ({"training.objective": "orpo", "lora.dropout": 0.1}, "trl switches dropout off here: set it to 0"),
        ({"training.objective": "orpo", "hardware.devices": [0, 1]}, "it trains on one device so far"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        with_values(Plan(), changes)
    assert words in caught.value.message and "\n" not in caught.value.message


def test_how_preferences_are_learnt_is_told() -> None:
    assert described(with_values(Plan(), {"training.objective": "orpo"})) == (
        "preferences by ORPO, odds ratio × 0.1 beside the loss of question and chosen answer, no reference"
    )
    told = described(with_values(Plan(), KTO | {"preference.undesirable_weight": 2.0, "method.kind": "full"}))
    assert told.startswith("preferences by KTO, answers judged one by one, loss kto, beta 0.1, unwanted answers × 2")
    assert told.endswith(", held to the base model")


def test_out_of_memory_a_kto_plan_keeps_two_rows_a_pass() -> None:
    spec = find_model("Qwen/Qwen3-8B", online=False).spec
    for rows, smallest in ((4, 2), (2, None), (3, None)):
        plan = with_values(Plan(), KTO | {"training.batch_size": rows, "training.max_length": 2048})
        card = replace(CARD, memory_total_bytes=8 * 2**30, memory_free_bytes=8 * 2**30)
        changes = [one.change for one in alternatives(spec, plan, uniform(100, 2048), card, where="step")]
        assert [one["training.batch_size"] for one in changes if len(one) == 2 and "training.batch_size" in one] == (
            [] if smallest is None else [smallest]
        )
        for change in changes:
            with_values(plan, change)
