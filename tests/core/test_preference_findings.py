"""Findings while preferences are learnt: on curves that show them, and none on those that do not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from loratui.core.diagnosis import Curves, diagnose
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.preferences import share_in_order

STEPS = 80


def found(plan: dict[str, Any] | None = None, **curves: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "losses": [0.69 - 0.004 * at for at in range(STEPS)],
        "total_steps": STEPS,
        "proposed": {"training.learning_rate": 5e-6},
        "orders": [0.0, *(0.5 + 0.3 * (at % 2) for at in range(STEPS - 1))],
        "chosen_rewards": [0.002 * at for at in range(STEPS)],
        "margins": [0.004 * at for at in range(STEPS)],
    }
    values = {"training.objective": "dpo", "training.learning_rate": 5e-6, **(plan or {})}
    told = diagnose(Curves(range(1, STEPS + 1), **usual | curves), with_values(Plan(), values))
    return {finding.kind: finding for finding in told}


def test_a_healthy_run_is_told_nothing() -> None:
    assert not found()
    low = [0.69 * 0.9**at for at in range(STEPS)]
    assert not found(losses=low), "the loss of pairs comes near 0 where all is well"


def test_both_sides_fall() -> None:
    noise = random.Random(0)
    falling = [-0.02 * at + noise.gauss(0, 0.2) for at in range(STEPS)]
    finding = found({"training.learning_rate": 1e-4}, chosen_rewards=falling)["both-fall"]
    assert "against the reference" in finding.message
    assert [fix.changes for fix in finding.fixes] == [
        {"preference.sft_weight": 0.2},
        {"training.learning_rate": 5e-6},
    ]
    still = found({"preference.sft_weight": 0.2}, chosen_rewards=falling)["both-fall"]
    assert not still.fixes, "what is set already is not advised"
    level = [noise.gauss(0, 0.5) for _ in range(STEPS)]
    assert "both-fall" not in found(chosen_rewards=level)
    backwards = [-0.01 * at for at in range(STEPS)]
    assert "both-fall" not in found(chosen_rewards=falling, margins=backwards), (
        "the rejected answers do not fall as far"
    )


def test_the_margin_explodes() -> None:
    high = [0.3 * at for at in range(STEPS)]
    finding = found(margins=high)["margin-explodes"]
    assert finding.severity == "warning" and finding.fixes[-1].changes == {"preference.loss": "ipo"}
    assert "margin-explodes" not in found({"preference.loss": "ipo"}, margins=high)
    by_tokens = {"preference.loss": "sigmoid_norm", "preference.beta": 5.0}
    assert "margin-explodes" not in found(by_tokens, margins=high), (
        "2 nats of a whole answer are a margin of 10 already"
    )


def test_every_pair_is_in_order_at_once() -> None:
    easy = [0.0, *([1.0] * (STEPS - 1))]
    assert "ordered-at-once" in found(orders=easy)
    assert "ordered-at-once" not in found({"training.batch_size": 1, "training.accumulation": 2}, orders=easy)
    assert "ordered-at-once" not in found(orders=[0.0, 0.9, *([1.0] * (STEPS - 2))])


def test_nothing_moves() -> None:
    finding = found(losses=[0.693] * STEPS, margins=[0.0] * STEPS, chosen_rewards=[0.0] * STEPS)["not-falling"]
    assert finding.since_step


def test_answers_are_judged_as_before() -> None:
    told = diagnose(Curves(range(1, STEPS + 1), [2.0] * STEPS, margins=[50.0] * STEPS), Plan())
    assert "margin-explodes" not in {finding.kind for finding in told}


KTO = {"training.objective": "kto", "training.batch_size": 4}
ORPO = {"training.objective": "orpo"}
MOVING: dict[str, Any] = {"losses": [0.5 - 0.004 * at for at in range(STEPS)], "orders": ()}


def test_healthy_runs_of_ktos_and_orpos_are_told_nothing() -> None:
    assert not found(KTO, kls=[0.02 * at for at in range(STEPS)], **MOVING)
    falling = [-0.3 + 0.001 * at for at in range(STEPS)]
    odds = [0.01 * at for at in range(STEPS)]
    always = [1.0] * STEPS
    told = found(
        ORPO, losses=[3 - 0.02 * at for at in range(STEPS)], chosen_rewards=falling, log_odds=odds, orders=always
    )
    assert not told, "ORPO's rewards are log-probabilities: below 0 whatever is learnt"


def test_judged_losses_of_other_rows_do_not_say_that_the_result_is_worse() -> None:
    """Two wanted and one unwanted answer, weighted 2 and 1, have 0.833 before anything is learnt, training's 0.72."""
    steps = range(1, 5)
    looks = [0.8333, 0.8333, 0.8334, 0.8333]
    curves = Curves(
        steps, [0.719, 0.71, 0.715, 0.71], eval_steps=list(steps), eval_losses=looks, total_steps=4, finished=True
    )
    told = {one.kind for one in diagnose(curves, with_values(Plan(), KTO | {"preference.desirable_weight": 2.0}))}
    assert "worse-than-base" not in told
    answers = {one.kind for one in diagnose(curves, Plan())}
    assert "worse-than-base" in answers, "the same losses of answers say it"


