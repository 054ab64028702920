"""The ledger of thinking: which of it is in the rows, what the chat template makes of it, and what would mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from loratui.core.errors import LoratuiError, ModelError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.data.conversation import Conversation
from loratui.data.reasoning import thinking_of
from loratui.data.row import Problem, Row
from loratui.worker.inspecting.model import TextModel
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import BeyondVocabulary, Thinking, Tokenised
from loratui.worker.tokenizer import training_twin

TRIED_ROWS = 24
"""Rows with trouble that each mend is tried on."""
WORST_LISTED = 100
CHARACTERS = ("given", "learnt", "shown", "dropped")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the thinking of some rows. refused: rows that the template refuses. Others as `Thinking`."""

    refused: int = 0
    dropped: int = 0
    filler: int = 0
    unprompted: int = 0
    misplaced: int = 0
    learnt: int = 0

    def better_than(self, other: Trouble) -> bool:
        """Whether something is mended and nothing worse has come instead."""
        ours = self.refused, self.dropped, self.misplaced, self.filler + self.unprompted
        theirs = other.refused, other.dropped, other.misplaced, other.filler + other.unprompted
        return ours < theirs and self.refused <= other.refused


@dataclass
class ReasoningLedger:
    """Filled row by row; `result()` at any time is what is known so far."""

    plan: Plan
    model: TextModel
    rows: int = 0
    answers: int = 0
    in_text: int = 0
    characters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHARACTERS, 0))
    counts: dict[str, list[int]] = field(default_factory=dict)
    """Rows and answers by kind of trouble."""
    worst: list[tuple[int, int]] = field(default_factory=list)
    """Characters that the template drops, and the row's number."""

    def __post_init__(self) -> None:
        self.tokeniser: Tokeniser = self.model.tokeniser(self.plan, 0)
        self._tried: list[Conversation] = []
        self._fixes: list[dict[str, Any]] | None = None
        self._fixed_for = 0

    def take(
        self, row: Row, conversation: Conversation, tokenised: Tokenised | ModelError, *, again: bool = False
    ) -> None:
        """Enter a row. again: it is the other side of the pair before, and no row of its own."""
        if isinstance(tokenised, ModelError):
            if len(self._tried) < TRIED_ROWS and not isinstance(tokenised, BeyondVocabulary):
                self._tried.append(conversation)
            return
        if (thinking := tokenised.thinking) is None:
            return
        self.rows += thinking.answers > 0 and not again
        self.answers += thinking.answers
        self.in_text += thinking.in_text
        for name in self.characters:
            self.characters[name] += getattr(thinking, name)
        troubled = self._count(thinking)
        if thinking.dropped:
            self.worst.append((thinking.dropped, row.index))
        if troubled and len(self._tried) < TRIED_ROWS:
            self._tried.append(conversation)

    def _count(self, thinking: Thinking) -> bool:
        form = self.tokeniser.template.thinking
        found = {
            "dropped": thinking.dropped_answers,
            "filler": thinking.filler,
            "unprompted": thinking.unprompted,
            "misplaced": thinking.in_text - thinking.dropped_answers if form.misplaced else 0,
        }
        for name, answers in found.items():
            entry = self.counts.setdefault(name, [0, 0])
            entry[0] += answers > 0
            entry[1] += max(0, answers)
        return any(answers > 0 for answers in found.values())

    def result(self) -> dict[str, Any]:
        """The ledger, as `inspect --json` prints it."""
        form = self.tokeniser.template.thinking if self.tokeniser.has_template else None
        counts = {name: self.counts.get(name, [0, 0]) for name in ("dropped", "filler", "unprompted", "misplaced")}
        text = form.filler if form is not None else ""
        tokens = len(self.tokeniser.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else 0
        sentences = list(self._sentences(counts, tokens, text))
        return {
            "rows": self.rows,
            "answers": self.answers,
            "in_text": self.in_text,
            "in_field": self.answers - self.in_text,
            "characters": dict(self.characters),
            "dropped": {"rows": counts["dropped"][0], "answers": counts["dropped"][1]},
            "filler": {
                "rows": counts["filler"][0],
                "answers": counts["filler"][1],
                "tokens": tokens * counts["filler"][1],
                "text": text,
            },
            "unprompted": {"rows": counts["unprompted"][0], "answers": counts["unprompted"][1]},
            "misplaced": {"rows": counts["misplaced"][0], "answers": counts["misplaced"][1]},
            "worst": [index for _, index in sorted(self.worst, key=lambda one: (-one[0], one[1]))[:WORST_LISTED]],
            "sentences": sentences,
            "fixes": self.fixes() if sentences or self._tried else [],
        }

    @staticmethod
    def _sentences(counts: dict[str, list[int]], tokens: int, text: str) -> Iterator[str]:
        rows, answers = counts["dropped"]
        if rows:
            yield f"the chat template drops the thinking of {answers:,} answer{_s(answers)} in {rows:,} row{_s(rows)}"
        rows, answers = counts["filler"]
        if rows:
            yield (
                f"{answers:,} answer{_s(answers)} without thinking learn{'s' * (answers == 1)} the template's own "
                f"{text.strip()!r} ({tokens * answers:,} tokens)"
            )
        rows, answers = counts["unprompted"]
        if rows:
            yield f"{answers:,} answer{_s(answers)} in {rows:,} row{_s(rows)} begin otherwise than a prompt opens"
        rows, answers = counts["misplaced"]
        if rows:
            yield f"{answers:,} answer{_s(answers)} hold thinking in the text, and the template has a field for it"

    def problems(self) -> Iterator[Problem]:
        """One for each kind that holds for many rows alike."""
        result = self.result()
        kinds = ("filler", "unprompted", "misplaced")
        skipped = bool(result["dropped"]["rows"])
        for kind, sentence in zip(
            [kind for kind in kinds if result[kind]["rows"]], result["sentences"][skipped:], strict=True
        ):
            yield Problem(f"thinking-{kind}", sentence + ".", None, None, "")

    def fixes(self) -> list[dict[str, Any]]:
        """What mends it, tried on rows with trouble: {"set": {key: value}, "why": sentence}, the gentlest first."""
        if self._fixes is None or self._fixed_for != len(self._tried):
            self._fixed_for = len(self._tried)
            before = self._trouble(self.tokeniser)
            self._fixes = []
            for values, why in self._candidates():
                plan = with_values(self.plan, values)
                try:
                    after = self._trouble(self.model.tried(plan))
                except LoratuiError:
                    continue
                if plan != self.plan and after.better_than(before):
                    self._fixes.append({"set": values, "why": why, "left": after.dropped})
        return self._fixes

    def _candidates(self) -> Iterator[tuple[dict[str, str], str]]:
        if twin := training_twin(self.tokeniser.tokenizer.chat_template):
            yield (
                {"model.chat_template": twin},
                "TRL's template for training this family writes every turn alike",
            )
        yield {"dataset.reasoning": "separate"}, "the thinking goes from the text to the field that the template reads"
        yield {"dataset.reasoning": "inline"}, "the thinking goes into the text, between <think> and </think>"
        yield {"model.thinking": "off"}, "the prompt closes thinking, so nothing of it bears loss; it is asked so, too"
        yield {"model.thinking": "on"}, "the prompt asks for thinking, as the rows have it"
        yield {"dataset.reasoning": "last-turn"}, "only the thinking after the last question is kept"
        yield {"dataset.reasoning": "drop"}, "no thinking is trained on"

    def _trouble(self, tokeniser: Tokeniser) -> Trouble:
        trouble = Trouble()
        misplaced = tokeniser.template.thinking.misplaced
        for conversation, row in zip(self._tried, tokeniser.many(self._tried), strict=True):
            if isinstance(row, ModelError):
                trouble = replace(trouble, refused=trouble.refused + 1)
                continue
            thinking = row.thinking or Thinking()
            gone = sum(len(held[1]) for message in conversation.messages if (held := thinking_of(message)))
            kept = thinking.given if tokeniser.reasoning in ("last-turn", "drop") else gone
            trouble = Trouble(
                trouble.refused,
                trouble.dropped + thinking.dropped + max(0, kept - thinking.given),
                trouble.filler + thinking.filler,
                trouble.unprompted + thinking.unprompted,
                trouble.misplaced + (thinking.in_text if misplaced else 0),
                trouble.learnt + thinking.learnt,
            )
        return trouble


def _s(count: int) -> str:
    return "s" * (count != 1)
