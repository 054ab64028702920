"""bfloat16 on processors: measured once, remembered by processor and torch, and proposed by what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device, Machine
from loratui.core.processor_formats import gain_at
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.machine import host, processor_formats
from loratui.machine.device import cpu_device
from loratui.machine.report import machine_json, machine_lines
from loratui.worker.processor import WIDTHS, processor_checks
from loratui.workers import processor

NEW = ("A new processor", ("avx2", "avx512f", "avx512_bf16"))
OLD = ("An old processor", ("avx2",))
FASTER, AS_FAST = ((256, 1.1), (1024, 2.1)), ((256, 0.9), (1024, 1.1))


def model(width: int) -> Any:
    return read_config(
        {"model_type": "llama", "hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": 4,
         "num_attention_heads": 8, "vocab_size": 4000}
    )  # fmt: skip


@pytest.fixture(autouse=True)
def a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    monkeypatch.delenv("LORATUI_CPU_BF16")
    monkeypatch.setattr(host, "_processor", lambda: NEW)


def device() -> Device:
    return cpu_device(host.read_host())


def proposed(width: int, **by_hand: Any) -> Proposal:
    return propose(Situation(model(width), uniform(1_000, 256), device()), by_hand=by_hand)


def formats(made: Proposal) -> set[str]:
    return {made.plan.training.precision, made.plan.model.dtype, made.plan.method.compute_dtype}


def test_a_processor_that_was_measured_faster_trains_in_bfloat16() -> None:
    processor_formats.remember(NEW[0], FASTER)
    made = proposed(1024)
    reason = made.recommendations["training.precision"]
    assert formats(made) == {"bf16"}
    assert "2.1 times as fast in bfloat16" in reason.why and "2.1 × ≥ 1.3 ×" in reason.formula
    assert made.device.peak_flops_in("bf16") == pytest.approx(2.1 * (made.device.peak_flops_in("fp32") or 0))
    full = propose(Situation(model(1024), uniform(1_000, 256), device()), by_hand={"method.kind": "full"})
    assert (full.plan.training.precision, full.plan.model.dtype) == ("bf16", "fp32")


def test_one_that_was_not_faster_stays_with_float32_and_says_by_how_much() -> None:
    processor_formats.remember(NEW[0], AS_FAST)
    made = proposed(1024)
    assert formats(made) == {"fp32"}
    assert "1.1 times as fast in bfloat16" in made.recommendations["training.precision"].why


def test_narrow_models_gain_nothing_whatever_was_measured() -> None:
    processor_formats.remember(NEW[0], ((256, 2.0), (1024, 2.1)))
    made = proposed(256)
    assert formats(made) == {"fp32"} and "narrow" in made.recommendations["training.precision"].why


def test_what_has_no_instructions_is_never_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_processor", lambda: OLD)
    made = proposed(1024)
    assert formats(made) == {"fp32"} and "names no bfloat16" in made.recommendations["training.precision"].why
    assert not processor_formats.unmeasured(device(), model(1024))


def test_torchs_version_is_not_looked_for_where_nothing_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_formats, "torch_version", lambda: pytest.fail("it takes as long as a screen's paint"))
    assert processor_formats.known_gains(NEW[0], "avx512_bf16") == ()


def test_not_measured_yet_is_said_and_who_measures() -> None:
    made = proposed(1024)
    assert formats(made) == {"fp32"} and "loratui doctor" in made.recommendations["training.precision"].why
    assert any("not measured yet" in line for line in machine_lines(Machine(host=host.read_host())))


@pytest.mark.parametrize("change", ["processor", "torch"])
def test_another_processor_or_torch_is_measured_anew(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    processor_formats.remember(NEW[0], FASTER)
    assert not processor_formats.unmeasured(device(), model(1024))
    if change == "processor":
        monkeypatch.setattr(host, "_processor", lambda: ("Another", NEW[1]))
    else:
        monkeypatch.setattr(processor_formats, "torch_version", lambda: "99.0")
    assert processor_formats.unmeasured(device(), model(1024))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "bf16_gains": [[1024, -1]]}',
                                  '{"version": 1, "bf16_gains": [["wide", 2]]}'])  # fmt: skip
def test_a_damaged_memory_is_no_memory(text: str) -> None:
    processor_formats.remember(NEW[0], FASTER)
    processor_formats._path(NEW[0]).write_text(text)
    assert device().bf16_gains == ()


def test_a_person_may_give_the_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_CPU_BF16", "1.9")
    assert formats(proposed(1024)) == {"bf16"}
    for wrong in ("much", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("LORATUI_CPU_BF16", wrong)
        assert device().bf16_gains == ()


def test_between_widths_by_the_logarithm() -> None:
    assert gain_at((), 512) is None
    assert gain_at(FASTER, 512) == pytest.approx(1.6)
    assert (gain_at(FASTER, 64), gain_at(FASTER, 256), gain_at(FASTER, 9999)) == (1.1, 1.1, 2.1)


def test_the_machine_tells_what_was_measured() -> None:
    processor_formats.remember(NEW[0], FASTER)
    found = Machine(host=host.read_host())
    told = json.loads(json.dumps(machine_json(found)))["host"]
    assert told["bf16_gains"] == [[256, 1.1], [1024, 2.1]] and told["bf16_instructions"] == "avx512_bf16"
    assert any("2.1 × float32 at width 1,024" in line for line in machine_lines(found))


def test_the_real_processor_is_measured_once_by_a_worker() -> None:
    """Whatever this one can: three widths, remembered, and nothing more is asked."""
    said: list[str] = []
    found = processor.measured(device(), model(1024), said.append)
    assert [width for width, _ in found.bf16_gains] == list(WIDTHS) and len(said) == 1
    assert device().bf16_gains == found.bf16_gains
    assert processor.measured(device(), model(1024), said.append).bf16_gains == found.bf16_gains
    assert len(said) == 1


def test_a_worker_that_breaks_leaves_float32_and_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "worker_command", lambda *words: ["false"])
    said: list[str] = []
    assert processor.measured(device(), model(1024), said.append).bf16_gains == ()
    assert "float32 is proposed" in said[-1]


def test_the_doctor_says_a_factor_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_CPU_BF16", "fast")
    monkeypatch.setattr("loratui.worker.processor.measure", lambda: FASTER)
    monkeypatch.setattr("loratui.worker.processor.read_host", host.read_host)
    first, second = processor_checks()
    assert first.state == "warning" and "not heeded" in first.meaning
    assert "2.1 × at width 1,024" in second.meaning and device().bf16_gains == FASTER
