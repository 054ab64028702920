"""What made somebody hesitate on the steps that decide, walking through them for the eighth time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pictured import until
from test_dataset_panels import PROBLEMS, checked, result
from wizard import dataset_file, machine, model_folder, screen_text, settled, wizard

from loratui.machine.detect import detect_machine
from loratui.tui.dataset.facts import text_words
from loratui.tui.recipe.field_list import FieldList
from loratui.tui.recipe.why import why_lines
from loratui.tui.wizard.change import value_words
from loratui.tui.wizard.check import Check

SMALL = (80, 24)


async def test_while_a_path_is_typed_the_footer_names_enter(tmp_path: Path) -> None:
    """Only ^n and ^p stood there."""
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        assert "Take it" not in screen_text(app).splitlines()[-1]
        await pilot.press(*"./rows.jsonl")
        await until(pilot, lambda: "enter Take it" in screen_text(app).splitlines()[-1])


@pytest.mark.parametrize("typed", ["{folder}", "some-one/little"])
async def test_a_path_that_no_model_of_the_list_has_is_looked_for(tmp_path: Path, typed: str) -> None:
    """ "Nothing matches." stood there of a folder that exists, and of the chosen model's line "enter Choose"."""
    folder = model_folder(tmp_path / "little-1b")
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        assert "enter Next" in screen_text(app).splitlines()[-1], "the cursor is on the chosen model"
        await pilot.press(*typed.format(folder=folder))
        await until(pilot, lambda: "enter Look for it" in screen_text(app).splitlines()[-1])
        text = screen_text(app)
        assert "Nothing matches" not in text and "enter looks for it as a folder's path or a hub id." in text


async def test_a_folder_here_that_is_typed_by_its_name_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "Nothing matches." stood there of it. (Those with a config.json are in the list.)"""
    (tmp_path / "my-own").mkdir()
    monkeypatch.chdir(tmp_path)
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        await pilot.press(*"my-own")
        await until(pilot, "my-own is a folder here: enter takes it.")
        await pilot.press("x" * 1, *"y" * 300)
        await until(pilot, "Nothing matches.")


async def test_enter_is_named_by_the_line_under_the_cursor(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        chosen = app.state.draft.model
        await pilot.press("down")
        await until(pilot, lambda: "enter Choose" in screen_text(app).splitlines()[-1])
        await pilot.press("enter")
        await until(pilot, lambda: app.state.draft.model != chosen)
        await until(pilot, lambda: "enter Next" in screen_text(app).splitlines()[-1])
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.name == "dataset")


@pytest.mark.parametrize("size", [SMALL, (120, 36)])
async def test_memory_without_a_dataset_is_told_as_a_guess(tmp_path: Path, size: tuple[int, int]) -> None:
    """2.15 GiB stood there for a model of 4 MiB as if it were known, and 0.72 once there were rows."""
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.choose_model(str(model_folder(tmp_path / "little-1b")))
        shown = await until(pilot, "no data yet: ")
        assert " GiB " in shown[shown.index("no data yet: ") :].splitlines()[0].split("✓")[0]
        app.choose_dataset(str(dataset_file(tmp_path / "questions.jsonl")))
        await until(pilot, lambda: "no data yet" not in screen_text(app) and "GiB left" in screen_text(app))


async def test_what_a_dataset_does_to_memory_agrees_with_the_figures_once_its_rows_are_counted(tmp_path: Path) -> None:
    """ "memory −1.45 GiB" stayed beside 2.15 and then 0.72: it was that of the guessed lengths."""
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        app.choose_model(str(model_folder(tmp_path / "little-1b")))
        await until(pilot, lambda: app.state.plan.proposal is not None)
        before = app.state.plan.proposal
        app.choose_dataset(str(dataset_file(tmp_path / "questions.jsonl")))
        await until(pilot, lambda: app.state.dataset.view is not None)
        await settled(pilot)
        assert before is not None and before.data.supposed
        view = app.state.dataset.view
        assert view is not None
        change = app.state.plan.change
        assert change is not None and change.followed
        told = " ".join(screen_text(app).split())
        assert f"also {len(change.followed)} values on Recipe" in told or "also " + change.followed[0] in told
        exact = replace(view.facts, lengths=tuple(length + 1 for length in view.facts.lengths), exact=True)
        app.state.dataset.take_exact(exact)
        await settled(pilot)
        now, change = app.state.plan.proposal, app.state.plan.change
        assert now is not None and change is not None and now.data.exact and change.cause.startswith("Dataset none")
        assert change.moves.memory_bytes == now.memory.total_bytes - before.memory.total_bytes


async def test_holding_a_value_is_in_the_footer_before_trying_several(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        keys = (await until(pilot, "h Hold")).splitlines()[-1]
        assert keys.index("h Hold") < keys.find("V Try values") or "V Try values" not in keys


def test_the_way_to_a_cluster_is_a_note_that_may_be_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "This looks like a login node" scared somebody who only wanted to train on the processor."""
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    found = detect_machine(tmp_path)
    if found.gpus:
        pytest.skip("there is a GPU here")
    note = next(note for note in found.notes if "slurm" in note)
    assert "cluster.engine=slurm" in note and note.endswith("To train on this machine, ignore this.")


