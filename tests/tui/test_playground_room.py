"""What the playground does with its room: much before a question and on wide terminals, hardly any at 60 x 15."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import shown, until
from test_playground_screen import answers, home, run

from loratui.core.generation import GenerationSettings
from loratui.core.glossary import TERMS
from loratui.core.plan import DatasetSection, Plan
from loratui.runs.directory import Run
from loratui.tui.app import LoratuiApp
from loratui.tui.playground import held_out
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.beneath import Asked, Beneath, Rows, how_lines
from loratui.tui.playground.evaluation import NAME_CELLS, EvaluationScreen
from loratui.tui.playground.prompt_area import PromptArea
from loratui.tui.playground.screen import PlaygroundScreen
from loratui.tui.wizard.draft import Draft
from loratui.tui.wizard.state import WizardState

__all__ = ["home", "run"]

ROOMY = [(120, 36), (160, 45), (200, 50)]


def beneath(app: LoratuiApp) -> bool:
    return bool(app.screen.query_one(Beneath).display)


@pytest.mark.parametrize("size", ROOMY, ids=str)
async def test_before_a_question_a_row_is_chosen_from_the_list(run: Run, size: tuple[int, int]) -> None:
    """The panes were empty, and rows came one by one alone."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "2 held-out rows")
        assert "adapter answers p" in text and "The answer is cut after so many tokens" in " ".join(text.split())
        await pilot.press("escape", "down", "enter")
        await until(pilot, "Held-out row 2 of 2. enter asks it.")
        prompt = app.screen.query_one(PromptArea)
        assert prompt.has_focus and prompt.text.startswith("p")
        asked = prompt.text
        await pilot.press("enter")
        await until(pilot, "✓ as expected")
        assert answers(app)["adapter"] == f"adapter answers {asked}"


@pytest.mark.parametrize("size", [(80, 24), *ROOMY], ids=str)
async def test_a_pane_tells_who_will_answer_in_it(run: Run, size: tuple[int, int]) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "best loss")
        assert "LoRA, rank" in text and "at step 375" in text
        await pilot.press(*"hello", "enter")
        await until(pilot, "adapter answers hello")
        assert "best loss" not in shown(app)


async def test_what_was_asked_stands_beneath_the_answers_until_they_need_the_room(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: app.screen.query_one(Asked).option_count == 1)
        assert beneath(app) and shown(app).count("adapter answers hello") == 2
        await pilot.press(*"endless", "enter")
        await until(pilot, lambda: not beneath(app))
        assert app.screen.query_one("#answer-adapter").size.height > 25
        await pilot.press("escape", *"more", "enter")
        await until(pilot, lambda: answers(app)["adapter"].endswith("more"))
        await until(pilot, lambda: beneath(app))
        app.screen.query_one(Asked).focus()
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.screen.query_one(PromptArea).text == "hello")
        await pilot.resize_terminal(60, 15)
        await until(pilot, lambda: not beneath(app))


async def test_a_blind_comparison_tells_nothing_beneath(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("escape", "b", "i", *"hello", "enter")
        await until(pilot, "Which is better?")
        await until(pilot, lambda: not beneath(app))
        await pilot.press("1")
        await until(pilot, lambda: beneath(app))
        assert app.screen.query_one(Asked).option_count == 1


async def test_the_demos_rows_cost_little() -> None:
    """They lie in the package, under no path of that name: the list stayed empty."""
    demo = Plan(dataset=DatasetSection(path="demo"))
    assert await held_out.HeldOut(demo).costs_little()
    assert not await held_out.HeldOut(Plan(dataset=DatasetSection(path="somebody/rows"))).costs_little()


@pytest.mark.parametrize("why", ["no room", "many rows"])
async def test_rows_that_cost_something_are_read_when_they_are_wanted(
    run: Run, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "many rows":
        monkeypatch.setattr(held_out, "READ_UNASKED_BYTES", 10)
    read: list[int] = []
    questions = held_out.held_out_questions
    monkeypatch.setattr(held_out, "held_out_questions", lambda plan: (read.append(1), questions(plan))[1])
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36) if why == "many rows" else (80, 24)) as pilot:
        await until(pilot, "best loss")
        screen = app.screen
        assert isinstance(screen, PlaygroundScreen)
        await screen.workers.wait_for_complete([one for one in screen.workers if one.group == "about"])
        assert read == []
        assert all((words in shown(app)) == (why == "many rows") for words in ("^l reads them", "Not read unasked"))
        await pilot.press("ctrl+l")
        await until(pilot, "Held-out row 1 of 2")
        await pilot.resize_terminal(120, 36)
        await until(pilot, lambda: screen.query_one(Rows).option_count == 2)
        assert read == [1]


