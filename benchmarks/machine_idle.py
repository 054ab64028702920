"""What the live machine screen's sampler costs when nobody touches it: share of one core, and time of one sample.

    python benchmarks/machine_idle.py [--seconds 20]

Run it on a quiet machine. To try it without a GPU, put a stand-in libnvidia-ml.so.1 (tests/machine/standin_nvml.c) on
LD_LIBRARY_PATH and set STANDIN_MACHINE=8xh100.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

from loratui.machine.detect import snapshot
from loratui.machine.nvml import NvmlReader
from loratui.machine.sampler import MachineSampler

BOUND = 0.02
"""Share of one core that the idle screen may take."""


def processor_seconds() -> float:
    """Processor time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure, print, and say by the exit status whether the bound is kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to sample (default 20)")
    seconds = parser.parse_args().seconds

    reader = NvmlReader()
    began = time.perf_counter()
    machine = snapshot(reader)
    first = time.perf_counter() - began
    times = []
    for _ in range(20):
        began = time.perf_counter()
        snapshot(reader)
        times.append(time.perf_counter() - began)
    print(
        f"GPUs: {len(machine.gpus)}; first sample {first * 1000:.1f} ms, then "
        f"{statistics.median(times) * 1000:.2f} ms (median of 20)"
    )

    sampler = MachineSampler(reader=reader)
    sampler.start()
    sampler.wait_for_sample(10)
    used, clock = processor_seconds(), time.monotonic()
    time.sleep(seconds)
    share = (processor_seconds() - used) / (time.monotonic() - clock)
    sampler.stop()
    print(f"Sampling once a second for {seconds:.0f} s: {share * 100:.2f} % of one core (bound: {BOUND * 100:.0f} %)")
    return 0 if share < BOUND else 1


if __name__ == "__main__":
    raise SystemExit(main())
