"""What each maximum length costs in memory and time, for the ledger of what it cuts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.measured import Measurement
from loratui.core.memory import budget, estimate
from loratui.core.memory.fit import changed
from loratui.core.plan import Plan
from loratui.core.schedule import make_schedule
from loratui.core.time import predict


@dataclass(frozen=True, slots=True)
class LengthPrice:
    """A plan with this maximum length: its predicted peak, whether its upper end fits the device, and how long it takes
    from the command to the result.

    low_seconds, high_seconds: None where the device's speed is not known.
    """

    max_length: int
    memory_bytes: int
    fits: bool
    low_seconds: float | None
    high_seconds: float | None


def length_prices(
    spec: ModelSpec,
    plan: Plan,
    data: DataFacts,
    device: Device,
    lengths: Iterable[int],
    measurements: Sequence[Measurement] = (),
) -> list[LengthPrice]:
    """The price of each length in tokens, the rest of the plan as it is. measurements: of runs here, as `predict` takes
    them. Raises PlanError where `lora.targets` is wrong.
    """
    room = budget(device).bytes
    prices = []
    for length in lengths:
        cut = changed(plan, training__max_length=length)
        needed = estimate(spec, cut, data, device)
        time = predict(spec, cut, data, device, make_schedule(cut, data, device.count), measurements)
        low, high = time.whole_seconds if time else (None, None)
        prices.append(
            LengthPrice(
                length,
                needed.total_bytes,
                needed.upper_bytes <= room,
                low,
                high,
            )
        )
    return prices
