"""Quantiles of Student's t, where no library of statistics is at hand."""

from __future__ import annotations

import math

HALF_TURN = math.pi / 2


def student_quantile(share: float, freedom: int) -> float:
    """Below it lies this share (0.5 to 1) of Student's t with so many degrees of freedom (from 1).

    Exact for 1 and 2; else Hill 1970 (CACM algorithm 396), within 0.02 % of the tables from 3 on.
    """
    from statistics import NormalDist

    tails = 2 * (1 - share)
    if freedom == 1:
        return math.cos(tails * HALF_TURN) / math.sin(tails * HALF_TURN)
    if freedom == 2:
        return math.sqrt(2 / (tails * (2 - tails)) - 2)
    n = float(freedom)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * HALF_TURN) * n
    y = (d * tails) ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(tails / 2)
        y = x * x
        if n < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        near = 1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3)
        y = ((near + 0.5 / (n + 4)) * y - 1) * (n + 1) / (n + 2) + 1 / y
    return math.sqrt(n * y)
