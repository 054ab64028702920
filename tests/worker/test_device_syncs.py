"""How often a step waits for the device: on a card each wait leaves it idle until the next kernels are queued."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import write_rows, write_tiny_model
from torch.utils._python_dispatch import TorchDispatchMode

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run
from loratui.worker.training.known import known, plain
from loratui.worker.training.later import fetch

pytestmark = pytest.mark.worker
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "masked_scatter_backward", "_unique2")
"""Operators whose result a card must hand to the processor: `.item()`, a tensor in an `if`, shapes that depend on
values."""
STEPS, TOLD = 2, 3
"""Waits to tell a step: its loss, the norm of its gradient, and all other figures in one transfer."""
NOT_ON_THE_DEVICE = (
    "trl/trainer/sft_trainer.py:torch_call",
    "accelerate/data_loader.py:__iter__",
    "trl/experimental/orpo/orpo_trainer.py:log",
)
"""The collator, the data loader's seed, and the means of what was fetched: all on the processor."""


class Waits(TorchDispatchMode):
    """Counts where a card would be waited for, by the library's file and function."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        chosen = args[1] if name.strip("_").startswith(("index_put", "unsafe_index_put")) or name == "index" else ()
        masked = any(one is not None and one.dtype == torch.bool for one in chosen)  # how many rows that makes is asked
        if name in WAITING or masked:
            self.note()
        return function(*args, **(kwargs or {}))

    def note(self) -> None:
        outside = [f for f in traceback.extract_stack() if "/torch/" not in f.filename and f.filename != __file__]
        self.places[f"{outside[-1].filename.rpartition('site-packages/')[2]}:{outside[-1].name}"] += 1


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("syncs")
    write_tiny_model(folder / "model", hidden=32)
    write_rows(folder / "rows.jsonl", 32)
    return folder


def built(files: Path, place: Path, **changes: Any) -> Any:
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    values = {
        "model.id": str(files / "model"), "model.dtype": "fp32", "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0.0, "training.precision": "fp32", "method.compute_dtype": "fp32",
        "training.batch_size": 2, "training.max_length": 64, "training.max_steps": STEPS, "saving.every_steps": 0,
        "hardware.cpu": True,
    }  # fmt: skip
    plan = with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})
    run = create_run(plan, output=place)
    trainer, _ = Session(run, plan, Journal(run, writes=False), Requests()).build()
    return trainer


def waits(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Where a card would be waited for in a whole training."""
    counting, tolist = Waits(), torch.Tensor.tolist

    def counted(tensor: torch.Tensor) -> Any:  # it goes by no operator
        counting.note()
        return tolist(tensor)

    with monkeypatch.context() as patch, counting:
        patch.setattr(torch.Tensor, "tolist", counted)
        trainer.train()
    found = {place: n for place, n in counting.places.items() if not place.startswith(NOT_ON_THE_DEVICE)}
    return Counter(found)


