"""The queue's own process, but that it looks often, and that its workers are stand-ins."""

from __future__ import annotations

import sys
from pathlib import Path

from loratui.queue import watch
from loratui.runs import start

STANDIN = Path(__file__).with_name("standin.py")


def command(run: object, *, rehearse: bool = False) -> list[str]:
    return [sys.executable, str(STANDIN), "-m", "loratui.worker", "train", str(run.path)]  # type: ignore[attr-defined]


if __name__ == "__main__":
    start.worker_command = command  # type: ignore[assignment]
    watch.POLL_SECONDS = 0.1
    sys.exit(watch.main())
