"""A plain TRL script, run as a process in the same environment as our worker: what ours is measured beside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def seconds_and_tokens(script: str, settings: Mapping[str, Any]) -> dict[str, float]:
    """What the script printed after RESULT; it gets its settings as one JSON argument. Ends the benchmark where it
    failed.
    """
    from loratui.core.plan import Plan
    from loratui.runs.start import worker_environment

    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(settings)],
        capture_output=True,
        text=True,
        check=False,
        env=worker_environment(Plan()),
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise SystemExit(f"the TRL script failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(line.removeprefix("RESULT ")))
