"""The queue's own process, as it is, but that it looks often and that its workers are forks that start in a moment.

Argument: the program that stands for the interpreter.
"""

from __future__ import annotations

import sys

from loratui.queue import watch

if __name__ == "__main__":
    sys.executable = sys.argv[1]
    watch.POLL_SECONDS = 0.2
    sys.exit(watch.main())
