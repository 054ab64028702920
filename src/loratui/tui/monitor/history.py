"""The events of a long run, opened quickly: every event that is no step, a share of the early steps, all the late ones."""

from __future__ import annotations

from pathlib import Path

from loratui.runs.events import Event, decode

CHUNK_BYTES = 8 << 20
WHOLE_BYTES = 1 << 20
"""The end of the file, of which every event is read."""
STEP_BYTES = 256
"""About what a step's line takes."""
STEP_START = b'{"type":"step"'


def read_history(path: Path, *, keep_steps: int = 10_000) -> tuple[list[Event], int]:
    """Events so far, and the bytes of the file that they came from (whole lines only). OSError where it cannot be read."""
    events: list[Event] = []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        every = max(1, size // STEP_BYTES // keep_steps)
        left, read, steps = b"", 0, 0
        while chunk := file.read(min(CHUNK_BYTES, size - read)):
            read += len(chunk)
            lines = (left + chunk).split(b"\n")
            left = lines.pop()
            near_end = size - read < WHOLE_BYTES
            begin_whole = max(0, len(lines) - WHOLE_BYTES // STEP_BYTES) if near_end else len(lines)
            for number, line in enumerate(lines):
                if line.startswith(STEP_START):
                    steps += 1
                    if steps % every and number < begin_whole:
                        continue
                event = decode(line) if line else None
                if event is not None:
                    events.append(event)
    return events, read - len(left)
