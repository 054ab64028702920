"""What the device of a run does now, as bars: memory, load, temperature and power of its GPUs, or CPU and RAM."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from loratui.core.hardware import Gpu, Machine
from loratui.format import in_gib
from loratui.machine.host import cpu_load_percent
from loratui.tui.common.meter import meter
from loratui.tui.training.follow import Followed

LABEL = 8
HOT_CELSIUS, BOILING_CELSIUS = 83, 95
"""Where most cards begin to slow down, and the end of the bar."""
FULL, GIB = 0.97, 2**30


@dataclass(frozen=True)
class Gauge:
    """One bar. used, whole: of anything; words: the figure beside it. warning: it is at its limit."""

    name: str
    used: float
    whole: float
    words: str
    warning: bool = False

    def line(self, bar: int) -> Content:
        """Label, a bar of so many columns (0: none) and figure."""
        name, words = (f"{self.name:<{LABEL}}", "$text-muted"), (self.words, "$foreground")
        if not bar:
            return Content.assemble(name, words)
        filled, rest = meter(self.used, self.whole, bar)
        color, mark = ("$warning", "▲") if self.warning else ("$accent", " ")
        return Content.assemble(name, (filled, color), (rest, "$border-blurred"), (mark, "$warning"), words)


LEAST_BAR, MOST_BAR = 4, 24
"""Columns of a bar."""


def gauge_lines(found: Sequence[Gauge], width: int) -> list[Content]:
    """The bars one below another, all as long; without bars where there is hardly room."""
    room = width - LABEL - 1 - max((len(gauge.words) for gauge in found), default=0)
    return [gauge.line(min(room, MOST_BAR) if room >= LEAST_BAR else 0) for gauge in found]


def gpus_of(followed: Followed, machine: Machine | None) -> list[Gpu]:
    """The cards that the run trains on, as they are now; none where it is over, elsewhere or on the CPU."""
    plan = followed.plan
    if not _here(followed) or plan is None or plan.hardware.cpu or machine is None:
        return []
    gpus = [gpu for gpu in machine.gpus if gpu.visible]
    return [gpu for gpu in gpus if gpu.index in plan.hardware.devices] if plan.hardware.devices else gpus[:1]


def gauges(followed: Followed, machine: Machine | None) -> list[Gauge]:
    """The bars of the run's device; none where it is over or elsewhere."""
    if not _here(followed):
        return []
    gpus = gpus_of(followed, machine)
    if gpus:
        return [gauge for gpu in gpus for gauge in _of_gpu(gpu, named=len(gpus) > 1)]
    return _of_host(machine)


def _here(followed: Followed) -> bool:
    status = followed.status
    return not status.over and status.state != "queued" and (not status.host or status.host == os.uname().nodename)


def _of_gpu(gpu: Gpu, *, named: bool) -> list[Gauge]:
    number = f" {gpu.index}" if named else ""
    used = gpu.memory_total_bytes - gpu.memory_free_bytes
    share = used / gpu.memory_total_bytes if gpu.memory_total_bytes else 0.0
    whole = in_gib(gpu.memory_total_bytes)
    bars = [Gauge(f"memory{number}", used, gpu.memory_total_bytes, f"{in_gib(used)} of {whole} GiB", share > FULL)]
    if gpu.utilization_percent is not None:
        bars.append(Gauge(f"load{number}", gpu.utilization_percent, 100, f"{gpu.utilization_percent} %"))
    if gpu.temperature_celsius is not None:
        warm = gpu.temperature_celsius
        bars.append(Gauge(f"heat{number}", warm, BOILING_CELSIUS, f"{warm} °C", warm >= HOT_CELSIUS))
    if gpu.power_watts is not None:
        cap = gpu.power_limit_watts
        of = f" of {cap:.0f}" if cap else ""
        bars.append(Gauge(f"power{number}", gpu.power_watts, cap or gpu.power_watts, f"{gpu.power_watts:.0f}{of} W"))
    return bars


def _of_host(machine: Machine | None) -> list[Gauge]:
    """The processor's load since the last look, and the memory in use."""
    load = cpu_load_percent()
    bars = [Gauge("CPU", load, 100, f"{load:.0f} %")]
    if machine is not None:
        host = machine.host
        # A host's memory never rests: tenths of a GiB keep the line silent.
        used = round((host.memory_total_bytes - host.memory_available_bytes) / GIB, 1) * GIB
        words = f"{used / GIB:.1f} of {host.memory_total_bytes / GIB:.1f} GiB"
        bars.append(Gauge("RAM", used, host.memory_total_bytes, words, used > FULL * host.memory_total_bytes))
    return bars
