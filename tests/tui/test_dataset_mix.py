"""Several datasets as one in the wizard: added and weighed in a panel, shown with their shares, nothing clipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pictured import until
from textual.widgets import Input
from wizard import SIZES, screen_text, settled, wizard

from loratui.core.plan_text import plan_from_toml, plan_to_toml
from loratui.tui.app import LoratuiApp
from loratui.tui.dataset.mix import MixScreen
from loratui.tui.dataset.rows import RowBrowser
from loratui.tui.wizard.command import command_text
from loratui.tui.wizard.draft import KnownFacts, read_known_facts, write_known_facts


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, count in (("orders", 80), ("chats-of-a-shop-in-may", 40), ("few", 10)):
        found[name] = tmp_path / f"{name}.jsonl"
        lines = [{"prompt": f"{name} {n}", "completion": f"{name} answers {n}"} for n in range(count)]
        found[name].write_text("".join(json.dumps(line) + "\n" for line in lines))
    return found


async def add(pilot, words: str) -> None:
    await pilot.press("end", "enter")
    await pilot.pause()
    pilot.app.screen.query_one(Input).value = words
    await pilot.press("enter")
    await settled(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_parts_are_added_weighed_and_taken_away(
    rows: dict[str, Path], tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    app = wizard(tmp_path, screen="dataset")
    app.state.choices.choose_dataset(str(rows["orders"]))
    app.state.choices.set_value("dataset.columns", {"prompt": "prompt", "completion": "completion"})
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.read_dataset()
        await settled(pilot)
        await pilot.press("+")
        await pilot.pause()
        assert isinstance(app.screen, MixScreen)
        await add(pilot, f"{rows['chats-of-a-shop-in-may']}=0.5")
        await add(pilot, str(rows["few"]))
        assert "chats-of-a-shop-in-may  weight 0.5" in screen_text(app)
        await add(pilot, str(tmp_path / "few.jsonl"))
        assert "two of dataset.parts are named" in " ".join(screen_text(app).split())
        await pilot.press("end", "up", "enter")
        await pilot.pause()
        app.screen.query_one(Input).value = "3#5"
        await pilot.press("enter")
        await settled(pilot)
        if size == (80, 24):
            assert "at most 5 rows" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        text = screen_text(app)
        assert "orders + chats-of-a-shop-in-may + few" in text
        shown = {words[0]: words[1:] for line in text.splitlines() if (words := line.split()[:7])}
        assert shown["orders"][:2] == ["1", "76"] and shown["few"][:2] == ["3", "12"]
        assert "chats-of-a-shop…" in text and "Columns" not in text
        parts = app.state.draft.by_hand["dataset.parts"]
        assert [(part["name"], part["weight"], part["cap"]) for part in parts] == [
            ("orders", 1.0, "none"),
            ("chats-of-a-shop-in-may", 0.5, "none"),
            ("few", 3.0, 5),
        ]
        assert parts[0]["columns"] == {"prompt": "prompt", "completion": "completion"}
        proposal = app.state.plan.proposal
        assert proposal is not None and not app.state.plan.problem
        assert proposal.schedule.examples == 76 + 19 + 12
        assert plan_from_toml(plan_to_toml(proposal.plan)) == proposal.plan
        assert "--set 'dataset.parts=[{" in command_text(app.state.draft)
        await pilot.press("+")
        await pilot.pause()
        await pilot.press("end", "up", "x", "x")
        await settled(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert "dataset.parts" not in app.state.draft.by_hand
        assert app.state.draft.dataset == str(rows["orders"])
        assert app.state.draft.by_hand["dataset.columns"] == {"prompt": "prompt", "completion": "completion"}
        assert not app.state.plan.problem


async def test_what_is_known_of_a_mix_is_known_in_the_next_session(rows: dict[str, Path], tmp_path: Path) -> None:
    from loratui.tui.wizard.loading import load_dataset

    parts = [{"path": str(rows["orders"])}, {"path": str(rows["few"]), "weight": 2.0}]
    view = load_dataset(str(rows["orders"]), {"dataset.parts": parts})
    write_known_facts(tmp_path / "facts.json", KnownFacts("choice", view.fingerprint, view.facts))
    known = read_known_facts(tmp_path / "facts.json")
    assert known is not None and known.facts == view.facts and known.facts.parts[1].examples == 18
    with rows["few"].open("a") as file:
        file.write('{"prompt": "one more", "completion": "row"}\n')
    assert load_dataset(str(rows["orders"]), {"dataset.parts": parts}).fingerprint != view.fingerprint


@pytest.mark.parametrize("size", SIZES)
async def test_the_rows_go_through_all_parts_and_each_names_its_own(
    rows: dict[str, Path], tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those of the first part were shown."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    app = wizard(tmp_path, screen="dataset")
    app.state.choices.choose_parts([{"path": str(path)} for path in rows.values()])
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.read_dataset()
        await until(pilot, "1 of orders", 120)
        browser = app.screen.query_one(RowBrowser)
        browser.focus()
        await pilot.press("left")
        await pilot.press("colon")
        await pilot.pause()
        app.screen.query_one(Input).value = "80"
        await pilot.press("enter")
        text = await until(pilot, "80 of orders", 120)
        if size != SIZES[0]:  # there is no room for two
            assert "row 81 of chats-of-a-shop-in-may" in text and "chats-of-a-shop-in-may 0" in text
        await pilot.press("right")
        text = await until(pilot, "81 of chats-of-a-shop-in-may", 120)
        await pilot.press("colon")
        await pilot.pause()
        app.screen.query_one(Input).value = "few"
        await pilot.press("enter")
        await until(pilot, "121 of few", 120)
        assert browser.number == 120
        await pilot.press("slash")
        await pilot.pause()
        app.screen.query_one(Input).value = "orders answers 7"
        await pilot.press("enter")
        await until(pilot, "8 of orders", 120)
        assert browser.number == 7, "a search goes through all parts, and begins again at the top"


def test_rows_are_numbered_through_the_parts_as_the_check_numbers_them(rows: dict[str, Path]) -> None:
    from loratui.data.preview import find_row, first_of_part, rows_from
    from loratui.tui.wizard.loading import load_dataset

    view = load_dataset(str(rows["orders"]), {"dataset.parts": [{"path": str(path)} for path in rows.values()]})
    shown = view.preview
    assert [(row.index, row.part) for row in rows_from(shown, 79, 2)] == [
        (79, "orders"),
        (80, "chats-of-a-shop-in-may"),
    ]
    assert first_of_part(shown, "few") == 120 and first_of_part(shown, "none") is None
    assert find_row(shown, "few answers 9", -1) == 129 and rows_from(shown, 130, 5) == ()
    (row,) = rows_from(shown, 125, 1)
    assert row.value == {"prompt": "few 5", "completion": "few answers 5"} and row.line == 6


def test_pairs_of_a_mix_are_read_as_pairs_in_every_part(tmp_path: Path) -> None:
    from loratui.data.preview import rows_from
    from loratui.tui.wizard.loading import load_dataset

    for name in ("one", "two"):
        line = {"prompt": "Say.", "chosen": f"good of {name}", "rejected": f"bad of {name}"}
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line | {"id": n}) + "\n" for n in range(12)))
    parts = [{"path": str(tmp_path / f"{name}.jsonl")} for name in ("one", "two")]
    shown = load_dataset(str(tmp_path / "one.jsonl"), {"dataset.parts": parts, "dataset.preference": "chosen"}).shown(
        "dpo"
    )
    (row,) = rows_from(shown, 20, 1)
    assert row.part == "two" and row.conversation is not None and row.conversation.rejected
