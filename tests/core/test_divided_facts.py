"""Facts of texts that are divided into pieces of the maximum length."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loratui.core.dataset import PIECE_TOKENS, PIECES_SAMPLE, DataFacts, pieces_of
from loratui.core.hardware import Device
from loratui.core.proposal import propose
from loratui.core.schedule import make_schedule
from loratui.core.situation import Situation
from loratui.models.find import find_model

TEXTS = DataFacts(300, tuple(sorted(100 + 211 * number for number in range(300))), divided=True, eval_examples=30)
CARD = Device(name="RTX 4090", kind="gpu", memory_total_bytes=24 * 2**30, memory_free_bytes=23 * 2**30)


@pytest.mark.parametrize("length", [8, 100, 1024])
@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 15, 16, 1000, 5003])
def test_pieces_hold_every_token_and_one_that_is_repeated(tokens: int, length: int) -> None:
    count = pieces_of(tokens, length)
    starts = [number * (length - 1) for number in range(count)]
    ends = [min(start + length, tokens) for start in starts]
    assert ends[-1] == tokens and all(end - start > (count > 1) for start, end in zip(starts, ends, strict=True))
    assert all(then == before - 1 for then, before in zip(starts[1:], ends, strict=False))


def test_facts_follow_the_maximum_length() -> None:
    pieces = TEXTS.at(500)
    assert pieces.examples == sum(pieces_of(length, 500) for length in TEXTS.lengths) == len(pieces.lengths)
    assert sum(pieces.lengths) - (pieces.examples - TEXTS.examples) == sum(TEXTS.lengths)
    assert list(pieces.lengths) == sorted(pieces.lengths) and pieces.longest == 500
    assert pieces.at(10**6) == TEXTS and pieces.at(250) == TEXTS.at(250)
    assert replace(TEXTS, divided=False).at(500).lengths == TEXTS.lengths
    many = DataFacts(10, (10**6,) * 10, divided=True).at(128)
    assert many.examples == 10 * pieces_of(10**6, 128) and len(many.lengths) <= 2 * PIECES_SAMPLE


def test_a_proposal_divides_texts_and_cuts_none() -> None:
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    found = propose(Situation(spec, TEXTS, CARD))
    length = found.plan.training.max_length
    assert length <= PIECE_TOKENS and "divided into pieces" in found.why("training.max_length")
    assert found.data.examples == TEXTS.at(length).examples > TEXTS.examples
    assert found.schedule == make_schedule(found.plan, TEXTS)
    assert not any("will be cut" in warning for warning in found.warnings)
    shorter = propose(Situation(spec, TEXTS, CARD), by_hand={"training.max_length": 256})
    assert shorter.data.examples == TEXTS.at(256).examples
    cut = propose(Situation(spec, replace(TEXTS, divided=False), CARD), by_hand={"training.max_length": 256})
    assert any("will be cut" in warning for warning in cut.warnings)
    assert shorter.schedule.total_steps > cut.schedule.total_steps
