"""Asking NVML without surprises: every query has a default, and every failure to start is a sentence."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path
from typing import Any

from loratui.core.errors import MachineError

LIBRARY = "libnvidia-ml.so.1"
"""The driver's own, which NVIDIA's binding loads."""
NVIDIA = "0x10de"
"""The vendor's number on the bus."""
NO_GPU_HINT = "Small models can be trained on the CPU, and a GPU of another machine can be planned for."


class DriverAbsent(MachineError):
    """There is neither a driver nor a card that would need one."""

    code = "no-driver"


class CardLost(Exception):
    """The driver no longer reaches this card."""


def load_pynvml() -> Any:
    """NVIDIA's own binding; MachineError where a package of the same name hides it."""
    import pynvml

    if not hasattr(pynvml, "nvmlDeviceGetMemoryInfo") or not hasattr(pynvml, "nvmlInitWithFlags"):
        raise MachineError(
            "the installed pynvml package is not NVIDIA's.",
            hint="Run: pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py.",
        )
    return pynvml


class DriverGone(Exception):
    """The driver was unloaded or restarted since NVML was opened."""


class Nvml:
    """An open NVML. Queries that a card or driver does not know answer None."""

    def __init__(self) -> None:
        """Raise MachineError, in words, when NVML cannot be opened."""
        if _library_is_missing():
            raise (MachineError if cards_on_bus(NVIDIA) else DriverAbsent)(*_without_library())
        self.api: Any = load_pynvml()
        self.last_error = 0
        """Code of the last query; 0 where it was answered."""
        try:
            self.api.nvmlInit()
        except self.api.NVMLError as error:
            fault = DriverAbsent if _is_absent(self.api, error) else MachineError
            raise fault(*_why_not_open(self.api, error)) from None

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer of an NVML function, or None where it cannot be had.

        Raises CardLost when the card has gone, DriverGone when the driver has.
        """
        self.last_error = 0
        function = getattr(self.api, name, None)
        if function is None:  # nvidia-ml-py older than the function
            self.last_error = self.api.NVML_ERROR_FUNCTION_NOT_FOUND
            return None
        try:
            return function(*arguments)
        except self.api.NVMLError as error:
            self.last_error = error.value
            if error.value in (self.api.NVML_ERROR_GPU_IS_LOST, getattr(self.api, "NVML_ERROR_RESET_REQUIRED", 16)):
                raise CardLost from None
            if error.value in (self.api.NVML_ERROR_UNINITIALIZED, self.api.NVML_ERROR_DRIVER_NOT_LOADED):
                raise DriverGone from None
            return None
        except (UnicodeDecodeError, ValueError):  # names that some drivers leave uninitialised
            return None

    def ask_any(self, names: tuple[str, ...], *arguments: Any) -> Any:
        """The first answer among functions that newer drivers replaced one by another."""
        for name in names:
            answer = self.ask(name, *arguments)
            if answer is not None:
                return answer
        return None

    def close(self) -> None:
        """Shut NVML down; a driver that refuses changes nothing for us."""
        with contextlib.suppress(self.api.NVMLError):
            self.api.nvmlShutdown()


def _library_is_missing() -> bool:
    """Whether there is no driver to ask: the loader tells it at once, NVIDIA's binding takes 10 ms to be imported."""
    if sys.platform != "linux":
        return False
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return True
    return False


def _is_absent(api: Any, error: Any) -> bool:
    return bool(error.value == api.NVML_ERROR_LIBRARY_NOT_FOUND and not cards_on_bus(NVIDIA))


def _without_library() -> tuple[str]:
    """Why there is no driver to ask, and what to do."""
    if cards_on_bus(NVIDIA):
        return (
            f"This computer has an NVIDIA card, but its driver library ({LIBRARY}) is not to be found. "
            f"Install NVIDIA's driver, or start the container with its GPUs (docker run --gpus all). {NO_GPU_HINT}",
        )
    return (
        f"No NVIDIA driver was found ({LIBRARY} is missing), so there is no GPU to train on. "
        f"If this is a container on a GPU machine, start it with its GPUs (docker run --gpus all). {NO_GPU_HINT}",
    )


def _why_not_open(api: Any, error: Any) -> tuple[str]:
    """Why NVML cannot be opened, and what to do."""
    code = error.value
    if code == api.NVML_ERROR_LIBRARY_NOT_FOUND:
        return _without_library()
    if code == api.NVML_ERROR_DRIVER_NOT_LOADED:
        return (
            "NVIDIA's driver is installed but not loaded into the kernel. "
            "Run `sudo modprobe nvidia`, or reboot if the driver or the kernel was just updated; "
            "in a container, start it with its GPUs (docker run --gpus all).",
        )
    if code == api.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        loaded = kernel_driver_version()
        running = f" (the kernel still runs {loaded})" if loaded else ""
        return (
            f"NVIDIA's driver and its library are of different versions{running}: the driver was updated while it was "
            "in use. "
            "Reboot, or in a container rebuild it for the host's driver.",
        )
    if code == api.NVML_ERROR_NO_PERMISSION:
        return (
            "This user may not talk to NVIDIA's driver. "
            "Ask for access to /dev/nvidiactl and /dev/nvidia0 (often membership of the group video or render), "
            "or for a job with a GPU where a batch scheduler gives them out.",
        )
    if code == api.NVML_ERROR_FUNCTION_NOT_FOUND:
        return ("NVIDIA's driver is too old to be asked for its GPUs. Install a driver of version 525 or newer.",)
    if code == api.NVML_ERROR_GPU_IS_LOST:
        return (
            "A GPU has fallen off the bus and the driver cannot start. Look for `Xid` in `dmesg`; reboot the machine.",
        )
    return (
        f"NVIDIA's driver does not start: {error}. Run `nvidia-smi` to see whether it says more; a reboot often helps.",
    )


def kernel_driver_version(path: Path = Path("/proc/driver/nvidia/version")) -> str:
    """Version of the kernel's NVIDIA module, e.g. "550.54.15"; empty where none is loaded."""
    try:
        words = path.read_text(errors="replace").splitlines()[0].split()
    except (OSError, IndexError):
        return ""
    return next((word for word in words if word[:1].isdigit() and word.count(".") >= 1), "")


def cards_on_bus(vendor: str, root: Path = Path("/sys/bus/pci/devices")) -> int:
    """How many display or 3-D controllers of a PCI vendor (0x10de NVIDIA, 0x1002 AMD) the computer has."""
    count = 0
    for device in root.glob("*"):
        try:
            maker = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
        except OSError:
            continue
        count += maker == vendor and kind.startswith("0x03")
    return count
