"""What people have been told of a run, and how often that was tried: `told.json` in its directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from loratui.core.errors import LoratuiError
from loratui.files import read_object, write_whole
from loratui.notify.happening import Happening
from loratui.notify.ways import NotTold, execute, post, webhook_of
from loratui.runs.directory import Run
from loratui.settings import Notify

NAME = "told.json"
KEPT = 50


@dataclass
class Attempt:
    """One way of telling one thing. state: tried, told or given-up. why: what went wrong at the last try."""

    state: str = "tried"
    tries: int = 0
    why: str = ""


class Told:
    """What a run's file says. Every try is written before it is made, so that no kill makes more of them."""

    def __init__(self, run: Run) -> None:
        self._path = run.path / NAME
        self.attempts: dict[str, Attempt] = {}
        try:
            for key, one in read_object(self._path).items():
                if isinstance(one, dict):
                    tries = one.get("tries", 0)
                    known = tries if type(tries) is int and tries >= 0 else 0
                    self.attempts[key] = Attempt(str(one.get("state", "")), known, str(one.get("why", "")))
        except OSError:
            pass  # nobody was told yet, or nobody can know

    def knows(self, told: Happening) -> bool:
        """Whether every way that was begun for it is over, and one was."""
        mine = [one for key, one in self.attempts.items() if key.startswith(f"{told.mark} ")]
        return bool(mine) and all(one.state != "tried" for one in mine)

    def tell(self, told: Happening, settings: Notify) -> bool:
        """Try every way once that has not told it yet; whether another try may be due."""
        due = False
        for way, send in _ways(settings, told).items():
            attempt = self.attempts.setdefault(f"{told.mark} {way}", Attempt())
            if attempt.state != "tried":
                continue
            if attempt.tries >= settings.tries:
                attempt.state = "given-up"
                self._write()
                continue
            attempt.tries += 1
            self._write()
            try:
                send()
                attempt.state, attempt.why = "told", ""
            except (NotTold, LoratuiError) as error:
                attempt.why = str(error)
                if not getattr(error, "again", False) or attempt.tries >= settings.tries:
                    attempt.state = "given-up"
            self._write()
            due = due or attempt.state == "tried"
        return due

    def _write(self) -> None:
        kept = dict(list(self.attempts.items())[-KEPT:])
        write_whole(self._path, json.dumps({key: vars(one) for key, one in kept.items()}, indent=1) + "\n")


def _ways(settings: Notify, told: Happening) -> dict[str, Callable[[], None]]:
    ways: dict[str, Callable[[], None]] = {}
    if settings.command:
        ways["command"] = partial(execute, settings, told)
    if webhook_of(settings):
        ways["webhook"] = partial(post, webhook_of(settings), settings.form, told)
    return ways
