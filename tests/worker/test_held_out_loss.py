"""The loss on held-out rows: equal whatever the batches, and equal to a plain loop's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_model import write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run
from loratui.worker.training.journal import Journal
from loratui.worker.training.session import Session
from loratui.worker.training.signals import Requests

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A trainer for each batch size of the evaluation, and one whose rows lie end to end; all of the same weights."""
    folder = tmp_path_factory.mktemp("held-out")
    model = write_tiny_model(folder / "model")
    rows = write_rows(folder / "rows.jsonl", 40)
    with rows.open("a") as file:
        for count in range(1, 9):
            words = " and ".join(str(number) for number in range(count * 3))
            file.write(f'{{"prompt": "count", "completion": "{words}"}}\n')
    found = {}
    for name, changes in {
        **{str(size): {"evaluation.batch_size": size} for size in (1, 2, 8, 16)},
        "free": {"evaluation.batch_size": 8, "training.padding_free": True},
    }.items():
        plan = with_values(
            Plan(),
            {
                "model.id": str(model),
                "model.dtype": "fp32",
                "dataset.path": str(rows),
                "dataset.eval_fraction": 0.4,
                "training.precision": "fp32",
                "training.max_length": 128,
                "evaluation.every_steps": 1,
                **changes,
            },
        )
        run = create_run(plan, output=folder / name)
        journal = Journal(run)
        found[name] = Session(run, plan, journal, Requests()).build()
        journal.close("stopped")
    return found


def figures(trainer: Any) -> tuple[float, float]:
    metrics = trainer.evaluate()
    return metrics["eval_loss"], metrics["eval_mean_token_accuracy"]


def plain_loop(trainer: Any) -> tuple[float, float]:
    """Mean over all tokens that bear loss, one row at a time, by torch alone."""
    losses, right = [], []
    trainer.model.eval()
    for row in trainer.eval_dataset:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])[1:]
        with torch.no_grad():
            logits = trainer.model(input_ids=ids).logits[0, :-1].double()
        kept = labels != -100
        losses.append(torch.nn.functional.cross_entropy(logits[kept], labels[kept], reduction="none"))
        right.append(logits[kept].argmax(-1) == labels[kept])
    return torch.cat(losses).mean().item(), torch.cat(right).double().mean().item()


@pytest.mark.parametrize("name", ["1", "2", "8", "16", "free"])
def test_the_figures_do_not_follow_the_batches(trainers: dict[str, Any], name: str) -> None:
    trainer, _ = trainers[name]
    loss, accuracy = plain_loop(trainer)
    assert figures(trainer) == pytest.approx((loss, accuracy), abs=1e-5)
