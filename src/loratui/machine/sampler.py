"""The machine, sampled about once a second (many GPUs less often) in a thread of its own, so that a screen only ever
takes the newest figures.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from loratui.core.hardware import Machine
from loratui.machine.detect import snapshot
from loratui.machine.nvml import NvmlReader

INTERVAL_SECONDS = 1.0
SECONDS_PER_GPU = 0.3
"""Many busy GPUs are sampled less often, so that a screen of them stays under 1 KB/s on a slow line: eight every 2.4
s.
"""


class MachineSampler:
    """Samples the machine in a daemon thread; `newest` never waits.

        sampler = MachineSampler(); sampler.start()
        machine = sampler.newest            # None until the first sample is there
        sampler.pause(); sampler.resume()   # while no screen shows it
        sampler.stop()

    `on_sample`, when given, is called from the thread after each sample: pass it to the interface with
    `app.call_from_thread`, or poll `newest` from a timer, which is simpler and as good.
    """

    def __init__(
        self,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        runs_path: Path | None = None,
        reader: NvmlReader | None = None,
        on_sample: Callable[[Machine], None] | None = None,
    ) -> None:
        self._interval = interval_seconds
        self._runs_path = runs_path
        self._reader = reader or NvmlReader()
        self._on_sample = on_sample
        self._newest: Machine | None = None
        self._stop = threading.Event()
        self._active = threading.Event()
        self._active.set()
        self._sampled = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def newest(self) -> Machine | None:
        """The last sample; None until the first one is there."""
        return self._newest

    def start(self) -> None:
        """Begin sampling; a second call changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="machine-sampler", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and NVML, without waiting for either."""
        self._stop.set()
        self._active.set()
        self._reader.close()

    def pause(self) -> None:
        """Take no samples until `resume`; the newest one stays."""
        self._active.clear()

    def resume(self) -> None:
        """Go on sampling, at once."""
        self._active.set()

    def wait_for_sample(self, timeout_seconds: float) -> Machine | None:
        """The newest sample, waiting for the first one; for commands and tests, never for a screen."""
        self._sampled.wait(timeout_seconds)
        return self._newest

    def _work(self) -> None:
        while not self._stop.is_set():
            self._active.wait()
            if self._stop.is_set():
                return
            began = time.monotonic()
            machine = snapshot(self._reader, self._runs_path)
            self._newest = machine
            self._sampled.set()
            if self._on_sample is not None:
                try:
                    self._on_sample(machine)
                except RuntimeError:  # the interface has ended meanwhile (Textual: "App is not running")
                    self.stop()
                    return
            interval = max(self._interval, SECONDS_PER_GPU * len(machine.gpus))
            self._stop.wait(max(0.05, interval - (time.monotonic() - began)))
