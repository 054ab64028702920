"""The dataset screen's panels: lengths with their ledger, and problems by kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import OptionList
from wizard import screen_text, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.dataset.lengths import LengthsScreen, histogram
from loratui.tui.dataset.problems import ProblemsScreen, kinds_found
from loratui.tui.wizard.check import Check


def result(**more: Any) -> dict[str, Any]:
    """A check's result, as far as these panels read it."""
    return {
        "usable": 90,
        "divided": False,
        "tokens": {"min": 9, "median": 40, "p90": 200, "p95": 300, "p99": 480, "max": 700, "total": 9000},
        "trained_tokens_uncut": 5000,
        "truncation": {"max_length": 128, "cut": 20, "without_answer": 3},
        "proposed_max_length": {"value": 384, "why": "95 % of the rows have at most 300 tokens"},
        "ledger": [
            {"max_length": 128, "cut": 20, "answer_tokens_lost": 900, "without_answer": 3},
            {"max_length": 384, "cut": 4, "answer_tokens_lost": 90, "without_answer": 0},
            {"max_length": 1024, "cut": 0, "answer_tokens_lost": 0, "without_answer": 0},
        ],
        "histogram": {"edges": [0, 100, 200, 300, 400, 700], "counts": [0, 60, 20, 8, 2]},
        "packing": {"sequences": 30, "packed_share": 0.9, "padded_share": 0.4},
        "stop_token": {"missing_uncut": 0, "token": "<end>", "fix": {}},
        "reasoning": {"rows": 0, "sentences": [], "fixes": []},
        "problems": [],
        "problem_counts": {},
        "left_out_by": {},
        "lengths": [9, 40, 700],
        "split": {"train": 85, "evaluation": 5},
        **more,
    }


def checked(folder: Path) -> LoratuiApp:
    """The wizard on the dataset's screen, whose check is given by the test instead of a worker."""
    app = wizard(folder, screen="dataset")
    app.check_dataset = lambda **again: None  # type: ignore[method-assign]
    return app


def problem(kind: str, line: int, *, blocking: bool = False) -> dict[str, Any]:
    return {
        "line": line,
        "index": line - 1,
        "kind": kind,
        "message": f"a {kind} here.",
        "file": "rows.jsonl",
        "blocking": blocking,
    }


PROBLEMS = {
    "problems": [
        problem("json", 7, blocking=True),
        problem("duplicate", 3),
        problem("duplicate", 4),
        problem("long", 9),
    ],
    "problem_counts": {"json": 1, "duplicate": 2, "long": 1},
}


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_ledger_sets_the_maximum_length(tmp_path: Path, size: tuple[int, int]) -> None:
    app = checked(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), result=result()))
        app.state.choices.set_value("training.max_length", 128)
        await pilot.press("l")
        await settled(pilot)
        assert isinstance(app.screen, LengthsScreen)
        text = screen_text(app)
        assert (
            "longest 700" in " ".join(text.split()).replace("│ │", "")
            and "▲ 128" in text
            and "384" in text
            and ("✓" in text or "✗" in text)
        )
        ledger = app.screen.query_one("#ledger", OptionList)
        shown_at = ledger.get_option_at_index(ledger.highlighted or 0).id
        assert shown_at == "128", "the cursor begins on the length that holds now"
        while ledger.get_option_at_index(ledger.highlighted or 0).id != "1024":
            await pilot.press("down")
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.by_hand["training.max_length"] == 1024


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (180, 45)])
async def test_lengths_are_shown_while_the_check_goes_on(tmp_path: Path, size: tuple[int, int]) -> None:
    app = checked(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        going = Check(app.state.check.key(), progress="tokenising: row 250 of 40,000")
        app.state.check.take(going)
        await settled(pilot)
        await pilot.press("l")
        await settled(pilot)
        assert isinstance(app.screen, LengthsScreen)
        text = " ".join(screen_text(app).split())
        assert "Guessed from characters" in text and "longest" in text and "–" in text
        await pilot.press("escape")
        await settled(pilot)
        assert app.state.check.now == going, "the panel's esc closes the panel; the check goes on"
        app.state.check.take(replace(going, partial=result(examples=250)))
        await pilot.press("l")
        await settled(pilot)
        assert "Counted in the first 250 rows; the check goes on." in screen_text(app)
        assert "900" in screen_text(app), "answer tokens lost so far"
        await pilot.press("home", "down", "enter")
        await settled(pilot)
        assert app.state.draft.by_hand["training.max_length"] in (128, 384, 1024)


async def test_a_stopped_check_is_begun_again_by_a_key_and_said_where_its_lengths_are_used(tmp_path: Path) -> None:
    app, begun = checked(tmp_path), []
    app.check_dataset = lambda *, again=False: begun.append(again)  # type: ignore[method-assign, assignment]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), progress="tokenising: row 250 of 40,000"))
        await settled(pilot)
        assert "Check again" not in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert "▲ stopped: counts and lengths are guesses · r checks again" in screen_text(app)
        assert "about " in screen_text(app) and "Check again" in screen_text(app)
        for step in ("f5", "f6"):
            await pilot.press(step)
            await settled(pilot)
            text = " ".join(screen_text(app).split())
            assert "The check of the dataset was stopped: this rests on lengths guessed" in text, app.screen.name
            assert ("Step 3, then r, checks again." in text or "m shows all of it" in text) and "about" in text
        await pilot.press("f4", "r")
        await settled(pilot)
        assert begun[-1] is True
        app.state.check.take(Check(app.state.check.key(), result=result()))
        for step in ("f5", "f6"):
            await pilot.press(step)
            await settled(pilot)
            assert "was stopped" not in screen_text(app)


async def test_a_kind_is_left_out_and_taken_back(tmp_path: Path) -> None:
    app = checked(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), result=result(**PROBLEMS)))
        await pilot.press("e")
        await settled(pilot)
        assert isinstance(app.screen, ProblemsScreen)
        assert "line 7" in screen_text(app) and "cannot be trained on" in screen_text(app)
        await pilot.press("space")  # a row that cannot be read is no choice
        await pilot.press("down")
        await settled(pilot)
        assert "line 3" in screen_text(app) and "line 4" in screen_text(app) and "line 7" not in screen_text(app)
        await pilot.press("space")
        await settled(pilot)
        assert "left out" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert app.state.draft.by_hand["dataset.leave_out"] == ["duplicate"]
        assert app.state.plan.proposal is not None and app.state.plan.proposal.plan.dataset.leave_out == ["duplicate"]


