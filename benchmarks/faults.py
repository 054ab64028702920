"""Make every fault happen many times at random moments, and count what was lost.

    python benchmarks/faults.py [--times 20] [--seed 1] [--only worker_killed] [--save]

The faults are those of `tests/worker/faults.py`: interface killed, terminal hung up, worker killed, killed while
saving, disk full, status half-written, clock jumping, two viewers, directory moved. After each one the run must equal
one that nothing happened to, bit for bit; what was reported as saved must be there; the state shown must be true within
5 s. Exit status 1 where one did not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "worker"))

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run them and tell."""
    from faults import FAULTS, CannotHappenHere, World

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="one fault's name")
    parser.add_argument(
        "--save", action="store_true", help="keep the counts, fault by fault, in benchmarks/results/faults.json"
    )
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for fault in FAULTS:
            if options.only not in ("", fault.__name__):
                continue
            held, slowest, began = 0, 0.0, time.monotonic()
            count: dict[str, Any] = {"times": options.times, "failures": []}
            for number in range(options.times):
                seed = options.seed * 1000 + number
                try:
                    slowest = max(slowest, fault(world, random.Random(seed)))
                    held += 1
                except CannotHappenHere as reason:
                    count["skipped"] = str(reason)
                    break
                except Exception as error:  # noqa: BLE001 (whatever went wrong is what is counted)
                    traceback.print_exc()
                    count["failures"].append(f"seed {seed}: {str(error)[:300]}")
            count |= {
                "held": held,
                "slowest_true_seconds": round(slowest, 2),
                "seconds": round(time.monotonic() - began),
            }
            found[fault.__name__] = count | {"seed": options.seed, "date": time.strftime("%Y-%m-%d")}
            print(fault.__name__, count, flush=True)
    if options.save:
        kept = json.loads(path.read_text()) if (path := RESULTS / "faults.json").exists() else {}
        path.write_text(json.dumps(kept | found, indent=1) + "\n")
    return 1 if any(count["failures"] for count in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
