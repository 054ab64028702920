"""What a tracker gets of a run: every step and evaluation that counts, once and in order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from loratui.runs.events import Event, encode, make
from loratui.trackers.rows import Replay, Row, Said


def write(path: Path, events: list[Event]) -> None:
    path.write_text("".join(f"{encode(event)}\n" for event in events))


def test_what_was_made_anew_counts_once_and_of_an_evaluation_the_last(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = [make("started", 1.0, step=0)]
    events += [make("step", 2.0, step=step, loss=1.0) for step in range(1, 9)]
    events += [make("eval", 2.0, step=5, loss=0.5), make("sample", 2.0, step=5, prompt="p", answer="old")]
    events += [make("started", 3.0, step=5)]
    events += [make("eval", 3.0, step=5, loss=0.6), make("sample", 3.0, step=5, prompt="p", answer="new")]
    events += [make("step", 4.0, step=step, loss=2.0) for step in range(6, 11)]
    write(path, events)
    with path.open("a") as file:
        file.write('{"type":"step","time":9')  # a torn line
    replay = Replay(path)
    rows = list(replay)
    steps = [
        (row.step, row.values["train/loss"]) for row in rows if isinstance(row, Row) and "train/loss" in row.values
    ]
    assert steps == [*((step, 1.0) for step in range(1, 6)), *((step, 2.0) for step in range(6, 11))]
    evals = [row.values for row in rows if isinstance(row, Row) and "eval/loss" in row.values]
    assert evals == [{"eval/loss": 0.6}]
    assert [row.answer for row in rows if isinstance(row, Said)] == ["new"]
    assert replay.offset == path.stat().st_size - len('{"type":"step","time":9')


@pytest.mark.parametrize("seed", range(20))
def test_whatever_was_killed_wherever_no_gap_and_no_double(tmp_path: Path, seed: int) -> None:
    """Workers that are killed at random moments and go on from their last checkpoint."""
    dice = random.Random(seed)
    path, events, truth, saved = tmp_path / "events.jsonl", [], {}, 0
    while True:
        events.append(make("started", 1.0, step=saved))
        ends = dice.random() < 0.2
        for step in range(saved + 1, 41 if ends else min(41, saved + dice.randint(1, 15))):
            truth[step] = dice.random()
            events.append(make("step", 1.0, step=step, loss=truth[step]))
            if step % 5 == 0:
                saved = step
        if saved == 40:
            break
        truth = {step: loss for step, loss in truth.items() if step <= saved}
    write(path, events)
    rows = [row for row in Replay(path) if isinstance(row, Row)]
    assert [row.step for row in rows] == list(range(1, 41))
    assert {row.step: row.values["train/loss"] for row in rows} == truth
