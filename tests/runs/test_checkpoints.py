"""Checkpoints: what is written of them, which are whole, which are refused and why, and which are deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkpoint_damage import (
    DAMAGES,
    MANIFESTS,
    WEIGHTS,
    flipped,
    run_with_checkpoints,
    write_archive,
    write_checkpoint,
)

from loratui.runs import checkpoints
from loratui.runs.checkpoints import (
    INCOMPLETE,
    MANIFEST,
    Refused,
    begin,
    damage,
    delete,
    is_whole,
    pending,
    refused,
    remove_unfinished,
    rotate,
    seal,
)
from loratui.runs.directory import Run
from loratui.runs.manifest import cannot_open, read_manifest


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run with whole checkpoints of steps 2 and 4."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    return run_with_checkpoints(tmp_path / "run")


def names(run: Run) -> list[str]:
    return [one.name for one in run.checkpoints()]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_one_is_refused_with_its_reason(kind: str, run: Run) -> None:
    spoil, words = DAMAGES[kind]
    spoil(run.checkpoints_path / "checkpoint-4")
    (told,) = refused(run.checkpoints_path)
    assert told.sentence.startswith("checkpoint-4 is refused: ") and words in told.sentence
    assert not damage(run.checkpoints_path / "checkpoint-2"), "the newest whole one is the one before"


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_strangers_manifest_is_input_like_any_other(kind: str, run: Run) -> None:
    MANIFESTS[kind](run.checkpoints_path / "checkpoint-4")
    (told,) = refused(run.checkpoints_path)
    assert told.folder.name == "checkpoint-4" and told.reason and names(run) == ["checkpoint-2"]


@pytest.mark.parametrize("kind", ["no optimizer", "half the weights", "another step", "a pipe", "half a manifest"])
def test_what_names_and_sizes_tell_is_never_the_last_checkpoint(kind: str, run: Run) -> None:
    assert names(run) == ["checkpoint-2", "checkpoint-4"]
    DAMAGES[kind][0](run.checkpoints_path / "checkpoint-4")
    last = run.last_checkpoint()
    assert last is not None and last.name == "checkpoint-2"


def test_every_newer_one_is_named_until_a_whole_one_comes(run: Run) -> None:
    place = run.checkpoints_path
    for step in (6, 8):
        flipped(WEIGHTS)(write_checkpoint(place / f"checkpoint-{step}", step))
    flipped(WEIGHTS)(place / "checkpoint-2")
    begin(place / "checkpoint-10")
    assert [one.folder.name for one in refused(place)] == ["checkpoint-8", "checkpoint-6"]
    assert [one.folder.name for one in refused(place, last=6)] == ["checkpoint-6"], "later ones are not looked at"
    asked = refused(place, reason_of=lambda folder: "it is not liked" if folder.name != "checkpoint-2" else "")
    assert asked[-1] == Refused(place / "checkpoint-4", "it is not liked")


def test_one_without_a_manifest_is_whole_as_far_as_its_files_tell(run: Run) -> None:
    folder = run.checkpoints_path / "checkpoint-4"
    (folder / MANIFEST).unlink()
    assert is_whole(folder) and not damage(folder) and not pending(folder)
    (folder / "trainer_state.json").write_text("[4]")
    assert not is_whole(folder) and damage(folder) == "its trainer_state.json cannot be read"
    (folder / INCOMPLETE).touch()
    assert damage(folder) == "it was not written to its end"
    (folder / INCOMPLETE).unlink()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 4}))
    (folder / WEIGHTS).unlink()
    assert damage(folder) == "weights are missing"


def test_a_checkpoint_is_none_until_it_is_sealed(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-3"
    begin(folder)
    (folder / "scheduler.pt").write_bytes(b"123")
    (folder / "trainer_state.json").write_text('{"global_step": 3}')
    assert not is_whole(folder) and remove_unfinished(tmp_path) == [folder] and not folder.exists()
    begin(folder)
    (folder / "scheduler.pt").write_bytes(b"123")
    (folder / "trainer_state.json").write_text('{"global_step": 3}')
    assert seal(folder, 3, pending="evaluation") == 3 + 18
    manifest = read_manifest(folder)
    assert manifest is not None and manifest.files.keys() == {"scheduler.pt", "trainer_state.json"}
    assert is_whole(folder) and pending(folder) == "evaluation" and remove_unfinished(tmp_path) == []
    begin(folder)
    assert not is_whole(folder), "written anew, it counts no more until it is sealed again"


def test_one_that_cannot_be_begun_leaves_no_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "touch", full)
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-4" / WEIGHTS).write_bytes(b"mine")
    for step in (2, 4):
        with pytest.raises(OSError, match="No space"):
            begin(tmp_path / f"checkpoint-{step}")
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint-4"] and any((tmp_path / "checkpoint-4").iterdir())


def test_the_oldest_make_room_and_neither_the_newest_nor_a_protected_one(run: Run) -> None:
    place = run.checkpoints_path
    for step in (6, 8, 10):
        write_checkpoint(place / f"checkpoint-{step}", step)
    (place / "checkpoint-new").mkdir()
    rotate(place, 3, protected=[place / "checkpoint-2"])
    assert names(run) == ["checkpoint-2", "checkpoint-8", "checkpoint-10"]
    rotate(place, 1, protected=[place / "checkpoint-2"])
    assert names(run) == ["checkpoint-2", "checkpoint-10"]
    rotate(place, 1)
    assert sorted(one.name for one in place.iterdir()) == ["checkpoint-10", "checkpoint-new"]


def test_half_a_deletion_is_no_checkpoint_and_is_finished_later(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    place = run.checkpoints_path
    with monkeypatch.context() as killed:
        killed.setattr(checkpoints.shutil, "rmtree", lambda path, ignore_errors: None)
        delete(place / "checkpoint-4")
    assert names(run) == ["checkpoint-2"] and list(place.glob(".rotated-checkpoint-4-*"))
    assert remove_unfinished(place) == [] and [one.name for one in place.iterdir()] == ["checkpoint-2"]


def test_an_unfinished_one_behind_a_link_stays_where_it_is(run: Run, tmp_path: Path) -> None:
    begin(tmp_path / "elsewhere")
    (run.checkpoints_path / "checkpoint-6").symlink_to(tmp_path / "elsewhere")
    assert remove_unfinished(run.checkpoints_path) == [run.checkpoints_path / "checkpoint-6"]
    assert (tmp_path / "elsewhere" / INCOMPLETE).exists()


def test_what_its_own_format_tells_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "optimizer.pt"
    write_archive(path)
    assert cannot_open(path, contents=True) == ""
    flipped("optimizer.pt")(tmp_path)
    assert cannot_open(path, contents=False) == ""
    assert cannot_open(path, contents=True) == "is damaged (a checksum differs)"
    path.write_bytes(b"no archive")
    assert cannot_open(path, contents=True) == "cannot be opened"
    assert cannot_open(tmp_path / "gone.safetensors", contents=True) == "is no regular file"
    (tmp_path / "empty.safetensors").write_bytes(b"")
    assert cannot_open(tmp_path / "empty.safetensors", contents=True) == "cannot be opened"
