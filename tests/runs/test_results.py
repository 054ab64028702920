"""A run's result: its manifest, what is not as it was written, and what who uses it is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checkpoint_damage import MANIFESTS, WEIGHTS, cut, emptied, flipped, run_with_checkpoints, without, write_weights

from loratui.core.errors import ModelError
from loratui.runs.directory import Run
from loratui.runs.manifest import MANIFEST, difference, read_manifest, regular_size, write_manifest
from loratui.runs.result import (
    damage_of,
    lost,
    refused_to_answer,
    require_undamaged,
    seal_result,
    step_of_result,
    unproven,
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run with checkpoints of steps 2 and 4, and with its result."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    run = run_with_checkpoints(tmp_path / "run")
    run.adapter_path.mkdir()
    write_weights(run.adapter_path / WEIGHTS, fill=4)
    for name in ("adapter_config.json", "tokenizer.json", "README.md"):
        (run.adapter_path / name).write_text(f"{name}\n" * 20)
    (run.adapter_path / "training_args.bin").write_bytes(b"x" * 200)
    seal_result(run.adapter_path, 4)
    return run


def test_people_write_in_the_card_and_nowhere_else(run: Run) -> None:
    manifest = read_manifest(run.adapter_path)
    assert manifest is not None and manifest.files.keys() == {
        WEIGHTS, "adapter_config.json", "tokenizer.json", "training_args.bin",
    }  # fmt: skip
    assert step_of_result(run.adapter_path) == 4 and not unproven(run.adapter_path)
    (run.adapter_path / "README.md").write_text("mine\n")
    flipped("training_args.bin")(run.adapter_path)  # nothing reads it for an answer
    assert damage_of(run.adapter_path) == "" and lost(run) == ""
    require_undamaged(run.adapter_path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (flipped(WEIGHTS), f"{WEIGHTS} is not what was written (its SHA-256 differs)"),
        (flipped("adapter_config.json"), "adapter_config.json is not what was written (its SHA-256 differs)"),
        (cut(WEIGHTS), f"{WEIGHTS} has"),
        (without("tokenizer.json"), "tokenizer.json is missing"),
        (emptied(MANIFEST), f"its {MANIFEST} cannot be read"),
    ],
    ids=["flipped bit", "other config", "cut", "no tokenizer", "empty manifest"],
)
def test_what_is_damaged_is_named_with_the_way_to_mend_it(run: Run, spoil: object, reason: str) -> None:
    spoil(run.adapter_path)  # type: ignore[operator]
    assert reason in damage_of(run.adapter_path) and reason in lost(run)
    with pytest.raises(ModelError) as caught:
        require_undamaged(run.adapter_path)
    said = caught.value.sentence
    assert reason in said and f"`loratui resume {run.typed_anywhere}` writes it anew" in said
    assert f"if the change was meant, remove {MANIFEST} from the folder" in said
    shutil.rmtree(run.checkpoints_path)
    assert lost(run) == "", "there is nothing left to write it from"
    with pytest.raises(ModelError, match="Put it back from a copy"):
        require_undamaged(run.adapter_path)


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_strangers_manifest_is_input_like_any_other(kind: str, run: Run) -> None:
    MANIFESTS[kind](run.adapter_path)
    assert damage_of(run.adapter_path)


def test_a_result_that_is_gone_is_written_again_from_a_checkpoint(run: Run) -> None:
    shutil.rmtree(run.adapter_path)
    assert lost(run) == "it is gone"


def test_weights_that_answer_need_no_optimizer_that_is_whole(run: Run) -> None:
    last = run.checkpoints_path / "checkpoint-4"
    flipped("optimizer.pt")(last)
    assert refused_to_answer(run) == []
    flipped(WEIGHTS)(last)
    (told,) = refused_to_answer(run)
    assert told.folder == last and "SHA-256 differs" in told.reason


def test_a_strangers_adapter_is_known_as_far_as_it_can_be_seen(run: Run, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    write_weights(foreign / WEIGHTS)
    assert damage_of(foreign) == "" and step_of_result(foreign) == 0
    assert unproven(foreign) == f"foreign has no {MANIFEST}: whether each bit is as it was written cannot be told."
    (foreign / MANIFEST).write_text('{"name": "somebody\'s own"}')
    assert damage_of(foreign) == "", "a file of this name may be anybody's"
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / WEIGHTS).symlink_to(foreign / WEIGHTS)  # as the hub's cache keeps its files
    assert damage_of(tmp_path / "linked") == ""
    cut(WEIGHTS)(foreign)
    assert damage_of(foreign) == f"{WEIGHTS} is cut off or torn"
    (foreign / MANIFEST).unlink()
    with pytest.raises(ModelError, match="Put it back from a copy") as caught:
        require_undamaged(foreign)
    assert "remove" not in caught.value.sentence


def test_a_file_that_changed_since_it_was_read_is_read_again(tmp_path: Path) -> None:
    write_weights(tmp_path / WEIGHTS)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "rows.txt").write_text(50 * "rows\n")
    assert write_manifest(tmp_path, 1, without=("other",)) == (tmp_path / WEIGHTS).stat().st_size + 250
    manifest = read_manifest(tmp_path)
    assert manifest is not None and "part/rows.txt" in manifest.files and difference(tmp_path, manifest) == ""
    flipped("rows.txt")(tmp_path / "part")
    assert difference(tmp_path, manifest, contents=False) == ""
    assert difference(tmp_path, manifest) == "part/rows.txt is not what was written (its SHA-256 differs)"
    assert regular_size(tmp_path) is None and regular_size(tmp_path / "a\0b") is None


def test_a_quick_digest_finds_a_changed_bit_and_stands_alone(tmp_path: Path) -> None:
    write_weights(tmp_path / WEIGHTS)
    write_manifest(tmp_path, 1)
    assert '"sha256"' in (tmp_path / MANIFEST).read_text() and "xxh3" not in (tmp_path / MANIFEST).read_text()
    write_manifest(tmp_path, 1, digest="xxh3_128")
    manifest = read_manifest(tmp_path)
    assert manifest is not None and manifest.files[WEIGHTS].digest[0] == "xxh3_128"
    assert "sha256" not in (tmp_path / MANIFEST).read_text() and difference(tmp_path, manifest) == ""
    flipped(WEIGHTS)(tmp_path)
    assert difference(tmp_path, manifest) == f"{WEIGHTS} is not what was written (its XXH3 differs)"
    (tmp_path / MANIFEST).write_text((tmp_path / MANIFEST).read_text().replace("xxh3_128", "md5"))
    assert read_manifest(tmp_path) is None, "a file without a digest proves nothing"
