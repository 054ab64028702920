"""Opening the interface, from the command line: what must be set before Textual is imported."""

from __future__ import annotations

import os
import sys
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.terminal import say
from loratui.tui.garbage import collect_no_garbage


def open_interface(**options: Any) -> int:
    """Open the wizard (or one of its screens) and return its exit status."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LoratuiError(
            "the wizard needs a terminal to draw on.", hint="Use a command instead: `loratui --help` lists them."
        )
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # looking for them reads every installed package's metadata
    os.environ.setdefault("TEXTUAL_FPS", "15" if over_ssh() else "60")
    collect_no_garbage()
    from loratui.tui.app import LoratuiApp

    app = LoratuiApp(**options)
    app.run()
    if app.farewell:
        say(app.farewell)
    return app.return_code or 0


def over_ssh() -> bool:
    """Whether this terminal is at the far end of an SSH connection."""
    return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
