"""A stand-in for AMD's Python package: the functions that are asked, with the keys and units of amdsmi 7.0.2
(`amdsmi_interface.py`). Its cards are in the environment: STANDIN_AMD, JSON.
"""

from __future__ import annotations

import enum
import json
import os
from typing import Any

ASKED: list[str] = []


class AmdSmiException(Exception):
    """The root of the package's errors."""


class AmdSmiTemperatureType(enum.IntEnum):
    EDGE = 0
    HOTSPOT = 1


class AmdSmiTemperatureMetric(enum.IntEnum):
    CURRENT = 0


def amdsmi_init() -> None:
    if "STANDIN_AMD" not in os.environ:
        raise AmdSmiException("no driver")


def _cards() -> list[dict[str, Any]]:
    return list(json.loads(os.environ["STANDIN_AMD"]))


def _told(handle: int, key: str) -> Any:
    card = _cards()[handle]
    if key not in card:
        raise AmdSmiException("AMDSMI_STATUS_NOT_SUPPORTED")
    return card[key]


def amdsmi_get_processor_handles() -> list[int]:
    return list(range(len(_cards())))


def amdsmi_get_gpu_device_bdf(handle: int) -> str:
    return str(_told(handle, "bdf"))


def amdsmi_get_gpu_asic_info(handle: int) -> dict[str, Any]:
    return {"market_name": _told(handle, "name"), "target_graphics_version": "gfx942"}


def amdsmi_get_gpu_vram_usage(handle: int) -> dict[str, int]:
    total, used = _told(handle, "vram_mb")
    return {"vram_total": total, "vram_used": used}


def amdsmi_get_gpu_activity(handle: int) -> dict[str, Any]:
    return {"gfx_activity": _told(handle, "busy"), "umc_activity": "N/A", "mm_activity": "N/A"}


def amdsmi_get_power_info(handle: int) -> dict[str, Any]:
    return {"current_socket_power": "N/A", "average_socket_power": _told(handle, "watts"), "power_limit": 750}


def amdsmi_get_temp_metric(handle: int, sensor: AmdSmiTemperatureType, metric: AmdSmiTemperatureMetric) -> int:
    assert sensor is AmdSmiTemperatureType.HOTSPOT and metric is AmdSmiTemperatureMetric.CURRENT
    return int(_told(handle, "celsius"))


def amdsmi_get_gpu_process_list(handle: int) -> list[dict[str, Any]]:
    return [
        {"name": name, "pid": pid, "mem": held, "memory_usage": {"gtt_mem": 0, "cpu_mem": 0, "vram_mem": held}}
        for name, pid, held in _told(handle, "processes")
    ]
