"""The file dialog: enter takes what the filter leads to, and goes to a path that is typed into it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import shown, until
from wizard import SIZES, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.common.file_browser import BrowserScreen


def tree(root: Path) -> Path:
    (root / "other").mkdir(parents=True)
    (root / "data-of-mine").mkdir()
    for name in ("other/train.jsonl", "data-of-mine/rows.jsonl", "notes.md"):
        (root / name).write_text("{}\n")
    (root / "data-of-mine" / "empty.jsonl").touch()
    return root


def browser(app: LoratuiApp, root: Path, taken: list[str]) -> None:
    app.push_screen(
        BrowserScreen(
            "Choose a dataset",
            root,
            lambda path: path.suffix == ".jsonl",
            folders="use this folder: all its data files",
        ),
        lambda path: taken.append(path or ""),
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_enter_takes_what_the_filter_leads_to(homes: Path, size: tuple[int, int]) -> None:
    root, taken = tree(homes / "files"), list[str]()
    app = wizard(homes)
    async with app.run_test(size=size) as pilot:
        browser(app, root, taken)
        await until(pilot, "data-of-mine/")
        await pilot.press("slash", *"data")
        await settled(pilot)
        assert "use this folder" not in shown(app), "it is no entry of the folder"
        await pilot.press("enter")
        await until(pilot, "rows.jsonl")
        assert not taken
        await pilot.press(*"rows", "enter")
        await until(pilot, lambda: bool(taken))
        assert taken == [str(root / "data-of-mine" / "rows.jsonl")]


@pytest.mark.parametrize(
    "typed", ["{root}/data-of-mine/rows.jsonl", "~/data-of-mine/rows.jsonl", "data-of-mine/rows.jsonl"]
)
async def test_a_typed_path_of_a_file_is_taken(homes: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    root, taken = tree(homes / "files"), list[str]()
    monkeypatch.setenv("HOME", str(root))
    app = wizard(homes)
    async with app.run_test(size=(80, 24)) as pilot:
        browser(app, root, taken)
        await until(pilot, "data-of-mine/")
        await pilot.press("slash", *typed.format(root=root))
        text = await until(pilot, "enter goes to")
        assert "Nothing here" not in text
        await pilot.press("enter")
        await until(pilot, lambda: bool(taken))
        assert taken == [str(root / "data-of-mine" / "rows.jsonl")]


async def test_a_typed_path_opens_a_folder_or_as_much_of_it_as_there_is(homes: Path) -> None:
    root, taken = tree(homes / "files"), list[str]()
    app = wizard(homes)
    async with app.run_test(size=(80, 24)) as pilot:
        browser(app, root, taken)
        await until(pilot, "data-of-mine/")
        await pilot.press("slash", *"other/", "enter")
        await until(pilot, "train.jsonl")
        await pilot.press(*"../data-of-mine/ro", "enter")
        text = await until(pilot, "rows.jsonl")
        assert "empty.jsonl" not in text, "the rest of what was typed is the filter"
        await pilot.press("enter")
        await until(pilot, lambda: bool(taken))
        assert taken == [str(root / "data-of-mine" / "rows.jsonl")]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("no/such/place", "There is no such file or folder."),
        ("data-of-mine/empty.jsonl", "It is empty."),
        ("./notes.md", "It is nothing that can be taken here."),
    ],
)
async def test_a_typed_path_that_cannot_be_taken_says_why(homes: Path, typed: str, said: str) -> None:
    root, taken = tree(homes / "files"), list[str]()
    app = wizard(homes)
    async with app.run_test(size=(80, 24)) as pilot:
        browser(app, root, taken)
        await until(pilot, "data-of-mine/")
        await pilot.press("slash", *typed, "enter")
        await until(pilot, lambda: said in " ".join(shown(app).replace("│", " ").split()))
        assert not taken
