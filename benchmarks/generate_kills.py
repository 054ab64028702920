"""`loratui generate` killed at 20 random moments, drawn and greedy answers: is its file that of an undisturbed start?

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/generate_kills.py [--kills 20] [--rows 60] [--seed 1] [--save]

Each kill (SIGKILL) meets another start, at a moment drawn evenly from the time that an undisturbed one takes; then the
same command is given again. `tests/worker/generate_kills.py` does it, here with more rows and in three formats.
Exit status 1 where one file was another.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "worker"))

RESULT = Path(__file__).parent / "results" / "generate_kills.json"


def main() -> int:
    """Run them and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each kind: drawn, and greedy")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    import generate_kills
    from tiny_models import make_adapter, make_model

    import loratui.worker.generation.batch  # noqa: F401 (torch, before the forks)

    found: dict[str, list[generate_kills.Kill]] = {"drawn": [], "greedy": []}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LORATUI_HOME"] = f"{folder}/home"
        adapter = make_adapter(make_model(Path(folder) / "base"), Path(folder) / "adapter")
        rows = generate_kills.write_rows(Path(folder) / "rows.jsonl", given.rows)
        for number, suffix in enumerate((".jsonl", ".csv", ".parquet")):
            kills = 2 * (given.kills // 3 + (number < given.kills % 3))
            place = Path(folder) / suffix[1:]
            place.mkdir()
            series = generate_kills.kill_often(
                adapter, rows, place, kills=kills, seed=given.seed + number, suffix=suffix
            )
            found["drawn"] += series[::2]
            found["greedy"] += series[1::2]
            print(suffix, generate_kills.told(series), flush=True)
    told = {name: generate_kills.told(series) for name, series in found.items()}
    print(json.dumps(told, indent=1))
    if given.save:
        RESULT.write_text(json.dumps({"rows": given.rows, "seed": given.seed, **told}, indent=1) + "\n")
    return 0 if all(one.same for series in found.values() for one in series) else 1


if __name__ == "__main__":
    sys.exit(main())