async def test_the_list_of_problems_has_the_count_that_sent_there(tmp_path: Path) -> None:
    many = [problem("duplicate", line) for line in range(200)]  # as many of a kind as are listed
    found = result(problems=many, problem_counts={"duplicate": 319})
    app = checked(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), result=found))
        await settled(pilot)
        assert "319 problems: e lists them" in " ".join(screen_text(app).split())
        await pilot.press("e")
        await settled(pilot)
        assert "─ 319 problems ─" in screen_text(app), "not the least there are"


async def test_before_the_check_the_list_tells_the_least_there_are(tmp_path: Path) -> None:
    app = checked(tmp_path)
    rows = tmp_path / "data" / "questions.jsonl"
    rows.write_text('{"question": "broken\n' + rows.read_text())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("e")
        await settled(pilot)
        assert "at least 1 problem" in screen_text(app)


async def test_what_the_split_was_found_to_hold_out_is_said_everywhere(tmp_path: Path) -> None:
    """Rows that are alike stay on one side: of 40 rows 2 are asked for, and 3 are held out."""
    app = checked(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.state.plan.proposal is not None and app.state.plan.proposal.data.eval_examples == 2
        split = {"train": 37, "evaluation": 3, "eval_fraction": 0.05, "eval_count": 0}
        app.state.check.take(Check(app.state.check.key(), result=result(usable=40, split=split)))
        await settled(pilot)
        data = app.state.plan.proposal.data
        assert (data.examples, data.eval_examples) == (37, 3) and app.state.plan.proposal.schedule.examples == 37
        assert "37 · 3 held out" in screen_text(app)
        assert "3 of 40" in app.state.plan.proposal.recommendations["dataset.eval_fraction"].why
        for step, words in (("f5", "37 rows"), ("f6", "3 more held out")):
            await pilot.press(step)
            await settled(pilot)
            text = " ".join(screen_text(app).split())
            assert words in text and "38" not in text, text
        app.state.choices.set_value("dataset.eval_fraction", 0.1)
        data = app.state.plan.proposal.data
        assert (data.examples, data.eval_examples) == (36, 4), "of another share it is not counted yet"


def test_kinds_already_left_out_can_be_found_again() -> None:
    kinds = kinds_found(None, result(left_out_by={"placeholder": 4, "by-hand": 2}, **PROBLEMS))
    assert [(kind.name, kind.rows) for kind in kinds] == [
        ("json", 1),
        ("duplicate", 2),
        ("long", 1),
        ("placeholder", 0),
    ]


async def test_the_stop_token_is_mended_with_one_key(tmp_path: Path) -> None:
    app = checked(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), result=result()))
        await pilot.press("f")
        assert "model.chat_template" not in app.state.draft.by_hand
        app.state.check.take(
            Check(
                app.state.check.key(),
                result=result(
                    stop_token={"missing_uncut": 90, "token": "<end>", "fix": {"model.chat_template": "chatml"}}
                ),
            )
        )
        await settled(pilot)
        assert "Fix" in screen_text(app)
        await pilot.press("f")
        await settled(pilot)
        assert app.state.draft.by_hand["model.chat_template"] == "chatml"


def test_bars_beyond_the_limit_are_told_apart() -> None:
    drawn = histogram([0, 100, 200, 300, 400, 700], [0, 60, 20, 8, 2], 300, 140, 612, 50, 3)
    lines = drawn.plain.split("\n")
    assert len(lines) == 4 and len({len(line) for line in lines[:3]}) == 1
    assert "▲ 300" in lines[3] and lines[3].endswith("612 tokens"), "the axis ends in the longest row"
    assert lines[3].startswith("140 "), "and begins in the shortest one: it began in the edge of an empty bin"
    beyond = [span for span in drawn.spans if span.style == "$warning"]
    assert beyond and all(drawn.plain[span.start : span.end].strip(" ▁▂▃▄▅▆▇█┊") == "" for span in beyond)
    assert histogram([0, 1], [0], 10, 0, 0, 40, 3).plain == "no rows"
