"""A 4-bit base that is divided: every process keeps its share alone, and together they hold what one would hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from divided_case import digest
from tiny_model import write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run, worker_environment

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]
MIB = 2**20


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("divided-base")
    return with_values(
        Plan(),
        {
            "model.id": str(write_tiny_model(folder / "model", hidden=1024, layers=2)),
            "model.dtype": "bf16",
            "dataset.path": str(write_rows(folder / "rows.jsonl", 12)),
            "dataset.eval_fraction": 0.0,
            "method.kind": "qlora",
            "method.quantization": "nf4",
            "method.double_quantization": True,
            "training.precision": "bf16",
            "training.batch_size": 1,
            "training.accumulation": 1,
            "training.max_length": 64,
            "training.max_steps": 3,
            "evaluation.every_steps": 0,
            "lora.targets": "all-linear",
            "hardware.devices": [0, 1],
            "hardware.parallelism": "fsdp",
        },
    )


def trained(plan: Plan, folder: Path) -> list[dict[str, dict[str, Any]]]:
    """What both processes told."""
    run = create_run(plan, output=folder)
    # the C library gives pieces beyond 64 KiB back at once, so that what is held is what is used
    settings = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MALLOC_MMAP_THRESHOLD_": "65536"}
    environment = os.environ | worker_environment(plan) | settings
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = str(Path(__file__).with_name("divided_case.py"))
    done = subprocess.run(
        [*command, script, str(run.path), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_each_process_keeps_its_share_and_learns_what_whole_loads_learn(plan: Plan, tmp_path: Path) -> None:
    from bitsandbytes.nn import Linear4bit

    from loratui.worker.base_model import DTYPES, load_base, planned_quantization

    told = trained(plan, tmp_path / "run")
    assert told[0]["share"]["losses"] == told[0]["whole"]["losses"] and len(told[0]["share"]["losses"]) == 3
    base = load_base(
        plan.model.id,
        dtype=DTYPES["bf16"],
        attention="sdpa",
        quantization=planned_quantization(plan, sharded=True),
        code={},
        device_map={"": "cpu"},
    )
    layers = {name: module for name, module in base.named_modules() if isinstance(module, Linear4bit)}
    wanted = {f"base_model.model.{name}.base_layer": digest(module.weight.data) for name, module in layers.items()}
    assert len(wanted) == 2 * 7
    packed = sum(module.weight.numel() * module.weight.element_size() for module in layers.values())
    assert packed > 9 * MIB
    for one in told:
        assert one["share"]["packed"] == wanted, "bit for bit what one process packs alone"
        spared = one["whole"]["loaded"] - one["share"]["loaded"]
        assert spared == pytest.approx(packed / 2, rel=0.2), (one["whole"]["loaded"], one["share"]["loaded"], packed)


def test_what_is_stored_packed_or_was_divided_otherwise_is_refused() -> None:
    import torch
    from bitsandbytes.nn import Linear4bit

    from loratui.core.errors import ModelError, WorkerError
    from loratui.worker.training.divided_base import Share, kept, require_kept, require_own_shares

    model = torch.nn.Sequential(Linear4bit(64, 8, bias=False, quant_type="nf4", quant_storage=torch.bfloat16).to("cpu"))
    with pytest.raises(ModelError, match="stored in 4 bit already"):
        require_kept(model, "some/model")
    layer: Any = model[0]
    whole = layer.weight.data.clone()
    pieces = [kept(layer.weight, Share(index, 3)).data for index in range(3)]
    bounds = [0, *torch.tensor([len(part) for part in whole.chunk(3)]).cumsum(0).tolist()]
    for index, piece in enumerate(pieces):
        own = slice(bounds[index], bounds[index + 1])
        # Two packed bytes read as one bfloat16 may spell NaN, which equals nothing: bytes are compared.
        wanted, got = whole[own].view(torch.uint8), piece.view(torch.uint8)
        assert torch.equal(piece[own].view(torch.uint8), wanted) and got.count_nonzero() == wanted.count_nonzero()
    require_kept(model, "some/model")
    with pytest.raises(WorkerError, match="were not divided"):  # the layer holds the whole weight, not its share
        require_own_shares(model)
