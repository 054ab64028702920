"""A damaged newest checkpoint is refused with its reason, and the run goes on from the one before to the same end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from checkpoint_damage import DAMAGES, flipped
from test_train_session import files, train  # noqa: F401 (a fixture among them)

from loratui.core.errors import WorkerError
from loratui.runs.checkpoints import INCOMPLETE, MANIFEST, damage, pending
from loratui.runs.directory import Run
from loratui.runs.events import Eval, Event, Finding, Started

pytestmark = pytest.mark.worker
SETTINGS: dict[str, Any] = {
    "training__max_steps": 6,
    "saving__every_steps": 2,
    "saving__keep": 5,
    "evaluation__every_steps": 2,
    "lora__dropout": 0.1,
}


@pytest.fixture(scope="module")
def whole(files: Path) -> Run:  # noqa: F811
    run, outcome, _ = train(files, files / "whole", **SETTINGS)
    assert outcome.state == "finished" and [one.name for one in run.checkpoints()][-1] == "checkpoint-6"
    return run


def interrupted(whole: Run, path: Path) -> Run:
    """The same run as it was after step 4."""
    shutil.copytree(whole.path, path)
    run = Run(path)
    shutil.rmtree(run.adapter_path)
    shutil.rmtree(run.checkpoints_path / "checkpoint-6")
    return run


def adapter(run: Run) -> bytes:
    return (run.adapter_path / "adapter_model.safetensors").read_bytes()


def findings(events: list[Event], kind: str) -> list[Finding]:
    return [one for one in events if isinstance(one, Finding) and one.finding == kind]


@pytest.mark.parametrize(
    "kind",
    ["no optimizer", "a bit of the weights", "another step", "old, no state of chance", "old, a pickle that acts"],
)
def test_the_newest_whole_one_is_taken_and_the_other_named(
    kind: str,
    whole: Run,
    files: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    spoil, words = DAMAGES[kind]
    run = interrupted(whole, tmp_path / "run")
    spoil(run.checkpoints_path / "checkpoint-4")
    _, outcome, events = train(files, run.path, **SETTINGS)
    assert outcome.state == "finished" and adapter(run) == adapter(whole)
    told = findings(events, "checkpoint-damaged")
    assert len(told) == 1 and "checkpoint-4 is refused" in told[0].message and words in told[0].message
    assert told[0].message.endswith("It is kept as damaged-4, and the run goes on from checkpoint-2.")
    assert [one.resumed_from for one in events if isinstance(one, Started)][-1] == "checkpoint-2"
    assert (run.checkpoints_path / "damaged-4").is_dir()
    assert not Path("/tmp/loratui-a-pickle-was-executed").exists()


def test_a_half_written_one_is_no_damage(whole: Run, files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = interrupted(whole, tmp_path / "run")
    folder = run.checkpoints_path / "checkpoint-4"
    (folder / MANIFEST).unlink()
    (folder / INCOMPLETE).touch()
    (run.checkpoints_path / ".rotated-checkpoint-1-9").mkdir()
    assert [one.name for one in run.checkpoints()] == ["checkpoint-2"]
    _, outcome, events = train(files, run.path, **SETTINGS)
    assert outcome.state == "finished" and adapter(run) == adapter(whole)
    assert not findings(events, "checkpoint-damaged")
    assert not damage(folder) and not list(run.checkpoints_path.glob(".*"))


def test_one_of_before_the_manifests_is_gone_on_from_with_a_word(whole: Run, files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = interrupted(whole, tmp_path / "run")
    (run.checkpoints_path / "checkpoint-4" / MANIFEST).unlink()
    _, outcome, events = train(files, run.path, **SETTINGS)
    assert outcome.state == "finished" and adapter(run) == adapter(whole)
    (told,) = findings(events, "checkpoint-unproven")
    assert told.severity == "info" and "checkpoint-4 was written before" in told.message
    assert [one.resumed_from for one in events if isinstance(one, Started)][-1] == "checkpoint-4"


def test_without_a_whole_one_nothing_begins_anew_unasked(whole: Run, files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = interrupted(whole, tmp_path / "run")
    for folder in run.checkpoints_path.iterdir():
        flipped("adapter_model.safetensors")(folder)
    for _ in range(2):  # the second time they bear another name already
        with pytest.raises(WorkerError, match=r"no whole checkpoint is left.*--anew"):
            train(files, run.path, **SETTINGS)
    assert sorted(folder.name for folder in run.checkpoints_path.iterdir()) == ["damaged-2", "damaged-4"]


def test_the_manifest_is_the_last_that_is_written(whole: Run) -> None:
    for folder in whole.checkpoints():
        times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        assert max(times, key=lambda name: times[name]) == MANIFEST and not damage(folder) and not pending(folder)


@pytest.mark.parametrize("place", ["link", "broken link", "file"])
def test_a_place_that_takes_no_result_is_found_before_training(place: str, files: Path, tmp_path: Path) -> None:  # noqa: F811
    from loratui.core.plan import Plan
    from loratui.runs.start import create_run

    run = create_run(Plan(), output=tmp_path / "run")
    elsewhere = tmp_path / "precious"
    if place == "link":
        elsewhere.mkdir()
    if place == "file":
        run.adapter_path.write_text("mine")
    else:
        run.adapter_path.symlink_to(elsewhere)
    with pytest.raises(WorkerError, match=r"adapter is a (link to|file).*resume the run"):
        train(files, run.path, **SETTINGS)
    assert not run.checkpoints_path.exists() and not list(tmp_path.rglob("*.safetensors"))


def test_a_result_is_written_beside_what_took_its_place(
    files: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: Run,
) -> None:
    from loratui.worker.training import session

    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "adapter_model.safetensors").write_text("another's")
    conclude = session.Session._conclude

    def linked_meanwhile(self: Any, *arguments: Any) -> Any:
        Run(tmp_path / "run").adapter_path.symlink_to(precious)
        return conclude(self, *arguments)

    monkeypatch.setattr(session.Session, "_conclude", linked_meanwhile)
    run, outcome, events = train(files, tmp_path / "run", **SETTINGS)
    assert outcome.state == "finished" and events[-1].fields["result"] == "adapter-1"
    assert (run.path / "adapter-1" / "adapter_model.safetensors").read_bytes() == adapter(whole)
    assert (precious / "adapter_model.safetensors").read_text() == "another's"
    (told,) = findings(events, "result-elsewhere")
    assert "lies in adapter-1" in told.message and "is a link" in told.message


def test_a_run_that_patience_ended_is_not_trained_on(files: Path, tmp_path: Path) -> None:  # noqa: F811
    """Killed while it wrote the result: the resume writes it, and makes no step."""
    settings = SETTINGS | {
        "dataset__eval_path": str(files / "contrary.jsonl"),
        "training__learning_rate": 0.5,
        "training__max_grad_norm": 0.0,
        "training__max_steps": 40,
        "training__scheduler": "constant",
        "evaluation__every_steps": 2,
        "evaluation__patience": 2,
    }
    run, _, events = train(files, tmp_path / "run", **settings)
    first, made = adapter(run), next(one.fields for one in events if one.type == "finished")
    assert made["step"] < 40 and made["best_step"] < made["step"]
    shutil.rmtree(run.adapter_path)
    _, outcome, events = train(files, run.path, **settings)
    again = [one.fields for one in events if one.type == "finished"][-1]
    assert outcome.state == "finished" and "no better evaluation" in outcome.message and adapter(run) == first
    assert max(one.fields["step"] for one in events if one.type == "step") == made["step"]
    for name in ("step", "loss", "eval_loss", "tokens", "best_step", "result_step"):
        assert again[name] == made[name]


def test_a_lost_best_checkpoint_is_said(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from loratui.worker.training import session

    settings = SETTINGS | {
        "dataset__eval_path": str(files / "contrary.jsonl"),
        "training__learning_rate": 0.5,
        "training__max_grad_norm": 0.0,
        "training__max_steps": 40,
        "training__scheduler": "constant",
        "evaluation__every_steps": 2,
        "evaluation__patience": 2,
    }
    conclude = session.Session._conclude

    def damaged(self: Any, trainer: Any, callback: Any, seconds: float) -> Any:
        flipped("adapter_model.safetensors")(self.run.checkpoints_path / f"checkpoint-{callback.patience.best_step}")
        return conclude(self, trainer, callback, seconds)

    monkeypatch.setattr(session.Session, "_conclude", damaged)
    _, outcome, events = train(files, tmp_path / "run", **settings)
    (told,) = findings(events, "best-lost")
    last = next(one.fields for one in events if one.type == "finished")
    assert outcome.state == "finished" and "SHA-256" in told.message and last["result_step"] == last["step"]
    assert [one.step for one in events if isinstance(one, Eval)][-1] == last["step"]
