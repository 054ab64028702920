"""A copy grows with its run, is made anew where the run goes back, and survives outages: with a tracker that only keeps
what it is told. Real ones are in `test_trackers.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_trackers import RESUMED, begun, state, write

from loratui.core.errors import RunError
from loratui.runs.events import encode, make
from loratui.trackers import __main__ as process
from loratui.trackers import copy
from loratui.trackers.rows import Replay, Row, Said
from loratui.trackers.tracker import Facts


class Kept:
    """A tracker in memory; `faults`: how often a row is refused as by a network that is down."""

    copies: list[Kept]
    faults = 0

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.samples: list[Said] = []
        self.ended = ""
        Kept.copies.append(self)

    def begin(self, facts: Facts) -> None:
        self.facts = facts

    def row(self, row: Row) -> None:
        if len(self.rows) == 6 and Kept.faults:
            Kept.faults -= 1
            raise ConnectionError("no route to host")
        self.rows.append(row)

    def said(self, said: Said) -> None:
        self.samples.append(said)

    def flush(self) -> None: ...

    def end(self, state: str) -> None:
        self.ended = state

    where = "memory"


@pytest.fixture(autouse=True)
def in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(copy, "tracker", lambda name: Kept())
    monkeypatch.setattr(copy, "POLL_SECONDS", 0.01)
    Kept.copies, Kept.faults = [], 0


def counted(run: Any) -> list[Row]:
    return [row for row in Replay(run.events_path) if isinstance(row, Row)]


def test_it_grows_in_place_until_the_run_goes_back() -> None:
    run = begun()
    state(run, "running")
    one = copy.Copy(run, "wandb")
    one.renew()
    write(run, [make("step", 1014.0, step=14, loss=0.1)])
    one.grow()
    assert len(Kept.copies) == 1 and Kept.copies[0].rows == counted(run)
    with run.events_path.open("a") as file:
        file.write(encode(RESUMED[0])[:20])  # half a line: it waits for its end
    one.grow()
    assert len(Kept.copies) == 1
    with run.events_path.open("a") as file:
        file.write(encode(RESUMED[0])[20:] + "\n")
    write(run, RESUMED[1:])
    one.grow()
    first, second = Kept.copies
    assert first.ended == "superseded" and second.rows == counted(run)
    assert [row.step for row in second.rows if "train/loss" in row.values] == list(range(1, 21))
    one.grow()
    assert len(Kept.copies) == 2 and second.rows == counted(run), "nothing twice"


def test_an_outage_loses_nothing_and_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(process.time, "sleep", waits.append)
    run = begun()
    write(run, RESUMED)
    state(run, "finished")
    Kept.faults = 3
    assert process.main([str(run.path), "wandb", "loratui"]) == 0
    assert waits[:3] == list(process.WAITS_SECONDS[:3])
    assert Kept.copies[-1].rows == counted(run) and Kept.copies[-1].ended == "finished"
    Kept.faults = 99
    assert process.main([str(run.path), "wandb", "loratui"]) == 1, "it is tried a bounded number of times"


def test_one_process_copies_a_run_into_a_tracker_at_a_time() -> None:
    run = begun()
    state(run, "finished")
    with copy.only_one(run, "wandb", wait=False), pytest.raises(RunError, match="being copied"):
        copy.export(run, "wandb")
    copy.export(run, "wandb")
    assert Kept.copies[-1].facts.plan["training.learning_rate"] == 3e-4


def test_a_run_keeps_its_identity_where_it_is_moved_and_shares_it_with_none(tmp_path: Path) -> None:
    runs = [begun("one"), begun("two")]
    found = []
    for number, run in enumerate(runs):
        (run.path / "origin.json").write_text(f'{{"run": "r{number}", "proof": "x"}}')
        state(run, "finished")
        copy.export(run, "wandb")
        found.append(Kept.copies[-1].facts)
    assert found[0].identity != found[1].identity and [one.title for one in found] == ["one", "two"]
    runs[0].path.rename(tmp_path / "elsewhere")
    copy.export(type(runs[0])(tmp_path / "elsewhere"), "wandb")
    moved = Kept.copies[-1].facts
    assert moved.identity == found[0].identity and moved.title.startswith("elsewhere-")
