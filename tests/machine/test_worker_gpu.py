"""Which GPU a worker is given on each machine of the stand-in."""

from __future__ import annotations

from typing import Any

import pytest

CODE = """
import os
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import worker_environment
devices = [int(number) for number in os.environ.get("DEVICES", "").split(",") if number]
try:
    print(worker_environment(with_values(Plan(), {"hardware.devices": devices}))["CUDA_VISIBLE_DEVICES"])
except LoratuiError as error:
    print(error.sentence)
"""


@pytest.mark.parametrize(
    ("machine", "environment", "expected"),
    [
        ("2x3090", {}, "GPU-30900000-bbbb-0000-0000-000000000002"),  # the other one has a neighbour
        ("2x3090", {"DEVICES": "0"}, "GPU-30900000-aaaa-0000-0000-000000000001"),
        ("2x3090", {"CUDA_VISIBLE_DEVICES": "0"}, "GPU-30900000-aaaa-0000-0000-000000000001"),
        ("2x3090", {"CUDA_VISIBLE_DEVICES": ""}, ""),
        ("a100-mig", {}, "MIG-a1000000-0000-0000-0000-00000000000b"),
        ("a100-mig", {"DEVICES": "0"}, "MIG-a1000000-0000-0000-0000-00000000000a"),
        ("8xh100", {"DEVICES": "3,5"}, "GPU-41000000-0000-0000-0000-000000000003,GPU-41000000-0000-0000-0000-000000000005"),
    ],
)
def test_worker_sees_the_plans_gpus_by_uuid(run_python: Any, machine: str, environment: dict[str, str], expected: str) -> None:
    result = run_python(machine, "-c", CODE, **environment)
    assert result.stdout.rstrip("\n") == expected, result.stderr


def test_hidden_gpu_is_refused_in_a_sentence(run_python: Any) -> None:
    result = run_python("8xh100", "-c", CODE, DEVICES="7", CUDA_VISIBLE_DEVICES="0,1")
    assert "GPU 7 (NVIDIA H100 80GB HBM3) is hidden" in result.stdout and result.stderr == ""
