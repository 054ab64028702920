"""The keys of the playground, and what F1 says of it."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from loratui.tui.keys import bindings
from loratui.tui.wizard.draft import STEPS

HELP = (
    "Both sides get the same prompt through the same chat template, and stop at the same tokens; the adapter is "
    "switched on and off on one loaded base. An answer's lower edge tells how it ended: at its stop token (good), cut "
    "at the limit, or stopped by you.\n\n"
    "^l takes the next held-out row as the prompt, with the answer that was written for it: rows the training never "
    "saw. ^g asks a number of them, many at once, and shows what `loratui evaluate` would: the figures of each side, "
    "with the range in which they lie with 95 %, whether the last side is better, and the rows without a right answer. "
    "What was answered is kept in the run, and is not asked again.\n\n"
    "Questions add up to a conversation, in which each side goes on from its own answers; a held-out row always stands "
    "alone. In a blind comparison the answers have no names and stand in random order, and nothing is told of how they "
    "ended, until one has voted (1, 2, 3, or 0 for none); then the names come back. The votes are kept in the run with "
    "the answers: `loratui export RUN --preferences` writes them as rows to learn preferences from; so it does with "
    "answers that you wrote as they should have been (f)."
)
KEYS: list[BindingType] = [
    Binding("1", "vote(1)", "is better", tooltip="Vote for the first answer; the names come back"),
    Binding("2", "vote(2)", "is better", tooltip="Vote for the second answer; the names come back"),
    Binding("3", "vote(3)", "is better", tooltip="Vote for the third answer; the names come back"),
    Binding("0", "vote(0)", "none is", tooltip="No answer is better; the names come back"),
    # Where nothing can be voted on they are the steps' numbers, as everywhere; 4 to 7 never vote.
    *(Binding(str(number), f"step_unless_voting('{step}')", show=False) for number, step in enumerate(STEPS[:3], 1)),
    # Whose fingers press it to stop a program stops what is at work. It is told nowhere: esc is the key for that.
    Binding("ctrl+c", "interrupt", show=False, priority=True),
    Binding(
        "escape",
        "stop",
        "Stop",
        tooltip="Stop the answers that are growing; outside the prompt, the loading of the model too",
        priority=True,
    ),
    Binding(
        "escape",
        "leave",
        "More keys",
        key_display="esc",
        tooltip="Leave the prompt, so that the single keys work; enter or i leads back",
        priority=True,
    ),
    Binding("enter", "write", "Write", key_display="enter", tooltip="Back to the prompt"),
    *bindings("playground"),
    Binding("left,right", "tab", "Other answer", show=False, tooltip="Show another side, where only one fits"),
    Binding(
        "ctrl+l",
        "row",
        "Held-out row",
        key_display="^l",
        tooltip="Take the next held-out row as the prompt",
        priority=True,
    ),
    Binding(
        "ctrl+g",
        "score",
        "Score",
        key_display="^g",
        tooltip="Ask a number of held-out rows: figures with intervals, and the failed rows",
        priority=True,
    ),
    Binding(
        "ctrl+y",
        "columns",
        "Who answers",
        key_display="^y",
        tooltip="Who answers: base, result, checkpoints and other runs, up to three side by side",
        priority=True,
    ),
    Binding(
        "ctrl+e",
        "settings",
        "Settings",
        key_display="^e",
        tooltip="Temperature, top-p, top-k, length and more",
        priority=True,
    ),
    Binding("ctrl+q", "app.quit", "Quit", key_display="^q", priority=True, tooltip="Leave; runs go on"),
]
SINGLE_KEYS = frozenset(
    {
        "write",
        "again",
        "edit",
        "fix",
        "new",
        "system",
        "sent",
        "difference",
        "blind",
        "vote",
        "samples",
        "continue",
        "take_away",
        "tab",
    }
)
"""Actions of keys that are letters while the prompt is written in."""