async def test_at_60_by_15_every_side_can_be_read(run: Run) -> None:
    """The adapter's pane lay below the edge of the screen."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(60, 15)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hello", "enter")
        await until(pilot, "adapter answers hello")
        assert [view.side for view in app.screen.query(AnswerView) if view.display] == ["adapter"]
        await pilot.press("escape", "left")
        await until(pilot, "base answers hello")
        view = app.screen.query_one("#answer-base")
        assert view.region.bottom <= app.screen.query_one(PromptArea).region.y


async def test_at_60_by_15_an_answer_has_its_row_beside_the_expected_one(run: Run, new_here: None) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(60, 15)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+l")
        await until(pilot, "Held-out row 1 of 2")
        await pilot.press("enter")
        await until(pilot, lambda: answers(app)["adapter"].startswith("adapter answers p"))
        text = await until(pilot, "expected  adapter answers p")
        assert "│ adapter answers p" in text and "as expected" in text, text


async def test_it_is_told_once_that_questions_add_up(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        for number in range(1, 4):
            await pilot.press(*"hello", "enter")
            await until(pilot, lambda number=number: len(app.screen.conversation.turns) == number)  # type: ignore[attr-defined,misc]
            await pilot.pause()
            assert ("goes on from the first" in shown(app)) == (number == 2)
        await pilot.press("escape", "n")
        await until(pilot, "A new conversation")
        assert app.screen.conversation.turns == []  # type: ignore[attr-defined]


async def test_at_60_by_15_every_setting_and_its_advice_is_in_sight(run: Run) -> None:
    """Seed and advice lay below the panel's edge."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(60, 15)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+e")
        text = await until(pilot, "Seed")
        assert all(str(field.title) in text for field in GenerationSettings.model_fields.values()), text
        assert "0 always takes the likeliest token" in text and "p preset" in text, text


async def test_where_nothing_was_trained_no_key_is_named_that_would_read_rows(home: Path) -> None:
    app = LoratuiApp(screen="playground")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "No rows to ask: nothing was trained yet.")
        text = await until(pilot, "The answer is cut after so many tokens")
        assert "^l reads them" not in text, text


def test_settings_are_told_as_far_as_there_is_room(tmp_path: Path) -> None:
    whole = how_lines(GenerationSettings(temperature=0.7), 60, 60).plain
    assert all(str(field.title) in whole for field in GenerationSettings.model_fields.values())
    for height in range(1, 30):
        told = how_lines(GenerationSettings(), 44, height).plain
        assert told.count("\n") < height and max(map(len, told.split("\n"))) <= 44


async def test_the_playground_says_where_the_draft_did_not_make_the_run_that_it_asks(run: Run, home: Path) -> None:
    words = "Steps 1 to 5 hold another plan than that of this run."
    for draft in (Draft(), Draft(model="/models/little", dataset="rows.jsonl", visited=["review"])):
        state = WizardState(home / f"draft-{bool(draft.model)}.json", draft=draft)
        app = LoratuiApp(screen="playground", run=str(run.path), state=state)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, "best loss")
            assert (words in shown(app)) == bool(draft.model)


async def test_what_stands_beside_a_label_keeps_its_column(run: Run) -> None:
    """A long path went on at the left edge, below its label."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "best loss")
        rows = app.screen.query_one("#answer-adapter", AnswerView)._note_rows(46)
        (first,) = [place for place, row in enumerate(rows) if row.startswith("made by   LoRA")]
        after = rows[first + 1 : [row.split(" ")[0] for row in rows].index("run")]
        assert after and all(row.startswith(" " * 10) for row in after), rows


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_what_a_short_answer_leaves_free_holds_rows_to_ask(run: Run, size: tuple[int, int]) -> None:
    """Below an answer of one word the panes were empty down to the prompt."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: beneath(app) and app.screen.query_one(Rows).option_count == 2)
        await until(pilot, "2 held-out rows and their written answers")
        await until(pilot, lambda: all(view.size.height < 7 for view in app.screen.query(AnswerView)))
        await pilot.press("escape", "end", "enter")
        await until(pilot, "Held-out row 2 of 2. enter asks it.")
        app.screen.query_one(PromptArea).put("")
        await pilot.press(*"endless", "enter")
        await until(pilot, lambda: not beneath(app))
        await pilot.press("escape")
        await until(pilot, "■ stopped")
        assert not beneath(app), "a long answer keeps all the room"


