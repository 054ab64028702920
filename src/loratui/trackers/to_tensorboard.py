"""TensorBoard: an event file in a folder of the run's name. Its figures are 32-bit numbers, whatever is written."""

from __future__ import annotations

import json
import shlex
from typing import Any

from loratui.core.errors import InputError
from loratui.files import make_folder, read_document, write_whole
from loratui.trackers.rows import Row, Said
from loratui.trackers.tracker import Facts

FILES, MARK = "events.out.tfevents.", ".loratui"


class TensorBoard:
    """One run's event file."""

    def begin(self, facts: Facts) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._folder = facts.folder / facts.title
        make_folder(self._folder)
        self._make_room(facts)
        self._writer = EventFileWriter(str(self._folder), flush_secs=10)
        self._text("plan", 0, facts.created, f"```toml\n{facts.plan_text}\n```")
        for name, value in (("machine", facts.machine), ("data", facts.data)):
            self._text(name, 0, facts.created, f"```json\n{json.dumps(dict(value), indent=1, default=str)}\n```")
        self._text("run", 0, facts.created, facts.run)

    def _make_room(self, facts: Facts) -> None:
        """Remove the event files of earlier copies; a folder that is not ours is left alone (InputError)."""
        files, mark = list(self._folder.glob(f"{FILES}*")), self._folder / MARK
        try:
            ours = read_document(mark).strip() == facts.identity
        except OSError:
            ours = False
        if files and not ours:
            raise InputError(
                "it holds event files that are not of this run.", where=str(self._folder), hint="Name another --into."
            )
        write_whole(mark, f"{facts.identity}\n")
        for file in files:
            file.unlink(missing_ok=True)

    def row(self, row: Row) -> None:
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        for name, value in row.values.items():
            self._add(scalar_pb(name, value), row.step, row.time)

    def said(self, said: Said) -> None:
        told = f"**{_quoted(said.prompt)}**\n\n{_quoted(said.answer)}"
        self._text("samples", said.step, said.time, told + (f"\n\n*{_quoted(said.expected)}*" * bool(said.expected)))

    def flush(self) -> None:
        self._writer.flush()

    def end(self, state: str) -> None:
        self._writer.close()

    @property
    def where(self) -> str:
        return f"{self._folder}. Look at it with: tensorboard --logdir {shlex.quote(str(self._folder.parent))}"

    def _text(self, name: str, step: int, time: float, text: str) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._add(text_pb(name, text), step, time)

    def _add(self, summary: Any, step: int, time: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time, step=step, summary=summary))


def _quoted(text: str) -> str:
    """Text of which TensorBoard's Markdown obeys nothing."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]()<>#+-.!|" else one for one in text)


def make() -> TensorBoard:
    """A new copy."""
    return TensorBoard()