async def test_notes_stand_below_what_the_machine_is(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    app.state.hardware.take(replace(machine(0), notes=("A note of it.",)))
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        text = await until(pilot, "A note of it.")
        assert text.index("of disk free") < text.index("A note of it.")


async def test_a_learning_rate_is_told_with_which_is_proposed_and_why_the_other_differs(tmp_path: Path) -> None:
    """ "The published formula gives 0.0043 … The guides' rule of thumb says 2e-4": which is to be believed?"""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        key = "training.learning_rate"
        reason = proposal.recommendations[key]
        assert reason.value != reason.rule_of_thumb
        told = " ".join(line.plain for line in why_lines(proposal, key, "", 76, 20))
        assert f"Go by {value_words(key, reason.value)}: it follows this model and batch" in told
        assert f"the guides under F1 say {value_words(key, reason.rule_of_thumb)} for all models." in told


@pytest.mark.parametrize(("gpus", "said"), [(0, "│ gradient checkpointing o"), (2, "│ grad. checkpointing o")])
async def test_beside_checkpoints_it_is_gradient_checkpointing(tmp_path: Path, gpus: int, said: str) -> None:
    """ "checkpointing off" stood above "10 checkpoints"."""
    app = wizard(tmp_path, screen="review", gpus=gpus)
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        card = (await until(pilot, said)).split(said)[1].splitlines()[0]
        assert "…" not in card and ("rehearsed" in card) == bool(gpus)


@pytest.mark.parametrize("preset", ["auto", "speed", "rules-of-thumb"])
async def test_what_a_preset_is_ends_with_a_whole_word(tmp_path: Path, preset: str) -> None:
    """ "Everything calculated from the model, the data and th…" """
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        app.state.choices.set_preset(preset)
        await settled(pilot)
        description = app.state.plan.presets[preset].description
        shown = next(line for line in screen_text(app).splitlines() if " preset " in line).strip()
        told = shown[shown.index(description[:12]) :]
        begun = told.removesuffix(" …")
        assert told == description or (begun != told and description.startswith(f"{begun} "))


async def test_of_choices_another_is_told_and_of_amounts_a_higher_and_a_lower(tmp_path: Path) -> None:
    """ "up" and "down" stood before the names of other methods."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        for key, words in (("method.kind", {"or"}), ("lora.r", {"higher", "lower"})):
            beside = {line.plain[:9].strip() for line in why_lines(proposal, key, "", 100, 30)}
            assert words <= beside and not beside & {"up", "down"}, beside
        whole, cut = (why_lines(proposal, "lora.r", "", 76, height) for height in (30, 5))
        assert len(cut) < len(whole) and cut[-1].plain.endswith(" …"), "what is left out is marked"


async def test_what_is_proposed_instead_keeps_its_word_and_holding_is_told_once(tmp_path: Path) -> None:
    """ "was 0.0026" turned to "proposed: 0.0026" with the next change; "Rank is held" stood above "Rank held at 16"."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        fields = app.screen.query_one(FieldList)
        fields.go_to("training.learning_rate")
        await pilot.press("enter", *"0.001", "enter")
        await settled(pilot)

        def line() -> str:
            return next(line for line in screen_text(app).splitlines() if " Learning rate  " in line and "mine" in line)

        await until(pilot, lambda: "proposed: " in line())
        assert "was " not in line() and " · 1 mine" in screen_text(app) and "set by you" not in screen_text(app)
        fields.go_to("lora.r")
        await pilot.press("h")
        text = await until(pilot, "Rank held at ")
        assert "proposed: " in line() and "h lets it go" in text and "is held" not in text


async def test_faults_are_offered_where_there_are_any(tmp_path: Path) -> None:
    """ "e Problems" stood beside "no problem found", and "▸ ▲ 64 maximum" looked like a warning."""
    app = checked(tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), result=result(problems=[], problem_counts={})))
        await until(pilot, lambda: "e Problems" not in screen_text(app).splitlines()[-1])
        text = screen_text(app)
        assert " maximum" in text and "▸ ▲" not in text
        app.state.check.take(Check(app.state.check.key(), result=result(**PROBLEMS)))
        await until(pilot, lambda: "e Problems" in screen_text(app).splitlines()[-1])


def test_the_characters_that_are_learnt_are_told_with_what_they_are_a_share_of() -> None:
    """ "9% of the tokens learnt" and "15.0% learnt" stood three lines apart."""
    kinds = ("learnt", "shown", "cut", "reading", "template", "unused")
    found = {"characters": {"source": 1000, **dict.fromkeys(kinds, 0), "learnt": 150, "shown": 850}}
    assert text_words(found, 64) == "the rows' own 1,000 characters: 15.0% learnt, 85.0% only shown"
