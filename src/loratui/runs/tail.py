"""Reading a run's events as they are written."""

from __future__ import annotations

from pathlib import Path

from loratui.runs.events import Event, decode


class EventTail:
    """Follows one `events.jsonl`. Each call reads only what was added; a line without its end waits for it."""

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        """Bytes of the file that were read as whole lines."""
        self.unreadable_lines = 0

    def new_events(self, *, limit_bytes: int = 1 << 30) -> list[Event]:
        """Events added since the last call, at most `limit_bytes` of them; none while there is no file."""
        data = self._new_lines(limit_bytes)
        events: list[Event] = []
        for line in data.split(b"\n"):
            if not line.strip():
                continue
            event = decode(line)
            if event is None:
                self.unreadable_lines += 1
            else:
                events.append(event)
        return events

    def _new_lines(self, limit_bytes: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                if size < self.offset:  # the file was replaced by a shorter one: begin again
                    self.offset = 0
                file.seek(self.offset)
                data = file.read(limit_bytes)
        except OSError:
            return b""
        end = data.rfind(b"\n") + 1
        self.offset += end
        return data[:end]
