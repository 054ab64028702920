"""The review: four cards and two pictures at every size, the whole plan a key away, and what the button does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from wizard import choose, screen_text, settled, wizard

from loratui.core.compare_methods import compare_methods
from loratui.core.dataset import uniform
from loratui.core.memory.formats import formats
from loratui.core.plan import Plan
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.format import size
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model
from loratui.paths import demo_model_path, home_short
from loratui.runs.start import create_run
from loratui.tui.app import LoratuiApp
from loratui.tui.review.cards import CardView, result_words
from loratui.tui.review.pictures import PictureBox, memory_picture, time_picture
from loratui.tui.review.rows import plan_rows
from loratui.tui.review.two_columns import GAP
from measured_run import measured_by_a_run

SIZES = [(80, 24), (120, 36), (160, 40), (200, 50)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_it_answers_what_learns_from_what_how_and_on_what(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        text = screen_text(app)
        for answer in ("llama-1b", "questions.jsonl", "LoRA, rank ", "Tesla T4", "rows, about", " learn (", "fits"):
            assert answer in text, answer
        assert "▸ Start training" in text and text.count("ms shows") == 0
        inside = app.screen.query_one("#body").region
        for widget in app.screen.query("CardView, PictureBox, #start, #said"):
            assert not widget.display or inside.contains_region(widget.region), widget
        for card in app.screen.query(CardView):
            assert card.region.height >= 6 and str(card.border_subtitle)[0] in "1234"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_fact_is_a_key_away_or_in_sight(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        in_sight = app.screen.query_one("#review").display
        assert in_sight == (size[0] >= 160)
        if not in_sight:
            await pilot.press("m")
            await settled(pilot)
        widget = app.screen.query_one("#review-text" if in_sight else "#everything")
        lines, half = str(widget.render()).splitlines(), 400
        if in_sight:  # in two columns
            half = (widget.content_size.width - 1 - GAP) // 2 + GAP
        text = "".join("".join(line[part] for line in lines) for part in (slice(half), slice(half, None)))
        text = "".join(text.split())
        for row in plan_rows(app.state):
            told = "".join(row.text.split())
            assert told[:30] in text if row.edit or row.label == "written" else told in text, (
                row
            )  # its name tells the minute
        assert "loratuiplan-m" in text and "checkpoints/(newest" in text
        await pilot.press("escape", "3")
        await settled(pilot)
        assert app.screen.name == "dataset", "the digit of the card"


async def test_a_click_on_a_card_goes_where_it_is_decided(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.click("#card-4")
        await settled(pilot)
        assert app.screen.name == "recipe"


async def test_much_that_is_to_be_known_leaves_room_for_the_button(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review")
    choose(app, devices=[1], by_hand={"training.batch_size": 64, "training.max_length": 8192, "training.packing": True})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "m shows them" in text or "makes it fit" in text
        assert "▸ Start training" in text and "✗ too big by" in text


async def test_the_pictures_are_to_scale(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        lines = memory_picture(proposal, 90, 12).plain.splitlines()
        room = 90 - 14 - 10 - 1
        for name, value in proposal.memory.parts.items():
            if value:
                bar = next(line for line in lines if f" {name} " in line)
                assert abs(bar.count("█") - value / proposal.budget.bytes * room) <= 2, bar
        assert "┃" in lines[-1] and "together" in lines[-1]
        few = memory_picture(proposal, 60, 4).plain.splitlines()
        assert len(few) == 4 and "the rest" in "".join(few) and "weights" in few[0]
        time = time_picture(proposal, 80, 8).plain.splitlines()
        assert proposal.time is not None
        assert len(time) == 8 and time[-3].partition(" ◆")[0].count("◆") == proposal.time.evaluations
        assert len(time_picture(proposal, 80, 2).plain.splitlines()) == 2
        assert all(box.render().cell_length for box in app.screen.query(PictureBox))


@pytest.mark.parametrize("kind", ["full", "lora", "qlora"])
def test_one_figure_is_told_of_the_results_size(kind: str) -> None:
    here = Situation(find_model("Qwen/Qwen3-0.6B", online=False).spec, uniform(2_000, 400), find_gpu("A100").device())
    proposal = propose(here, by_hand={"method.kind": kind, "lora.r": 16})
    (beside,) = [one for one in compare_methods(here, beside=proposal) if one.chosen]
    assert result_words(proposal) == f"{'a model' if kind == 'full' else 'an adapter'} of {size(beside.result_bytes)}"
    numbers = {"full": 596_049_920, "lora": 10_092_544, "qlora": 10_092_544}[kind]
    form = formats(proposal.plan).weight if kind == "full" else formats(proposal.plan).adapter
    assert numbers * form <= beside.result_bytes <= numbers * form + 392 * 200, "392 tensors"


async def test_rows_of_the_maximum_length_that_do_not_fit_are_told_on_the_bar_and_before_the_start(
    tmp_path: Path,
) -> None:
    app = wizard(tmp_path, screen="review")
    choose(app, by_hand={"training.max_length": 65_536, "training.batch_size": 4, "training.checkpointing": False})
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None and proposal.at_max_length is not None and proposal.fits
        assert proposal.at_max_length.total_bytes > proposal.budget.bytes
        text = " ".join(screen_text(app).split())
        assert "▲ 65,536 tokens do not fit" in text and "Rows of 65,536 tokens, which the maximum length allows" in text
        assert f"need {size(proposal.at_max_length.total_bytes)}" in text
        choose(app, by_hand={"training.max_length": 512, "training.batch_size": 4})
        app.state.choices.recipe_changed.publish()
        await settled(pilot)
        assert "do not fit" not in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_written_plan_says_what_is_to_be_copied_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    app = wizard(tmp_path, screen="review")
    choose(app, gpu="A10G")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        if size[1] < 30:
            assert "m says what is to be copied where" in screen_text(app)
            await pilot.press("m")
            await settled(pilot)
        text = "".join(screen_text(app).replace("│", " ").split())
        plan = app.state.plan.proposal.plan  # type: ignore[union-attr]
        assert "Copyittothemachinewiththe" in text and "A10G" in text
        for path in (tmp_path / "plan.toml", plan.dataset.path, plan.model.id):
            assert path and Path(path).exists() and "".join(home_short(str(path)).split()) in text, path
        assert "loratuitrainplan.toml" in text


async def test_going_on_never_shows_an_older_run_as_this_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    app = wizard(tmp_path, screen="review")
    choose(app, devices=[1])
    older, own = create_run(Plan(), name="older"), create_run(Plan(), name="own")
    started: list[Plan] = []
    monkeypatch.setattr("loratui.tui.wizard.loading.start_run", lambda plan: started.append(plan) or str(own.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_run(str(older.path))
        await pilot.press("ctrl+n")
        await settled(pilot)
        assert app.screen.name == "review"
        assert "not started yet" in screen_text(app) and "6 shows older" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert len(started) == 1 and app.screen.name == "training"
        await pilot.press("5")
        await settled(pilot)
        await pilot.press("ctrl+n")
        await settled(pilot)
        assert app.screen.name == "training", "the run of this plan"
        app.state.choices.set_value("training.seed", 7)
        await pilot.press("5")
        await settled(pilot)
        await pilot.press("ctrl+n")
        await settled(pilot)
        assert app.screen.name == "review", "the plan is another one now"


async def test_the_cards_say_which_objective_and_which_adapter(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review")
    rows = [{"prompt": f"Ask {n}?", "chosen": f"Yes {n}.", "rejected": f"No {n}."} for n in range(60)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    choose(app, devices=[1], dataset=str(tmp_path / "pairs.jsonl"), by_hand={"training.objective": "dpo"})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "DPO, LoRA, rank " in screen_text(app)


@pytest.mark.parametrize("written", ["./llama-1b", "llama-1b", "~/llama-1b"])
async def test_a_folder_that_was_trained_before_is_measured_however_it_is_written(
    tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of ./model was one of "other models" to a plan of the same folder by its absolute path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    app = wizard(tmp_path, screen="review", gpus=0)
    shutil.copytree(demo_model_path(), tmp_path / "llama-1b", dirs_exist_ok=True)
    choose(app, model=written)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        plan = app.state.plan
        before = plan.proposal
        assert before is not None and (before.time is None or not before.time.measured)
        assert "│ ~/llama-1b " in screen_text(app), "where it lies"
        plan.take_measurements((measured_by_a_run(before, str(tmp_path / "llama-1b")),))
        assert plan.proposal is not None and plan.proposal.time is not None
        assert plan.proposal.time.basis == "measured in 1 run here"
        await settled(pilot)
        assert "measured in 1 run here" in " ".join(screen_text(app).split())
        for width in range(60, 130):  # what is counted gives way first
            assert "measured in 1 run here" in time_picture(plan.proposal, width, 8).plain.splitlines()[0], width
