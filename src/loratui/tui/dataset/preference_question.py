"""What is learnt of preference rows: asked of the person, never decided in silence."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

ANSWERS = {
    "dpo": {"training.objective": "dpo", "dataset.preference": "ask"},
    "kto": {"training.objective": "kto", "dataset.preference": "ask"},
    "chosen": {"training.objective": "sft", "dataset.preference": "chosen"},
    "": {"training.objective": "sft", "dataset.preference": "ask"},
}
"""What each answer sets in the plan."""


class PreferenceQuestion(ModalScreen[str]):
    """Returns `dpo` (of pairs alone), `kto`, `chosen`, or an empty text where it was left unanswered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,p", "answer('preference')", "Learn the preference"),
        Binding("k", "answer('kto')", "Judge each answer by itself"),
        Binding("c", "answer('chosen')", "The chosen answers"),
        Binding("escape,n,q", "answer('')", "Not now"),
    ]
    DEFAULT_CSS = """
    PreferenceQuestion #panel { max-width: 76; }
    PreferenceQuestion #choices { margin: 1 0 0 0; height: auto; }
    """

    def __init__(self, *, judged: bool = False) -> None:
        """judged: the rows are no pairs, but answers with a label."""
        super().__init__(classes="panel-over")
        self.judged = judged

    def compose(self) -> ComposeResult:
        from loratui.data.preferences import JUDGED_QUESTION, QUESTION

        key = "bold $footer-key-foreground"
        with Vertical(id="panel") as panel:
            panel.border_title = Content("Preferences")
            yield Static(Content(JUDGED_QUESTION if self.judged else QUESTION))
            yield Static(
                Content.assemble(
                    ("enter", key),
                    f" learn the preference ({'KTO' if self.judged else 'DPO'})\n",
                    *((("    k", key), " judge each answer by itself (KTO)\n") if not self.judged else ()),
                    ("    c", key),
                    f" train on the {'wanted' if self.judged else 'chosen'} answers (SFT)\n",
                    ("  esc", key),
                    " not now",
                ),
                id="choices",
            )

    def action_answer(self, answer: str) -> None:
        """Close with the answer."""
        self.dismiss(("kto" if self.judged else "dpo") if answer == "preference" else answer)
