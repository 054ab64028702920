"""Liger's kernels in a trainer: they learn the same, and what refuses or differs is taken out whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import write_rows, write_tiny_model

from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run

pytestmark = pytest.mark.worker
LAYERS = 2
INSTALLED = all(find_spec(package) is not None for package in ("liger_kernel", "triton"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("liger")
    write_tiny_model(folder / "model", hidden=32, layers=LAYERS)
    write_rows(folder / "rows.jsonl", 16)
    return folder


def planned(files: Path, **changes: Any) -> Plan:
    values = {
        "model.id": str(files / "model"), "model.dtype": "fp32", "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0.25, "training.precision": "fp32", "method.compute_dtype": "fp32",
        "training.batch_size": 2, "training.accumulation": 1, "training.max_length": 32, "training.max_steps": 2,
        "training.learning_rate": 1e-2, "saving.every_steps": 0, "evaluation.every_steps": 2,
        "evaluation.batch_size": 2, "training.liger": True, "hardware.cpu": True,
    }  # fmt: skip
    return with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})


def session(files: Path, place: Path, plan: Plan) -> Any:
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    run = create_run(plan, output=place)
    return Session(run, plan, Journal(run), Requests())


def findings(one: Any) -> list[dict[str, Any]]:
    """What the run was told of."""
    from loratui.runs.events import EventTail

    return [event.fields for event in EventTail(one.run.events_path).new_events() if event.type == "finding"]


def trained(trainer: Any) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The loss of every step, and the weights that were trained."""
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, {name: one.detach() for name, one in trainer.model.named_parameters() if one.requires_grad}


def interpreted(*arguments: str) -> dict[str, Any]:
    """What `liger_case.py` found, in a process whose Triton interprets."""
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("liger_case.py")), *arguments],
        env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-4000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def put_in(factor: float, fails: bool = False) -> Callable[..., None]:
    """What writes where Liger writes: forward passes of modules, settings beside them, names in the model's file."""

    def rotate(*given: Any, **named: Any) -> Any:
        raise AssertionError("no one was to rotate by this")

    def apply(model: Any, switches: dict[str, bool]) -> None:
        from transformers.models.llama import modeling_llama

        assert switches["rope"] and switches["rms_norm"] and not switches["fused_linear_cross_entropy"]
        plain = modeling_llama.LlamaRMSNorm.forward

        def forward(self: Any, hidden_states: torch.Tensor) -> torch.Tensor:
            assert self.offset == 0.0
            return factor * plain(self, hidden_states)

        forward.__module__ = "liger_kernel.transformers.rms_norm"
        for module in model.modules():
            if type(module).__name__ == "LlamaRMSNorm":
                module.offset = 0.0
                module.__dict__["forward"] = forward.__get__(module)
        if factor != 1.0:
            modeling_llama.apply_rotary_pos_emb = rotate if fails else modeling_llama.apply_rotary_pos_emb
            modeling_llama.LlamaMLP = type("LigerMLP", (), {})
        if fails:
            raise RuntimeError("no kernel for this card")

    return apply


@pytest.mark.parametrize(
    ("apply", "reason"),
    [
        (put_in(1.1), "their gradients differ"),
        (put_in(1.1, fails=True), "they fail here (RuntimeError: no kernel for this card)"),
        (lambda model, switches: None, "found nothing to replace"),
    ],
)
def test_what_refuses_or_differs_is_taken_out_and_the_run_learns_as_it_did(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apply: Callable[..., None], reason: str
) -> None:
    from transformers.models.llama import modeling_llama

    from loratui.worker.training import liger
    from loratui.worker.training.in_force import measured

    plain, _ = session(files, tmp_path / "plain", planned(files, training__liger=False)).build()
    wanted, weights = trained(plain)
    names = dict(vars(modeling_llama))
    monkeypatch.setattr(liger, "apply_liger_kernel", apply)
    one = session(files, tmp_path / "refused", planned(files))
    trainer, _ = one.build()
    told = findings(one)
    assert [event["finding"] for event in told] == ["no-liger"] and reason in told[0]["message"]
    assert told[0]["fix"] == {"training.liger": False}
    assert dict(vars(modeling_llama)) == names and not liger.liger_modules(trainer.model)
    assert not any(hasattr(module, "offset") or "forward" in module.__dict__ for module in trainer.model.modules()
                   if type(module).__name__ == "LlamaRMSNorm")  # fmt: skip
    losses, own = trained(trainer)
    assert losses == wanted and all(torch.equal(own[name], weight) for name, weight in weights.items())
    assert "liger_modules" not in measured(trainer)


