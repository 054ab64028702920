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
        (
            "8xh100",
            {"DEVICES": "3,5"},
            "GPU-41000000-0000-0000-0000-000000000003,GPU-41000000-0000-0000-0000-000000000005",
        ),
    ],
)
def test_worker_sees_the_plans_gpus_by_uuid(
    run_python: Any, machine: str, environment: dict[str, str], expected: str
) -> None:
    result = run_python(machine, "-c", CODE, **environment)
    assert result.stdout.rstrip("\n") == expected, result.stderr


def test_hidden_gpu_is_refused_in_a_sentence(run_python: Any) -> None:
    result = run_python("8xh100", "-c", CODE, DEVICES="7", CUDA_VISIBLE_DEVICES="0,1")
    assert "GPU 7 (NVIDIA H100 80GB HBM3) is hidden" in result.stdout and result.stderr == ""


@pytest.mark.worker
def test_a_gpu_that_torch_does_not_see_is_no_reason_to_train_on_the_cpu(run_python: Any, tmp_path: Any) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    from loratui.core.plan import Plan
    from loratui.core.plan_text import plan_to_toml, with_values

    plan = tmp_path / "plan.toml"
    plan.write_text(
        plan_to_toml(
            with_values(Plan(), {"model.dtype": "fp32", "training.precision": "fp32", "training.max_steps": 2})
        )
    )
    entry = "import sys; from loratui.cli import main; sys.argv = ['loratui', *sys.argv[1:]]; main()"
    result = run_python("t4", "-c", entry, "train", str(plan), OMP_NUM_THREADS="1")
    assert result.returncode == 1
    assert (
        "torch does not see the GPU" in result.stdout + result.stderr
        and "loratui doctor" in result.stdout + result.stderr
    )
    assert "Traceback" not in result.stdout + result.stderr
