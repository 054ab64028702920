"""The sampler behind the live machine screen."""

from __future__ import annotations

import time
from typing import Any

from loratui.core.hardware import Machine
from loratui.machine.nvml import NvmlSample
from loratui.machine.sampler import MachineSampler


class Reader:
    """A reader that counts how often it is asked, and may be slow."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.samples = 0
        self.seconds = seconds
        self.closed = False

    def sample(self, timeout_seconds: float | None = None) -> NvmlSample:
        time.sleep(self.seconds)
        self.samples += 1
        return NvmlSample(problems=(f"sample {self.samples}",))

    def close(self) -> None:
        self.closed = True


def sampler(reader: Any, **more: Any) -> MachineSampler:
    return MachineSampler(reader=reader, interval_seconds=0.05, **more)


def test_newest_never_waits_for_a_slow_driver() -> None:
    under_test = sampler(Reader(seconds=0.5))
    under_test.start()
    began = time.monotonic()
    assert under_test.newest is None
    assert time.monotonic() - began < 0.1
    assert under_test.wait_for_sample(5) is not None
    under_test.stop()


def test_pause_and_resume() -> None:
    reader = Reader()
    under_test = sampler(reader)
    under_test.start()
    assert under_test.wait_for_sample(5)
    under_test.pause()
    time.sleep(0.2)
    paused = reader.samples
    time.sleep(0.3)
    assert reader.samples == paused
    under_test.resume()
    deadline = time.monotonic() + 5
    while reader.samples <= paused and time.monotonic() < deadline:
        time.sleep(0.02)
    assert reader.samples > paused
    under_test.stop()
    assert reader.closed


def test_listener_gets_every_sample_and_its_end_ends_the_sampling() -> None:
    heard: list[Machine] = []

    def listen(machine: Machine) -> None:
        heard.append(machine)
        if len(heard) == 3:
            raise RuntimeError("App is not running")

    reader = Reader()
    under_test = sampler(reader, on_sample=listen)
    under_test.start()
    deadline = time.monotonic() + 5
    while not reader.closed and time.monotonic() < deadline:
        time.sleep(0.02)
    assert reader.closed and len(heard) == 3
    assert [machine.problems for machine in heard] == [("sample 1",), ("sample 2",), ("sample 3",)]


def test_many_gpus_are_sampled_less_often(run_python: Any) -> None:
    code = (
        "import time; from loratui.machine.sampler import MachineSampler\n"
        "sampler = MachineSampler(interval_seconds=0.05); sampler.start(); first = sampler.wait_for_sample(10)\n"
        "time.sleep(0.5); assert sampler.newest is first, 'eight GPUs wait 2.4 s'; sampler.stop()"
    )
    result = run_python("8xh100", "-c", code)
    assert result.returncode == 0, result.stderr
