"""Rows are painted by the labels that training uses, and the ledger of thinking offers its mends."""

from __future__ import annotations

from typing import Any

from textual.app import App
from textual.widgets import OptionList

from loratui.data.conversation import Conversation, Message
from loratui.data.preview import PreviewRow
from loratui.tui.dataset.row_parts import row_content
from loratui.tui.dataset.thinking import ThinkingScreen, ledger_lines

CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Bonn"}}}
ROW = PreviewRow(
    0,
    1,
    {},
    Conversation(
        (
            Message("user", "1?"),
            Message("assistant", "<think>\nLet me see\n</think>\n\nOne", True, {"tool_calls": [CALL]}),
        ),
        tools=({"type": "function", "function": {"name": "get_weather"}},),
    ),
    None,
)
LEDGER: dict[str, Any] = {
    "rows": 2,
    "answers": 3,
    "in_text": 1,
    "in_field": 2,
    "characters": {"given": 100, "learnt": 25, "shown": 0, "dropped": 75},
    "sentences": ["the chat template drops the thinking of 2 answers in 2 rows"],
    "fixes": [
        {"set": {"model.chat_template": "qwen3_training"}, "why": "every turn alike", "left": 0},
        {"set": {"dataset.reasoning": "drop"}, "why": "no thinking", "left": 0},
    ],
}


def painted(rendered: dict[str, Any] | None) -> list[str]:
    return row_content(ROW, 80, rendered).plain.splitlines()


def test_what_is_learnt_is_painted_from_the_labels() -> None:
    assert painted(None) == [
        "tools     │ get_weather",
        "user      │ 1?",
        "thinking  ▌ Let me see",
        "assistant ▌ One",
        'call      ▌ get_weather {"city": "Bonn"}',
    ], "before the check: what the row itself says"
    parts = [[0, "content", "shown"], [1, "thinking", "dropped"], [1, "content", "learnt"], [1, "call", "cut"]]
    assert painted({"problem": "", "parts": parts})[2:] == [
        "thinking  ✗ (dropped by the chat template) Let me see",
        "assistant ▌ One",
        'call      ┆ (cut off by the maximum length) get_weather {"city": "Bonn"}',
    ]


def test_a_row_that_the_template_refuses_is_not_painted_as_learnt() -> None:
    shown = painted({"problem": "the chat template refuses this conversation: no tools.", "parts": []})
    assert shown[0].startswith("✗ not trained on: the chat template refuses") and not any("▌" in line for line in shown)


def test_the_ledger_in_words() -> None:
    lines = [line.plain for line in ledger_lines(LEDGER)]
    assert lines[0] == "3 answers in 2 rows hold thinking: 2 in a field, 1 in their text"
    assert "75 characters of it (75%) is dropped" in lines[2] and lines[-1].startswith("▲ the chat template drops")
    clean = {**LEDGER, "sentences": []}
    assert ledger_lines(clean)[-1].plain.startswith("✓ nothing is dropped")


async def test_a_mend_is_chosen_in_the_panel() -> None:
    chosen: list[Any] = []
    app: App[None] = App()
    async with app.run_test() as pilot:
        app.push_screen(ThinkingScreen(LEDGER), chosen.append)
        await pilot.pause()
        assert app.screen.query_one(OptionList).option_count == 2
        await pilot.press("down", "enter")
    assert chosen == [{"dataset.reasoning": "drop"}]
