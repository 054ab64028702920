"""What a GPU's card says of who holds its memory, and how long lines are laid out."""

from __future__ import annotations

from dataclasses import replace

from wizard import machine

from loratui.core.hardware import GpuProcess
from loratui.machine.processes import UNSEEN
from loratui.tui.machine.device_card import DeviceCard, gpu_facts


def test_a_holder_that_cannot_be_seen_is_said_in_words() -> None:
    hidden = GpuProcess(pid=9, name=UNSEEN, user="", memory_bytes=None)
    seen = GpuProcess(pid=8, name="train.py", user="ada", memory_bytes=3 * 2**30)
    (line, _), *_ = gpu_facts(replace(machine().gpus[0], processes=(hidden, seen))).lines
    assert line == "held by a program that cannot be seen from here, train.py (ada) 3.00 GiB"


def test_a_long_note_keeps_its_indent_on_every_line() -> None:
    note = "This GPU shares the host's memory; what is free is the host's available memory."
    card = DeviceCard(gpu_facts(replace(machine().gpus[0], processes=(), throttle_reasons=(), notes=(note,))), True)
    lines = [line.plain for line in card._lines(60)][2:]
    assert len(lines) == 2 and all(line.startswith("  ") and len(line) <= 60 for line in lines)
    assert " ".join(line.strip() for line in lines) == note
