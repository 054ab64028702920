"""The dataset's screen shows pairs side by side, and what of them bears loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_dataset_mapping import app_with
from textual.widgets import Static
from wizard import screen_text, settled

from loratui.data.convert import to_conversation
from loratui.data.preview import PreviewRow
from loratui.data.recognition import Recognition
from loratui.tui.dataset.row_parts import row_content
from loratui.tui.dataset.rows import token_content

ASKED, GOOD, BAD = "Which of the two rivers is longer?", "The first one is longer.", "Rivers are made of water."


def rows(**more: Any) -> list[dict[str, Any]]:
    return [{"prompt": f"{ASKED} {n}", "chosen": f"{GOOD} {n}", "rejected": f"{BAD} {n}", **more} for n in range(30)]


def pair(**more: Any) -> PreviewRow:
    (row, *_) = rows(**more)
    parts = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"} | {name: name for name in more}
    return PreviewRow(0, 1, row, to_conversation(row, Recognition("preference", parts, "", pairs=True)), None)


@pytest.mark.parametrize(("size", "beside"), [((80, 24), False), ((120, 36), True), ((170, 45), True)])
async def test_pairs_stand_beside_each_other_where_there_is_room(
    tmp_path: Path, size: tuple[int, int], beside: bool
) -> None:
    app = app_with(tmp_path, rows())
    app.state.choices.set_value("training.objective", "dpo")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        lines = str(app.screen.query_one("#row-text", Static).visual).splitlines()
        (one,) = [line for line in lines if f"{GOOD} 0" in line]
        (other,) = [line for line in lines if f"{BAD} 0" in line]
        assert (one == other) is beside, "one line has both"
        names = [line.split() for line in lines if line.startswith(("chosen", "rejected"))]
        assert names[:1] == [["chosen", "│", "rejected"]] if beside else {"chosen", "rejected"} == {n[0] for n in names}
        assert f"▌ {GOOD}" in one and f"▌ {BAD}" in other
        assert "│ Which of the two" in " ".join(lines), "the question is read, and bears no loss"
        assert "chosen up, rejected down" in " ".join(screen_text(app).split())


def test_a_line_of_two_answers_has_its_width() -> None:
    long = pair()
    for width in (74, 101, 150):
        for beside in (False, True):
            assert all(line.cell_length <= width for line in row_content(long, width, beside=beside).split("\n"))


def test_what_is_cut_of_either_side_is_shown() -> None:
    rendered = {
        "parts": [[0, "content", "shown"], [1, "content", "learnt"]],
        "rejected": {"parts": [[0, "content", "shown"], [1, "content", "cut"]], "tokens": []},
    }
    text = row_content(pair(), 70, rendered).plain
    assert f"chosen    ▌ {GOOD}" in text and f"rejected  ┆ (cut off by the maximum length) {BAD}" in text


@pytest.mark.parametrize(
    ("chosen", "words"), [(9, "9 for the chosen, 5 for the rejected\n"), (2, "▲ against"), (5, "▲ no difference")]
)
def test_scores_of_the_two_stand_below_them(chosen: int, words: str) -> None:
    assert words in row_content(pair(score_chosen=chosen, score_rejected=5), 70).plain + "\n"


def test_answers_with_a_label_say_what_it_is() -> None:
    reading = Recognition("prompt-completion", {"prompt": "p", "completion": "c", "label": "l"}, "", judged=True)
    for flag, word in ((True, "wanted    ▌ "), (False, "unwanted  ▌ ")):
        row = {"p": "Q", "c": "A", "l": flag}
        assert f"{word}A" in row_content(PreviewRow(0, 1, row, to_conversation(row, reading), None), 70).plain


def test_tokens_of_both_sides_are_shown() -> None:
    side = {"tokens": [[1, "yes", 1, 0, 0]], "parts": []}
    text = token_content({**side, "problem": "", "rejected": {"tokens": [[2, "no", 1, 0, 0], [3, "!", 1, 0, 1]]}}).plain
    assert "chosen: 1 tokens, 1 learnt" in text and "rejected: 2 tokens, 2 learnt" in text and text.endswith("no!")
