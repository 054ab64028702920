"""How often the 95 % intervals of `loratui evaluate` hold the truth, and equal models are called equal.

    .venv/bin/python benchmarks/evaluation_intervals.py [--times 2000]

Rows are drawn from models whose true figures are known: right and wrong answers of two models that go together, means
of shares (ROUGE) of which many are equal, losses of rows of unlike length. Asked for: 93 to 97 % over all cases of a
kind, and at least 93 % of equal models called equal.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from loratui.evaluation.intervals import Interval, interval, paired
from loratui.evaluation.measures import MEASURES, Numbers
from loratui.evaluation.verdict import verdict

EXACT, ROUGE, LOSS = MEASURES["exact_match"], MEASURES["rougeL"], MEASURES["loss"]
DRAWS = 1000
ROWS = (50, 200, 1000)


@dataclass(frozen=True)
class Case:
    """One kind of data: what is drawn, and what is true of it. equal: whether the two models are."""

    kind: str
    words: str
    draw: Callable[[np.random.Generator], Interval]
    truth: float
    equal: bool = False


def column(values: Numbers) -> Numbers:
    return np.stack([values.astype(float), np.ones(len(values))], axis=1)


def cases() -> Iterator[Case]:
    for rows in ROWS:
        for better, worse in ((0.03, 0.03), (0.1, 0.1), (0.25, 0.25), (0.08, 0.04), (0.2, 0.1), (0.6, 0.02)):

            def right(chance: np.random.Generator, n: int = rows, b: float = better, w: float = worse) -> Interval:
                drawn = chance.random(n)
                both = drawn >= 1 - 0.3 * (1 - b - w)
                one, other = (drawn < b) | both, ((drawn >= b) & (drawn < b + w)) | both
                return paired(EXACT, column(one), column(other), draws=DRAWS)

            words = f"{rows} rows, {better:.0%} only the one right, {worse:.0%} only the other"
            yield Case("difference of shares", words, right, better - worse, better == worse)
        for changed in (0.1, 0.5, 1.0):
            for shift in (0.0, 0.02):

                def overlap(
                    chance: np.random.Generator, n: int = rows, c: float = changed, s: float = shift
                ) -> Interval:
                    one = chance.beta(4, 4, n) * 0.6 + 0.2
                    other = one - np.where(chance.random(n) < c, chance.uniform(s - 0.15, s + 0.15, n), 0)
                    return paired(ROUGE, column(one), column(other), draws=DRAWS)

                words = f"{rows} rows, {changed:.0%} of the answers differ, by {shift} on average"
                yield Case("difference of ROUGE", words, overlap, changed * shift, shift == 0)
        for better_by in (0.0, 0.03):

            def losses(chance: np.random.Generator, n: int = rows, b: float = better_by) -> Interval:
                tokens = chance.integers(5, 80, n).astype(float)
                hard = chance.gamma(4, 0.25, n)
                one, other = hard * chance.uniform(0.8, 1.2, n), hard * chance.uniform(0.8, 1.2, n) + b
                first, second = (np.stack([each * tokens, tokens], axis=1) for each in (one, other))
                return paired(LOSS, first, second, draws=DRAWS)

            yield Case("difference of losses", f"{rows} rows, {better_by} apart", losses, -better_by, better_by == 0)
        for share in (0.05, 0.5, 0.9):

            def single(chance: np.random.Generator, n: int = rows, p: float = share) -> Interval:
                return interval(EXACT, column(chance.random(n) < p), draws=DRAWS)

            yield Case("one share", f"{rows} rows, {share:.0%} right", single, share)

        def mean(chance: np.random.Generator, n: int = rows) -> Interval:
            return interval(ROUGE, column(chance.beta(2, 3, n)), draws=DRAWS)

        def loss(chance: np.random.Generator, n: int = rows) -> Interval:
            tokens = chance.integers(5, 80, n).astype(float)
            return interval(LOSS, np.stack([chance.gamma(4, 0.25, n) * tokens, tokens], axis=1), draws=DRAWS)

        yield Case("one mean", f"{rows} rows of ROUGE", mean, 0.4)
        yield Case("one loss", f"{rows} rows", loss, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000)
    times = parser.parse_args().times
    held: dict[str, list[float]] = {}
    equal: list[float] = []
    for number, case in enumerate(cases()):
        chance = np.random.default_rng(number)
        found = [case.draw(chance) for _ in range(times)]
        inside = [one.low is not None and one.high is not None and one.low <= case.truth <= one.high for one in found]
        held.setdefault(case.kind, []).append(float(np.mean(inside)))
        same = float(np.mean([verdict(EXACT, one).told == "no difference" for one in found]))
        equal += [same] if case.equal else []
        print(f"{case.kind:22} {case.words:62} held {held[case.kind][-1]:.1%}" + (f", equal {same:.1%}" * case.equal))
    print()
    for kind, shares in held.items():
        print(f"{kind:22} held {np.mean(shares):.1%} ({min(shares):.1%} to {max(shares):.1%} by case)")
    every = [share for shares in held.values() for share in shares]
    within = np.mean([0.93 <= one <= 0.97 for one in every])
    print(f"{'all':22} held {np.mean(every):.1%}; in {within:.0%} of the cases 93 to 97 %")
    print(f"equal models are called equal in {np.mean(equal):.1%} (least {min(equal):.1%})")


if __name__ == "__main__":
    main()
