"""The GPUs through NVML: opened once, sampled often, and never waited for longer than a limit.

All calls run in one thread of their own. A driver that hangs keeps that thread, not the program: the sample then says
so and carries the last known figures.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from loratui.core.errors import MachineError
from loratui.core.hardware import Gpu, GpuLink
from loratui.machine.links import read_links
from loratui.machine.nvml_calls import CardLost, DriverAbsent, DriverGone, Nvml
from loratui.machine.nvml_gpu import Card, read_card, read_slices, sample_card
from loratui.machine.processes import ProcessNames
from loratui.machine.visible_devices import visible_gpus

OPEN_SECONDS = 10.0
"""A driver without persistence mode wakes each card when NVML opens: one to two seconds a card."""
SAMPLE_SECONDS = 3.0
REOPEN_SECONDS = 10.0
"""How long to leave a driver alone that could not be opened."""


DriverState = Literal["works", "absent", "broken"]


class NvmlSample(NamedTuple):
    """All GPUs at one moment; `problems` are sentences."""

    gpus: tuple[Gpu, ...] = ()
    links: tuple[GpuLink, ...] = ()
    driver_version: str | None = None
    cuda_version: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    driver: DriverState = "absent"


class _Request:
    """A sample that was asked for; `done` is set when `answer` is there."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: NvmlSample | None = None
        self.asked_at = time.monotonic()


