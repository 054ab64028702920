"""Blocks that torch compiles: they learn the same, keep every name, and what the compiler cannot do is dropped."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tiny_model import write_rows, write_tiny_model

from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run

pytestmark = pytest.mark.worker
LAYERS = 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    write_tiny_model(folder / "model", hidden=32, layers=LAYERS)
    write_rows(folder / "rows.jsonl", 32)
    return folder


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What compiling sets for the whole process is of no other test."""
    log = logging.getLogger("torch._dynamo.convert_frame")
    handlers = list(log.handlers)
    with torch._dynamo.config.patch(suppress_errors=False), torch._inductor.config.patch(fallback_random=False):
        yield
    log.handlers = handlers
    torch._dynamo.reset()


def planned(files: Path, **changes: Any) -> Plan:
    values = {
        "model.id": str(files / "model"), "model.dtype": "fp32", "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0.0, "training.precision": "fp32", "method.compute_dtype": "fp32",
        "training.batch_size": 4, "training.accumulation": 1, "training.max_length": 64, "training.max_steps": 4,
        "training.learning_rate": 1e-2, "saving.every_steps": 2, "training.compile": True, "hardware.cpu": True,
    }  # fmt: skip
    return with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})


def session(files: Path, place: Path, plan: Plan) -> Any:
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    run = create_run(plan, output=place)
    return Session(run, plan, Journal(run), Requests())


def built(files: Path, place: Path, monkeypatch: pytest.MonkeyPatch, backend: Any, **changes: Any) -> tuple[Any, Any]:
    """A session and its trainer, whose blocks went through another compiler than torch's own."""
    from loratui.worker.training import session as module

    compiling = module.compile_blocks
    monkeypatch.setattr(module, "compile_blocks", lambda *one, **more: compiling(*one, backend=backend, **more))
    one = session(files, place, planned(files, **changes))
    trainer, _ = one.build()
    return one, trainer


def trained(trainer: Any) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The loss of every step, and the weights that were trained."""
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, {name: one.detach() for name, one in trainer.model.named_parameters() if one.requires_grad}


@pytest.mark.timeout(1500)
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a processor by g++")
def test_a_compiled_training_learns_what_a_plain_one_learns_under_the_same_names(files: Path, tmp_path: Path) -> None:
    """By torch's own compiler, over batches of several lengths, with checkpoints. All weights are trained: then one
    graph serves every block. A run that goes on from its middle compiles anew, on another batch, and learns the same.
    """
    full = {"method__kind": "full", "training__learning_rate": 1e-3}
    plain, _ = session(files, tmp_path / "plain", planned(files, training__compile=False, **full)).build()
    one = session(files, tmp_path / "compiled", planned(files, **full))
    with torch._inductor.config.patch(compile_threads=1):
        trainer, _ = one.build()
    found = one.compiled
    assert found.blocks == LAYERS and not found.refused and 0 < found.apart < 1e-4
    assert found.seconds > found.plain_seconds > 0 and found.compiled_seconds > 0
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    lengths = {batch["input_ids"].shape[1] for batch in trainer.get_train_dataloader()}
    losses, weights = trained(trainer)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs and len(lengths) > 2
    wanted, plain_weights = trained(plain)
    assert losses == pytest.approx(wanted, rel=1e-4) and len(losses) == 4
    assert list(weights) == list(plain_weights)
    for name, weight in weights.items():
        assert torch.allclose(weight, plain_weights[name], atol=1e-3), name
    assert stored_names(tmp_path / "plain", "model") == stored_names(tmp_path / "compiled", "model")
    shutil.rmtree(tmp_path / "compiled/checkpoints/checkpoint-4")
    torch._dynamo.reset()
    one.journal.close("stopped")
    resumed, rest = gone_on_with(one.run)
    assert resumed.compiled.blocks == LAYERS and not resumed.compiled.refused
    assert rest == pytest.approx(losses[2:], rel=1e-5) and rest != pytest.approx(losses[:2], rel=1e-5)
    with safe_open(tmp_path / "compiled/checkpoints/checkpoint-4/model.safetensors", "pt") as stored:
        for name in stored.keys():  # noqa: SIM118 (no mapping)
            assert torch.allclose(stored.get_tensor(name), weights[name], atol=1e-5), name


def gone_on_with(run: Any) -> tuple[Any, list[float]]:
    """A run's worker anew, from its last checkpoint: its session, and the losses of the steps that it made."""
    from loratui.runs.events import EventTail, Started, Step
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    one, seen = Session(run, run.plan(), Journal(run), Requests()), EventTail(run.events_path)
    seen.new_events()
    with torch._inductor.config.patch(compile_threads=1):
        assert one.execute().state == "finished"
    events = seen.new_events()
    assert next(event for event in events if isinstance(event, Started)).resumed_from == "checkpoint-2"
    return one, [event.loss for event in events if isinstance(event, Step)]


