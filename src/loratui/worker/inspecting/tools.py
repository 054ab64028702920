"""The ledger of tools and calls: what the rows hold, what is learnt of it, and which calls stand in the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation
from loratui.data.row import Problem
from loratui.data.tool_text import calls_in
from loratui.worker.chat_template import CALLING
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import Tokenised


@dataclass
class ToolLedger:
    """Filled row by row; `result()` at any time is what is known so far. learnt, shown: calls in rows that are used."""

    tokeniser: Tokeniser
    rows: int = 0
    tools: int = 0
    learnt: int = 0
    shown: int = 0
    refused_rows: int = 0
    in_text: Counter[str] = field(default_factory=Counter)
    """Calls that answers write as text, by whose form it is."""

    def take(self, conversation: Conversation, tokenised: Tokenised | ModelError, *, again: bool = False) -> None:
        """Enter a row. again: it is the other side of the pair before, and no row of its own."""
        row = self.tokeniser.arranged(conversation) if self.tokeniser.calls == "template" else conversation
        called = [message for message in row.messages if message.extra.get("tool_calls")]
        for message in row.messages:
            if message.role == "assistant" and (found := calls_in(message.content)) is not None:
                self.in_text[found[0]] += len(found[1])
        if not (row.tools or called or any(message.role == "tool" for message in row.messages)):
            return
        self.rows += not again
        self.tools += 0 if again else len(row.tools)
        if isinstance(tokenised, ModelError):
            self.refused_rows += 1
            return
        every = self.tokeniser.loss_on == "all"
        for message in called:
            count = len(message.extra["tool_calls"])
            self.learnt += count if message.trained or every else 0
            self.shown += 0 if message.trained or every else count

    def result(self) -> dict[str, Any]:
        """The ledger, as `inspect --json` prints it."""
        return {
            "rows": self.rows,
            "tools": self.tools,
            "calls": {"learnt": self.learnt, "shown": self.shown},
            "refused_rows": self.refused_rows,
            "in_text": dict(self.in_text),
            "fix": {"dataset.calls": "template"} if list(self.problems()) else {},
        }

    def problems(self) -> Iterator[Problem]:
        """One where calls stand in the text in another form than the template writes them."""
        if not self.in_text or not self.tokeniser.has_template:
            return
        own = self._own_form()
        foreign = {form: count for form, count in self.in_text.items() if form != own}
        if own is not None and foreign:
            forms = ", ".join(f"{count:,} in {form}'s form" for form, count in foreign.items())
            yield Problem(
                "call-in-text",
                f"answers write calls as text: {forms}; they are learnt as they stand, and the chat template has its "
                "own form (dataset.calls = template takes it).",
                None,
                None,
                "",
            )

    def _own_form(self) -> str | None:
        """Whose form the template writes calls in; empty where it is none of the known, None where it writes none."""
        try:
            text = self.tokeniser.template.apply(Conversation(), CALLING)
        except ModelError:
            return None
        written = text.partition("Aq1")[2].partition("Tq4")[0]
        if "fq7" not in written:
            return None
        return "Hermes" if "<tool_call>" in written and '"fq7"' in written else ""
