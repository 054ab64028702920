"""The check of a dataset by the model's own tokenizer, in its worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from wizard import screen_text, wizard

from loratui.tui.dataset.rows import RowBrowser
from loratui.tui.wizard.check import Check, found_words, progress_words, rows_cut

RESULT = {
    "usable": 10,
    "divided": False,
    "problems": [],
    "problem_counts": {},
    "stop_token": {"trained": 10, "missing_uncut": 0, "token": "<|im_end|>", "fix": {}},
    "reasoning": {"rows": 0, "sentences": [], "fixes": []},
    "ledger": [{"max_length": 64, "cut": 0}, {"max_length": 32, "cut": 2}],
    "lengths": [10, 20, 30, 40, 50],
}


def test_the_worst_comes_first() -> None:
    assert found_words(RESULT, 64) == (
        "✓ every answer ends in the stop token <|im_end|> · no problem found",
        "$success",
    )
    missing = {
        **RESULT,
        "stop_token": {"trained": 7, "missing_uncut": 3, "token": "</s>", "fix": {"model.chat_template": "chatml"}},
    }
    assert found_words(missing, 64)[0].startswith("▲ 3 rows never teach it to stop (</s>): f mends it")
    assert found_words({**RESULT, "usable": 0}, 64)[0].startswith("✗ no row can be trained on")
    thinking = {"rows": 3, "sentences": ["the chat template drops the thinking of 3 answers in 3 rows"], "fixes": [{}]}
    words, color = found_words({**RESULT, "reasoning": thinking}, 64)
    assert "drops the thinking of 3 answers in 3 rows: T mends it" in words and "no problem found" not in words
    assert color == "$warning"
    words, color = found_words({**RESULT, "problems": [{}], "problem_counts": {"template": 117}}, 64)
    assert words.startswith("▲ the chat template refuses 117 rows") and color == "$warning"
    words, color = found_words({**RESULT, "divided": True}, 32)
    assert "4 texts longer than 32 tokens are divided into pieces, none is cut" in words and color == "$success"
    words, color = found_words({**RESULT, "problems": [{}], "problem_counts": {"duplicate": 319}}, 32)
    assert (
        "2 rows longer than 32 tokens are cut" in words
        and words.startswith("▲ 319 problems: e lists them · ✓ every answer")
        and color == "$warning"
    )


def test_a_length_that_was_not_checked_is_told_from_the_sample() -> None:
    assert rows_cut(RESULT, 32) == 2 and rows_cut(RESULT, 25) == 6 and rows_cut(RESULT, 50) == 0


def test_progress_is_told() -> None:
    assert (
        progress_words({"type": "progress", "phase": "tokenising", "done": 1200, "total": 5000})
        == "tokenising: row 1,200 of 5,000"
    )
    assert progress_words({"type": "rows", "rows": []}) == ""
    assert "guesses" in Check(stopped=True).words(64)[0] and "r checks again" in Check(stopped=True).words(64)[0]
    assert "those of the last check" in Check(stopped=True).words(64, exact=True)[0]


@pytest.mark.worker
async def test_the_demo_is_checked_and_its_lengths_become_exact(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset", demo=True)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.state.check.now.result is not None or app.state.check.now.problem)
        assert app.state.check.now.problem == ""
        assert app.state.dataset.view is not None and app.state.dataset.view.facts.exact
        assert app.state.plan.proposal is not None and app.state.plan.proposal.data.exact
        await pilot.press("t")
        await pilot.pause()
        text = screen_text(app)
        assert "every answer ends in the stop token" in text
        assert "<|im_start|>" in text


@pytest.mark.worker
async def test_the_check_can_be_stopped(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset", demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.check.now.progress)
        await until(pilot, "esc stops it")
        await pilot.press("t")
        browser = app.screen.query_one(RowBrowser)
        await until(pilot, lambda: browser.as_tokens)
        await pilot.press("escape")  # what is open is left first
        await until(pilot, lambda: not browser.as_tokens)
        assert not app.state.check.now.stopped and app.state.check.now.progress
        await pilot.press("escape")
        await until(pilot, "stopped")
        assert app.state.check.now.result is None
        browser.action_tokens()
        assert "r checks again" in str(browser.border_title), "its tokens do not come with a check that is not done"
        browser.action_tokens()
        await pilot.press("r")
        await until(pilot, lambda: app.state.check.now.result is not None or app.state.check.now.problem)
        assert app.state.check.now.problem == "" and app.state.dataset.facts().exact
