"""How many rows are held out: capped by what the figure needs, and counted everywhere."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.plan import DatasetSection
from loratui.core.proposal import Proposal, propose
from loratui.core.recommend.evaluation import ENOUGH_ROWS, standard_error
from loratui.core.situation import Situation
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset
from loratui.data.split import RowKeys, split_rows
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model

LENGTHS = tuple(range(50, 450))


def proposal(usable: int, *, taken: bool = True, held: int | None = None, **by_hand: Any) -> Proposal:
    values = {key.replace("__", "."): value for key, value in by_hand.items()}
    held = round(usable * 0.05) if held is None else held
    data = DataFacts(usable - held if taken else usable, LENGTHS, eval_examples=held, eval_taken=taken)
    return propose(
        Situation(find_model("Qwen/Qwen3-0.6B", online=False).spec, data, find_gpu("A100").device()), by_hand=values
    )


@pytest.mark.parametrize(
    ("usable", "rows"), [(120_000, 996), (1_000_000, 1_000), (20_000, 1_000), (10_000, 500), (60, 3)]
)
def test_large_data_holds_out_no_more_than_the_figure_needs(usable: int, rows: int) -> None:
    made = proposal(usable)
    assert made.data.eval_examples == rows and made.data.examples == usable - rows == made.schedule.examples
    reason = made.recommendations["dataset.eval_fraction"]
    assert f"{rows:,} of {usable:,}" in reason.why and f"± {standard_error(rows):.2g}" in reason.why
    assert rows <= ENOUGH_ROWS * 1.01 and made.plan.dataset.eval_fraction <= 0.05


def test_the_split_of_the_run_is_what_the_proposal_says() -> None:
    made = proposal(120_000)
    keys = RowKeys(near=False)
    keys.identities = [number.to_bytes(16, "little") for number in range(120_000)]
    keys.leaders = list(range(120_000))
    split = split_rows(made.plan.dataset, keys, seed=42)
    assert (len(split.train), len(split.evaluation)) == (made.data.examples, made.data.eval_examples) == (119_004, 996)


def test_facts_read_with_the_proposed_share_give_the_same_proposal(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(
            json.dumps({"prompt": f"question {number}", "completion": f"answer {number}"}) + "\n"
            for number in range(30_000)
        ),
        encoding="utf-8",
    )
    first = quick_facts(find_dataset(str(path)))
    assert first.eval_taken and first.eval_examples == 1_500
    spec, device = find_model("Qwen/Qwen3-0.6B", online=False).spec, find_gpu("A100").device()
    made = propose(Situation(spec, first, device))
    again = quick_facts(
        find_dataset(str(path)), DatasetSection(path=str(path), eval_fraction=made.plan.dataset.eval_fraction)
    )
    assert (again.examples, again.eval_examples) == (made.data.examples, made.data.eval_examples) == (29_010, 990)
    assert propose(Situation(spec, again, device)).plan == made.plan


@pytest.mark.parametrize(
    ("key", "value", "held"),
    [("dataset__eval_fraction", 0.2, 24_000), ("dataset__eval_count", 300, 300), ("dataset__eval_fraction", 0.0, 0)],
)
def test_what_a_person_chose_stands(key: str, value: Any, held: int) -> None:
    made = proposal(120_000, **{key: value})
    assert made.plan.get(key.replace("__", ".")) == value and made.data.eval_examples == held
    assert made.data.examples + made.data.eval_examples == 120_000


def test_a_file_of_its_own_is_left_whole() -> None:
    made = proposal(5_000, taken=False, held=8_000)
    assert (made.data.examples, made.data.eval_examples) == (5_000, 8_000)
    assert "Counts for nothing here: 8,000 rows of their own" in made.recommendations["dataset.eval_fraction"].why


def test_the_time_of_evaluations_stays_small_for_large_data() -> None:
    made = proposal(120_000)
    assert made.time is not None and made.time.evaluations >= 9 and made.time.evaluated_rows == 996
    assert made.time.evaluation_seconds[0] < 0.05 * made.time.low_seconds
    wide = proposal(120_000, dataset__eval_fraction=0.05)
    assert wide.time is not None and wide.time.evaluation_seconds[0] > 5 * made.time.evaluation_seconds[0]
    assert f"{made.time.evaluations} looks at the held-out rows" in made.recommendations["evaluation.every_steps"].why
    assert f"{made.time.evaluations} × 996 rows" in made.recommendations["evaluation.every_steps"].formula


@pytest.mark.parametrize("taken", [True, False])
def test_one_row_is_not_held_out_and_nothing_is_said_to_be_evaluated(*, taken: bool) -> None:
    made = proposal(1, taken=taken, held=0)
    plan, said = made.plan, {key: one.why for key, one in made.recommendations.items()}
    assert (plan.dataset.eval_fraction, plan.evaluation.every_steps, plan.evaluation.patience) == (0.0, 0, 0)
    assert "single row" in said["dataset.eval_fraction"] and "known to about" not in said["dataset.eval_fraction"]
    assert said["evaluation.every_steps"] == "Nothing is held out."
    assert "evaluation" not in said["saving.every_steps"] and "best" not in said["saving.keep"]
    assert "Nothing is evaluated" in said["evaluation.patience"] and plan.saving.every_steps > 0


def test_held_out_rows_that_nothing_measures_are_told() -> None:
    made = proposal(1_000, evaluation__every_steps=0)
    said = {key: one.why for key, one in made.recommendations.items()}
    (note,) = [one for one in made.warnings if "held out" in one]
    assert note.startswith("50 rows are held out") and "or dataset.eval_fraction = 0 trains on every row" in note
    assert "While training nothing measures it" in said["dataset.eval_fraction"]
    assert "best" not in said["saving.keep"] and "peak" not in said["evaluation.batch_size"]
    for quiet in (proposal(1_000), proposal(1_000, evaluation__every_steps=0, dataset__eval_fraction=0.0)):
        assert not any("held out" in one for one in quiet.warnings)
    own = proposal(1_000, taken=False, held=30, evaluation__every_steps=0)
    assert any(one.startswith("30 rows are held out") and "trains on" not in one for one in own.warnings)


def test_the_standard_error_falls_with_the_root() -> None:
    assert standard_error(400) == pytest.approx(standard_error(100) / 2) == pytest.approx(0.6 / math.sqrt(400))
