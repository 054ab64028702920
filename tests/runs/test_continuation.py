"""Changing a run that has begun: what is checked before anything moves, the way back, and what is said."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from loratui.core.errors import DatasetError, LoratuiError, ModelError, PlanError, RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_from_toml, plan_to_toml, with_values
from loratui.runs import checkpoints, resume
from loratui.runs.continuation import change, continuation, why_no_checkpoint
from loratui.runs.directory import Run
from loratui.runs.events import EventTail, Fix, append_event
from loratui.runs.fingerprint import plan_values, versions, what_would_differ
from loratui.runs.follow import follow_lines, mending_lines
from loratui.runs.resume import change_and_resume, extend_run, longer, resume_run, resuming
from loratui.runs.start import create_run
from loratui.runs.status import Status, write_status


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of 30 steps that was stopped at step 14, as its worker left it; what a checkpoint holds is not read."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    plan = with_values(Plan(), {"training.max_steps": 30})
    run = create_run(plan, output=tmp_path / "run")
    saved(run, 14)
    run.fingerprint_path.write_text(json.dumps({"plan": plan_values(plan), "versions": versions()}))
    append_event(run, "data", examples=40, cut=0, longest_tokens=75)
    append_event(run, "started", total_steps=30)
    for step in range(1, 15):
        append_event(run, "step", step=step, epoch=step / 10, loss=1.0)
    write_status(run.status_path, Status(state="stopped", step=14, created=1.0, ended=2.0))
    return run


def saved(run: Run, step: int, name: str = "") -> Path:
    folder = run.checkpoints_path / (name or f"checkpoint-{step}")
    folder.mkdir(parents=True)
    (folder / "scheduler.pt").touch()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    checkpoints.seal(folder, step)
    return folder


def held(run: Run) -> dict[str, bytes]:
    return {str(path.relative_to(run.path)): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"dataset.path": "/nix.jsonl"}, DatasetError),
        ({"dataset.eval_path": "/nix.jsonl"}, DatasetError),
        ({"model.id": "/nix"}, ModelError),
        ({"lora.adapter": "/nix"}, ModelError),
    ],
)
def test_what_cannot_be_found_changes_nothing(begun: Run, changes: dict[str, Any], kind: type[LoratuiError]) -> None:
    before = held(begun)
    with pytest.raises(kind, match="/nix"):
        change_and_resume(begun, changes)
    after = held(begun)
    assert {name: after[name] for name in before} == before and not (begun.path / "earlier").exists()


def test_a_change_back_goes_on_from_what_was_set_aside(begun: Run, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n')
    how = continuation(begun, {"dataset.path": str(rows)})
    assert how.start == "adapter" and how.would.startswith("It would go on from the weights of step 14; ")
    change(begun, how)
    assert begun.last_checkpoint() is None and begun.first_weights() is not None
    back = continuation(begun, {"dataset.path": "demo"})
    assert (back.start, back.from_step) == ("checkpoint", 14)
    assert what_would_differ(begun, back.plan, {"dataset.path"}) == [], "it is again what it was trained on"
    change(begun, back)
    last = begun.last_checkpoint()
    assert last is not None and last.name == "checkpoint-14" and begun.first_weights() is None
    assert begun.plan().dataset.path == "demo"


def test_what_was_asked_for_is_no_difference(begun: Run) -> None:
    after = continuation(begun, {"training.learning_rate": 1e-3}).plan
    assert what_would_differ(begun, after, {"training.learning_rate"}) == []
    assert what_would_differ(begun, after) == ["training.learning_rate was 0.0002 and is 0.001"]


def test_why_there_is_no_checkpoint(begun: Run, tmp_path: Path) -> None:
    how = continuation(begun, {"training.max_steps": 5})
    assert "already past step 5" in how.because and "no checkpoint yet" not in how.would
    begun.checkpoints()[0].rename(begun.checkpoints_path / "diverged-14")
    assert why_no_checkpoint(begun) == (
        "checkpoint-14 was written after the loss began to climb; it is kept as diverged-14"
    )
    assert "kept as diverged-14" in continuation(begun, {"training.learning_rate": 1e-5}).would


def test_a_key_keeps_its_name_within_a_sentence(begun: Run) -> None:
    how = continuation(begun, {"lora.r": 4, "lora.alpha": 8})
    assert how.would.startswith("It would start anew from the base model at step 0 (lora.r: the trained weights")
    assert "These would be kept, but set aside: checkpoints." in how.would
    assert how.words.startswith("It starts anew from the base model at step 0 (lora.r")


def test_a_higher_maximum_length_is_none_where_no_row_was_cut(begun: Run) -> None:
    assert continuation(begun, {"training.max_length": 2048}).start == "checkpoint"
    assert continuation(begun, {"training.max_length": 64}).start == "adapter"
    assert continuation(begun, {"training.max_length": 2048, "lora.r": 4}).start == "anew"
    append_event(begun, "data", examples=40, cut=3, longest_tokens=1024)
    assert continuation(begun, {"training.max_length": 2048}).start == "adapter"


def test_a_plan_edited_by_hand_is_kept_with_the_one_that_was_trained(begun: Run) -> None:
    trained = begun.plan()
    begun.plan_path.write_text(plan_to_toml(with_values(trained, {"lora.r": 8})))
    told = change(begun, continuation(begun, {}, restart=True))
    assert told["changes"] == {"lora.r": [16, 8]}
    assert plan_from_toml((begun.path / "plan.1.toml").read_text()) == trained and begun.plan().lora.r == 8


def test_a_second_resume_is_told_of_the_first(begun: Run) -> None:
    caught: list[str] = []

    def other() -> None:
        try:
            change_and_resume(begun, {"training.learning_rate": 1e-5})
        except RunError as error:
            caught.append(error.sentence)

    with resuming(begun):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(caught) == 1 and "another resume" in caught[0] and begun.plan().training.learning_rate == 2e-4
    write_status(begun.status_path, Status(state="starting", created=time.time()))
    with pytest.raises(RunError, match="still going"):
        change_and_resume(begun, {"dataset.path": "/nix.jsonl"})


def test_a_run_that_counts_steps_is_trained_for_more_epochs(begun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "start_worker", lambda run: 0)
    write_status(begun.status_path, Status(state="finished", step=14, created=1.0, ended=2.0))
    begun.adapter_path.mkdir()
    with pytest.raises(RunError, match="`--extend 1`"):
        resume_run(begun)
    assert longer(begun, begun.plan(), 2) == {"training.max_steps": 50}, "ten steps are an epoch"
    extend_run(begun, 1.5)
    assert begun.plan().training.max_steps == 45


def test_a_failure_names_the_first_fixes_with_their_commands(begun: Run) -> None:
    ways = [
        {"change": {"training.learning_rate": 0.0026}, "advice": "Start anew.", "restart": True},
        {"change": {"training.max_grad_norm": 0.3}, "advice": "Clip."},
        {"change": {"training.accumulation": 16}, "advice": "Accumulate."},
    ]
    append_event(begun, "finding", finding="diverged", severity="error", message="It diverged.", fixes=ways)
    told = "\n".join(mending_lines(begun))
    assert f"loratui resume {begun.path} --set training.learning_rate=0.0026 --anew" in told
    assert "--set training.max_grad_norm=0.3\n" in told and "Accumulate" not in told
    assert f"loratui attach {begun.path}" in told and "--auto-recover" in told
    append_event(begun, "fix", changes={})
    assert mending_lines(begun) == [], "that has been answered"


def test_following_a_resumed_run_passes_over_what_was_before(begun: Run) -> None:
    before = begun.events_path.stat().st_size
    append_event(begun, "started", step=14, total_steps=30, resumed_from="checkpoint-14")
    append_event(begun, "finished", step=30, begun_at=14, seconds=14.0, result="adapter")
    lines = list(follow_lines(begun, since=before))
    assert len(lines) == 2 and lines[0].startswith("continued from checkpoint-14")
    assert "30 steps, the last 16 of them in 14 s" in lines[1]


def test_an_adapter_of_another_shape_is_refused_before_the_run_is_made(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    shape = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
    (adapter / "adapter_config.json").write_text(json.dumps(shape))
    plan = with_values(Plan(), {"lora.adapter": str(adapter), "lora.r": 8, "lora.alpha": 16})
    for changes, words in (({"lora.r": 32}, "lora.r = 32, but"), ({"method.kind": "full"}, "lora.adapter names")):
        with pytest.raises(PlanError, match=words):
            create_run(with_values(plan, changes), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    create_run(plan, output=tmp_path / "run")


def test_an_extension_says_whose_weights_go_on_and_where_the_rate_goes(
    begun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "start_worker", lambda run: 0)
    append_event(begun, "step", step=30, epoch=3.0, loss=1.0, learning_rate=2.1e-5)
    append_event(begun, "eval", step=14, loss=0.9)
    append_event(begun, "finished", step=30, result="adapter", result_step=14)
    saved(begun, 30)
    how = continuation(begun, longer(begun, begun.plan(), 3))
    assert "The cosine schedule is computed anew over 60 steps instead of 30" in how.would
    assert "from 2.1e-5 at step 30 to " in how.would
    assert "the weights of step 14, whose evaluation was best; training goes on from those of step 30." in how.would
    extend_run(begun, 3)
    assert how.length_words in next(line for line in follow_lines(begun) if line.startswith("changed:")), "recorded"


def test_a_last_step_that_is_made_already_says_whose_weights_are_kept(begun: Run) -> None:
    append_event(begun, "eval", step=7, loss=0.5)
    append_event(begun, "eval", step=14, loss=0.9)
    saved(begun, 7)
    patient = continuation(begun, {"training.max_steps": 14, "evaluation.patience": 3})
    assert "No step is left to make: the result is written from the weights of step 7, the best" in patient.would
    assert "from the weights of step 14." in continuation(begun, {"training.max_steps": 14}).would
    constant = continuation(begun, {"training.max_steps": 40, "training.scheduler": "constant"})
    assert "computed anew" not in constant.would


def test_a_start_anew_says_what_an_earlier_change_has_left_in_the_plan(
    begun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "start_worker", lambda run: 0)
    assert "It keeps" not in continuation(begun, {}, restart=True).would, "nothing was changed yet"
    extend_run(begun, 2)
    begun.fingerprint_path.write_text(json.dumps({"plan": plan_values(begun.plan())}))  # its worker was at work
    how = continuation(begun, {}, restart=True)
    assert "It keeps what was changed since the run began: training.max_steps 50 (it began with 30)." in how.would
    assert "It keeps" not in continuation(begun, {"training.max_steps": 30}, restart=True).would, "it is put back"
    change_and_resume(begun, {}, restart=True)
    told = [line for line in follow_lines(begun) if "started anew" in line]
    assert told == [f"started anew, by the plan as it is. {how.words}"]


def test_a_finished_run_takes_a_change_that_makes_it_longer(begun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is advised where the loss was still falling at the end can be applied as it stands."""
    monkeypatch.setattr(resume, "start_worker", lambda run: 0)
    saved(begun, 30)
    write_status(begun.status_path, Status(state="finished", step=30, created=1.0, ended=2.0))
    for changes in ({"training.learning_rate": 1e-5}, {"training.max_grad_norm": 0.3}):
        with pytest.raises(RunError, match="is finished"):
            change_and_resume(begun, changes)
    change_and_resume(begun, {"training.max_steps": 45})
    (fix,) = [event for event in EventTail(begun.events_path).new_events() if isinstance(event, Fix)]
    assert (fix.start, fix.from_step, fix.changes) == ("checkpoint", 30, {"training.max_steps": [30, 45]})