@pytest.mark.parametrize("objective", ["sft", "dpo", "orpo", "kto"])
@pytest.mark.parametrize(("end", "told"), [(0.45, False), (0.508, False), (0.53, True), (3.0, True)])
def test_beside_an_evaluation_of_the_base_the_same_rows_decide(objective: str, end: float, told: bool) -> None:
    """Whatever the training's own losses are: 10 % of a loss over 100 rows leaves 0.005 of it uncertain."""
    steps = range(1, 9)
    curves = Curves(
        steps,
        [2.0] * 8,
        eval_steps=[4, 8],
        eval_losses=[0.6, end],
        base_loss=0.5,
        eval_rows=100,
        total_steps=8,
        finished=True,
    )
    plan = with_values(Plan(), {"training.objective": objective, "training.batch_size": 4})
    found = [one for one in diagnose(curves, plan) if one.kind == "worse-than-base"]
    assert bool(found) is told
    if found:
        assert "above the 0.5 that the run began with" in found[0].message
        assert not [fix for fix in found[0].fixes if "training.max_steps" in fix.changes], "no step was better"


def test_what_a_run_went_on_from_is_named_where_it_is_worse_than_that() -> None:
    curves = Curves([1, 2], [0.5, 0.4], eval_steps=[2], eval_losses=[0.9], base_loss=0.6, total_steps=2, finished=True)
    plan = with_values(Plan(), {"training.objective": "dpo", "lora.adapter": "/sft/adapter"})
    (found,) = [one for one in diagnose(curves, plan) if one.kind == "worse-than-base"]
    assert "worse than the adapter that it began from" in found.message


def test_of_judged_answers_the_share_in_order_is_that_of_all_pairs_of_both_kinds() -> None:
    assert share_in_order([1.0, 2.0], [0.0, 0.5]) == 1 and share_in_order([0.0], [1.0, 2.0, 3.0]) == 0
    assert share_in_order([0.0, 0.0], [0.0]) == 0.5, "equal ones count half"
    wanted, unwanted = [0.3, -0.2, 0.3, 1.0], [0.3, 0.1, -0.4]
    by_hand = sum((one > other) + (one == other) / 2 for one in wanted for other in unwanted) / 12
    assert share_in_order(wanted, unwanted) == pytest.approx(by_hand)


def test_wanted_answers_fall() -> None:
    falling = [-0.02 * at for at in range(STEPS)]
    finding = found(KTO | {"training.learning_rate": 1e-4}, chosen_rewards=falling, **MOVING)["both-fall"]
    assert [fix.changes for fix in finding.fixes] == [{"training.learning_rate": 5e-6}], "KTO has no SFT term"


def test_the_margin_of_judged_answers_explodes() -> None:
    finding = found(KTO, margins=[0.3 * at for at in range(STEPS)], **MOVING)["margin-explodes"]
    assert "nearly every answer is learnt by heart" in finding.message and not finding.fixes


def test_the_kl_runs_away() -> None:
    far = [3.0 * at for at in range(STEPS)]
    finding = found(KTO | {"training.learning_rate": 1e-4}, kls=far, **MOVING)["kl-runs-away"]
    assert finding.fixes[0].changes == {"training.learning_rate": 5e-6}
    assert "kl-runs-away" not in found(KTO | {"preference.beta": 0.01}, kls=far, **MOVING)
    assert "kl-runs-away" not in found(KTO | {"preference.kto_loss": "apo_zero_unpaired"}, kls=far, **MOVING)


def test_the_odds_stand_still() -> None:
    noise = random.Random(0)
    still = [0.4 + noise.gauss(0, 0.2) for _ in range(STEPS)]
    falling = [3 - 0.02 * at for at in range(STEPS)]
    finding = found(ORPO, losses=falling, log_odds=still)["odds-stand-still"]
    assert [fix.changes for fix in finding.fixes] == [{"preference.beta": 0.2}]
    assert not found(ORPO | {"preference.beta": 0.8}, losses=falling, log_odds=still)["odds-stand-still"].fixes
    rising = [value + 0.02 * at for at, value in enumerate(still)]
    assert "odds-stand-still" not in found(ORPO, losses=falling, log_odds=rising)
