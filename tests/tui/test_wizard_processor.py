"""The wizard measures a processor with bfloat16 once, beside everything else, and the proposal follows with a word."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from wizard import machine, settled, wizard

from loratui.machine.processor_formats import known_gains
from loratui.tui.app import LoratuiApp
from loratui.workers import processor


def on_a_processor(folder: Path, *features: str) -> LoratuiApp:
    app = wizard(folder, gpus=0, screen="recipe")
    there = machine(0)
    app.state.hardware.take(replace(there, host=replace(there.host, cpu_features=features, bf16_gains=())))
    return app


def answering(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(processor, "worker_command", lambda *words: [sys.executable, "-c", code])


async def test_the_proposal_follows_what_was_measured(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORATUI_CPU_BF16")
    answering(monkeypatch, f"print({json.dumps(json.dumps({'measured': {'bf16_gains': [[1024, 2.5]]}}))})")
    app = on_a_processor(homes, "avx512_bf16")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        plan = app.state.plan
        assert plan.proposal is not None and plan.proposal.plan.training.precision == "bf16"
        assert "2.5 times as fast" in plan.proposal.recommendations["training.precision"].why
        assert plan.change is not None and "processor was measured" in str(plan.change)
        told = [notice.message for notice in app._notifications]
        assert any("measured once" in text for text in told)
    assert known_gains("AMD EPYC 7742", "avx512_bf16") == ((1024, 2.5),)


async def test_a_measurement_that_breaks_is_one_notice(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORATUI_CPU_BF16")
    answering(monkeypatch, "raise SystemExit(3)")
    app = on_a_processor(homes, "avx512_bf16")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert any("float32 is proposed" in notice.message for notice in app._notifications)
        assert app.state.plan.proposal is not None and app.state.plan.proposal.plan.training.precision == "fp32"


async def test_a_processor_without_it_is_left_alone(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORATUI_CPU_BF16")
    answering(monkeypatch, "raise SystemExit(3)")
    app = on_a_processor(homes, "avx2")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert not any("processor" in notice.message for notice in app._notifications)
