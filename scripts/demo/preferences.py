"""The demo's preferences: of two records of the same order, the one that begins with the price is preferred.

The base model finds the other one likelier: that is what preference training has to change.
"""

from __future__ import annotations

import json

TRAIN_PAIRS, HELD_OUT_PAIRS = 400, 120


def make_pairs(rows: list[dict[str, str]], count: int) -> list[dict[str, str]]:
    """The first rows as pairs: prompt, the record with its price first, and the record as it is."""
    pairs = []
    for row in rows[:count]:
        record = json.loads(row["completion"])
        first = json.dumps({"price": record["price"], **record}, ensure_ascii=False)
        pairs.append({"prompt": row["prompt"], "chosen": first, "rejected": row["completion"]})
    return pairs
