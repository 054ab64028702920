"""A held key stays where it was proposed, whatever else changes; and what a change moved is told key by key."""

from __future__ import annotations

import pytest

from loratui.core.dataset import uniform
from loratui.core.errors import PlanError
from loratui.core.hardware import Device
from loratui.core.moves import moves
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.models.find import find_model

SPEC = find_model("demo").spec
SMALL = Device(name="small", memory_total_bytes=2 << 30, memory_free_bytes=1 << 30, compute_capability=(8, 6))
ROOMY = Device(name="roomy", memory_total_bytes=24 << 30, memory_free_bytes=24 << 30, compute_capability=(8, 6))
LONG = uniform(4000, 2000)


def test_a_held_value_stays_while_what_it_followed_from_changes() -> None:
    first = propose(Situation(SPEC, LONG, ROOMY))
    held = {"training.learning_rate": first.plan.training.learning_rate}
    wide = {"training.batch_size": 128}
    free, kept = (propose(Situation(SPEC, LONG, ROOMY), by_hand=wide, held=hold) for hold in ({}, held))
    assert free.plan.training.learning_rate != first.plan.training.learning_rate
    assert kept.plan.training.learning_rate == first.plan.training.learning_rate
    assert kept.origins["training.learning_rate"] == "held" and kept.origins["training.batch_size"] == "mine"
    other = kept.instead("training.learning_rate")
    assert other is not None and other.proposed == free.plan.training.learning_rate, "what it would be else is known"


def test_what_is_mine_stands_above_what_is_held() -> None:
    found = propose(Situation(SPEC, LONG, ROOMY), by_hand={"lora.r": 8}, held={"lora.r": 32})
    assert found.plan.lora.r == 8 and found.origins["lora.r"] == "mine"


def test_a_held_value_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(PlanError):
        propose(Situation(SPEC, LONG, ROOMY), held={"lora.r": 0})


def test_no_way_to_less_memory_moves_what_is_held() -> None:
    by_hand = {"training.batch_size": 64, "training.checkpointing": False}
    free = propose(Situation(SPEC, LONG, SMALL), by_hand=by_hand)
    assert any("training.max_length" in way.change.keys() - set(way.held) for way in free.alternatives)
    held = {"training.max_length": free.plan.training.max_length}
    kept = propose(Situation(SPEC, LONG, SMALL), by_hand=by_hand, held=held)
    assert kept.alternatives and not any(
        way.change.get("training.max_length", held["training.max_length"]) != held["training.max_length"]
        for way in kept.alternatives
    )


def test_moves_tell_what_was_asked_what_followed_and_the_price() -> None:
    before = propose(Situation(SPEC, LONG, ROOMY))
    after = propose(Situation(SPEC, LONG, ROOMY), by_hand={"training.batch_size": 64})
    found = moves(before, after, ["training.batch_size"])
    assert [(move.key, move.before, move.after) for move in found.asked] == [
        ("training.batch_size", before.plan.training.batch_size, 64)
    ]
    assert found.memory_bytes == after.memory.total_bytes - before.memory.total_bytes
    differing = {
        (name, key)
        for name, section in before.plan
        if hasattr(section, "model_fields_set")
        for key, value in section
        if value != getattr(getattr(after.plan, name), key)
    }
    assert {tuple(move.key.split(".")) for move in (*found.asked, *found.also)} == differing, "none is left out"
    assert not moves(before, before).keys


def test_what_the_method_implies_is_not_told_beside_it() -> None:
    before = propose(Situation(SPEC, LONG, ROOMY), by_hand={"method.kind": "lora"})
    after = propose(Situation(SPEC, LONG, ROOMY), by_hand={"method.kind": "qlora"})
    told = [move.key for move in moves(before, after, ["method.kind"]).also]
    assert "method.quantization" not in told and before.plan.method != after.plan.method
