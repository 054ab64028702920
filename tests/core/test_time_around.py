"""A prediction of time holds what it says it holds: start, steps, evaluations with their answers, checkpoints, end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.schedule import make_schedule
from loratui.core.time import Prediction, predict
from loratui.core.time_around import answering_seconds
from loratui.paths import demo_model_path

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "cpu_runs.json").read_text(encoding="utf-8"))
CPU = Device(
    name="CPU",
    kind="cpu",
    memory_total_bytes=24 * 2**30,
    memory_free_bytes=20 * 2**30,
    peak_flops=RECORDED["peak_flops"],
    fp32_peak_flops=RECORDED["peak_flops"],
)


def predicted(run: dict[str, Any], **values: Any) -> Prediction:
    """What would have been said of this run before it, by its rows as they were tokenised."""
    mean = round(run["tokens"] / run["rows"])
    shortest = max(1, 2 * mean - run["longest_tokens"])
    data = DataFacts(
        run["examples"],
        (shortest, mean, mean, run["longest_tokens"]),
        trained_share=run["trained_tokens"] / run["tokens"],
        eval_examples=run["eval_examples"],
    )
    size = {"batch_size": run["batch_size"], "accumulation": 1, "max_steps": run["steps"], "precision": "fp32"}
    plan = with_values(
        Plan(),
        {
            **{f"training.{key}": value for key, value in size.items()},
            "model.dtype": "fp32",
            "training.checkpointing": False,
            "lora.r": run["r"],
            "lora.dropout": run["dropout"],
            "evaluation.every_steps": run["every_steps"],
            "evaluation.batch_size": run["batch_size"],
            "saving.every_steps": run["every_steps"],
            **values,
        },
    )
    spec = read_config(json.loads((demo_model_path() / "config.json").read_text()), id="demo")
    found = predict(spec, plan, data, CPU, make_schedule(plan, data))
    assert found is not None
    return found


@pytest.mark.skipif(not (demo_model_path() / "config.json").is_file(), reason="the demo model is not built")
@pytest.mark.parametrize("number", range(len(RECORDED["runs"])))
def test_real_runs_took_as_long_as_was_said(number: int) -> None:
    run = RECORDED["runs"][number]
    time = predicted(run)
    low, high = time.whole_seconds
    assert low <= run["wall_seconds"] <= high
    before, after = time.starting, time.ending
    assert before[0] <= run["wall_seconds"] - run["from_first_event_to_last"] + run["started_after"] <= before[1]
    assert len(run["evaluations"]) == time.evaluations and len(run["saves"]) == time.saves
    evaluating, saving = time.evaluation_seconds, time.saving_seconds
    assert evaluating[0] <= sum(run["evaluations"]) <= evaluating[1]
    assert saving[0] <= sum(run["saves"]) <= saving[1]
    steps = time.low_seconds_per_step * time.total_steps, time.high_seconds_per_step * time.total_steps
    assert (low, high) == pytest.approx(tuple(map(sum, zip(before, steps, evaluating, saving, after, strict=True))))
    assert "with its start, 10 evaluations" in time.counted


def test_answers_cost_what_is_asked() -> None:
    data = DataFacts(1_000, (100,), trained_share=0.4, eval_examples=50)
    one, none = with_values(Plan(), {"evaluation.batch_size": 8}), DataFacts(1_000, (100,), trained_share=0.4)
    pinned = with_values(one, {"evaluation.prompts": ["Who are you?"]})
    low, high = answering_seconds(one, data, (0.02, 0.05))
    assert 8 * 0.02 < low < high < 200 * 0.1
    assert answering_seconds(one, none, (0.02, 0.05)) == (0.0, 0.0)
    assert answering_seconds(pinned, data, (0.02, 0.05))[1] > high
    assert answering_seconds(with_values(one, {"evaluation.batch_size": 2}), data, (0.02, 0.05))[0] == 4 * low
