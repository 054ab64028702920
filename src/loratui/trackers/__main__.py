"""`python -m loratui.trackers RUN NAME PROJECT`: the process that copies a run into a tracker while it goes on.

An outage is the tracker's own affair as far as it buffers; where it gives up, everything is copied anew a bounded
number of times, and `loratui runs export` does it at any time later.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.runs.directory import Run
from loratui.trackers.copy import follow

log = logging.getLogger("loratui.trackers")
WAITS_SECONDS = (5.0, 30.0, 120.0, 600.0, 1800.0)


def main(arguments: list[str]) -> int:
    """Follow the run; 0, or 1 where the tracker could not be told."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run, name, project = Run(Path(arguments[0]).absolute()), arguments[1], arguments[2]
    for wait in (*WAITS_SECONDS, None):
        try:
            follow(run, name, project=project)
            return 0
        except LoratuiError as error:
            log.error("%s: %s", name, error.sentence)
            return 1
        except Exception as error:  # noqa: BLE001 (whatever a tracker's library raises; the run knows nothing of it)
            log.error("%s: %s: %s", name, type(error).__name__, error)
        if wait is not None:
            time.sleep(wait)
    log.error("%s is given up; `loratui runs export %s --to %s` copies the run later", name, run.typed_anywhere, name)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
