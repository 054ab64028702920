"""What a check of the installation says."""

from __future__ import annotations

from typing import Literal

from loratui.core.document import Document

State = Literal["ok", "note", "warning", "fault"]
"""`note`: fine, but worth knowing. `warning`: training works, less well. `fault`: training could not work."""


class Check(Document):
    """One line of `loratui doctor`: what was looked at, how it is, what that means, and how to mend it."""

    name: str
    state: State
    meaning: str
    mend: str = ""


def training_works(checks: list[Check]) -> bool:
    """Whether nothing stands in the way of a training."""
    return all(check.state != "fault" for check in checks)
