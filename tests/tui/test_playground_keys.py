"""The keys of the playground that stop and lead back: told one way in header, footer and help, and dead nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import shown, until
from test_playground_screen import answers, home, run

from loratui.runs.directory import Run
from loratui.tui.app import LoratuiApp
from loratui.tui.common.help import keys_of
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.beneath import Rows
from loratui.tui.playground.prompt_area import PromptArea

__all__ = ["home", "run"]


def footer(app: LoratuiApp) -> str:
    return shown(app).rstrip().splitlines()[-1]


def words(app: LoratuiApp) -> str:
    return " ".join(shown(app).split())


@pytest.fixture
def slow(home: Path, tmp_path: Path) -> Path:
    """A model whose loading ends when a file `go` is in its folder."""
    slow = tmp_path / "slow-model"
    slow.mkdir()
    (slow / "config.json").write_text("{}")
    return slow


async def test_the_loading_is_stopped_by_the_key_that_header_footer_and_help_name(slow: Path) -> None:
    """The header named ^c, the footer esc, and the help said that ^c copies."""
    app = LoratuiApp(screen="playground", adapter=str(slow))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "reading the weights … esc twice stops it" in words(app))
        assert "esc More keys" in footer(app)
        await pilot.press("escape")
        await until(pilot, lambda: "reading the weights … esc stops it" in words(app))
        assert "esc Stop" in footer(app) and "s Stop" not in footer(app), footer(app)
        told = keys_of(app.screen)
        assert [keys for keys, does, _ in told if does.startswith("Stop the answers")] == ["esc"], told
        assert not any("^c" in keys for keys, _, _ in told), told
        assert ("enter i", "Back to the prompt", 0) in told, "as the footer writes it"
        await pilot.press("escape")
        await until(pilot, lambda: "you stopped it" in words(app))
        await until(pilot, lambda: "esc Stop" not in footer(app))


async def test_a_question_that_waits_is_taken_back_first_and_the_loading_goes_on(slow: Path) -> None:
    app = LoratuiApp(screen="playground", adapter=str(slow))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "reading the weights …" in words(app))
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: "is asked. esc takes it back." in words(app))
        await until(pilot, lambda: "stops it" not in words(app))
        await pilot.press("escape")
        await until(pilot, lambda: "esc twice stops it" in words(app))
        assert app.screen.query_one(PromptArea).text == "hello"
        (slow / "go").touch()
        await until(pilot, "cpu float32")


async def test_ctrl_c_copies_what_is_selected_and_stops_nothing_then(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"endless", "enter")
        await until(pilot, "word word word")
        prompt = app.screen.query_one(PromptArea)
        prompt.put("next")
        prompt.select_all()
        await pilot.press("ctrl+c")
        assert app.clipboard == "next"
        assert "stopped" not in shown(app)
        await pilot.press("right", "ctrl+c")
        await until(pilot, "■ stopped")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_after_any_size_esc_leads_to_where_enter_works(run: Run, size: tuple[int, int]) -> None:
    """After 60 x 15 the focus was in a pane, where enter was dead."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {run.name}")
        prompt = app.screen.query_one(PromptArea)
        for width, height in ((60, 15), size, (200, 50), (60, 15)):
            await pilot.press("escape")
            await until(pilot, lambda: not prompt.has_focus)
            await pilot.resize_terminal(width, height)
            await until(pilot, lambda height=height: app.screen.size.height == height)  # type: ignore[misc]
            await pilot.press("escape")
            text = await until(pilot, "Nothing is open here: i goes back to the prompt")
            named = text.rstrip().splitlines()[-1]
            assert ("enter Take it" if isinstance(app.focused, Rows) else "enter Write") in named, named
            await pilot.press("enter")
            await until(pilot, lambda: prompt.has_focus)
            await until(pilot, lambda: "Nothing is open" not in shown(app))
            prompt.put("")
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: answers(app)["adapter"] == "adapter answers hello")


async def test_enter_leads_back_to_the_prompt_while_answers_grow(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"endless", "enter")
        await until(pilot, "word word word")
        app.screen.query(AnswerView).last().focus()
        await until(pilot, lambda: "esc Stop" in footer(app) and "enter Write" in footer(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one(PromptArea).has_focus)
        await pilot.press("escape")
        await until(pilot, "■ stopped")


async def test_a_list_without_rows_takes_no_focus(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows that were not read esc led into the list, where enter did nothing."""
    from loratui.tui.playground import held_out

    monkeypatch.setattr(held_out, "READ_UNASKED_BYTES", 10)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "Not read unasked")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.focused, AnswerView))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one(PromptArea).has_focus)
