"""The door of the program: the command `loratui`, and `python -m loratui`.

Whoever presses ctrl+c while the commands are still being imported is out at once, as one is later, without a traceback.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED_STATUS = 130


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started it wants no interrupts
        signal.signal(signal.SIGINT, _leave)
    from loratui.cli import main as command_line

    try:
        command_line()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be said


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED_STATUS)


if __name__ == "__main__":
    main()
