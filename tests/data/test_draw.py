"""What is drawn of the parts of a mix: by what rows say and the seed, whatever stands beside them."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from loratui.core.plan import DatasetSection
from loratui.data.draw import Drawn, Usable, draw


def said(name: str, rows: int) -> list[bytes]:
    return [blake2b(f"{name} {number}".encode(), digest_size=16).digest() for number in range(rows)]


def usable(identities: list[bytes], weight: float = 1.0, cap: int = 0) -> Usable:
    return Usable(weight, cap, identities, list(range(len(identities))))


def drawn(*parts: Usable, fraction: float = 0.1, count: int = 0, seed: int = 42) -> list[Drawn]:
    return draw(DatasetSection(eval_fraction=fraction, eval_count=count), seed, parts)


def test_weights_and_caps_draw_as_they_say() -> None:
    first, second, third = drawn(
        usable(said("a", 100), 2.5), usable(said("b", 100), 0.5), usable(said("c", 100), 1, 30)
    )
    assert [len(one.held_out) for one in (first, second, third)] == [10, 10, 3]
    times = np.bincount(first.train, minlength=100)
    assert sorted(set(times[times > 0])) == [2, 3] and len(first.train) == 225
    assert len(second.train) == len(set(second.train.tolist())) == 45
    assert (len(third.train), third.capped) == (27, 70)
    for one in (first, second, third):
        assert not set(one.train.tolist()) & set(one.held_out.tolist())


def test_a_heavier_or_larger_part_keeps_the_rows_and_what_is_held_out() -> None:
    rows = said("a", 200)
    half, most = drawn(usable(rows, 0.3))[0], drawn(usable(rows, 0.7))[0]
    assert set(half.train.tolist()) < set(most.train.tolist())
    assert half.held_out.tolist() == most.held_out.tolist() == drawn(usable(rows, 4))[0].held_out.tolist()
    few, more = drawn(usable(rows, 1, 50), fraction=0)[0], drawn(usable(rows, 1, 80), fraction=0)[0]
    assert set(few.train.tolist()) < set(more.train.tolist())


def test_a_row_more_and_another_part_move_no_other() -> None:
    rows = said("a", 100)
    alone = drawn(usable(rows, 0.5, 60), count=6)[0]
    front = drawn(usable([*said("new", 1), *rows], 0.5, 61), count=6)[0]
    moved = {rows[at] for at in alone.train.tolist()} - {([*said("new", 1), *rows])[at] for at in front.train.tolist()}
    assert len(moved) <= 2
    beside = drawn(usable(rows, 0.5, 60), usable(said("b", 500), 3), fraction=0.1)[0]
    assert beside.train.tolist() == drawn(usable(rows, 0.5, 60), fraction=0.1)[0].train.tolist()
    assert alone.train.tolist() != drawn(usable(rows, 0.5, 60), count=6, seed=7)[0].train.tolist()


def test_a_row_of_two_parts_is_on_one_side_alone_and_held_out_once() -> None:
    rows = said("a", 100)
    first, second = drawn(usable(rows), usable(rows[50:] + said("b", 50), 2))
    one = [rows[at] for at in first.held_out.tolist()]
    other = [(rows[50:] + said("b", 50))[at] for at in second.held_out.tolist()]
    assert len({*one, *other}) == len(one) + len(other)
    trained = {rows[at] for at in first.train.tolist()} | {
        (rows[50:] + said("b", 50))[at] for at in second.train.tolist()
    }
    assert not trained & {*one, *other}
    assert first.kept_out + second.kept_out > 0 and second.shared > 30 and first.shared == 0


def test_near_duplicates_stay_together_and_a_part_that_is_evaluated_elsewhere_holds_none_out() -> None:
    rows = said("a", 60)
    pairs = Usable(1.0, 0, rows, [at // 2 * 2 for at in range(60)])
    held = set(drawn(pairs, fraction=0.2)[0].held_out.tolist())
    assert held and all(at ^ 1 in held for at in held)
    apart = Usable(1.0, 0, rows, list(range(60)), apart=True, held=rows[:3])
    (one,) = drawn(apart)
    assert not len(one.held_out) and one.kept_out == 3 and len(one.train) == 57
