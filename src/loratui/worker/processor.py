"""`python -m loratui.worker processor`: how much faster this processor is in bfloat16 than in float32.

Forward and backward pass of one block, frozen weights in the format, under autocast as in a training, at several
widths, on one thread: what others do on the machine moves that least. Prints `{"bf16_gains": [[512, 1.3], …]}`; `-` is
for our own program (`child_process.answer_one`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from loratui.child_process import answer_one
from loratui.core.processor_formats import Gains, instructions
from loratui.machine.doctor import Check
from loratui.machine.host import read_host
from loratui.machine.processor_formats import GIVEN, given_gain, remember
from loratui.terminal import say_json
from loratui.worker.device_checks import Checks, device_of_training

WIDTHS = (256, 512, 1024)
TOKENS, HEAD, RANK = 256, 64, 16
SECONDS = 0.6
"""Of this thread's own time, which others on the machine hardly move: for each width, both formats in turn; at least
three times each."""
LEAST_TIMES = 3


def main(arguments: list[str]) -> int:
    """Measure and say it."""
    if arguments == ["-"]:
        return answer_one("measured", lambda question: {"bf16_gains": measure()})
    say_json({"bf16_gains": measure()}, indent=None)
    return 0


def processor_checks() -> Checks:
    """The processor in bfloat16, where a training would run on it: measured, and remembered for the plans to come."""
    if os.environ.get(GIVEN) and given_gain() is None:
        yield Check(
            name="processor",
            state="warning",
            meaning=f"{GIVEN}={os.environ[GIVEN]} is no factor and is not heeded.",
            mend="Give how many times as fast bfloat16 is, e.g. 1.6; or unset it.",
        )
    if device_of_training().type != "cpu":
        return
    host = read_host()
    own, given = instructions(host.cpu_features), given_gain()
    if given is not None:
        yield Check(name="processor", state="note", meaning=f"bfloat16 is {given:g} × float32, as {GIVEN} says.")
        return
    if not own:
        meaning = "No instructions for bfloat16 (AMX, AVX512-BF16): float32 is the format to train in."
        yield Check(name="processor", state="note", meaning=meaning)
        return
    gains = measure()
    remember(host.cpu_name, gains)
    words = ", ".join(f"{gain:.2g} × at width {width:,}" for width, gain in gains)
    meaning = f"bfloat16 ({own}) against float32, both passes of a block, measured: {words}. Plans go by it."
    yield Check(name="processor", state="ok", meaning=meaning)


def measure() -> Gains:
    """Seconds in float32 for each one in bfloat16, by width: of the quickest passes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return tuple((width, round(_gain(width), 3)) for width in WIDTHS)
    finally:
        torch.set_num_threads(threads)


def _gain(width: int) -> float:
    import torch

    passes = [_block(width, dtype) for dtype in (torch.float32, torch.bfloat16)]
    for one in passes:
        one()  # kernels are chosen at the first call
    seconds: list[list[float]] = [[], []]
    until = time.thread_time() + SECONDS
    while len(seconds[0]) < LEAST_TIMES or time.thread_time() < until:
        for one, taken in zip(passes, seconds, strict=True):
            began = time.thread_time()
            one()
            taken.append(time.thread_time() - began)
    return min(seconds[0]) / min(seconds[1])


def _block(width: int, dtype: Any) -> Callable[[], None]:
    """Both passes of a block as an adapter's training makes them: the weights frozen, the adapters in float32."""
    import torch
    from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu

    generator = torch.Generator().manual_seed(0)

    def random(rows: int, columns: int) -> Any:
        return torch.randn(rows, columns, generator=generator) / columns**0.5

    def layer(rows: int, columns: int) -> Callable[[Any], Any]:
        frozen = random(rows, columns).to(dtype)
        into, out = random(RANK, columns).requires_grad_(), random(rows, RANK).requires_grad_()
        return lambda given: linear(given, frozen) + linear(linear(given, into), out)

    query_of, key_of, value_of, mix = (layer(width, width) for _ in range(4))
    gate, up, down = layer(3 * width, width), layer(3 * width, width), layer(width, 3 * width)
    inputs = torch.randn(1, TOKENS, width, generator=generator).to(dtype).requires_grad_()

    def both() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            hidden = rms_norm(inputs, (width,))
            query, key, value = (
                one(hidden).view(1, TOKENS, -1, HEAD).transpose(1, 2) for one in (query_of, key_of, value_of)
            )
            mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
            hidden = inputs + mix(mixed.transpose(1, 2).reshape(1, TOKENS, width))
            inner = rms_norm(hidden, (width,))
            output = hidden + down(silu(gate(inner)) * up(inner))
        output.float().sum().backward()
        inputs.grad = None

    return both
