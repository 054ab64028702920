"""How a run has gone so far, for a list of many: its best evaluation, and whether its weights are worth anything.

Read once, then only what came since; steps, which are most of a file, are passed over undecoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loratui.runs.course import Course, Judged
from loratui.runs.events import Finding, Fix, Started, decode
from loratui.runs.failure import SPOILT
from loratui.runs.lines import CHUNK_BYTES, STEP_START, LineTail


@dataclass(frozen=True)
class Outcome:
    """best: the evaluation with the least held-out loss. base: that before the first step. spoilt: the kind of finding
    by which its weights are worth nothing; empty: none. begins: where in the file the present attempt begins; 0 unless
    it was begun anew.
    """

    best: Judged | None = None
    base: Judged | None = None
    evaluations: int = 0
    spoilt: str = ""
    begins: int = 0


class OutcomeTail:
    """Follows the events of one run."""

    def __init__(self, path: Path) -> None:
        self._tail = LineTail(path)
        self._course = Course()
        self._spoilt = ""
        self._begins = 0

    @property
    def outcome(self) -> Outcome:
        """As far as the events were read."""
        return Outcome(self._course.best, self._course.base, len(self._course.evals), self._spoilt, self._begins)

    def look(self, limit_bytes: int) -> int:
        """Read what is new, about `limit_bytes` of it at most; how many bytes that were. Nothing where there is no
        file.
        """
        read = 0
        while read < limit_bytes:
            begin = self._tail.offset
            try:
                lines = self._tail.read(CHUNK_BYTES)
            except OSError:
                return read
            if self._tail.offset < begin:  # the file was replaced by a shorter one
                self._course, self._spoilt, self._begins, begin = Course(), "", 0, 0
            place = begin
            for line in lines:
                if line and not line.startswith(STEP_START):
                    self._take(line, place)
                place += len(line) + 1
            if self._tail.offset == begin:
                return read
            read += self._tail.offset - begin
        return read

    def _take(self, line: bytes, place: int) -> None:
        event = decode(line)
        if event is None:
            return
        self._course.take(event)
        match event:
            case Started() | Fix():
                self._spoilt = ""
                if isinstance(event, Fix) and event.start == "anew":
                    self._begins = place
            case Finding() if event.finding in SPOILT and event.severity == "error":
                self._spoilt = event.finding
