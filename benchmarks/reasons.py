"""Whether reasons hold, over many situations: `python benchmarks/reasons.py [--cases 2000] [--seed 1]`.

Draws models and cards of the catalogues, data, presets and fixed keys by chance; computes every claim of every reason
anew, and what would be proposed without each fixed key; prints counts, and whatever does not hold. Ends with 1 then.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "core"))

from drawn_situations import cases
from held_reasons import Held, hold


def main() -> int:
    """Look, count and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    held, begun = Held(), time.process_time()
    for case in cases(wanted.cases, wanted.seed):
        hold(case, held)
    print(f"situations         {held.cases:>9,}   {time.process_time() - begun:.0f} s of processor time")
    print(f"reasons            {held.reasons:>9,}")
    print(f"claims             {held.claims:>9,}")
    print(f"figures in words   {held.figures:>9,}")
    print(f"counted in words   {held.words:>9,}")
    print(f"yours / proposed   {held.comparisons:>9,}")
    print(f"refuted            {len(held.refuted):>9,}")
    for words in held.refuted[:20]:
        print(f"  {words}")
    print("figures of reasons without claims, by key:")
    for key, count in sorted(held.uncovered.items(), key=lambda pair: -pair[1]):
        print(f"  {key:<28} {count:>7,}")
    return 1 if held.refuted else 0


if __name__ == "__main__":
    raise SystemExit(main())
