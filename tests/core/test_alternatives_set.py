"""What is promised to need less memory: set exactly so, it gives that memory, at the time that is predicted."""

from __future__ import annotations

import re

from drawn_situations import cases

from loratui.core.dataset import DataFacts, uniform
from loratui.core.plan_text import parse_setting
from loratui.core.presets import AUTO
from loratui.core.proposal import Proposal, propose
from loratui.core.recommendation import time_words
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model


def made(model: str, card: str, data: DataFacts | None = None, **by_hand: object) -> tuple[Situation, Proposal]:
    situation = Situation(find_model(model, online=False).spec, data, find_gpu(card).device())
    return situation, propose(situation, AUTO, {key.replace("__", "."): value for key, value in by_hand.items()})


def test_each_change_set_by_hand_gives_the_promised_memory() -> None:
    looked = several = 0
    for case in cases(64, 7):
        proposal = propose(case.situation, case.preset, case.by_hand)
        least = max(proposal.memory.total_bytes * 0.01, 64 * 2**20 if case.situation.device.kind == "gpu" else 0)
        for other in proposal.alternatives:
            after = propose(case.situation, case.preset, {**case.by_hand, **other.change})
            assert abs(after.memory.total_bytes / other.memory_total_bytes - 1) < 0.01, (case, other)
            assert after.memory.total_bytes <= proposal.memory.total_bytes - least * 0.99, (case, other)
            assert other.fits == (after.verdict == "fits")
            factors = proposal.time_factors(after)
            assert factors is None or other.cost.endswith(f"By the prediction {time_words(factors)}.")
            looked += 1
            several += bool(other.held)
    assert looked > 150 and several > 20


def test_what_is_freed_is_not_filled_anew() -> None:
    data = DataFacts(1000, tuple(range(60, 700, 10)))
    differ = 0
    for model, card, by_hand in (
        ("Qwen/Qwen2.5-7B", "H100", {"method__kind": "full"}),
        ("Qwen/Qwen3-0.6B", "T4", {}),
        ("Qwen/Qwen3-4B", "RTX 4090", {}),
    ):
        situation, now = made(model, card, data, **by_hand)
        pins = {key.replace("__", "."): value for key, value in by_hand.items()}
        for one in now.alternatives:
            alone = {key: value for key, value in one.change.items() if key not in one.held}
            after = propose(situation, AUTO, {**pins, **one.change})
            assert after.memory.total_bytes == one.memory_total_bytes
            differ += propose(situation, AUTO, {**pins, **alone}).memory.total_bytes != one.memory_total_bytes
    assert differ > 2, "without the keys that hold the rest, what is freed is filled"


def test_every_key_of_a_change_can_be_typed() -> None:
    from loratui.commands.why import shown

    _, proposal = made("Qwen/Qwen3-0.6B", "T4", uniform(5000, 400))
    for other in proposal.alternatives:
        for key, value in other.change.items():
            assert parse_setting(f"{key}={shown(value)}") == (key, value)


def test_alpha_stays_the_constant() -> None:
    _, proposal = made("Qwen/Qwen3-8B", "T4", uniform(5000, 400), lora__r=256)
    smaller = [one.change for one in proposal.alternatives if "lora.r" in one.change]
    assert smaller and all("lora.alpha" not in change for change in smaller)


def test_no_price_is_said_that_the_prediction_refutes() -> None:
    for card in ("T4", "H100", "RTX 4090"):
        _, proposal = made("Qwen/Qwen3-8B", card, DataFacts(5000, (100, 200, 1000)), lora__r=64)
        for other in proposal.alternatives:
            assert not re.search("slower|faster", other.cost.partition("By the prediction")[0]), other.cost