async def test_of_the_three_boxes_those_are_shown_that_say_most(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        panel = app.screen.query_one(Beneath)
        for number, boxes in enumerate(((True, False, True), (True, True, False))):
            await pilot.press(*("hello", "again")[number], "enter")
            await until(pilot, lambda number=number: panel.asked.many == number + 1)  # type: ignore[misc]
            await until(pilot, lambda: beneath(app))
            assert (panel.rows.display, panel.asked.display, panel.how.display) == boxes
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: beneath(app) and not panel.asked.display and not panel.how.display)
        await pilot.resize_terminal(200, 50)
        await until(pilot, lambda: beneath(app) and panel.asked.display and panel.how.display)


async def test_growing_answers_take_the_panels_room_bit_by_bit(run: Run) -> None:
    """The panel neither flickers while an answer grows, nor moves with each of its lines."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: beneath(app) and app.screen.query_one(Beneath).asked.many == 1)
        heights: list[int] = []
        take = app.screen.answers.take_rows  # type: ignore[attr-defined]
        app.screen.answers.take_rows = lambda rows: (heights.append(rows or 0), take(rows))  # type: ignore[attr-defined]
        await pilot.press(*"endless", "enter")
        await until(pilot, lambda: not beneath(app))
        grown = list(dict.fromkeys(rows for rows in heights if rows))
        assert len(grown) <= 5 and grown == sorted(grown) and heights[-1] == 0, heights
        await pilot.press("escape")
        await until(pilot, "■ stopped")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_the_frame_of_the_rows_names_enter_only_where_it_takes_one(run: Run, size: tuple[int, int]) -> None:
    """It did while the focus was in the prompt, where enter asks."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hello", "enter")
        await until(pilot, "esc leads from the prompt to them · ^l takes the next")
        assert "enter takes it" not in shown(app) and app.screen.query_one(PromptArea).has_focus
        await pilot.press("escape")
        await until(pilot, "enter takes it into the prompt · ^l the next")
        assert app.screen.query_one(Rows).has_focus
        await pilot.press("enter")
        await until(pilot, "esc leads from the prompt to them")


async def test_the_newest_score_stays_in_the_frame_of_the_rows(run: Run) -> None:
    """Once its panel was closed nothing said how many were right."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hello", "enter")
        await until(pilot, "2 held-out rows and their written answers")
        await pilot.press("ctrl+g")
        await until(pilot, "How many of 2 held-out rows?")
        await pilot.press("enter")
        await until(pilot, "answers right.")
        await pilot.press("escape")
        await until(pilot, "2 held-out rows · scored: 2 of 2 right, base 0")
        await pilot.press("escape", "end", "enter")
        await until(pilot, "Held-out row 2 of 2. enter asks it.")
        assert "scored: 2 of 2 right, base 0" in shown(app)


async def test_a_score_explains_its_figures_and_breaks_no_line_before_a_lone_number(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        words = "better by 100.0 points, 95 % between 63.9 and 100.0, on 16 rows"
        side = {"title": "base", "figures": {"exact_match": {"value": 1.0, "low": 0.6, "high": 1.0, "rows": 16}}}
        sides = [{**side, "name": "base"}, {**side, "name": "run", "title": "run"}]
        line = {"against": "base", "measure": "exact_match", "told": "better", "rows_needed": None, "words": words}
        document = {"rows": 16, "judged": "run", "sides": sides, "differences": [line], "failed": [], "folder": "/f"}
        await app.push_screen(EvaluationScreen(document))
        text = await until(pilot, f"{'  exact match':<{NAME_CELLS}}better by 100.0 points")
        told = [one.strip(" │╮╯╭╰─") for one in text.splitlines()]
        assert "100.0" not in told, text
        await pilot.press("question_mark")
        await until(pilot, "Score: help")
        explained = " ".join(str(app.screen.query_one("#words").render()).split())
        for word in ("chrF", "BLEU", "perplexity", "95 % between"):
            assert TERMS[word].line in explained, word
