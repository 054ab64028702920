"""A run by torch's own attention over rows of unlike length: it learns what a padded one learns, and a kernel that
refuses, is wrong or lets rows see each other is dropped with a word before anything is learnt.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from test_device_syncs import Waits
from tiny_model import write_rows, write_tiny_model
from varlen_kernel import on_a_processor

from loratui.core.attention import TORCH_VARLEN
from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run
from loratui.worker.varlen_attention import is_there

pytestmark = [pytest.mark.worker, pytest.mark.skipif(not is_there(), reason="torch has it from 2.11 on")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("varlen")
    write_tiny_model(folder / "model", hidden=32)
    write_rows(folder / "rows.jsonl", 16)
    return folder


def planned(files: Path, **changes: Any) -> Plan:
    values = {
        "model.id": str(files / "model"), "model.dtype": "fp32", "model.attention": TORCH_VARLEN,
        "dataset.path": str(files / "rows.jsonl"), "dataset.eval_fraction": 0.25, "training.precision": "fp32",
        "method.compute_dtype": "fp32", "training.padding_free": True, "training.batch_size": 4,
        "training.accumulation": 1, "training.max_length": 32, "training.max_steps": 2, "training.learning_rate": 1e-2,
        "saving.every_steps": 0, "evaluation.every_steps": 2, "evaluation.batch_size": 2, "hardware.cpu": True,
    }  # fmt: skip
    return with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})


def padded(files: Path, **changes: Any) -> Plan:
    return planned(files, model__attention="sdpa", training__padding_free=False, **changes)


def session(files: Path, place: Path, plan: Plan) -> Any:
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    run = create_run(plan, output=place)
    return Session(run, plan, Journal(run), Requests())


def findings(one: Any) -> list[dict[str, Any]]:
    from loratui.runs.events import EventTail

    return [event.fields for event in EventTail(one.run.events_path).new_events() if event.type == "finding"]


def trained(trainer: Any) -> tuple[list[float], list[float], torch.Tensor]:
    """The loss of every step, the held-out loss, and the weights that were trained."""
    trainer.train()
    told = trainer.state.log_history
    losses, held_out = ([entry[name] for entry in told if name in entry] for name in ("loss", "eval_loss"))
    weights = [one.detach().flatten() for one in trainer.model.parameters() if one.requires_grad]
    return losses, held_out, torch.cat(weights)


@pytest.mark.parametrize("changes", [
    {"lora__dropout": 0.0},
    {"method__kind": "full", "training__checkpointing": True},
])  # fmt: skip
def test_it_learns_what_a_padded_run_learns(files: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    from loratui.worker.training.in_force import measured

    plain, _ = session(files, tmp_path / "plain", padded(files, **changes)).build()
    wanted, held_out, weights = trained(plain)
    one = session(files, tmp_path / "run", planned(files, **changes))
    with on_a_processor() as calls:
        trainer, _ = one.build()
        assert calls.rows and calls.backward, "it was tried beside the plain one"
        losses, own_held_out, own = trained(trainer)
    assert not findings(one) and measured(trainer)["attention"] == TORCH_VARLEN
    assert losses == pytest.approx(wanted, rel=1e-5) and own_held_out == pytest.approx(held_out, rel=1e-5)
    assert float((own - weights).norm() / weights.norm()) < 1e-4
    assert max(len(starts) for starts in calls.rows) == 5, "four rows lie end to end"
    assert "attention" not in measured(plain)


def test_packed_rows_are_kept_apart_as_sdpa_keeps_them(files: Path, tmp_path: Path) -> None:
    packed = {
        "training__packing": True,
        "training__padding_free": False,
        "training__batch_size": 2,
        "training__max_length": 64,
    }
    plain, _ = session(files, tmp_path / "plain", planned(files, model__attention="sdpa", **packed)).build()
    wanted, held_out, _ = trained(plain)
    one = session(files, tmp_path / "run", planned(files, **packed))
    with on_a_processor():
        losses, own_held_out, _ = trained(one.build()[0])
    assert not findings(one)
    assert losses == pytest.approx(wanted, rel=1e-5) and own_held_out == pytest.approx(held_out, rel=1e-5)


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        ({"factor": 1.1}, "its gradients differ from those of sdpa"),
        ({"mixes": True}, "its gradients differ from those of sdpa"),
        (None, "it fails here (NotImplementedError"),  # torch has no kernel of it for a processor
    ],
)
def test_what_refuses_differs_or_mixes_rows_is_dropped_and_the_run_learns_as_a_padded_one(
    files: Path, tmp_path: Path, kernel: dict[str, Any] | None, reason: str
) -> None:
    from loratui.worker.training.varlen import as_computed

    plain, _ = session(files, tmp_path / "plain", padded(files, lora__dropout=0.1)).build()
    wanted, held_out, weights = trained(plain)
    one = session(files, tmp_path / "run", planned(files, lora__dropout=0.1))
    with on_a_processor(**kernel) if kernel is not None else nullcontext():
        trainer, _ = one.build()
    told = findings(one)
    assert [event["finding"] for event in told] == ["no-varlen"] and reason in told[0]["message"]
    assert "sdpa computes instead, and the rows are padded" in told[0]["message"]
    assert told[0]["fix"] == {"model.attention": "sdpa", "training.padding_free": False}
    computed = as_computed(one.plan, trainer)
    assert computed.model.attention == "sdpa" and not computed.training.padding_free
    losses, own_held_out, own = trained(trainer)
    assert losses == wanted and own_held_out == held_out and torch.equal(own, weights)


def test_the_rehearsal_goes_by_what_is_in_force(files: Path, tmp_path: Path) -> None:
    """Both ways in which rows can lie are timed with it."""
    from loratui.worker.training.batch_ways import measure

    one = session(files, tmp_path / "run", planned(files))
    with on_a_processor() as calls:
        trainer, prepared = one.build()
        calls.rows.clear()
        ways = measure(trainer, prepared, one.plan)
    assert set(ways) == {"padded", "end_to_end"} and calls.rows


def test_compiled_blocks_take_it_with_graphs_of_any_length(files: Path, tmp_path: Path) -> None:
    from loratui.worker.training.compiled import compile_blocks, compiled_blocks

    one = session(files, tmp_path / "run", planned(files, training__max_steps=4, evaluation__every_steps=0))
    said: list[str] = []
    with on_a_processor():
        trainer, _ = one.build()
        found = compile_blocks(trainer, one.plan, say=said.append, backend="aot_eager")
        assert not found.refused and compiled_blocks(trainer.model) == 2 and found.apart < 1e-5
        lengths = {batch["input_ids"].shape[1] for batch in trainer.get_train_dataloader()}
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        losses, _, _ = trained(trainer)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs > 0 and len(lengths) > 2
        assert len(losses) == 4 and not said
    torch._dynamo.reset()


def test_no_layer_waits_for_the_device(files: Path, tmp_path: Path) -> None:
    """Where rows begin is known on the processor before the batch is sent: nothing of it is asked back. A batch that
    does not say it is asked once.
    """
    one = session(files, tmp_path / "run", planned(files, evaluation__every_steps=0))

    def waits(batch: dict[str, Any]) -> dict[str, int]:
        with Waits() as counting:
            trainer.model(**batch).loss.backward()
        return {place: n for place, n in counting.places.items() if "/varlen_attention.py" in place}

    with on_a_processor():
        trainer, _ = one.build()
        batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
        told = {"cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k"}
        assert told <= set(batch) and waits(batch) == {}
        unsaid = waits({name: value for name, value in batch.items() if name not in told})
        assert {place.rpartition("/")[2] for place in unsaid} == {"varlen_attention.py:segments_of"}
        assert sum(unsaid.values()) == 2, "which tokens begin a row, and the longest"


@pytest.mark.parametrize(
    ("changes", "kind", "there", "words"),
    [
        ({}, "cpu", True, "needs a GPU"),
        ({}, "cuda", False, "comes with torch 2.11 and later"),
        ({"hardware__devices": [0, 1], "hardware__cpu": False}, "cuda", True, "is for one device"),
        ({"training__objective": "dpo", "training__padding_free": False}, "cuda", True, "is for answers"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(
    files: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], kind: str, there: bool, words: str
) -> None:
    from loratui.worker.training import config

    monkeypatch.setattr(config, "is_there", lambda: there)
    with pytest.raises(PlanError, match=words):
        config.check(planned(files, **changes), config.DeviceTraits(kind))
    if kind == "cuda" and not changes:
        monkeypatch.setattr(config, "is_there", lambda: True)
        config.check(planned(files), config.DeviceTraits(kind))