def stored_names(run: Path, kind: str) -> list[str]:
    """Of the weights in a run's last checkpoint."""
    with safe_open(run / f"checkpoints/checkpoint-4/{kind}.safetensors", "pt") as stored:
        return sorted(stored.keys())


def test_blocks_share_their_graphs_and_nothing_of_the_run_is_used_up(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying changes neither chance nor figures: with a compiler that computes operator by operator, every step is bit
    for bit the plain one's, dropout's masks too. Answers are generated by plain blocks.
    """
    graphs = []

    def eager(graph: Any, inputs: Any) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward  # type: ignore[no-any-return]

    dropping = {"lora__dropout": 0.2}
    plain, _ = session(files, tmp_path / "plain", planned(files, training__compile=False, **dropping)).build()
    wanted = trained(plain)
    one, trainer = built(files, tmp_path / "compiled", monkeypatch, eager, **dropping)
    assert one.compiled.blocks == LAYERS and one.compiled.apart == 0.0
    assert len(graphs) == 2, "one for the first block, whose input bears no gradient, and one for all others"
    losses, weights = trained(trainer)
    assert losses == wanted[0]
    assert all(torch.equal(weight, wanted[1][name]) for name, weight in weights.items())
    assert stored_names(tmp_path / "plain", "adapter_model") == stored_names(tmp_path / "compiled", "adapter_model")
    seen = len(graphs)
    ids = torch.tensor([[5, 6, 7]])
    trainer.model.eval()
    trainer.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, use_cache=True)
    assert len(graphs) == seen
    from loratui.worker.training.in_force import measured

    assert measured(trainer)["compiled_blocks"] == LAYERS


def refusing(graph: Any, inputs: Any) -> Any:
    raise RuntimeError("no compiler here")


def wrong(graph: Any, inputs: Any) -> Callable[..., Any]:
    return lambda *given: tuple(1.1 * one if one.is_floating_point() else one for one in graph(*given))


@pytest.mark.parametrize(("backend", "reason"), [(refusing, "no compiler here"), (wrong, "their gradients differ")])
def test_what_the_compiler_refuses_or_computes_otherwise_is_dropped_with_a_word(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Any, reason: str
) -> None:
    from loratui.runs.events import EventTail
    from loratui.worker.training.compiled import compiled_blocks

    plain, _ = session(files, tmp_path / "plain", planned(files, training__compile=False)).build()
    one, trainer = built(files, tmp_path / "refused", monkeypatch, backend)
    assert one.compiled.blocks == 0 and reason in one.compiled.refused and not compiled_blocks(trainer.model)
    told = [event.fields for event in EventTail(one.run.events_path).new_events() if event.type == "finding"]
    assert [event["finding"] for event in told] == ["not-compiled"] and reason in told[0]["message"]
    assert told[0]["fix"] == {"training.compile": False}
    losses, weights = trained(trainer)
    wanted, plain_weights = trained(plain)
    assert losses == wanted and all(torch.equal(one, plain_weights[name]) for name, one in weights.items())


def test_a_limit_of_graphs_that_is_reached_is_said_once() -> None:
    from loratui.worker.training.compiled import COMPILERS_LOG, Told

    said: list[str] = []
    logging.getLogger(COMPILERS_LOG).addHandler(Told(said.append))
    compiled = torch.compile(lambda x, factor: x * factor, backend="eager", dynamic=False)
    with torch._dynamo.config.patch(recompile_limit=2):
        for length in range(2, 8):
            assert torch.equal(compiled(torch.ones(length), 2), torch.full((length,), 2.0))
    assert len(said) == 1 and "makes no more" in said[0]


def test_several_devices_are_refused_before_anything_is_loaded(files: Path) -> None:
    from loratui.worker.training.config import DeviceTraits, check

    plan = with_values(planned(files), {"hardware.cpu": False, "hardware.devices": [0, 1]})
    with pytest.raises(PlanError, match="is for one device"):
        check(plan, DeviceTraits("cuda"))
