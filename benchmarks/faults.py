"""Make every fault happen many times at random moments, and count what was lost.

    python benchmarks/faults.py [--times 20] [--seed 1] [--only worker_killed] [--objective dpo] [--save]
    python benchmarks/faults.py --kills 200 [--jobs 2] [--seed 1] [--first 0] [--save]

The faults of the first form are those of `tests/worker/faults.py`: interface killed, terminal hung up, worker killed,
killed before the first step, killed while saving, disk full, status half-written, clock jumping, two viewers, directory
moved. After each one the run must equal one that nothing happened to, bit for bit, its evaluations too; what was
reported as saved must be there; the state shown must be true within 5 s. (Workers are forks of a process that has
imported torch, but for those that a terminal starts and those whose clock is changed.) Those of the second are in
`tests/worker/strikes.py`: a worker is struck at any moment, or at the n-th operation of a checkpoint, an evaluation or
the writing of the result, between a rename and the next fsync, or twice in a row (--first goes on with a series that
ended there, and --save adds to its counts); steps, evaluations, best step and the adapter's bytes must be those of an
undisturbed run. Exit status 1 where one did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "worker"))

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run them and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--kills", type=int, default=0, help="so many strikes in turn, instead of the faults")
    parser.add_argument("--first", type=int, default=0, help="the series' strikes before this one were made already")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the strikes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--objective", choices=("sft", "dpo", "orpo", "kto"), default="sft", help="what the runs learn")
    parser.add_argument("--only", default="", help="one fault's, or strike's, name")
    parser.add_argument(
        "--save", action="store_true", help="keep the counts, fault by fault, in benchmarks/results/faults.json"
    )
    parser.add_argument("--share", type=int, default=-1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.share >= 0:
        print(json.dumps(strike(options)), flush=True)
        return 0
    found = struck(options) if options.kills else faults(options)
    if options.save:
        kept = json.loads(path.read_text()) if (path := RESULTS / "faults.json").exists() else {}
        if options.first:
            found = {name: together(kept.get(name, {}), one) for name, one in found.items()}
        path.write_text(json.dumps(kept | found, indent=1) + "\n")
    return 1 if any(count["failures"] for count in found.values()) else 0


def together(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The counts of two parts of one series."""
    if before.get("seed") != now["seed"]:
        return now
    return now | {name: before[name] + now[name] for name in ("times", "failures", "held", "ended_early")}


def faults(options: argparse.Namespace) -> dict[str, Any]:
    """Each fault so many times."""
    from faults import FAULTS, TRUE_SECONDS, CannotHappenHere, World
    from ready_workers import serve

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as ready, serve(Path(ready)) as workers, tempfile.TemporaryDirectory() as folder:
        sys.executable = workers
        world = World(Path(folder), options.objective)
        for fault in FAULTS:
            if options.only not in ("", fault.__name__):
                continue
            held, slowest, began = 0, 0.0, time.monotonic()
            count: dict[str, Any] = {"times": options.times, "failures": []}
            for number in range(options.times):
                seed = options.seed * 1000 + number
                try:
                    took = fault(world, random.Random(seed))
                    slowest = max(slowest, took)
                    assert took <= TRUE_SECONDS, f"the state shown was true after {took:.1f} s"
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
            name = fault.__name__ if options.objective == "sft" else f"{options.objective}: {fault.__name__}"
            found[name] = count | {"seed": options.seed, "date": time.strftime("%Y-%m-%d")}
            print(fault.__name__, count, flush=True)
    return found


def struck(options: argparse.Namespace) -> dict[str, Any]:
    """The strikes, shared among processes of their own: workers are forks of those."""
    began = time.monotonic()
    arguments = [f"--{name}={getattr(options, name)}" for name in ("kills", "jobs", "seed", "only", "first")]
    jobs = [
        subprocess.Popen(
            [sys.executable, __file__, *arguments, f"--share={share}"],
            stdout=subprocess.PIPE,
            text=True,
            env={"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"} | os.environ,
        )
        for share in range(options.jobs)
    ]
    parts = [json.loads(job.communicate()[0].splitlines()[-1]) for job in jobs]
    seconds, day = round(time.monotonic() - began), time.strftime("%Y-%m-%d")
    found = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        shares = [part[name] for part in parts if name in part]
        found[name] = {
            "times": sum(one["times"] for one in shares),
            "failures": [failure for one in shares for failure in one["failures"]],
            "held": sum(one["held"] for one in shares),
            "ended_early": sum(one["ended_early"] for one in shares),
            "seed": options.seed,
            "date": day,
        }
        print(name, found[name], flush=True)
    times = sum(one["times"] for one in found.values())
    print(f"{times} strikes in {seconds} s, {sum(one['held'] for one in found.values())} held")
    return found


def strike(options: argparse.Namespace) -> dict[str, Any]:
    """One process's share of the strikes, kind after kind."""
    from strikes import STRIKES, Courses

    kinds = [name for name in STRIKES if options.only in ("", name)]
    found: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LORATUI_HOME"] = str(Path(folder) / "home")
        courses = Courses(Path(folder)).all
        for number in range(options.first + options.share, options.kills, options.jobs):
            name = kinds[number % len(kinds)]
            seed = options.seed * 100_000 + number
            course = courses[counts[name] % len(courses)]
            counts[name] += 1
            count = found.setdefault(name, {"times": 0, "held": 0, "ended_early": 0, "failures": []})
            count["times"] += 1
            try:
                count["ended_early"] += STRIKES[name](course, random.Random(seed))
                count["held"] += 1
            except Exception as error:  # noqa: BLE001 (whatever went wrong is what is counted)
                traceback.print_exc()
                count["failures"].append(f"{course.name}, seed {seed}: {str(error)[:300]}")
            print(f"{number + 1}/{options.kills} {name}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
