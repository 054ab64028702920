"""What is said of a dataset and the picture of its lengths share the room: no bars stand without their axis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_dataset_panels import PROBLEMS, checked, result
from textual.widgets import Static
from wizard import dataset_file, screen_text, settled, wizard

from loratui.data.find import find_dataset
from loratui.data.preview import preview
from loratui.tui.app import LoratuiApp
from loratui.tui.dataset.empty import EXAMPLES
from loratui.tui.dataset.row_close import LEAST_HEIGHT
from loratui.tui.wizard.check import Check


async def test_the_axis_of_the_lengths_stands_below_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 x 24 a fact more moved the axis out of sight: bars stood that nothing named."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    app = checked(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        rows = tmp_path / "doubtful.jsonl"
        one = {"question": "What is it? " * 9, "remarks": "Nobody reads this here. " * 9, "source": "A book, page 9."}
        rows.write_text("".join(json.dumps({**one, "answer": "It is so. " * (n % 9 + 1)}) + "\n" for n in range(90)))
        app.choose_dataset(str(rows))
        await settled(pilot)
        kinds = {"learnt": 60_000, "shown": 29_000, "cut": 0, "reading": 500, "template": 0, "unused": 500}
        found = {**result(**PROBLEMS), "characters": {"source": 90_000, **kinds}}
        app.state.choices.set_value("training.max_length", 128)
        app.state.check.take(Check(app.state.check.key(), result=found))
        await settled(pilot)
        facts = app.screen.query_one("#dataset-facts", Static)
        said = str(facts.content)
        assert "20 rows longer than 128 tokens are cut" in " ".join(said.split()), (
            "there is a warning above the picture"
        )
        lines = screen_text(app).splitlines()
        bars = next(number for number, line in enumerate(lines) if line.startswith("  lengths"))
        assert "tokens" in lines[bars + 1], "the axis stands below the bars"
        assert facts.parent is not None and facts.size.height <= facts.parent.size.height, "nothing is out of sight"
        assert "4 problems: e lists them" in " ".join(said.split()), "what the check found is told to its end"


async def test_where_there_is_little_room_the_check_is_told_rather_than_the_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    app = checked(tmp_path)
    async with app.run_test(size=(60, 15)) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), result=result(**PROBLEMS)))
        await settled(pilot)
        assert "4 problems: e lists them" in " ".join(screen_text(app).split())


async def test_an_empty_dataset_tells_its_ways_on_a_few_lines(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=(60, 15)) as pilot:
        await settled(pilot)
        text = " ".join(screen_text(app).replace("│", "").split())
        assert "o opens a file or a folder" in text and "d takes the demo" in text
        assert "●3 Dataset ○4 ○5 ○6 ○7" in text, "every step stands in the bar"


RENDERED = {
    number: {
        "index": number,
        "tokens": [[1, "<start>", False, True, False], [2, f"piece {number}", True, False, False]],
    }
    for number in range(20)
}


@pytest.mark.parametrize("size", [(160, 45), (200, 50)], ids=str)
async def test_what_one_would_open_fills_the_room_below_the_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """The left half stood empty below the lengths."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    app = checked(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        check = Check(app.state.check.key(), result=result(**PROBLEMS), rows=RENDERED)
        app.state.check.take(check)
        await settled(pilot)
        close, rows = app.screen.query_one("#row-close"), app.screen.query_one("#row")
        facts = app.screen.query_one("#dataset-facts")
        if size[1] < 50:
            assert close.display or rows.region.bottom - facts.region.bottom <= LEAST_HEIGHT, "nothing stands empty"
            assert "longest 700" in screen_text(app), "nor is anything cut off"
            return
        assert close.display and close.region.bottom == rows.region.bottom
        assert not close.region.overlaps(facts.region)
        text = screen_text(app)
        assert "✗ 1 json  line 7: a json here." in text and "row 1 closely" in text
        app.state.check.take(Check(app.state.check.key(), result=result(), rows=RENDERED))
        await pilot.press("right")
        await settled(pilot)
        told = str(app.screen.query_one("#row-close", Static).content)
        assert "row 2 closely" in screen_text(app)
        assert "question  What is question 1?" in told and "answer  Paris is the capital. (1)" in told
        assert "<start>piece 1" in told.replace("\n", "")
        app.state.check.take(Check(app.state.check.key(), result=result()))
        await settled(pilot)
        assert "t shows its tokens" in screen_text(app)


async def test_it_keeps_out_of_the_way_where_facts_stand_above_the_rows(tmp_path: Path) -> None:
    app = checked(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert not app.screen.query_one("#row-close").display


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_a_row_that_is_scrolled_is_wrapped_once(tmp_path: Path, size: tuple[int, int]) -> None:
    """Beside the scrollbar each line was wrapped again, and single words stood at its left."""
    app = checked(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.choose_dataset(str(dataset_file(tmp_path / "long.jsonl", answer="Slowly over the green hills. " * 400)))
        await settled(pilot)
        box = app.screen.query_one("#row")
        assert box.max_scroll_y > 0, "it is longer than its box"
        left, right = box.content_region.x, box.scrollable_content_region.right
        shown = [line[left:right] for line in screen_text(app).splitlines()[box.content_region.y :]]
        answer = [line for line in shown[: box.content_region.height] if "hills" in line or "Slowly" in line]
        assert len(answer) > 3 and all("▌" in line for line in answer), answer
        whole = " ".join(line.partition("▌")[2] for line in answer).split()
        assert whole[:40] == ("Slowly over the green hills. " * 400).split()[:40], "no word is cut off"


@pytest.mark.parametrize(("name", "row"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_what_is_said_to_be_understood_is(tmp_path: Path, name: str, row: str) -> None:
    (tmp_path / "rows.jsonl").write_text(f"{row}\n" * 3)
    shown = preview(find_dataset(str(tmp_path / "rows.jsonl")))
    assert shown.rows[0].conversation is not None, shown.rows[0].problem
    formats = {
        "prompt and completion": "prompt-completion",
        "instructions": "instruction",
        "conversations": "messages",
        "calls of tools": "messages",
        "plain text": "text",
        "preferences, in pairs (DPO, ORPO)": "preference",
        "ready token ids": "tokens",
    }
    assert shown.recognition.format == formats.get(name, "prompt-completion")


@pytest.mark.parametrize("size", [(160, 45), (200, 50)], ids=str)
async def test_an_empty_dataset_shows_what_rows_look_like(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "Rows look like this" in text and '"chosen"' in text
        assert app.screen.query_one("#row").region.width > size[0] - 6
        await pilot.press("d")
        await settled(pilot)
        text = screen_text(app)
        assert "Rows look like this" not in text and "format   prompt-completion" in text
