"""Which rows of a mix are trained on, and how often: its cap, what is held out, its weight, and rows of two parts.

Training, inspecting, asking held-out rows and exporting all draw here, so that they mean the same rows. Everything
follows from what the rows say and the seed: a row more moves no other one, and a higher cap or weight keeps the rows
that a lower one took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loratui.core.dataset import drawn_rows, held_out_by_part
from loratui.core.plan import DatasetSection
from loratui.data.split import RowKeys, split_rows

Ints = NDArray[np.int64]
_CAP, _WEIGHT = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
"""What the seed is joined with, so that a cap and a weight do not draw in one order."""


@dataclass(frozen=True)
class Usable:
    """The rows of a part that can be used, in their order.

    identities, leaders: as in `RowKeys`. apart: rows are held out elsewhere, none of these. held: identities of the
    rows that the part itself sets apart.
    """

    weight: float
    cap: int
    identities: Sequence[bytes]
    leaders: Sequence[int]
    apart: bool = False
    held: Sequence[bytes] = ()


@dataclass(frozen=True)
class Drawn:
    """Positions among a part's usable rows.

    train: what an epoch draws, a row as often as it is drawn. held_out: each once. capped: rows beyond the cap.
    kept_out: rows that are equal to one that another part holds out, or held out twice: neither trained on nor held
    out. shared: rows drawn here that an earlier part has too.
    """

    train: Ints
    held_out: Ints
    capped: int = 0
    kept_out: int = 0
    shared: int = 0
    base: int = 0
    """Training rows before the weight: of these some are drawn several times, or not at all."""


def draw(section: DatasetSection, seed: int, parts: Sequence[Usable]) -> list[Drawn]:
    """The rows of each part. section: of the mix, which says what is held out."""
    kept = [_capped(part, seed) for part in parts]
    own = [0 if part.apart else len(rows) for part, rows in zip(parts, kept, strict=True)]
    counts = held_out_by_part(own, section.eval_fraction, section.eval_count)
    held = [_held_out(section, seed, part, rows, count) for part, rows, count in zip(parts, kept, counts, strict=True)]
    names: set[bytes] = {identity for part in parts for identity in part.held}
    out, seen = [], set(names)
    for part, rows in zip(parts, held, strict=True):
        fresh = [at for at in rows.tolist() if part.identities[at] not in seen]
        seen.update(part.identities[at] for at in fresh)
        out.append(np.array(fresh, dtype=np.int64))
    found: list[Drawn] = []
    trained: set[bytes] = set()
    for part, rows, mine, asked in zip(parts, kept, out, held, strict=True):
        rest = np.setdiff1d(rows, asked)
        clear = np.array([part.identities[at] not in seen for at in rest.tolist()], dtype=bool)
        base = rest[clear]
        said = {part.identities[at] for at in base.tolist()}
        found.append(
            Drawn(
                train=_weighed(part, base, seed),
                held_out=mine,
                capped=len(part.identities) - len(rows),
                kept_out=int((~clear).sum()) + len(asked) - len(mine),
                shared=sum(part.identities[at] in trained for at in base.tolist()),
                base=len(base),
            )
        )
        trained |= said
    return found


def _held_out(section: DatasetSection, seed: int, part: Usable, rows: Ints, count: int) -> Ints:
    """Positions that a part holds out of its own rows, ascending; whole groups, so that there may be some more."""
    if not count or part.apart:
        return np.zeros(0, dtype=np.int64)
    keys = RowKeys.of([part.identities[at] for at in rows.tolist()], [part.leaders[at] for at in rows.tolist()])
    counted = section.model_copy(update={"eval_count": count})
    return rows[np.array(split_rows(counted, keys, seed).evaluation, dtype=np.int64)]


def _capped(part: Usable, seed: int) -> Ints:
    """Positions of the rows within the cap, ascending."""
    rows = np.arange(len(part.identities))
    if not part.cap or part.cap >= len(rows):
        return rows
    return np.sort(_ordered(part.identities, rows, seed, _CAP)[: part.cap])


def _weighed(part: Usable, rows: Ints, seed: int) -> Ints:
    """The rows as often as the weight says, ascending."""
    wanted = drawn_rows(len(rows), part.weight)
    whole = wanted // len(rows) if len(rows) else 0
    more = _ordered(part.identities, rows, seed, _WEIGHT)[: wanted - whole * len(rows)]
    return np.sort(np.concatenate([np.repeat(rows, whole), more]))


def _ordered(identities: Sequence[bytes], rows: Ints, seed: int, joined: int) -> Ints:
    """The positions in an order that follows from what the rows say and the seed."""
    if not len(rows):
        return rows
    words: Any = np.frombuffer(b"".join(identities[at] for at in rows.tolist()), dtype="<u8").reshape(len(rows), -1)
    mixed = words[:, 0] ^ np.uint64((seed * 0x2545F4914F6CDD1D + joined) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64's finalizer
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return rows[np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")]
