"""A dataset that cannot be read never looks accepted: above the bar, in it, and once a right one is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import shown, until
from textual.widgets import Input
from wizard import choose, dataset_file, model_folder, settled, wizard

from loratui.core.moves import Move
from loratui.tui.frame.change_line import ChangeLine
from loratui.tui.wizard.change import move_words

NOT_KNOWN = "Not known: the dataset cannot be read. Choose another."


def wrong(folder: Path, kind: str) -> Path:
    path = folder / "wrong" / "nope.jsonl"
    path.parent.mkdir()
    if kind == "binary":
        path.write_bytes(bytes(range(256)) * 8)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["none", "binary", "empty", "folder"])
async def test_a_wrong_dataset_leaves_no_figures_and_no_change(tmp_path: Path, kind: str) -> None:
    path = wrong(tmp_path, kind)
    app = wizard(tmp_path, screen="dataset", chosen=False)
    choose(app, model=str(model_folder(tmp_path / "llama-1b")))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await until(pilot, "fits:")
        await pilot.press("i")
        app.screen.query_one("#path", Input).value = str(path)
        await pilot.press("enter")
        text = await until(pilot, NOT_KNOWN)
        assert "fits" not in text and "Dataset none" not in text
        assert not app.screen.query_one(ChangeLine).display
        app.choose_dataset(str(dataset_file(tmp_path / "good" / "right.jsonl")))
        text = await until(pilot, "Dataset none → right.jsonl")
        assert NOT_KNOWN not in shown(app) and "fits:" in text


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("/tmp/x/nope.jsonl", "/somewhere/far/below/all/other/folders/bin.dat", "nope.jsonl → bin.dat"),
        ("/a/train.jsonl", "/b/train.jsonl", "a/train.jsonl → b/train.jsonl"),
        ("/a/b/train.jsonl", "/a/c/b/train.jsonl", "a/b/train.jsonl → c/b/train.jsonl"),
        ("acme/llama-1b", "demo", "llama-1b → demo"),
        ("", "demo", "– → demo"),
    ],
)
def test_two_paths_are_shortened_alike_and_stay_apart(before: str, after: str, words: str) -> None:
    assert move_words(Move("model.id", before, after)).endswith(words)
