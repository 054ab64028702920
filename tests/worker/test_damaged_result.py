"""A result that is not as it was written is used by no command, and a finished run writes it again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from checkpoint_damage import WEIGHTS, cut, emptied, flipped, without
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from test_merge import make_adapter
from test_train_session import files, train  # noqa: F401 (a fixture among them)

from loratui.commands.tree import loratui
from loratui.core.errors import LoratuiError, ModelError, RunError
from loratui.runs.directory import Run
from loratui.runs.events import Finished
from loratui.runs.manifest import MANIFEST, read_manifest
from loratui.runs.result import damage_of, lost
from loratui.runs.resume import resume_run

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def finished(files: Path) -> Run:  # noqa: F811
    return train(files, files / "finished", model__id="demo", saving__every_steps=2)[0]


@pytest.fixture
def run(finished: Run, tmp_path: Path) -> Run:
    return Run(shutil.copytree(finished.path, tmp_path / "run"))


def refusal(*arguments: str) -> str:
    """What a command that refused said."""
    result = CliRunner().invoke(loratui, list(arguments))
    assert result.exit_code and isinstance(result.exception, SystemExit | LoratuiError), result.output
    return result.stderr + (result.exception.sentence if isinstance(result.exception, LoratuiError) else "")


def test_a_result_carries_a_manifest_of_its_step_and_of_all_but_the_card(run: Run) -> None:
    manifest = read_manifest(run.adapter_path)
    assert manifest is not None and manifest.step == 4
    there = {path.name for path in run.adapter_path.iterdir()}
    assert there - set(manifest.files) == {MANIFEST, "README.md"} and WEIGHTS in manifest.files
    (run.adapter_path / "README.md").write_text("mine\n")
    assert damage_of(run.adapter_path) == ""


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flipped(WEIGHTS), f"{WEIGHTS} is not what was written (its SHA-256 differs)"),
        (cut(WEIGHTS), f"{WEIGHTS} has"),
        (without("tokenizer.json"), "tokenizer.json is missing"),
        (flipped("adapter_config.json"), "adapter_config.json is not what was written"),
        (emptied(MANIFEST), f"its {MANIFEST} cannot be read"),
    ],
    ids=["flipped bit", "cut", "no tokenizer", "other config", "empty manifest"],
)
def test_no_command_uses_a_damaged_result(run: Run, damage: object, reason: str, tmp_path: Path) -> None:
    damage(run.adapter_path)  # type: ignore[operator]
    rows = tmp_path / "rows.txt"
    rows.write_text("Hello\n")
    path = str(run.path)
    for arguments in (
        ("merge", path, "-o", str(tmp_path / "merged")),
        ("generate", path, str(rows), "-o", str(tmp_path / "answers.json")),
        ("serve", path, "--print"),
        ("serve", path),
        ("gguf", path, "--print"),
        ("gguf", path),
        ("push", path, "--yes"),
        ("push", str(run.adapter_path), "--yes"),
        ("card", path, "--write"),
    ):
        said = refusal(*arguments)
        assert reason in said and "`loratui resume" in said, (arguments, said)
    assert not (tmp_path / "merged").exists() and not (tmp_path / "answers.json").exists()
    card = CliRunner().invoke(loratui, ["card", path])
    assert card.exit_code == 0 and "# LoRA adapter" in card.stdout and reason in card.stderr


def test_who_answers_and_who_trains_further_look_first(run: Run, files: Path, tmp_path: Path) -> None:  # noqa: F811
    from loratui.worker.generation.load import LoadedModels
    from loratui.workers.target import find_target

    flipped(WEIGHTS)(run.adapter_path)
    with pytest.raises(ModelError, match="SHA-256 differs"):  # the playground, chat, and the API
        LoadedModels(find_target(str(run.path)).load)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        train(files, tmp_path / "further", model__id="demo", lora__adapter=str(run.adapter_path))
    assert not (tmp_path / "further").exists(), "found before a run is made"
    flipped(WEIGHTS)(run.adapter_path)
    further = {"model__id": "demo", "lora__adapter": str(run.adapter_path)}
    begun, _, _ = train(files, tmp_path / "further", training__max_steps=1, **further)
    flipped(WEIGHTS)(run.adapter_path)
    with pytest.raises(ModelError, match="SHA-256 differs"):  # by the worker, whoever launched it
        train(files, begun.path, training__max_steps=1, **further)


def test_a_checkpoint_that_answers_is_the_newest_whole_one(run: Run) -> None:
    from loratui.workers.target import find_target

    shutil.rmtree(run.adapter_path)
    flipped(WEIGHTS)(run.checkpoints_path / "checkpoint-4")
    target = find_target(str(run.path))
    assert target.result == run.checkpoints_path / "checkpoint-2" and list(target.checkpoints) == ["checkpoint-2"]
    assert "checkpoint-4 is refused" in target.note and "checkpoint-2 answers" in target.note


def test_a_finished_run_writes_a_damaged_result_again_and_keeps_the_damaged_one(
    finished: Run,
    run: Run,
    files: Path,  # noqa: F811
) -> None:
    with pytest.raises(RunError, match="is finished"):
        resume_run(run)
    flipped(WEIGHTS)(run.adapter_path)
    assert "SHA-256 differs" in lost(run)
    _, outcome, events = train(files, run.path, model__id="demo", saving__every_steps=2)
    assert outcome.state == "finished" and lost(run) == ""
    assert run.status().loss == finished.status().loss is not None and run.status().epoch == finished.status().epoch
    assert len({one.loss for one in events if isinstance(one, Finished)}) == 1
    assert (run.adapter_path / WEIGHTS).read_bytes() == (finished.adapter_path / WEIGHTS).read_bytes()
    assert (run.path / "damaged-adapter-1" / WEIGHTS).is_file()


def test_a_finished_run_whose_result_is_gone_has_its_end_again_only_from_a_checkpoint(run: Run) -> None:
    shutil.rmtree(run.adapter_path)
    assert lost(run) == "it is gone"
    shutil.rmtree(run.checkpoints_path)
    with pytest.raises(RunError, match="is finished"):
        resume_run(run)


def test_an_older_result_and_a_foreign_adapter_are_used_and_a_merge_says_what_it_cannot_know(
    run: Run, tmp_path: Path
) -> None:
    (run.adapter_path / MANIFEST).unlink()
    said = CliRunner().invoke(loratui, ["merge", str(run.path), "-o", str(tmp_path / "merged")])
    assert said.exit_code == 0 and "cannot be told" in said.stderr, said.stderr
    assert damage_of(tmp_path / "merged") == "" and (tmp_path / "merged" / MANIFEST).is_file()
    weights = load_file(run.adapter_path / WEIGHTS)
    next(iter(weights.values())).fill_(float("nan"))
    save_file(weights, run.adapter_path / WEIGHTS)
    said = CliRunner().invoke(loratui, ["merge", str(run.path), "-o", str(tmp_path / "merged-2")])
    assert said.exit_code == 2 and "the weights hold NaN or infinity in" in said.stderr, said.stderr
    foreign = make_adapter(tmp_path / "foreign")
    (foreign / MANIFEST).write_text(json.dumps({"name": "somebody's own"}))
    assert damage_of(foreign) == ""


def test_the_code_of_the_demos_card_loads_its_result(run: Run) -> None:
    from loratui.runs.model_card import model_card

    code = re.search(r"```python\n(.*?)```", model_card(run, place=str(run.adapter_path)), re.S)
    assert code is not None
    loaded: dict[str, Any] = {}
    exec(code[1], loaded)
    assert type(loaded["model"]).__name__.startswith("Peft")


def test_a_damaged_merge_is_made_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.commands import whole_model

    made: list[Path] = []

    async def merge(run: Run, dtype: str) -> None:
        from loratui.worker.merge import MergeRequest, execute

        made.append(run.merged_path)
        assert execute(MergeRequest(str(run.path), str(run.merged_path))) == 0

    monkeypatch.setattr(whole_model, "_merge", merge)
    whole_model.whole_model(str(run.path))
    whole_model.whole_model(str(run.path))
    assert len(made) == 1
    flipped("model.safetensors")(run.merged_path)
    whole_model.whole_model(str(run.path))
    assert len(made) == 2 and damage_of(run.merged_path) == ""