class NvmlReader:
    """Reads all GPUs. Safe to sample from any thread; makes its own on the first sample."""

    def __init__(
        self,
        *,
        open_seconds: float = OPEN_SECONDS,
        sample_seconds: float = SAMPLE_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._open_seconds = open_seconds
        self._sample_seconds = sample_seconds
        self._environment = os.environ if environment is None else environment
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pending: _Request | None = None
        self._last: NvmlSample | None = None
        self._driver = _Driver(self._environment)

    def sample(self, timeout_seconds: float | None = None) -> NvmlSample:
        """All GPUs now. Never raises; waits at most the limit, and not at all while an earlier call still hangs."""
        with self._lock:
            request = self._pending
            if request is not None and request.done.is_set():
                request = self._pending = None
            if request is None:
                request = self._pending = _Request()
                self._start()
                self._requests.put(request)
                first = self._last is None
                limit = timeout_seconds or (self._open_seconds if first else self._sample_seconds)
            else:
                limit = 0.0
        if request.done.wait(limit) and request.answer is not None:
            self._last = request.answer
            return request.answer
        return self._overdue(time.monotonic() - request.asked_at)

    def close(self) -> None:
        """Shut NVML down in its own thread; a hanging one is left to end with the program."""
        if self._thread is not None:
            self._requests.put(None)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="nvml", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            request.answer = self._driver.sample()
            request.done.set()
        self._driver.close()

    def _overdue(self, seconds: float) -> NvmlSample:
        sentence = (
            f"NVIDIA's driver has not answered for {seconds:.0f} s. A GPU may hang: look for `Xid` in `dmesg`, "
            "see whether `nvidia-smi` answers; a reboot mends it. Everything that needs no GPU goes on."
        )
        return (self._last or NvmlSample())._replace(problems=(sentence,), driver="broken")


class _Driver:
    """NVML's state, touched by one thread only."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._nvml: Nvml | None = None
        self._fault: MachineError | None = None
        self._tried_at = 0.0
        self._cards: list[Card] = []
        self._absent: list[str] = []
        self._links: tuple[GpuLink, ...] | None = None
        self._names = ProcessNames()
        self._driver_version: str | None = None
        self._cuda_version: str | None = None

    def sample(self) -> NvmlSample:
        """Whatever happens, a sample: this runs in a thread that nobody watches."""
        try:
            self._open()
            return self._sample()
        except DriverGone:
            self.close()  # the next sample opens it anew
            return NvmlSample(
                driver="broken",
                problems=("NVIDIA's driver was unloaded or restarted in the middle; its GPUs are asked for again.",),
            )
        except DriverAbsent as error:
            return NvmlSample(problems=(error.sentence,))
        except MachineError as error:
            return NvmlSample(problems=(error.sentence,), driver="broken")
        except Exception as error:  # noqa: BLE001  a fault in a binding must not end the thread in silence
            return NvmlSample(
                problems=(f"NVIDIA's driver could not be read: {type(error).__name__}: {error}.",), driver="broken"
            )

    def close(self) -> None:
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None

    def _open(self) -> None:
        if self._nvml is not None:
            return
        if self._fault and time.monotonic() - self._tried_at < REOPEN_SECONDS:
            raise self._fault
        self._tried_at = time.monotonic()
        try:
            nvml = Nvml()
        except MachineError as error:
            self._fault = error
            raise
        self._fault = None
        self._read_once(nvml)
        self._nvml = nvml

    def _read_once(self, nvml: Nvml) -> None:
        """What never changes: cards, slices, versions."""
        self._driver_version = nvml.ask("nvmlSystemGetDriverVersion")
        version = nvml.ask_any(("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"))
        self._cuda_version = f"{version // 1000}.{version % 1000 // 10}" if version else None
        self._cards, self._absent, self._links = [], [], None
        for number in range(nvml.ask("nvmlDeviceGetCount") or 0):
            try:
                handle = nvml.api.nvmlDeviceGetHandleByIndex(number)
                card = read_card(nvml, handle, number)
                if card.mig_mode:
                    card.slices = read_slices(nvml, card)
                self._cards.append(card)
            except CardLost:
                self._absent.append(lost_sentence(number, ""))
            except nvml.api.NVMLError as error:
                self._absent.append(_unreachable(nvml.api, number, error))

    def _sample(self) -> NvmlSample:
        from loratui.machine.host import memory_bytes

        assert self._nvml is not None
        nvml = self._nvml
        host_memory = memory_bytes()
        problems = list(self._absent)
        devices = [device for card in self._cards for device in (card.slices if card.mig_mode else [card])]
        numbered = any(card.mig_mode for card in self._cards)
        gpus = tuple(
            sample_card(nvml, device, place if numbered else device.number, self._names, host_memory)
            for place, device in enumerate(devices)
        )
        if self._links is None:
            self._links = read_links(nvml, self._cards, {gpu.uuid: gpu.index for gpu in gpus if not gpu.parent})
        for card in self._cards:
            if card.mig_mode and not card.slices:
                problems.append(
                    f"GPU {card.number} ({card.name}) is in MIG mode but has no slices, so nothing can run on it. "
                    "Make some with "
                    f"`sudo nvidia-smi mig -i {card.number} -cgi 1g -C`, or leave the mode with `sudo nvidia-smi -i "
                    f"{card.number} -mig 0`."
                )
        problems += [lost_sentence(gpu.index, gpu.name) for gpu in gpus if gpu.lost]
        problems += [
            f"GPU {gpu.index} ({gpu.name}) reports {gpu.uncorrected_memory_errors} uncorrectable memory errors. "
            "Results on it cannot be trusted: reset it, and have it replaced if they return."
            for gpu in gpus
            if gpu.uncorrected_memory_errors
        ]
        if not gpus and not problems:
            problems.append(
                "NVIDIA's driver works but shows no GPU. A batch scheduler gives them out to jobs; a container "
                "needs --gpus all."
            )
        visibility = visible_gpus(gpus, self._environment)
        gpus = tuple(
            gpu if gpu.uuid in visibility.uuids or not gpu.visible else replace(gpu, visible=False) for gpu in gpus
        )
        return NvmlSample(
            gpus=gpus,
            links=self._links,
            driver_version=self._driver_version,
            cuda_version=self._cuda_version,
            problems=(*problems, *visibility.problems),
            notes=visibility.notes,
            driver="works",
        )


def lost_sentence(number: int, name: str) -> str:
    """A card that the driver no longer reaches."""
    called = f"GPU {number} ({name})" if name else f"GPU {number}"
    return (
        f"{called} is lost: the driver no longer reaches it. Look for `Xid` in `dmesg`; "
        "it comes back with a reset (`sudo nvidia-smi --gpu-reset`) or a reboot. The other GPUs can be used."
    )


def _unreachable(api: object, number: int, error: Exception) -> str:
    code = getattr(error, "value", None)
    if code == getattr(api, "NVML_ERROR_GPU_IS_LOST", 15):
        return lost_sentence(number, "")
    if code == getattr(api, "NVML_ERROR_NO_PERMISSION", 4):
        return (
            f"GPU {number} may not be used by this user. Ask for access to /dev/nvidia{number}, or for a job with a "
            "GPU."
        )
    return f"GPU {number} cannot be read: {error}. Run `nvidia-smi -q -i {number}` to see more."
