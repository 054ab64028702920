"""Follow every advice to its end: trainings that fail for real, their first fix applied, and whether it helped; and
trainings that do well, which must be left in peace.

    python benchmarks/advice.py [--only oom] [--healthy | --failing] [--jobs 2] [--save]

Each failing case of `tests/worker/advice_cases.py` is trained by the worker, its first fix is applied by the
function behind the key `f`, and again by the run itself with `--auto-recover` where that meets it. Held are the
events that follow: the change is in force, the run goes on to its end, and it helped. Exit status 1 where a fix
failed or changed nothing, or more than one of the healthy runs was warned of.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / "worker"), str(Path(__file__).resolve().parent)]

RESULTS = Path(__file__).parent / "results"
FALSE_ALARMS_ALLOWED = 1


def follow_case(folder: str, number: int, by: str, whole: bool) -> dict[str, Any]:
    """One failing case, in this process."""
    from advice import World
    from advice_cases import failing
    from advice_replay import CannotHappenHere, Outcome, Replay

    _prepare(whole)
    case = failing()[number]
    began = time.monotonic()
    outcome = Outcome(case.name, case.kind, by)
    try:
        replay = Replay(World(Path(folder)), case, Path(folder) / f"case-{number}-{by}")
        outcome = replay.by_person() if by == "f" else replay.by_itself()
    except CannotHappenHere as reason:
        return {"case": case.name, "kind": case.kind, "by": by, "skipped": str(reason)}
    except Exception as error:  # noqa: BLE001 (whatever went wrong is what is counted)
        traceback.print_exc()
        outcome.problem = f"{type(error).__name__}: {error}"
    outcome.seconds = round(time.monotonic() - began, 1)
    return asdict(outcome) | {"held": outcome.held}


def watch_healthy(folder: str, number: int, whole: bool) -> dict[str, Any]:
    """One healthy run, in this process: what it was warned of."""
    from advice import World, write_rows
    from advice_cases import healthy
    from advice_replay import alarms

    _prepare(whole)
    name, changes, rows = healthy()[number]
    world, place = World(Path(folder)), Path(folder) / f"healthy-{number}"
    place.mkdir()
    if changes.get("demo"):
        from demo import demo_plan

        plan = demo_plan(
            {
                "training.seed": changes["training.seed"],
                "training.max_steps": 60,
                "training.batch_size": 8,
                "training.accumulation": 1,
                "dataset.eval_count": 8,
                "evaluation.every_steps": 20,
                "evaluation.batch_size": 8,
                "hardware.cpu": True,
            }
        )
    else:
        plan = world.plan(write_rows(place / "rows.jsonl", rows, changes["training.seed"]), world.changes(changes))
    try:
        return {"run": name, "alarms": alarms(world, name, plan, place / "run")}
    except Exception as error:  # noqa: BLE001 (see above)
        traceback.print_exc()
        return {"run": name, "alarms": [f"{type(error).__name__}: {error}"]}


def _prepare(whole: bool) -> None:
    """Let this process's workers be forks of it, unless whole processes are asked for."""
    if not whole:
        import forked

        forked.use()


def make_world(folder: str) -> None:
    """The models, in a process of its own: torch stays out of this one."""
    from advice import World

    World(Path(folder))


def main() -> int:
    """Follow, print, keep."""
    from advice_cases import failing, first_of_each, healthy
    from advice_replay import PLAIN_HEAP

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--healthy", action="store_true", help="only the healthy runs")
    parser.add_argument("--failing", action="store_true", help="only the failing ones")
    parser.add_argument("--first", action="store_true", help="the first failing case of every sort alone")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--whole",
        action="store_true",
        help="start each worker as the program does, which takes longer; else as a fork of this process",
    )
    parser.add_argument("--keep", metavar="FOLDER", help="work here and leave everything there")
    parser.add_argument("--save", action="store_true", help="keep the figures in benchmarks/results/advice.json")
    options = parser.parse_args()
    began = time.monotonic()
    outcomes: list[dict[str, Any]] = []
    peaceful: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or temporary
        os.environ |= {**PLAIN_HEAP, "LORATUI_HOME": str(Path(folder) / "home"), "OMP_NUM_THREADS": "1"}
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
            pool.submit(make_world, folder).result()
            jobs: dict[Any, bool] = {}
            for number, case in enumerate(failing() if not options.healthy else []):
                if options.only in case.name and (not options.first or case in first_of_each()):
                    jobs |= {
                        pool.submit(follow_case, folder, number, by, options.whole): True
                        for by in (["f", "auto"] if case.auto else ["f"])
                    }
            for number, (name, _, _) in enumerate(healthy() if not options.failing else []):
                if options.only in name:
                    jobs[pool.submit(watch_healthy, folder, number, options.whole)] = False
            for job in as_completed(jobs):
                result = job.result()
                (outcomes if jobs[job] else peaceful).append(result)
                print(
                    result.get("skipped")
                    or (
                        describe(result)
                        if jobs[job]
                        else f"{result['run']:22} {', '.join(result['alarms']) or 'in peace'}"
                    ),
                    flush=True,
                )
    return tell(outcomes, peaceful, round(time.monotonic() - began), options)


def describe(outcome: dict[str, Any]) -> str:
    """One line of the table."""
    marks = "".join("✓" if outcome[name] else "✗" for name in ("in_force", "went_on", "helped"))
    return (
        f"{outcome['case']:22} {outcome['by']:5} {marks}  {outcome['start']:10} {outcome['fix']}  "
        f"{outcome['problem']}  [{outcome['measure']}]"
    )


def tell(
    outcomes: list[dict[str, Any]], peaceful: list[dict[str, Any]], seconds: int, options: argparse.Namespace
) -> int:
    """The table by kind, and the counts."""
    done = [one for one in outcomes if "skipped" not in one]
    failed = [one for one in done if not one["held"]]
    alarmed = [one for one in peaceful if one["alarms"]]
    print(f"\n{'kind':14} {'runs':>5} {'fixes':>6} {'held':>5}")
    for kind in dict.fromkeys(one["kind"] for one in done):
        mine = [one for one in done if one["kind"] == kind]
        print(f"{kind:14} {len({one['case'] for one in mine}):5} {len(mine):6} {sum(one['held'] for one in mine):5}")
    runs = len({one["case"] for one in done})
    print(
        f"{runs} failing runs, {len(done)} fixes followed, {len(failed)} failed or changed nothing; "
        f"{len(alarmed)} of {len(peaceful)} healthy runs warned of; {seconds} s"
    )
    if options.save and not (options.only or options.first or options.healthy or options.failing):
        kept = {
            "date": time.strftime("%Y-%m-%d"),
            "seconds": seconds,
            "failing_runs": runs,
            "fixes": len(done),
            "failed": len(failed),
            "skipped": len(outcomes) - len(done),
            "healthy_runs": len(peaceful),
            "false_alarms": len(alarmed),
            "outcomes": sorted(outcomes, key=lambda one: (one["case"], one["by"])),
            "healthy": sorted(peaceful, key=lambda one: one["run"]),
        }
        (RESULTS / "advice.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return 1 if failed or len(alarmed) > FALSE_ALARMS_ALLOWED else 0


if __name__ == "__main__":
    sys.exit(main())
