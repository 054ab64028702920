"""What the device can give this process now, and whether an estimate fits into it."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from loratui.core.hardware import Device

MIB = 2**20
RESERVE_SHARE = 0.03
"""Share of the device kept free by default: the display's or the driver's whims."""

Verdict = Literal["fits", "tight", "too big"]


class Budget(NamedTuple):
    """What the process may take: what is free now, less a reserve."""

    bytes: int
    reserve_bytes: int
    free_bytes: int
    total_bytes: int


class Sized(Protocol):
    """Anything with a total in bytes, and the upper end of what it may be."""

    @property
    def total_bytes(self) -> int:
        """The total, in bytes."""
        ...

    @property
    def upper_bytes(self) -> int:
        """The upper end of its band, in bytes."""
        ...


def budget(device: Device, reserve_bytes: int | None = None) -> Budget:
    """What is free on the device (what others hold is not), less a reserve (3 % of the device where none is given)."""
    reserve = round(device.memory_total_bytes * RESERVE_SHARE) if reserve_bytes is None else reserve_bytes
    free = min(device.memory_free_bytes, device.memory_total_bytes)
    return Budget(max(0, free - reserve), reserve, free, device.memory_total_bytes)


def verdict(estimate: Sized, budget: Budget) -> Verdict:
    """Whether it fits: at the band's upper end too ("fits"), as expected but not there ("tight"), or not ("too big").

    Everything that says of a plan that it fits asks this.
    """
    if estimate.upper_bytes <= budget.bytes:
        return "fits"
    return "tight" if estimate.total_bytes <= budget.bytes else "too big"
