"""Batches of like length: little padding, every row once a pass, and a resume that goes on in the same order."""

from __future__ import annotations

import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.operations import expected_longest, grouped_longest
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.directory import Run
from loratui.runs.events import EventTail
from loratui.runs.start import create_run

pytestmark = pytest.mark.worker


def skewed(count: int) -> list[int]:
    draw = random.Random(0)
    return [min(512, 20 + int(draw.lognormvariate(4, 0.9))) for _ in range(count)]


def padding(lengths: list[int], order: list[int], batch: int) -> float:
    parts = [order[at : at + batch] for at in range(0, len(order), batch)]
    return sum(max(lengths[row] for row in part) * len(part) for part in parts) / sum(lengths) - 1


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("count", [1, 5, 999, 7473])
def test_every_row_comes_once_and_little_is_padded(count: int, batch: int) -> None:
    from loratui.worker.training.length_groups import LengthGroups

    lengths = skewed(count)
    groups = LengthGroups(lengths, batch, 7)
    first, second = list(groups), list(groups)
    assert sorted(first) == sorted(second) == list(range(count))
    if count > 100:
        assert first != second and padding(lengths, first, batch) < 0.05
        mean, facts = sum(lengths) / count, DataFacts(count, tuple(sorted(lengths)))
        told = grouped_longest(facts, batch, 10**6) / mean - 1
        assert told == pytest.approx(padding(lengths, first, batch), abs=0.04)
        assert batch == 1 or expected_longest(facts, batch, 10**6) / mean - 1 > 0.4
    again = LengthGroups(lengths, batch, 7)
    again.set_epoch(1)
    assert list(again) == second


def test_batches_do_not_come_sorted() -> None:
    from loratui.worker.training.length_groups import LengthGroups

    lengths = skewed(1600)
    order = list(LengthGroups(lengths, 16, 0))
    longest = [max(lengths[row] for row in order[at : at + 16]) for at in range(0, 1600, 16)]
    rises = sum(one < two for one, two in pairwise(longest))
    assert 35 < rises < 65


def session(files: Path, path: Path) -> list[tuple[int, float]]:
    """Train (on) in a run's directory; the steps that were done, with their losses."""
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    values: dict[str, Any] = {
        "model.id": str(files / "model"),
        "model.dtype": "fp32",
        "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0.2,
        "training.precision": "fp32",
        "training.batch_size": 4,
        "training.accumulation": 1,
        "training.max_length": 128,
        "training.epochs": 3,
        "training.group_by_length": True,
        "saving.every_steps": 1,
        "saving.keep": 100,
    }
    plan = with_values(Plan(), values)
    run = Run(path) if path.exists() else create_run(plan, output=path)
    before = len(EventTail(run.events_path).new_events()) if run.events_path.exists() else 0
    journal = Journal(run)
    Session(run, plan, journal, Requests()).execute()
    journal.close("finished")
    events = EventTail(run.events_path).new_events()[before:]
    return [(event.fields["step"], event.fields["loss"]) for event in events if event.type == "step"]


def test_a_resume_in_a_later_pass_goes_on_in_the_same_order(tmp_path: Path) -> None:
    from tiny_model import write_rows, write_tiny_model

    write_tiny_model(tmp_path / "model")
    with write_rows(tmp_path / "rows.jsonl", 20).open("a") as file:
        for count in range(1, 7):
            words = " and ".join(str(number) for number in range(count * 4))
            file.write(f'{{"prompt": "count", "completion": "{words}"}}\n')
    whole = session(tmp_path, tmp_path / "whole")
    per_pass = len(whole) // 3
    stop = per_pass + 2  # in the middle of the second pass
    shutil.copytree(tmp_path / "whole", tmp_path / "rest")
    shutil.rmtree(tmp_path / "rest" / "adapter")
    for folder in (tmp_path / "rest" / "checkpoints").iterdir():
        if int(folder.name.partition("-")[2]) > stop:
            shutil.rmtree(folder)
    rest = session(tmp_path, tmp_path / "rest")
    assert rest[0][0] == stop + 1 and rest == whole[stop:]
