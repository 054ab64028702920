"""A file of JSON lines that is continued after a kill: a first line that says what it belongs to, then one a result."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loratui.core.errors import InputError, WorkerError
from loratui.files import make_folder, open_own, open_regular


class Journal:
    """Lines that are kept as they come. One process writes it at a time; the lock goes with its process."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Go on with the journal at `path`, or begin it. InputError where it belongs to something else, another process
        writes it, or it cannot be written.
        """
        self.path = path
        self._header = json.dumps(header, sort_keys=True, default=str)
        self.lines: list[Any] = []
        """What was kept before."""
        try:
            make_folder(path.parent)
            self._file = os.fdopen(open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8")
            self._lock()
            self._take_up()
        except OSError as error:
            raise InputError(f"it cannot be written: {error.strerror or error}.", where=str(path)) from None

    def add(self, values: Iterable[Any]) -> None:
        """Keep these, one a line. WorkerError where the disk is full; what was kept before stays."""
        try:
            for value in values:
                self._line(json.dumps(value, ensure_ascii=True))
        except OSError as error:
            raise WorkerError(
                f"the answers cannot be written: {error.strerror or error}.",
                where=str(self.path),
                hint="Free some space and give the same command again: it goes on where it stopped.",
            ) from None

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another process is writing it now.", where=str(self.path), hint="Wait for it.") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):  # a file system without locks
                raise

    def _take_up(self) -> None:
        with open_regular(self.path) as file:
            data = file.read()
        lines = data.split(b"\n")
        if len(lines) < 2:  # nothing, or a torn first line
            self._file.truncate(0)
            self._line(self._header)
            return
        if lines[0].decode("utf-8", "replace") != self._header:
            raise InputError("it belongs to another evaluation.", where=str(self.path), hint="Move it away.")
        self._file.truncate(len(data) - len(lines[-1]))  # a torn last line is made again
        for line in lines[1:-1]:
            try:
                self.lines.append(json.loads(line))
            except ValueError:  # a line that a full disk cut is made again
                continue

    def _line(self, text: str) -> None:
        self._file.write(text + "\n")
        self._file.flush()


def read_journal(path: Path, header: Mapping[str, Any]) -> list[Any]:
    """The lines of a journal, without a lock and without writing; empty where it is not there or is another's."""
    try:
        with open_regular(path) as file:
            first, *lines = file.read().split(b"\n")
    except OSError:
        return []
    if first.decode("utf-8", "replace") != json.dumps(header, sort_keys=True, default=str):
        return []
    found = []
    for line in lines[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
