"""Steps and learning rates, against transformers itself."""

from __future__ import annotations

import math
from typing import Any

import pytest

from loratui.core.dataset import DataFacts, uniform
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.schedule import curve, learning_rate_at, make_schedule, packed_sequences, scheduler_arguments


def plan(**values: Any) -> Plan:
    return with_values(Plan(), {"training." + key: value for key, value in values.items()})


@pytest.mark.parametrize(
    ("examples", "batch", "passes", "devices", "epochs", "per_epoch", "total"),
    [
        (1000, 4, 2, 1, 3, 125, 375),
        (1001, 4, 2, 1, 3, 126, 378),
        (7, 2, 8, 1, 1, 1, 1),
        (1000, 4, 2, 4, 2, 32, 64),
        (10, 3, 1, 1, 0.5, 4, 2),
        (10, 4, 2, 1, 1.5, 2, 3),
    ],
)
def test_steps(examples: int, batch: int, passes: int, devices: int, epochs: float, per_epoch: int, total: int) -> None:
    schedule = make_schedule(
        plan(batch_size=batch, accumulation=passes, epochs=epochs), uniform(examples, 100), devices
    )
    assert (schedule.steps_per_epoch, schedule.total_steps) == (per_epoch, total)
    assert schedule.effective_batch_size == batch * passes * devices
    assert schedule.examples == examples


def test_maximum_steps_stand_above_epochs() -> None:
    assert make_schedule(plan(max_steps=7), uniform(1000, 100)).total_steps == 7


def test_warmup_is_never_longer_than_the_run() -> None:
    assert make_schedule(plan(max_steps=7, warmup_steps=100), uniform(1000, 100)).warmup_steps == 7


def test_packing_counts_sequences() -> None:
    packed = make_schedule(plan(packing=True, max_length=1000, batch_size=1, accumulation=1), uniform(100, 250))
    assert packed.sequences == 25 and packed.steps_per_epoch == 25
    assert packed.tokens_per_epoch == 25_000


def test_packing_never_beats_the_tokens_nor_loses_to_one_row_each() -> None:
    data = DataFacts(5000, tuple(sorted((index * 7919) % 900 + 20 for index in range(5000))))
    sequences = packed_sequences(data, 1024)
    assert sum(data.lengths) / 1024 <= sequences * 1.02
    assert sequences <= 5000


def test_tokens_are_cut_and_scaled_from_a_sample() -> None:
    schedule = make_schedule(plan(max_length=100), DataFacts(40, (50, 100, 150, 300)))
    assert schedule.tokens_per_epoch == 10 * (50 + 100 + 100 + 100)


def test_first_step_of_a_warmup_has_rate_0() -> None:
    settings = plan(warmup_steps=4, max_steps=40, learning_rate=1e-3)
    schedule = make_schedule(settings, uniform(100, 10))
    assert [learning_rate_at(settings, schedule, step) for step in (0, 2, 4)] == [0.0, 5e-4, 1e-3]
    assert learning_rate_at(settings, schedule, 40) == pytest.approx(1e-4)


def test_curve_holds_first_peak_and_last() -> None:
    settings = plan(warmup_steps=10, max_steps=1000)
    points = curve(settings, make_schedule(settings, uniform(100, 10)), 20)
    assert {0, 10, 999} <= {step for step, _ in points}
    assert len(points) <= 22 and max(rate for _, rate in points) == settings.training.learning_rate


def test_curve_of_a_single_step() -> None:
    settings = plan(max_steps=1)
    assert [step for step, _ in curve(settings, make_schedule(settings, uniform(1, 10)))] == [0]


@pytest.mark.worker
@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("scheduler", ["cosine", "linear", "constant", "cosine_with_restarts"])
@pytest.mark.parametrize("minimum", [0.0, 0.1])
def test_learning_rates_equal_transformers(scheduler: str, warmup: int, minimum: float) -> None:
    import torch
    from transformers import get_scheduler

    settings = plan(
        scheduler=scheduler,
        warmup_steps=warmup,
        min_lr_ratio=minimum,
        learning_rate=3e-4,
        batch_size=2,
        accumulation=2,
        epochs=3,
    )
    schedule = make_schedule(settings, uniform(157, 10))
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=3e-4)
    name, arguments = scheduler_arguments(settings)
    theirs = get_scheduler(name, optimizer, warmup, schedule.total_steps, scheduler_specific_kwargs=arguments)
    for step in range(schedule.total_steps):
        assert math.isclose(
            theirs.get_last_lr()[0], learning_rate_at(settings, schedule, step), rel_tol=1e-12, abs_tol=1e-18
        )
        optimizer.step()
        theirs.step()


@pytest.mark.worker
@pytest.mark.parametrize(
    ("examples", "batch", "passes", "epochs"), [(10, 4, 2, 1.5), (13, 3, 4, 2.0), (8, 1, 3, 0.4), (5, 8, 2, 3.0)]
)
def test_steps_equal_the_trainers(tmp_path: Any, examples: int, batch: int, passes: int, epochs: float) -> None:
    import torch
    from transformers import Trainer, TrainingArguments

    class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return examples

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"x": torch.zeros(1)}

    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=passes,
        num_train_epochs=epochs,
        use_cpu=True,
        report_to="none",
        remove_unused_columns=False,
    )
    trainer = Trainer(torch.nn.Linear(1, 1), arguments, train_dataset=Rows())
    theirs = trainer.set_initial_training_values(arguments, trainer.get_train_dataloader())
    ours = make_schedule(plan(batch_size=batch, accumulation=passes, epochs=epochs), uniform(examples, 10))
    assert (ours.steps_per_epoch, ours.batches_per_epoch, ours.total_steps) == (theirs[1], theirs[5], theirs[6])
