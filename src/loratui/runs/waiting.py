"""The runs that wait for this machine, in their order: `queue.json`, beside what is remembered between sessions.

Whoever changes it holds its lock for a moment; it is replaced whole, so that whoever reads it needs none. A home that
several machines share has one such file, in which each machine sees its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loratui.core.errors import RunError
from loratui.files import make_folder, open_own, read_object, write_whole
from loratui.paths import state_home

LOCK_SECONDS = 20.0
"""A machine whose driver answers slowly holds it for seconds, while a run is placed."""


@dataclass(frozen=True)
class Waiting:
    """One run that waits. path: its directory. added: Unix seconds. rehearse: None lets the machine decide.

    held: it is passed over until somebody releases it; why: the reason, where it was not a person. seconds, memory:
    what is predicted for it (bytes at the peak); 0 where nothing is. starting, boot: when a watcher began to start it,
    in seconds since that start of the machine; 0 while nobody has. until: the step after which it stops; 0: its end.
    """

    path: str
    host: str
    added: float = 0.0
    rehearse: bool | None = None
    held: bool = False
    why: str = ""
    seconds: float = 0.0
    memory: int = 0
    starting: float = 0.0
    boot: str = ""
    until: int = 0


def queue_path() -> Path:
    """The file; there is none while nothing waits."""
    return state_home() / "queue.json"


def read_queue() -> list[Waiting]:
    """The runs that wait for this machine, the next one first. RunError where the file cannot be read."""
    return [one for one in _read() if one.host == socket.gethostname()]


def _read() -> list[Waiting]:
    path = queue_path()
    try:
        return [Waiting(**_known(one)) for one in read_object(path)["waiting"]]
    except FileNotFoundError:
        return []
    except (OSError, KeyError, TypeError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not of this form"
        hint = "Mend it or move it away; the runs themselves are whole, `loratui queue add RUN` puts them in again."
        raise RunError(f"the queue cannot be read: {why}.", where=str(path), hint=hint) from None


def _known(found: dict[str, Any]) -> dict[str, Any]:
    kinds: dict[str, tuple[type, ...]] = {
        "path": (str,),
        "host": (str,),
        "added": (int, float),
        "rehearse": (bool, type(None)),
        "held": (bool,),
        "why": (str,),
        "seconds": (int, float),
        "memory": (int,),
        "starting": (int, float),
        "boot": (str,),
        "until": (int,),
    }
    values = {name: found[name] for name in kinds if name in found}
    if any(not isinstance(value, kinds[name]) for name, value in values.items()):
        raise ValueError("a value of another kind")
    return values


@contextlib.contextmanager
def changing() -> Iterator[list[Waiting]]:
    """The runs that wait for this machine, as a list that is written back where it was changed. RunError where it
    cannot be read, written, or locked.
    """
    path, host = queue_path(), socket.gethostname()
    try:
        make_folder(path.parent)
        with os.fdopen(open_own(path.with_name("queue.lock"), os.O_WRONLY | os.O_CREAT), "w") as lock:
            _take(lock.fileno())
            everybody = _read()
            mine = [one for one in everybody if one.host == host]
            before = list(mine)
            try:
                yield mine
            finally:
                if mine != before:
                    write_queue([*mine, *(one for one in everybody if one.host != host)])
    except OSError as error:
        raise RunError(f"the queue cannot be written: {error.strerror or error}.", where=str(path)) from None


def keep(mine: list[Waiting]) -> None:
    """Write this machine's part down at once, in the midst of a change. Raises OSError."""
    host = socket.gethostname()
    write_queue([*mine, *(one for one in _read() if one.host != host)])


def write_queue(waiting: list[Waiting]) -> None:
    """Replace the file; none is left where nothing waits. Its lock is held. Raises OSError."""
    if not waiting:
        queue_path().unlink(missing_ok=True)
        return
    document = {"version": 1, "waiting": [asdict(one) for one in waiting]}
    write_whole(queue_path(), json.dumps(document, indent=1) + "\n", durable=True)


def _take(descriptor: int) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise RunError("the queue is being changed by somebody else.", hint="Try again in a moment.") from None
            time.sleep(0.05)


def place_in_queue(folder: Path) -> int | None:
    """The place of a run among those that wait, from 1; 0 where that cannot be told; None where it does not wait."""
    try:
        found = [one.path for one in _read()]
    except RunError:
        return 0
    return found.index(str(folder)) + 1 if str(folder) in found else None


def held_reason(folder: Path) -> str:
    """Why a run that waits was held though no person did it; empty where it is not."""
    try:
        return next((one.why for one in _read() if one.path == str(folder) and one.held), "")
    except RunError:
        return ""


def waiting_words(folder: Path) -> str | None:
    """What is to be said of a run that is queued on this machine; None where it does not wait any more."""
    place = place_in_queue(folder)
    if place is None:
        return None
    if not place:
        return "It waits for this machine; the queue cannot be read just now."
    one = _read()[place - 1]
    if one.held:
        return f"It is held{f': {one.why}' if one.why else ''}. `loratui queue release` lets it start."
    return f"It waits for this machine, at place {place} of the queue."
