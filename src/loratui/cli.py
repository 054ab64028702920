"""The command line: `loratui` opens the wizard, every screen has its headless twin.

Nothing is imported before it is needed: the wizard alone is opened without click and the commands.
"""

from __future__ import annotations

import os
import sys

from loratui.core.errors import LoratuiError
from loratui.terminal import PARENT_VARIABLE, fail, guard, hear_interrupts, speak_to
from loratui.tui.start import open_interface

DEMO = "--demo"


def main() -> None:
    """The command line: every ending is an exit status, and no fault of a person's shows a traceback."""
    if PARENT_VARIABLE not in os.environ:
        sys.exit(_run())
    from loratui.workers.command import speak

    messages = speak()
    speak_to(messages)
    status = _run()
    messages.ended(status)
    sys.exit(status)


def _run() -> int:
    guard()
    try:
        _wake_queue()
        status = _open() if _is_wizard(sys.argv[1:]) else _call()
    except LoratuiError as error:
        fail(error.sentence)
        status = error.exit_status
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:  # noqa: BLE001  the last wall: a defect of ours is one sentence and a file, too
        status = report_defect(error)
    return status


def _is_wizard(arguments: list[str]) -> bool:
    """Whether the wizard alone is asked for, and not what a shell completes."""
    return arguments in ([], [DEMO]) and "_LORATUI_COMPLETE" not in os.environ


def _open() -> int:
    hear_interrupts()
    return open_interface(demo=DEMO in sys.argv[1:])


def _call() -> int:
    from loratui.commands.tree import call

    return call()


def _wake_queue() -> None:
    """Whatever is asked of loratui here, what waits for this machine is watched from then on."""
    from loratui.paths import experiments_home, state_home

    if (state_home() / "queue.json").exists() or any(experiments_home().glob("*/open")):
        from loratui.queue.wake import wake

        wake()


def report_defect(error: Exception) -> int:
    """Write the traceback of a defect to a file and name it in one sentence."""
    if os.environ.get("LORATUI_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
        return 1
    from loratui.defects import defect_sentence

    fail(f"a {defect_sentence(error, 'set LORATUI_TRACEBACK=1 to see it')}")
    return 1
