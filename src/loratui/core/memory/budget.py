"""What the device can give this process now, and whether an estimate fits into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from loratui.core.hardware import Device

MIB = 2**20
RESERVE_SHARE = 0.03
"""Share of the device kept free by default: the estimate's own error and the display's or the driver's whims."""
TIGHT_SHARE = 0.05
"""A plan whose headroom is below this share of the budget fits tightly: about the error of the estimate."""

Verdict = Literal["fits", "tight", "too big"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What the process may take: what is free now, less a reserve."""

    bytes: int
    reserve_bytes: int
    free_bytes: int
    total_bytes: int


class Sized(Protocol):
    """Anything with a total in bytes."""

    @property
    def total_bytes(self) -> int:
        """The total, in bytes."""
        ...


def budget(device: Device, reserve_bytes: int | None = None) -> Budget:
    """What is free on the device (what others hold is not), less a reserve (3 % of the device where none is given)."""
    reserve = round(device.memory_total_bytes * RESERVE_SHARE) if reserve_bytes is None else reserve_bytes
    free = min(device.memory_free_bytes, device.memory_total_bytes)
    return Budget(max(0, free - reserve), reserve, free, device.memory_total_bytes)


def verdict(estimate: Sized, budget: Budget) -> Verdict:
    """Whether it fits: "tight" where less than 5 % of the budget would be left."""
    if estimate.total_bytes > budget.bytes:
        return "too big"
    return "tight" if budget.bytes - estimate.total_bytes < TIGHT_SHARE * budget.bytes else "fits"
