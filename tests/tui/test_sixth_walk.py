"""What somebody stumbled over who tried values, mixed two files and watched the run, without having read anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pictured import shown
from recorded_run import record_run
from test_recipe_experiment import RATE, asked_line, at_field, needs_optuna, nothing_trains, over, until
from textual.widgets import Input
from wizard import screen_text, settled, wizard

from loratui.evaluation.experiment import compare
from loratui.evaluation.experiment_table import verdict_lines
from loratui.tui.experiment.choose import ChooseScreen
from loratui.tui.experiment.screen import ExperimentScreen
from loratui.tui.experiment.work import Listed
from loratui.tui.home.lines import row
from loratui.tui.home.reading import Looker

__all__ = ["nothing_trains"]


@needs_optuna
async def test_steps_beyond_the_plans_start_nothing_and_nothing_is_awaited(homes: Path) -> None:
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, RATE)
        await pilot.press("V")
        await until(pilot, "stops at")
        await pilot.press("end", "up", "up", "enter")
        await asked_line(pilot, "500000")
        text = await until(pilot, "cannot make 500,000 steps")
        text = await until(pilot, lambda: "Working out" not in shown(app))
        assert "not yet: see below" in text and "3 trials" not in text


@needs_optuna
async def test_a_screen_names_no_option_of_a_command(homes: Path) -> None:
    over(seeds=1)
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(120, 36)) as pilot:
        await at_field(pilot, RATE)
        await pilot.press("V")
        assert "--seeds" not in await until(pilot, "one seed each")
        await pilot.press("escape")
        await settled(pilot)
        app.push_screen(ExperimentScreen("made"))
        assert "--seeds" not in await until(pilot, "One seed each")


async def test_which_trial_is_best_stands_above_the_chart(homes: Path) -> None:
    experiment = over(seeds=1)
    best = verdict_lines(compare(experiment))[0]
    assert best.startswith("Trial ")
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.push_screen(ExperimentScreen("made"))
        text = await until(pilot, "A makes the trial")
        assert best[:40] in text and text.index(best[:40]) < text.index("the mean, ├")


async def test_experiments_are_told_apart_by_what_varied_in_a_narrow_list(homes: Path) -> None:
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.push_screen(
            ChooseScreen(
                [
                    Listed("demo-lora-try-69e200", "goes on", "learning_rate, r", 0.0),
                    Listed("demo-lora-try-ea2c47", "over", "learning_rate", 0.0),
                ]
            )
        )
        assert "learning_rate, r  " in await until(pilot, "demo-lora-try-ea2c47")


@pytest.mark.parametrize("width", [76, 116])
def test_a_state_never_touches_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    for state in ("evaluating", "running"):
        record_run(tmp_path, f"a-{state}", state=state)
    lines = [row(line, width, longest=40).plain for line in Looker().look().lines]
    assert len(lines) == 2
    assert any("● evaluating a-evaluating" in line for line in lines)
    assert len({len(line) for line in lines}) == 1


async def test_a_row_that_is_not_there_is_said_and_a_path_goes_on_at_its_end(tmp_path: Path) -> None:
    parts = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in parts:
        path.write_text("".join(json.dumps({"prompt": f"q {n}", "completion": f"a {n}"}) + "\n" for n in range(30)))
    app = wizard(tmp_path, screen="dataset")
    app.state.choices.choose_dataset("demo")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.read_dataset()
        await settled(pilot)
        app.choose_dataset(str(parts[0]))
        await settled(pilot)
        await pilot.press("i")
        field = app.screen.query_one("#path", Input)
        assert field.cursor_position == len(field.value) > len("demo")
        await pilot.press("escape", "+")
        await settled(pilot)
        await pilot.press("end", "enter")
        await asked_line(pilot, str(parts[1]))
        await pilot.press("escape")
        await settled(pilot)
        await pilot.press(":")
        await asked_line(pilot, "31")
        text = screen_text(app)
        assert "row 31 of b" in text and "rows of all parts, a first" in text
        await pilot.press(":")
        await asked_line(pilot, "1000")
        assert "There is no row 1,000" in await until(pilot, "ends before it") and "row 31 of b" in shown(app)
