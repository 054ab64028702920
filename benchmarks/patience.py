"""How often patience ends a run that it should not, by the bare figure and by the rule that knows its rows.

    .venv/bin/python benchmarks/patience.py [--times 1000] [--demo]

Held-out rows are drawn whose true losses are known: 0.8 nats more or less from row to row, 20 to 200 tokens each, at
first 2 nats a token, and each row's own change from one evaluation to the next by chance, in three shapes:

- normal: 0.15 nats a token of each row at each evaluation, anew;
- heavy: the same width, but by Student's t of 3 degrees of freedom;
- sparse: one row in ten moves at an evaluation, by 0.5 nats up or down; the others stay as they are.

The truth behind them is flat (a stop that says "worse" is false), falls by 1.5 % at each evaluation (every stop is
false: the loss would go on to fall), or is a run that overfits: it falls until the fifth of fifteen evaluations, then
rises by 4 % at each. Patience is 3, of 15 evaluations. Asked for: in less than 5 % of the runs of a kind a false stop,
and every overfit of 50 rows or more ended. Counted are the worker's own decisions (`worker.training.patience`).

--demo trains the demo's model on rows that it can but learn by heart, and says where either rule ends it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs import row_losses
from loratui.runs.directory import Run
from loratui.runs.row_losses import RowLosses
from loratui.worker.training.patience import Patience

LOOKS, PATIENCE = 15, 3
ROWS = (3, 8, 20, 50, 200, 1000)
ASKED = 0.05
PLAN = with_values(Plan(), {"evaluation.patience": PATIENCE, "evaluation.every_steps": 1})
Losses = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Losses]


def normal(chance: np.random.Generator, rows: int) -> Losses:
    return 0.15 * chance.standard_normal((LOOKS, rows))


def heavy(chance: np.random.Generator, rows: int) -> Losses:
    return 0.15 * chance.standard_t(3, (LOOKS, rows)) / np.sqrt(3)


def sparse(chance: np.random.Generator, rows: int) -> Losses:
    moves = np.where(chance.random((LOOKS, rows)) < 0.1, chance.choice([-0.5, 0.5], (LOOKS, rows)), 0.0)
    found: Losses = np.asarray(moves)
    return found


NOISES: dict[str, Noise] = {"normal": normal, "heavy": heavy, "sparse": sparse}
LOOK = np.arange(LOOKS)
TRUTHS = {
    "flat": np.full(LOOKS, 2.0),
    "falls": 2.0 * 0.985**LOOK,
    "overfits": np.where(LOOK < 5, 2.0 * 0.93**LOOK, 2.0 * 0.93**4 * 1.04 ** (LOOK - 4.0)),
}


def runs(noise: Noise, truth: Losses, rows: int, times: int) -> Iterator[tuple[list[RowLosses], list[float]]]:
    """Each run's evaluations: the rows' losses, and the loss."""
    chance = np.random.default_rng(20_271)
    for _ in range(times):
        tokens = chance.integers(20, 201, rows)
        hard = np.exp(0.4 * chance.standard_normal(rows))
        made = truth[:, None] * hard / hard.mean() + noise(chance, rows)
        found = [RowLosses.of((each * tokens).tolist(), tokens.tolist()) for each in made]
        yield found, [one.loss for one in found]


def ended(found: list[RowLosses], losses: list[float], *, by_rows: bool) -> tuple[int, str]:
    """After which evaluation a run ends, counted from 1, and what the rows told; (0, "") where it goes to its end."""
    patience = Patience(Run(Path()), PLAN, agree=lambda word: word)
    patience.restore([], len(found))
    for step, (rows, loss) in enumerate(zip(found, losses, strict=True), start=1):
        patience.evaluated(step, loss, rows if by_rows else None)
        if step < len(found) and patience.is_enough:
            return step, patience.since_best.told if patience.since_best else ""
    return 0, ""


def simulate(times: int) -> bool:
    """Print the table; whether all is as asked."""
    right = True
    print(f"{times:,} runs a line; patience {PATIENCE} of {LOOKS} evaluations")
    titles = f"{'truth':10}{'noise':9}{'rows':>6}{'ended, bare':>14}"
    print(titles + f"{'by rows':>10}{'false':>8}{'at, bare':>10}{'by rows':>9}")
    for truth, course in TRUTHS.items():
        for name, noise in NOISES.items():
            for rows in ROWS:
                bare, own, false = [], [], 0
                for found, losses in runs(noise, course, rows, times):
                    bare.append(ended(found, losses, by_rows=False)[0])
                    step, told = ended(found, losses, by_rows=True)
                    own.append(step)
                    false += bool(step) and (truth == "falls" or (truth == "flat" and told == "worse"))
                    false += truth == "overfits" and 0 < step <= 5
                shares = [np.mean(np.array(one) > 0) for one in (bare, own)]
                at = [f"{np.median([s for s in one if s]):.0f}" if any(one) else "–" for one in (bare, own)]
                good = false / times < ASKED and (truth != "overfits" or rows < 50 or shares[1] == 1)
                right &= good
                print(
                    f"{truth:10}{name:9}{rows:>6}{shares[0]:>14.1%}{shares[1]:>10.1%}{false / times:>8.1%}"
                    f"{at[0]:>10}{at[1]:>9}{'' if good else '  not as asked'}",
                    flush=True,
                )
    return right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--demo", action="store_true", help="train the demo instead")
    asked = parser.parse_args()
    return 0 if (demo() if asked.demo else simulate(asked.times)) else 1


DEMO = {
    "dataset.eval_fraction": 0.2,
    "training.max_steps": 60,
    "training.learning_rate": 0.02,
    "training.precision": "fp32",
    "model.dtype": "fp32",
    "evaluation.every_steps": 6,
    "evaluation.patience": 0,
}


def demo() -> bool:
    """Print where the demo's model ends by either rule on rows that hold nothing to learn but by heart; whether the
    two are two evaluations apart at most. One run to its end tells both.
    """
    command, chance = [sys.executable, "-m", "loratui"], np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        data, plan, place = (Path(folder) / name for name in ("rows.jsonl", "plan.toml", "run"))
        numbers = chance.integers(0, 1000, (240, 2)).tolist()
        rows = [{"prompt": f"name number {one}", "completion": f"it is {other}"} for one, other in numbers]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        changes = [f"--set={key}={value}" for key, value in DEMO.items()]
        subprocess.run([*command, "plan", "-m", "demo", "-d", str(data), *changes, "-o", str(plan)], check=True)
        subprocess.run([*command, "train", str(plan), "--output", str(place)], check=False)  # 3: worse than its base
        kept = {step: rows for step, rows in row_losses.each(Run(place)) if step}
    found = list(kept.values())
    losses = [one.loss for one in found]
    print(f"{len(found[0].nll)} held-out rows; evaluations: {', '.join(f'{loss:.3f}' for loss in losses)}")
    steps = [ended(found, losses, by_rows=by_rows)[0] for by_rows in (False, True)]
    for name, step in zip(("by the bare figure", "by rows"), steps, strict=True):
        print(f"patience {PATIENCE} {name}: ends after evaluation {step} of {len(found)}")
    return all(steps) and steps[1] - steps[0] <= 2


if __name__ == "__main__":
    raise SystemExit(main())
