"""Asking a worker how fast this processor is in bfloat16, once (`machine/processor_formats.py` remembers it)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from loratui.child_process import ask, worker_command
from loratui.core.architecture import ModelSpec
from loratui.core.errors import WorkerError
from loratui.core.hardware import Device
from loratui.core.processor_formats import Gains
from loratui.machine.processor_formats import gains_from, remember, unmeasured

LIMIT_SECONDS = 240.0
"""Longest wait for the measurement: five seconds of a processor, most of them torch's import, on a machine that may be
busy and from a disk that may be slow."""
CALLED = "The worker that measures the processor"


def measured(device: Device, spec: ModelSpec, say: Callable[[str], None]) -> Device:
    """The same device, its processor measured where that decides something and was not done. Waits for it: seconds,
    once a processor. say: told one sentence before, and one where it failed; float32 is trained in then.
    """
    if not unmeasured(device, spec):
        return device
    say(f"Measuring once how fast this processor is in bfloat16 ({device.bf16_instructions}), in a few seconds.")
    try:
        return replace(device, bf16_gains=asyncio.run(measure_meanwhile(device.name)))
    except WorkerError as error:
        say(f"The processor could not be measured, so float32 is proposed: {error.sentence}")
        return device


async def measure_meanwhile(cpu_name: str) -> Gains:
    """Have a worker measure this processor, and remember it. Raises WorkerError."""
    try:
        found = await asyncio.wait_for(ask(worker_command("processor", "-"), CALLED, {}, "measured"), LIMIT_SECONDS)
    except TimeoutError:
        raise WorkerError(f"{CALLED} took longer than {LIMIT_SECONDS:.0f} seconds.") from None
    gains = gains_from(found)
    if not gains:
        raise WorkerError(f"{CALLED} gave an answer that could not be understood.")
    remember(cpu_name, gains)
    return gains
