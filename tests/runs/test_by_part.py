"""The held-out loss of each part: what the training screen, `runs findings` and the trackers tell of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loratui.commands.tree import loratui
from loratui.core.early_stopping import UNDECIDED, Change
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.runs import row_losses
from loratui.runs.by_part import part_losses
from loratui.runs.directory import Run
from loratui.runs.events import Eval, Event, decode, encode, make
from loratui.runs.row_losses import RowLosses
from loratui.runs.start import create_run
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import part_rows

WORSE = Change(step=0, before=0.7, difference=0.3, low=0.2, high=0.4, rows=40)
UNTOLD = Change(step=10, before=2.0, difference=0.1, low=-0.3, high=0.5, rows=40)


def evaluation(step: int, losses: dict[str, float], **more: object) -> Event:
    return make(
        "eval", 1.0 + step, step=step, loss=sum(losses.values()) / max(1, len(losses)), loss_by_part=losses, **more
    )


def test_an_events_line_carries_what_the_rows_tell() -> None:
    told = decode(encode(evaluation(20, {"a": 1.0}, beside_best=UNTOLD, parts_beside_best={"a": WORSE})))
    assert isinstance(told, Eval) and told.beside_best == UNTOLD and told.parts_beside_best == {"a": WORSE}
    assert told.parts_beside_best["a"].told == "worse"
    older = decode('{"type":"eval","time":1.0,"step":20,"loss":1.0}')
    assert isinstance(older, Eval) and older.beside_best is None and not part_losses(older)


def test_the_screen_names_the_part_that_got_worse_and_sums_up_the_others() -> None:
    losses = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0, "e": 5.0, "rules": 1.0}
    event = evaluation(20, losses, parts_beside_best={"rules": WORSE, "a": UNTOLD})
    assert isinstance(event, Eval)
    rows = part_rows(event)
    assert rows == [
        (" a", "1.0000", ""),
        (" rules", "1.0000", "▲ since 0"),
        (" 4 others", "2.0000", "to 5.0000"),
    ]


def test_what_could_not_be_told_is_forgotten_once_it_can() -> None:
    record = RunRecord()
    noise = make("finding", 2.0, finding=UNDECIDED, severity="info", step=20, message="cannot tell")
    record.take([evaluation(20, {}, beside_best=UNTOLD), noise, evaluation(30, {}, beside_best=UNTOLD), noise])
    assert len(record.findings) == 1
    record.take([evaluation(40, {}, beside_best=WORSE)])
    assert not record.findings


def test_findings_has_a_line_for_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    run = Run(tmp_path / "runs" / "mix")
    run.path.mkdir(parents=True)
    run.plan_path.write_text(plan_to_toml(Plan()))
    events = [
        make("started", 0.5, step=0, total_steps=40),
        evaluation(0, {"orders": 0.7, "chats": 5.0}),
        make("step", 2.0, step=20, loss=1.0),
        evaluation(20, {"orders": 1.0, "chats": 2.0}, parts_beside_best={"orders": WORSE}),
    ]
    run.events_path.write_text("".join(encode(event) + "\n" for event in events))
    shown = CliRunner().invoke(loratui, ["runs", "findings", "mix"]).output
    assert "Held-out loss by part, at step 20:" in shown
    assert "  orders  1.0000  ▲ 0.3000 above its lowest before, before the first step" in shown
    assert "orders gets worse while the whole gets better" in shown
    found = json.loads(CliRunner().invoke(loratui, ["runs", "findings", "mix", "--json"]).output)
    assert [(one["part"], one["loss"], one["told"]) for one in found["parts"]] == [
        ("orders", 1.0, "worse"),
        ("chats", 2.0, None),
    ]


def test_the_list_of_runs_has_the_newest_figures_of_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    parts = [{"path": str(tmp_path / name)} for name in ("english.jsonl", "code.jsonl")]
    for part in parts:
        Path(part["path"]).write_text('{"prompt": "a", "completion": "b"}\n')
    mixed = create_run(
        with_values(Plan(), {"dataset.path": "", "dataset.parts": parts}),
        "mixed",
    )
    create_run(Plan(), "single")
    events = [
        evaluation(10, {"english": 0.5, "code": 0.6}),
        evaluation(20, {"english": 0.4, "code": 0.7}, parts_beside_best={"code": WORSE}),
        make("step", 30.0, step=21, loss=0.5),
    ]
    mixed.events_path.write_text("".join(encode(event) + "\n" for event in events))
    lines = CliRunner().invoke(loratui, ["runs"], terminal_width=200).output.splitlines()
    (line,) = (one for one in lines if one.startswith("mixed"))
    assert "held out: english 0.4000, code ▲ 0.7000" in line
    assert not any("held out" in one for one in lines if one.startswith("single"))
    found = json.loads(CliRunner().invoke(loratui, ["runs", "--json"]).output)["runs"]
    told = {one["name"]: [(part["part"], part["loss"], part["told"]) for part in one["parts"]] for one in found}
    assert told == {"mixed": [("english", 0.4, None), ("code", 0.7, "worse")], "single": []}


def test_the_rows_that_are_kept_decide_as_those_that_were_measured(tmp_path: Path) -> None:
    run = Run(tmp_path)
    before = RowLosses.of([one / 7 for one in range(20)], [3] * 20)
    now = RowLosses.of([one / 7 + 0.123456789 for one in range(20)], [3] * 20)
    for step, rows in ((10, now), (10, before), (20, now)):
        row_losses.keep(run, step, rows)
    assert [step for step, _ in row_losses.each(run)] == [10, 10, 20]
    first, second = row_losses.read(run, 10), row_losses.read(run, 20)
    assert first == before and second == now, "the last one of a step, to the bit"
    assert second is not None and first is not None and second.changed(first, 10, 5) == now.changed(before, 10, 5)
    assert now.changed(RowLosses.of([1.0], [3]), 10, 5) is None, "other rows"