@pytest.mark.skipif(INSTALLED, reason="is about machines without it")
def test_where_the_package_is_missing_the_run_goes_on_and_says_so(files: Path, tmp_path: Path) -> None:
    one = session(files, tmp_path / "run", planned(files))
    trainer, _ = one.build()
    told = findings(one)
    assert [event["finding"] for event in told] == ["no-liger"] and "ImportError" in told[0]["message"]
    assert not trainer.args.use_liger_kernel and len(trained(trainer)[0]) == 2


def test_what_computes_the_same_stays_and_is_counted(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import trainer as library

    from loratui.worker.training import liger
    from loratui.worker.training.in_force import measured

    plain, _ = session(files, tmp_path / "plain", planned(files, training__liger=False)).build()
    monkeypatch.setattr(liger, "apply_liger_kernel", put_in(1.0))
    monkeypatch.setattr(library, "apply_liger_kernel", put_in(1.0))
    one = session(files, tmp_path / "run", planned(files))
    trainer, _ = one.build()
    assert not findings(one) and trainer.args.use_liger_kernel
    assert liger.liger_modules(trainer.model) == 2 * LAYERS + 1
    wanted, weights = trained(plain)
    losses, own = trained(trainer)
    assert losses == wanted and all(torch.equal(own[name], weight) for name, weight in weights.items())
    assert measured(trainer)["liger_modules"] == 2 * LAYERS + 1


class Clock:
    """Goes on by a thousandth of a second whenever it is read, and by what something slow takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 0.001
        return self.now

    def slowed(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The same forward pass, which takes a second."""

        def slow(module: Any, hidden_states: torch.Tensor) -> torch.Tensor:
            self.now += 1.0
            return forward(module, hidden_states)  # type: ignore[no-any-return]

        return slow


@pytest.mark.parametrize(
    ("asked", "compiled", "slow", "fix"),
    [
        (True, False, "liger", {"training.liger": False}),
        (False, False, "plain", {"training.liger": True}),
        (False, True, "plain", {"training.compile": False, "training.liger": True}),
    ],
)
def test_a_rehearsal_weighs_ligers_kernels_and_goes_on_with_what_was_planned(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    asked: bool, compiled: bool, slow: str, fix: dict[str, bool],
) -> None:  # fmt: skip
    """It tells which was faster and what would take it; the next step's loss is the one without a comparison."""
    from transformers import trainer as library
    from transformers.models.llama import modeling_llama

    from loratui.runs.events import EventTail
    from loratui.worker.training import first_batch, liger, rehearse
    from loratui.worker.training import session as module
    from loratui.worker.training.compiled import compiled_blocks
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.peaks import Measure

    clock, plain = Clock(), modeling_llama.LlamaRMSNorm.forward
    monkeypatch.setattr(first_batch, "time", clock)
    apply, compiling = put_in(1.0), module.compile_blocks

    def put(model: Any, switches: dict[str, bool]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(modeling_llama.LlamaRMSNorm, "forward", clock.slowed(plain) if slow == "liger" else plain)
            apply(model, switches)

    monkeypatch.setattr(library, "apply_liger_kernel", put)
    monkeypatch.setattr(liger, "apply_liger_kernel", put)
    monkeypatch.setattr(liger, "could_use", lambda plan, device: not asked)
    monkeypatch.setattr(module, "compile_blocks", lambda *one, **more: compiling(*one, backend="eager", **more))
    weighed: list[Any] = []
    weigh = liger.weigh_liger

    def weigh_between_two_passes(trainer: Any, plan: Plan) -> Any:
        batch = liger.FirstBatch(trainer, plan)
        blocks, before = compiled_blocks(trainer.model), batch.one_pass()[1]
        batch.as_before()
        found = weigh(trainer, plan)
        after = batch.one_pass()[1]
        assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
        assert compiled_blocks(trainer.model) == blocks == (LAYERS if compiled else 0)
        weighed.append(liger.liger_modules(trainer.model))
        return found

    monkeypatch.setattr(liger, "weigh_liger", weigh_between_two_passes)
    plan = planned(files, training__liger=asked, training__compile=compiled, evaluation__every_steps=0)
    run = create_run(plan, output=tmp_path / "run")
    with monkeypatch.context() as patch:
        if slow == "plain":
            patch.setattr(modeling_llama.LlamaRMSNorm, "forward", clock.slowed(plain))
        facts = rehearse._try_out(run, plan, Measure(None, evaluates=False, cpu=True))
    assert weighed == ([] if asked else [0])
    assert facts["liger"]["refused"] == "" and facts["liger"]["plain_seconds"] > 0 < facts["liger"]["liger_seconds"]
    rehearse.tell_better(Journal(run), plan, facts)
    told = [event.fields for event in EventTail(run.events_path).new_events() if event.type == "finding"]
    assert [one["fix"] for one in told if one["finding"] == "liger-weighed"] == [fix]


@pytest.mark.skipif(not INSTALLED, reason="liger-kernel and Triton are not installed")
@pytest.mark.parametrize(("method", "checkpointing"), [("lora", "no"), ("full", "yes")])
def test_ligers_own_kernels_learn_what_the_plain_ones_learn(
    files: Path, tmp_path: Path, method: str, checkpointing: str
) -> None:
    """The kernels themselves, run by Triton's interpreter; every family's switches are among the package's own."""
    for name in ("model", "rows.jsonl"):
        (tmp_path / name).symlink_to(files / name)
    found = interpreted(str(tmp_path), method, checkpointing)
    assert found["unknown"] == {} and found["said"] == []
    assert found["modules"] == 3 * LAYERS + 1 and found["asked"]["swiglu"]
    assert not found["asked"]["fused_linear_cross_entropy"]
    assert found["liger"] == pytest.approx(found["plain"], rel=1e-5) and len(found["plain"]) == 2
    assert found["evaluated"][1] == pytest.approx(found["evaluated"][0], rel=1e-5) and found["evaluated"][0]
    assert found["apart"] < 1e-3 < found["moved"]


@pytest.mark.skipif(not INSTALLED, reason="liger-kernel and Triton are not installed")
def test_a_block_keeps_as_much_less_as_is_counted() -> None:
    found = interpreted("spared")
    assert found["measured"] == found["counted"] > 0


@pytest.mark.skipif(not INSTALLED, reason="liger-kernel and Triton are not installed")
def test_the_campaigns_side_with_ligers_kernels_is_measured_with_them(files: Path, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(files / "model")
    (tmp_path / "rows.jsonl").symlink_to(files / "rows.jsonl")
    found = interpreted("campaign", str(tmp_path))
    assert found["liger"] is True and found["settings"]["use_liger_kernel"]
    assert found["steps"] >= 1 and found["tokens_per_second"] > 0


@pytest.mark.gpu
@pytest.mark.skipif(not (INSTALLED and torch.cuda.is_available()), reason="needs a card and liger-kernel")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_card_its_kernels_stay_and_learn_the_same(files: Path, tmp_path: Path, precision: str) -> None:
    settings = {"hardware__cpu": False, "training__precision": precision, "model__dtype": precision}
    plain, _ = session(files, tmp_path / "plain", planned(files, training__liger=False, **settings)).build()
    wanted, _ = trained(plain)
    one = session(files, tmp_path / "run", planned(files, **settings))
    trainer, _ = one.build()
    assert not findings(one)
    losses, _ = trained(trainer)
    assert losses == pytest.approx(wanted, rel=1e-3 if precision == "fp32" else 5e-2)


def test_several_devices_and_compiled_blocks_are_refused_before_anything_is_loaded(files: Path) -> None:
    from loratui.worker.training.config import DeviceTraits, check

    several = with_values(planned(files), {"hardware.cpu": False, "hardware.devices": [0, 1]})
    with pytest.raises(PlanError, match="is for one device"):
        check(several, DeviceTraits("cuda"))
    with pytest.raises(PlanError, match="do the same work"):
        check(planned(files, training__compile=True), DeviceTraits("cpu"))
