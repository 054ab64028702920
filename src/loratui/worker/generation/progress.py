"""How far a start is that answers many rows: told while it works."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from loratui.terminal import progress, say


class Progress:
    """Rows done (answers, where each row gets several), speed and time left: on one line of a terminal, or every few
    seconds elsewhere.
    """

    def __init__(
        self, total: int, clock: Callable[[], float] = time.monotonic, *, samples: int = 1, what: str = ""
    ) -> None:
        """total: answers that are to come. samples: of each row. what: who answers, where there are several."""
        self._what = f"{what}: " if what else ""
        self._unit = "rows" if samples == 1 else "answers"
        self._total, self._clock, self._began, self._told = total, clock, clock(), 0.0
        self._done = self._tokens = self._cut = 0
        self._terminal = sys.stderr.isatty()

    def add(self, done: int, tokens: int, cut: int) -> None:
        self._done += done
        self._tokens += tokens
        self._cut += cut
        now = self._clock()
        if self._done < self._total and now - self._told < (0.5 if self._terminal else 5.0):
            return
        self._told = now
        seconds = max(now - self._began, 1e-6)
        left = (self._total - self._done) * seconds / self._done
        line = (
            f"{self._what}{self._done}/{self._total} {self._unit}  {self._done / seconds:.1f} {self._unit}/s  "
            f"{self._tokens / seconds:,.0f} "
            f"tokens/s  {left:.0f} s left"
        )
        if self._terminal:
            progress(line)
        else:
            say(line, err=True)

    def end(self) -> None:
        if self._terminal and self._told:
            say(err=True)
        if self._cut:
            say(
                f"{self._cut} of {self._done} answers were cut before their stop token: raise --max-tokens if "
                "they are too short.",
                err=True,
            )
