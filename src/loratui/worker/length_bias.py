"""How often the longer of two answers is the one that was chosen: what a model may learn in place of what is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loratui.evaluation.intervals import wilson

LEAST_PAIRS, DEVIATIONS = 30, 4.0
"""From so many pairs on a share is a warning, where it is so many standard deviations from a half."""


@dataclass(frozen=True, slots=True)
class LengthBias:
    """pairs: whose answers have unlike lengths, in tokens. longer: of them, those whose longer answer is the chosen."""

    pairs: int
    longer: int

    @property
    def share(self) -> float:
        """Share (0..1) of the pairs whose longer answer is the chosen one."""
        return self.longer / self.pairs if self.pairs else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Of that share, 95 %."""
        return wilson(self.share, self.pairs) if self.pairs else (0.0, 1.0)

    @property
    def tells(self) -> bool:
        """Whether length alone says more than chance would."""
        return self.pairs >= LEAST_PAIRS and abs(self.longer - self.pairs / 2) > DEVIATIONS * math.sqrt(self.pairs) / 2

    @property
    def words(self) -> str:
        """How often, with the interval."""
        word = "longer" if 2 * self.longer >= self.pairs else "shorter"
        low, high = self.interval if word == "longer" else (1 - self.interval[1], 1 - self.interval[0])
        share = max(self.share, 1 - self.share)
        return (
            f"In {share:.0%} ({low:.0%} to {high:.0%}) of {self.pairs:,} pairs of unlike length the {word} answer is "
            "the chosen one"
        )

    @property
    def sentence(self) -> str:
        """The warning, where length alone says more than chance would; else empty."""
        if not self.tells:
            return ""
        word = "longer" if 2 * self.longer > self.pairs else "shorter"
        return (
            f"{self.words}: the model may learn to write {word} answers. preference.loss = sigmoid_norm counts by "
            "tokens, preference.length_weight weighs what is beyond the shorter one."
        )
