"""A limit on what one chat template may take for one row: it is a program, and a program may loop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import ParamSpec

from loratui.core.errors import InputError, ModelError

P = ParamSpec("P")
ROW_SECONDS = 10.0
"""Of processor time: a row of a million tokens is rendered in well under a second, and a process on a busy machine may
stand still for longer.
"""
LOOK_SECONDS = 1.0


class TemplateTimeError(InputError):
    """A chat template that does not come to its end. No ModelError, which one row may have and the next one not."""

    code = ModelError.code

    def __init__(self, row: str = "a row") -> None:
        super().__init__(
            f"the chat template takes over {ROW_SECONDS:g} s on {row}.",
            hint="It probably loops: choose another chat template.",
        )


class RowTimes:
    """Since when the row in hand is rendered. A timer looks at it now and then: no row costs a call of the system."""

    def __init__(self) -> None:
        self._began = 0.0
        self._seen = (0.0, 0.0)
        """The row in hand when the timer looked last, and this thread's processor time when it first saw that row."""
        self._watched = False

    def of_a_row(self, render: Callable[P, str]) -> Callable[P, str]:
        """A function that renders one row, timed."""

        @wraps(render)
        def timed(*arguments: P.args, **options: P.kwargs) -> str:
            self._began = time.monotonic()
            try:
                return render(*arguments, **options)
            finally:
                self._began = 0.0

        return timed

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raises TemplateTimeError where a row takes over ROW_SECONDS: on the main thread, which alone hears signals.

        A timer that somebody else has set goes on afterwards.
        """
        if self._watched or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._watched = True
        handler = signal.signal(signal.SIGALRM, self._look)
        timer = signal.setitimer(signal.ITIMER_REAL, _look_every(), _look_every())
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, *timer)
            signal.signal(signal.SIGALRM, handler)
            self._watched = False

    def _look(self, number: int, frame: FrameType | None) -> None:
        used = time.thread_time()
        if self._seen[0] != self._began:
            self._seen = self._began, used
        elif self._began and used - self._seen[1] > ROW_SECONDS - _look_every():
            self._began = 0.0
            raise TemplateTimeError


def _look_every() -> float:
    """Seconds between two looks."""
    return min(LOOK_SECONDS, ROW_SECONDS / 2)


TIMES = RowTimes()
"""Of this process: signals are heard by one thread alone."""