@pytest.fixture(params=[False, True], ids=["whole", "compact"])
def compact(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether TRL's head takes the tokens that bear loss out of their batch by a mask, as it does on a card."""
    monkeypatch.setattr("trl.trainer.utils._use_triton", lambda device: bool(request.param))
    return bool(request.param)


@pytest.mark.parametrize("kind", ["padded", "end to end", "dpo", "orpo", "kto"])
@pytest.mark.usefixtures("compact")
def test_only_telling_a_step_waits_however_many_passes_it_has(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    of_rows = {"padded": {}, "end to end": {"training__padding_free": True}}
    changes = of_rows[kind] if kind in of_rows else preferring(files, kind)
    found = {}
    for passes in (1, 4):
        trainer = built(files, tmp_path / str(passes), training__accumulation=passes, **changes)
        found[passes] = sum(waits(trainer, monkeypatch).values())
    # one more: the mean loss of the whole training, once at its end
    assert found == {1: TOLD * STEPS + 1, 4: TOLD * STEPS + 1}


@pytest.mark.parametrize("objective", ["dpo", "orpo", "kto"])
@pytest.mark.usefixtures("compact")
def test_loss_gradients_and_figures_of_pairs_are_trls_own(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    """Bit for bit: what a training tells and learns, with figures that are fetched once a step and in every pass, and
    with batches of which the processor knows what they hold and of which it does not.
    """
    told = {}
    for later in (True, False):
        if not later:
            ask_the_device(monkeypatch)
        place = tmp_path / str(later)
        trainer = built(files, place, training__accumulation=3, **preferring(files, objective))
        trainer.train()
        passing = ("train_runtime", "train_samples_per_second", "train_steps_per_second")
        figures = [{k: v for k, v in one.items() if k not in passing} for one in trainer.state.log_history]
        told[later] = figures, [one.detach() for one in trainer.model.parameters() if one.requires_grad]
    assert told[True][0] == told[False][0] and "rewards/margins" in told[True][0][0]
    assert all(type(value) in (int, float) for one in told[True][0] for value in one.values())
    assert told[True][0][0]["num_tokens"] > 0
    assert all(torch.equal(one, other) for one, other in zip(told[True][1], told[False][1], strict=True))


def test_a_batch_of_one_kind_of_answers_has_figures_of_that_kind_alone(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {}
    for later in (True, False):
        if not later:
            ask_the_device(monkeypatch)
        trainer = built(files, tmp_path / str(later), **preferring(files, "kto"))
        rows = [row for row in trainer.train_dataset if row["label"]][:2]
        trainer.train_dataset = rows
        batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
        trainer.model.train()
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        fetch(trainer._metrics["train"])
        told[later] = float(loss.detach()), dict(trainer._metrics["train"])
    assert told[True] == told[False]
    assert "rewards/chosen" in told[True][1] and not {"rewards/rejected", "rewards/margins"} & set(told[True][1])


def ask_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """As TRL does by itself: every figure at once, and what a batch holds, too."""
    from loratui.worker.training import orpo_trainer, preference_trainer, trainer

    for module in (orpo_trainer, preference_trainer):
        monkeypatch.setattr(module, "may_answer_later", lambda trainer: False)
    monkeypatch.setattr(trainer, "KnownBatches", lambda collator: collator)


def preferring(files: Path, objective: str) -> dict[str, Any]:
    """What of a plan learns preferences of a few pairs, or judged answers."""
    from judged_rows import judged
    from pair_rows import pairs, write_pairs

    rows = files / f"{objective}.jsonl"
    if not rows.exists():
        write_pairs(rows, judged(32) if objective == "kto" else pairs(32))
    return {"training__objective": objective, "dataset__path": str(rows)}


@pytest.mark.parametrize("padding_free", [False, True])
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.usefixtures("compact")
def test_loss_gradients_and_figures_are_trls_own(
    files: Path, tmp_path: Path, padding_free: bool, counted: bool
) -> None:
    """Bit for bit, over the passes of one step; with and without the tokens of the whole step. Theirs are batches of
    which the device is asked.
    """
    from trl.trainer.sft_trainer import SFTTrainer

    trainer = built(files, tmp_path / "run", training__padding_free=padding_free)
    batches = [
        trainer._prepare_inputs(batch) for _, batch in zip(range(3), trainer.get_train_dataloader(), strict=False)
    ]
    model, told = trainer.model, {}
    model.train()
    items = sum(batch["labels"][..., 1:].ne(-100).sum() for batch in batches) if counted else None
    for name, compute in (("ours", trainer.compute_loss), ("theirs", SFTTrainer.compute_loss.__get__(trainer))):
        model.zero_grad()
        trainer._total_train_tokens = 0
        losses = []
        for batch in batches:
            given = dict(batch) if name == "ours" else {column: plain(tensor) for column, tensor in batch.items()}
            loss = compute(model, given, num_items_in_batch=items)
            loss.backward()
            losses.append(loss.detach().clone())
        if name == "ours":
            assert not trainer._metrics["train"]
            trainer._fetch()
        gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        figures = {key: list(values) for key, values in trainer._metrics["train"].items()}
        trainer._metrics["train"].clear()
        told[name] = losses, gradients, figures
    ours, theirs = told["ours"], told["theirs"]
    assert ours[2] == theirs[2] and set(ours[2]) == {"entropy", "mean_token_accuracy", "num_tokens"}
    assert len(ours[1]) == len(theirs[1]) > 0 and ours[2]["num_tokens"][0] > 0
    assert all(torch.equal(one, other) for one, other in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True))


def test_bfloat16_on_a_processor_learns_what_float32_learns(files: Path, tmp_path: Path) -> None:
    """The gradients of one pass point the same way, as far as eight bits of a mantissa go; 16 bits in both places."""
    found = {}
    for name, dtype in (("fp32", "fp32"), ("bf16", "fp32"), ("bf16 base", "bf16")):
        precision = name.partition(" ")[0]
        trainer = built(files, tmp_path / name, training__precision=precision, model__dtype=dtype)
        batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
        trainer.model.train()
        with trainer.accelerator.autocast():
            trainer.compute_loss(trainer.model, dict(batch)).backward()
        gradients = [one.grad.float().flatten() for one in trainer.model.parameters() if one.grad is not None]
        found[name] = torch.cat(gradients)
    for name in ("bf16", "bf16 base"):
        assert torch.cosine_similarity(found["fp32"], found[name], dim=0) > 0.99, name
        assert float(found[name].norm() / found["fp32"].norm()) == pytest.approx(1, abs=0.05)


@pytest.mark.usefixtures("compact")
def test_a_pass_without_a_token_to_learn_is_a_finite_zero(files: Path, tmp_path: Path) -> None:
    trainer = built(files, tmp_path / "run")
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    batch["labels"] = known(torch.full_like(plain(batch["labels"]), -100), np.full(batch["labels"].shape, -100))
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(not one.grad.any() for one in trainer.model.parameters() if one.grad is not None)
    trainer._fetch()
    assert trainer._metrics["train"]["mean_token_accuracy"] == [0.0]
