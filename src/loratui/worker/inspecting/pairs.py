"""The ledger of preferences: what both sides of the pairs come to, what tells them apart, and what is cut of either."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loratui.core.plan import Plan
from loratui.core.preferences import imbalance, learns_judged
from loratui.data.conversation import Conversation
from loratui.worker.length_bias import LengthBias
from loratui.worker.tokenised import Tokenised
from loratui.worker.training.pairs import UNLIKE

SIDES = ("chosen", "rejected")
SIDES_SAMPLED = 5_000
SHORTCUT, LEAST_PAIRS = 0.2, 20
"""From so many pairs on it is said that the sides end unlike, where their shares differ by so much."""


def pair_tokens(side: Tokenised) -> int:
    """Tokens of one side, to its answer's last: what a template writes after that is not learnt."""
    return side.spans[-1][1] if side.spans else 0


@dataclass
class PairLedger:
    """Filled pair by pair; `result()` at any time is what is known so far. wanted, unwanted: answers of rows with a
    label, and where each is judged by itself (KTO) the sides of pairs. weights: of the two kinds, with KTO.
    """

    weights: tuple[float, float] | None = None
    pairs: int = 0
    scored: int = 0
    swapped: int = 0
    tied: int = 0
    wanted: int = 0
    unwanted: int = 0
    _tokens: tuple[array[int], array[int]] = field(default_factory=lambda: (array("q"), array("q")))
    """Of each side."""
    _answers: tuple[array[int], array[int]] = field(default_factory=lambda: (array("q"), array("q")))
    """Tokens of each side's answer."""
    _ended: list[int] = field(default_factory=lambda: [0, 0])
    """Sides whose answer ends in a token that generation stops at."""

    @classmethod
    def of(cls, plan: Plan) -> PairLedger:
        """An empty ledger for what a plan learns."""
        weights = (plan.preference.desirable_weight, plan.preference.undesirable_weight)
        return cls(weights=weights if learns_judged(plan) else None)

    def label(self, conversation: Conversation) -> None:
        """Count what a row says of its answers."""
        for side in conversation.sides if self.weights or not conversation.rejected else ():
            if side.desirable is not None:
                self.wanted += side.desirable
                self.unwanted += not side.desirable

    def take(self, pair: Conversation, sides: Sequence[Tokenised]) -> str:
        """Count a pair; why it is none for this model, else an empty text."""
        starts = [side.spans[0][0] if side.spans else 0 for side in sides]
        prompt = min(starts)
        if list(sides[0].ids[:prompt]) != list(sides[1].ids[:prompt]):
            return UNLIKE
        self.pairs += 1
        for number, side in enumerate(sides):
            end = pair_tokens(side)
            self._tokens[number].append(end)
            self._answers[number].append(end - prompt)
            self._ended[number] += side.answers_ended == side.answers > 0
        if pair.scores is not None:
            self.scored += 1
            self.swapped += pair.scores[0] < pair.scores[1]
            self.tied += pair.scores[0] == pair.scores[1]
        return ""

    @property
    def length_bias(self) -> LengthBias:
        """How often the longer answer is the chosen one, uncut."""
        chosen, rejected = (np.array(one, dtype=np.int64) for one in self._answers)
        return LengthBias(int((chosen != rejected).sum()), int((chosen > rejected).sum()))

    def cut(self, max_length: int) -> list[int]:
        """Of each side, how many are longer than a maximum length."""
        return [int((np.array(one, dtype=np.int64) > max_length).sum()) for one in self._tokens]

    def side_lengths(self) -> list[int]:
        """Tokens of the sides of pairs, ascending, where each is a row of its own (KTO): at most 5,000 of them."""
        if not self.weights:
            return []
        tokens = np.sort(np.concatenate([np.array(one, dtype=np.int64) for one in self._tokens]))
        picked = np.linspace(0, len(tokens) - 1, min(len(tokens), SIDES_SAMPLED)).round().astype(np.int64)
        return [int(one) for one in tokens[picked]]

    def sentences(self) -> list[str]:
        """What a person should know before the pairs are learnt."""
        found = []
        if self.swapped:
            found.append(
                f"in {self.swapped:,} of {self.scored:,} scored pairs the rejected answer has the higher score: "
                "--set dataset.leave_out=swapped leaves them out"
            )
        if self.tied:
            found.append(f"in {self.tied:,} of {self.scored:,} scored pairs both answers have the same score")
        if sentence := self.length_bias.sentence:
            found.append(sentence[0].lower() + sentence[1:].removesuffix("."))
        share = [ended / max(1, self.pairs) for ended in self._ended]
        if self.pairs >= LEAST_PAIRS and abs(share[0] - share[1]) >= SHORTCUT:
            found.append(
                f"{share[0]:.0%} of the chosen answers end in a token at which generation stops, and {share[1]:.0%} of "
                "the rejected: the ending alone tells the sides apart"
            )
        if (
            self.weights
            and self.wanted + self.unwanted
            and (told := imbalance(self.wanted, self.unwanted, *self.weights))
        ):
            found.append(told)
        return found

    def result(self, max_length: int) -> dict[str, Any]:
        """The ledger, as `inspect --json` prints it; `cut` counts sides at this maximum length."""
        bias = self.length_bias
        return {
            "pairs": self.pairs,
            "scored": self.scored,
            "swapped": self.swapped,
            "tied": self.tied,
            "cut": dict(zip(SIDES, self.cut(max_length), strict=True)),
            "ended": dict(zip(SIDES, self._ended, strict=True)),
            "longer_chosen": {
                "pairs": bias.pairs,
                "share": bias.share if bias.pairs else None,
                "interval": list(bias.interval),
                "words": bias.words if bias.pairs else "",
            },
            "side_lengths": self.side_lengths(),
            "labels": {"wanted": self.wanted, "unwanted": self.unwanted},
            "sentences": self.sentences(),
        }
