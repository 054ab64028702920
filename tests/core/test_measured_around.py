"""What runs here took beside their steps narrows what is said of the next one's start, evaluations, saves and end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.measured import Measurement
from loratui.core.measured_around import OTHER_METHOD_SHARES, SAME_METHOD_SHARES
from loratui.core.operations import flops_per_pass
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.schedule import make_schedule
from loratui.core.storage import disk_need
from loratui.core.time import Prediction, predict
from loratui.core.time_around import IMPORT_SECONDS, RESULT_SECONDS, answer_batches, prepared_tokens
from loratui.core.trial_time import seconds_until

SPEC = read_config(
    {
        "model_type": "llama",
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "vocab_size": 4000,
    }
)
PLAN = with_values(Plan(), {"model.id": "m", "evaluation.every_steps": 20, "saving.every_steps": 20})
DATA = DataFacts(1_000, (100,), trained_share=0.4, eval_examples=100)
CPU = Device(name="A processor", kind="cpu", memory_total_bytes=2**34, memory_free_bytes=2**34)
STEPS_ALONE = Measurement(
    run="a",
    time=1.0,
    device="A processor",
    method="lora",
    family="llama",
    model="m",
    flops_per_step=flops_per_pass(SPEC, PLAN, DATA) * PLAN.training.accumulation,
    passes=PLAN.training.accumulation,
    seconds_per_step=0.5,
    steps=50,
)
WHOLE = replace(
    STEPS_ALONE,
    importing_seconds=6.0,
    rehearsing_seconds=9.0,
    loading_seconds=2.0,
    prepared_tokens=prepared_tokens(PLAN, DATA),
    evaluating_seconds=1.5,
    evaluated_rows=100,
    answer_batches=sum(answer_batches(PLAN, DATA.eval_examples)),
    saving_seconds=0.2,
    checkpoint_bytes=disk_need(SPEC, PLAN).checkpoint_bytes,
    ending_seconds=0.8,
)


def told(*runs: Measurement, plan: Plan = PLAN, data: DataFacts = DATA, device: Device = CPU) -> Prediction:
    found = predict(SPEC, plan, data, device, make_schedule(plan, data), runs)
    assert found is not None
    return found


def test_what_was_measured_is_in_the_narrower_span() -> None:
    before, after = told(STEPS_ALONE), told(WHOLE)
    low, high = after.whole_seconds
    steps = 0.5 * after.total_steps
    took = 6.0 + 2.0 + steps + 1.5 * after.evaluations + 0.2 * after.saves + 0.8
    assert low < took < high
    assert high - low < (before.whole_seconds[1] - before.whole_seconds[0]) / 2
    assert before.starting[0] > IMPORT_SECONDS[0] and before.ending[1] > RESULT_SECONDS[1], (
        "a run of before tells nothing"
    )
    least, most = SAME_METHOD_SHARES
    assert after.one_evaluation == pytest.approx((1.5 * least, 1.5 * most))
    assert after.one_save == pytest.approx((0.2 * least, 0.2 * most))
    assert after.ending == pytest.approx((0.8 * least, 0.8 * most))
    assert seconds_until(after, PLAN, 20, starts=1)[1] < seconds_until(before, PLAN, 20, starts=1)[1]


def test_another_model_learns_of_the_imports_alone() -> None:
    other = replace(WHOLE, model="another")
    before, after = told(STEPS_ALONE), told(STEPS_ALONE, other)
    assert after.starting[1] - after.starting[0] < before.starting[1] - before.starting[0]
    assert (after.one_evaluation, after.one_save, after.ending) == (
        before.one_evaluation,
        before.one_save,
        before.ending,
    )


def test_another_method_counts_less_than_its_own() -> None:
    full = replace(WHOLE, method="full", run="b")
    least, most = OTHER_METHOD_SHARES
    assert told(full).ending == pytest.approx((0.8 * least, 0.8 * most))
    assert told(replace(full, ending_seconds=5.0), WHOLE).ending == told(WHOLE).ending


@pytest.mark.parametrize("elsewhere", [replace(WHOLE, device="Another processor"), replace(WHOLE, devices=2)])
def test_runs_elsewhere_say_nothing(elsewhere: Measurement) -> None:
    assert told(STEPS_ALONE, replace(elsewhere, run="b")).whole_seconds == told(STEPS_ALONE).whole_seconds


def test_more_to_do_takes_longer() -> None:
    more = replace(DATA, eval_examples=200)
    assert told(WHOLE, data=more).one_evaluation[1] == pytest.approx(2 * told(WHOLE).one_evaluation[1])
    far = replace(DATA, eval_examples=1_000)
    assert told(WHOLE, data=far).around.evaluating is None, "ten times the rows are another measurement"
    prompts = with_values(PLAN, {"evaluation.prompts": ["Who are you?"]})
    assert told(WHOLE, plan=prompts).around.evaluating is None, "and so are answers of another length"
    larger = replace(DATA, examples=100_000)
    assert told(WHOLE, data=larger).starting[1] > told(WHOLE).starting[1] + 50, "rows that were never tokenised"


def test_a_rehearsal_takes_what_it_took() -> None:
    card = replace(CPU, kind="gpu", compute_capability=(9, 0), peak_flops=1e15)
    before, after = (told(one, device=card).starting for one in (STEPS_ALONE, WHOLE))
    assert after[0] > before[0] + 5 and after[1] < before[1]
