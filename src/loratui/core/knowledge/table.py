"""One table of folk knowledge, with what the evidence says about it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

Measure = Literal["", "examples", "parameters", "rank", "memory_bytes"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as people hand it on.

    keys: the plan keys whose explanation shows it. source: which guide says it. evidence: what better sources say, or
    what this project measured; empty where they agree. measure, limits: where rows stand for ranges of a number,
    which number, and where each row but the first begins.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: tuple[str, ...]
    source: str
    evidence: str = ""
    measure: Measure = ""
    limits: tuple[float, ...] = ()

    def row_of(self, value: float) -> int | None:
        """Number of the row (from 0) that stands for this value of `measure`; None where rows are no ranges."""
        return bisect_right(self.limits, value) if self.measure else None


CALCULATOR = "Hyperparameter calculations (the calculator's background)"
QUICK_START = "Fine-tuning hyperparameter guide (quick start)"
CONFIGURATION = "Configuration guide"
QWEN = "Qwen LoRA hyperparameter and inference guide"
THEORY = "Theory page: full, LoRA, QLoRA"
