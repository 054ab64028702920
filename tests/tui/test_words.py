"""New words: each explained once where it first stands, and by F1 always."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pictured import palette, until
from wizard import screen_text, settled, wizard

from loratui.core.glossary import TERMS, WIDEST, terms_of
from loratui.core.plan_text import fields
from loratui.tui.app import SCREEN_CLASSES
from loratui.tui.common.words import WordsScreen
from loratui.tui.take_away.screen import TakeAwayScreen
from loratui.tui.wizard.words import WORDS, SeenWords, words_of


def test_every_word_is_explained_in_one_line_of_a_narrow_terminal() -> None:
    for word, term in TERMS.items():
        assert len(f"{word}  {term.line}") <= WIDEST, term
        assert term.line.endswith((".", "?")) and set(term.keys) <= set(fields()), term
    assert set(WORDS) == {*SCREEN_CLASSES, TakeAwayScreen.STEP, "compare", "score"}
    assert {word for words in WORDS.values() for word in words} <= set(TERMS)
    assert [term.word for term in terms_of("lora.r")] == ["rank"]


async def test_a_word_is_explained_once(tmp_path: Path, new_here: None) -> None:
    for told in (True, False):
        app = wizard(tmp_path, screen="model", chosen=False)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            assert (TERMS["LoRA"].line in screen_text(app)) == told
            await pilot.press("f4")
            await settled(pilot)
            assert (TERMS["token"].line in screen_text(app)) == told
    seen = json.loads((tmp_path / "state" / "words-seen.json").read_text())["seen"]
    assert {"LoRA", "QLoRA", "token"} <= set(seen)


async def test_what_stood_too_short_to_be_read_stays_new(
    tmp_path: Path, new_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.tui.frame.step.READ_SECONDS", 60.0)
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ("f4", "f3"):
            await settled(pilot)
            await pilot.press(key)
        await settled(pilot)
        assert TERMS["LoRA"].line in screen_text(app)


async def test_the_word_of_the_field_under_the_cursor(tmp_path: Path, new_here: None) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "down")
        await settled(pilot)
        assert TERMS["learning rate"].line in screen_text(app)
        app.screen.say("Something else.")  # type: ignore[attr-defined]
        await pilot.press("down")
        await settled(pilot)
        assert "Something else." in screen_text(app) and TERMS["epoch"].line not in screen_text(app)
        await pilot.press("down", "down", "up", "up", "f5")
        app.state.words.take(tuple(TERMS.values()))
        await pilot.press("f4", "f5")
        await settled(pilot)
        assert TERMS["epoch"].line not in screen_text(app)


@pytest.mark.parametrize("word", ["pinned prompts", "top-p", "ROUGE", "system prompt", "stop token"])
def test_the_playground_explains_what_its_panels_say(word: str) -> None:
    assert TERMS[word] in words_of("playground")


@pytest.mark.parametrize(("key", "word"), [("f3", "QLoRA"), ("f4", "token"), ("f6", "checkpointing"), ("f2", "TFLOPS")])
async def test_help_always_explains_the_words_of_a_screen(tmp_path: Path, key: str, word: str) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(120, 50)) as pilot:
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        await pilot.press("f1")
        await settled(pilot)
        assert TERMS[word].line[:40] in screen_text(app)


@pytest.mark.parametrize(
    ("screen", "word"),
    [
        ("runs", "nats"),
        ("training", "accuracy"),
        ("training", "exact match"),
        ("playground", "float32"),
        ("machine", "slurm"),
    ],
)
def test_help_explains_figures_and_names_of_a_screen(screen: str, word: str) -> None:
    assert TERMS[word] in words_of(screen)


async def test_the_derivation_begins_with_the_word(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("down", "f1")
        await settled(pilot)
        assert TERMS["rank"].line in screen_text(app)


def test_a_memory_that_cannot_be_kept_disturbs_nobody(tmp_path: Path, new_here: None) -> None:
    (tmp_path / "file").write_text("no folder")
    words = SeenWords(tmp_path / "file" / "words-seen.json")
    rank = (TERMS["rank"],)
    assert words.unseen(rank) == rank
    words.take(rank)
    assert words.unseen(rank) == ()
    (tmp_path / "torn.json").write_text('{"seen": "ra')
    assert SeenWords(tmp_path / "torn.json").unseen(rank) == rank


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("logits", "logits"),
        ("exact match", "exact match"),
        ("checkpointing", "checkpointing"),
        ("gguf", "GGUF"),
        ("nats", "nats"),
    ],
)
async def test_the_palette_explains_a_word(tmp_path: Path, typed: str, word: str) -> None:
    """It found nothing for any of them."""
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await palette(pilot, typed, f"Word: {word}")
        assert isinstance(app.screen, WordsScreen)
        text = screen_text(app)
        assert TERMS[word].line in text, text
        for key in TERMS[word].keys:
            assert key in text and fields()[key].description[:30] in text, text
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == "machine")


@pytest.mark.parametrize("typed", ["glossary", "words"])
async def test_the_palette_lists_all_words(tmp_path: Path, typed: str) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(120, 100)) as pilot:
        await settled(pilot)
        await palette(pilot, typed, "Words")
        assert isinstance(app.screen, WordsScreen)
        text = screen_text(app)
        assert all(term.line in text for term in TERMS.values()), text


@pytest.mark.parametrize(("precision", "other"), [("fp32", "bf16"), ("bf16", "fp32")])
async def test_a_value_is_explained_where_it_stands_and_no_other(
    tmp_path: Path, new_here: None, precision: str, other: str
) -> None:
    """fp32, cosine and others stood on Recipe and Review, and nothing said what they are."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(160, 60)) as pilot:
        await settled(pilot)
        app.state.choices.set_value("training.precision", precision)
        app.state.words.take(tuple(term for word, term in TERMS.items() if word not in (precision, other, "cosine")))
        await pilot.press("5")
        await settled(pilot)
        text = screen_text(app)
        assert f"{precision}  {TERMS[precision].line}" in text and f"cosine  {TERMS['cosine'].line}" in text
        assert TERMS[other].line not in text
        await pilot.press("f1")
        await settled(pilot)
        assert re.search(f"{other} +{re.escape(TERMS[other].line)}", screen_text(app)), "help explains all of them"


@pytest.mark.parametrize("step", ["recipe", "review"])
async def test_help_explains_what_stands_on_recipe_and_review(tmp_path: Path, step: str) -> None:
    app = wizard(tmp_path, screen=step)
    async with app.run_test(size=(160, 90)) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await settled(pilot)
        text = screen_text(app)
        for word in ("cosine", "warm-up", "PEFT", *(("fp32", "NF4", "activations") if step == "review" else ())):
            assert TERMS[word].line in text, word
