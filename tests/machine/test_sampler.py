"""The sampler behind the live machine screen."""

from __future__ import annotations

import threading
import time
from typing import Any

from loratui.core.hardware import Machine
from loratui.machine.nvml import NvmlSample
from loratui.machine.sampler import MachineSampler
from waiting import PATIENCE_SECONDS, wait_for


class Reader:
    """A reader that counts how often it is asked, and answers once it may."""

    def __init__(self, *, slow: bool = False) -> None:
        self.samples = 0
        self.may_answer = threading.Event()
        if not slow:
            self.may_answer.set()
        self.closed = False

    def sample(self, timeout_seconds: float | None = None) -> NvmlSample:
        self.may_answer.wait()
        self.samples += 1
        return NvmlSample(problems=(f"sample {self.samples}",))

    def close(self) -> None:
        self.closed = True


def sampler(reader: Any, **more: Any) -> MachineSampler:
    return MachineSampler(reader=reader, interval_seconds=0.05, **more)


def test_newest_never_waits_for_a_slow_driver() -> None:
    reader = Reader(slow=True)
    under_test = sampler(reader)
    under_test.start()
    assert under_test.newest is None, "before the driver answers"
    reader.may_answer.set()
    assert under_test.wait_for_sample(PATIENCE_SECONDS) is not None
    under_test.stop()


def test_pause_and_resume() -> None:
    reader = Reader()
    under_test = sampler(reader)
    under_test.start()
    assert under_test.wait_for_sample(PATIENCE_SECONDS)
    under_test.pause()
    paused = reader.samples
    time.sleep(0.5)
    assert reader.samples <= paused + 1, "the one that was under way"
    under_test.resume()
    wait_for(lambda: reader.samples > paused + 1, "another sample")
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
    wait_for(lambda: reader.closed, "its end")
    assert len(heard) == 3
    assert [machine.problems for machine in heard] == [("sample 1",), ("sample 2",), ("sample 3",)]


def test_many_gpus_are_sampled_less_often(run_python: Any) -> None:
    code = (
        "import threading, types; from loratui.machine import sampler as module\n"
        "module.time = types.SimpleNamespace(monotonic=lambda: 0.0)  # as if a sample took no time\n"
        "asked, waits = threading.Event(), []\n"
        "class Stop(threading.Event):\n"
        "    def wait(self, seconds=None): waits.append(seconds); asked.set(); return super().wait(seconds)\n"
        "sampler = module.MachineSampler(interval_seconds=0.05); sampler._stop = Stop(); sampler.start()\n"
        "assert asked.wait(120) and sampler.newest\n"
        "print(len(sampler.newest.gpus), round(waits[0], 6)); sampler.stop()"
    )
    result = run_python("8xh100", "-c", code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["8", "2.4"], "eight GPUs wait 2.4 s"
