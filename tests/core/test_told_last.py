"""Reasons that take long are made for whoever reads them, once."""

from __future__ import annotations

from importlib import import_module

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.proposal import propose
from loratui.core.recommend.reasons import Said
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model

KEY = "training.checkpointing"
MODULE = import_module("loratui.core.recommend.checkpointing")
"""Its package has a function of that name."""


def test_the_reason_of_checkpointing_is_made_once_for_whoever_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Said] = []
    why = MODULE.why

    def counted(*asked: object) -> Said:
        made.append(why(*asked))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(MODULE, "why", counted)
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    situation = Situation(spec, DataFacts(1000, (300, 700)), find_gpu("T4").device())
    proposal = propose(situation, by_hand={"lora.r": 8, "training.epochs": 2.0, "training.batch_size": 2})
    keys = list(proposal.recommendations)
    assert KEY in keys
    others = [proposal.why(key) for key in keys if key != KEY]
    assert all(others) and not made
    assert proposal.recommendations[KEY].value == proposal.plan.training.checkpointing
    assert proposal.why(KEY) == proposal.recommendations[KEY].why == made[0].sentence and len(made) == 1
    assert proposal.recommendations[KEY].claims == made[0].claims


def test_a_reason_that_is_read_late_is_that_of_its_own_proposal() -> None:
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    situation = Situation(spec, DataFacts(1000, (300, 700)), find_gpu("T4").device())
    at_once = propose(situation).why(KEY)
    first = propose(situation)
    propose(situation, by_hand={"training.max_length": 4096, "training.batch_size": 16}).why(KEY)
    assert first.why(KEY) == at_once
