"""`python -m loratui.worker NAME …`: one worker process. Each name is a module here with `main(arguments) -> exit
status`.
"""

from __future__ import annotations

import sys
from importlib import import_module

from loratui.child_process import end_with_parent
from loratui.terminal import guard, say

NAMES = ("train", "watch_step", "inspect", "playground", "trace", "shape", "doctor", "processor")


def main(arguments: list[str] | None = None) -> int:
    """Run the worker that the first argument names; its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if sys.stderr.isatty():  # a person called it; elsewhere it writes to a log or to the process that asks
        guard()
    if not arguments or arguments[0] not in NAMES:
        given = arguments[0] if arguments else "nothing"
        say(f"There is no worker {given}. Workers are: {', '.join(NAMES)}.", err=True)
        return 2
    end_with_parent()
    module = import_module(f"loratui.worker.{arguments[0]}")
    return int(module.main(arguments[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
