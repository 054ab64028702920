"""After a change every key of the plan is in force: at once where a checkpoint can take it, else by the way that is
told.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_train_session import losses
from tiny_model import write_rows, write_tiny_model

from loratui.core.dataset import DataFacts
from loratui.core.plan import Plan
from loratui.core.plan_text import fields, with_values
from loratui.core.schedule import learning_rate_at, make_schedule
from loratui.runs.continuation import change, continuation
from loratui.runs.directory import Run
from loratui.runs.events import Event, EventTail, Finding, Fix, Started, Step, append_event
from loratui.runs.start import create_run
from loratui.worker.training.journal import Journal
from loratui.worker.training.signals import Requests

pytestmark = pytest.mark.worker
SAVED, LAST = 6, 12


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("obeys")
    write_tiny_model(folder / "model", hidden=64)
    write_tiny_model(folder / "other", hidden=64)
    write_rows(folder / "rows.jsonl", 40)
    write_rows(folder / "held.jsonl", 8)
    shutil.copy(folder / "rows.jsonl", folder / "copy.jsonl")
    return folder


def plan_of(files: Path, **changes: Any) -> Plan:
    return with_values(
        Plan(),
        {
            "model.id": str(files / "model"),
            "model.dtype": "fp32",
            "dataset.path": str(files / "rows.jsonl"),
            "dataset.eval_fraction": 0.2,
            "training.precision": "fp32",
            "training.batch_size": 2,
            "training.accumulation": 2,
            "training.max_length": 64,
            "training.max_steps": LAST,
            "training.learning_rate": 5e-3,
            "training.warmup_steps": 2,
            "method.compute_dtype": "fp32",
            "saving.every_steps": SAVED,
            "hardware.cpu": True,
        }
        | {key.replace("__", "."): value for key, value in changes.items()},
    )


def half_done(path: Path, plan: Plan) -> Run:
    """A run whose last checkpoint is that of its middle."""
    run = create_run(plan, output=path)
    execute(run)
    shutil.rmtree(run.checkpoints_path / f"checkpoint-{LAST}")
    shutil.rmtree(run.adapter_path, ignore_errors=True)
    return run


@pytest.fixture(scope="module")
def begun(files: Path) -> Run:
    return half_done(files / "begun", plan_of(files))


def execute(run: Run) -> Any:
    """The run's worker, in this process; the trainer as it was at the end."""
    from loratui.worker.training import session

    kept: list[Any] = []
    original = session.make_trainer

    def make(*arguments: Any, **options: Any) -> Any:
        kept.append(original(*arguments, **options))
        return kept[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "make_trainer", make)
        journal = Journal(run)
        state = "failed"
        try:
            state = session.Session(run, run.plan(), journal, Requests()).execute().state
        finally:
            journal.close(state)  # type: ignore[arg-type]
    return kept[0]


def changed(source: Run, path: Path, changes: dict[str, Any], **options: Any) -> tuple[Any, Run, list[Event]]:
    """A copy of the run after a change: its trainer, and the events since the change."""
    shutil.copytree(source.path, path)
    run = Run(path)
    seen = EventTail(run.events_path)
    seen.new_events()
    append_event(run, "fix", **change(run, continuation(run, changes, **options)), by="person")
    trainer = execute(run)
    return trainer, run, seen.new_events()


def steps(events: list[Event]) -> list[Step]:
    return [event for event in events if isinstance(event, Step)]


def rates_are_the_plans(trainer: Any, run: Run, events: list[Event]) -> None:
    schedule = make_schedule(run.plan(), DataFacts(examples=len(trainer.train_dataset), lengths=(8,), exact=True))
    for step in steps(events):
        assert step.learning_rate == pytest.approx(learning_rate_at(run.plan(), schedule, step.step - 1), rel=1e-9), (
            step.step
        )


def group(**expected: Any) -> Callable[..., None]:
    def check(trainer: Any, run: Run, events: list[Event]) -> None:
        for name, value in expected.items():
            assert trainer.optimizer.param_groups[0][name] == value

    return check


def args(**expected: Any) -> Callable[..., None]:
    def check(trainer: Any, run: Run, events: list[Event]) -> None:
        for name, value in expected.items():
            assert getattr(trainer.args, name) == value

    return check


def evaluated_at(*expected: int) -> Callable[..., None]:
    def check(trainer: Any, run: Run, events: list[Event]) -> None:
        assert [event.fields["step"] for event in events if event.type == "eval"] == list(expected)

    return check


def saved_at(*expected: int) -> Callable[..., None]:
    def check(trainer: Any, run: Run, events: list[Event]) -> None:
        assert [event.fields["step"] for event in events if event.type == "checkpoint"] == list(expected)

    return check


def ends_at(step: int) -> Callable[..., None]:
    def check(trainer: Any, run: Run, events: list[Event]) -> None:
        rates_are_the_plans(trainer, run, events)
        assert steps(events)[-1].step == step == trainer.state.max_steps

    return check


def dropout(trainer: Any, run: Run, events: list[Event]) -> None:
    found = {
        module.p for name, module in trainer.model.named_modules() if "lora_dropout" in name and hasattr(module, "p")
    }
    assert found == {0.3}


def attention(trainer: Any, run: Run, events: list[Event]) -> None:
    assert trainer.model.config._attn_implementation == "eager"


def recorded(trainer: Any, run: Run, events: list[Event]) -> None:
    """Nothing of the training shows it: the plan does."""


def patience_told(trainer: Any, run: Run, events: list[Event]) -> None:
    """Eight rows end no run, and it is said that its patience is used up."""
    told = [one for one in events if isinstance(one, Finding) and one.finding == "held-out-noise"]
    assert told and "8 rows" in told[0].message and steps(events)[-1].step == LAST


def three_kept(trainer: Any, run: Run, events: list[Event]) -> None:
    assert [folder.name for folder in run.checkpoints()] == ["checkpoint-10", "checkpoint-11", "checkpoint-12"]


def in_bf16(trainer: Any, run: Run, events: list[Event]) -> None:
    assert trainer.args.bf16 and trainer.accelerator.mixed_precision == "bf16"


def all_of(*checks: Callable[..., None]) -> Callable[..., None]:
    def check(trainer: Any, run: Run, events: list[Event]) -> None:
        for one in checks:
            one(trainer, run, events)

    return check


FROM_CHECKPOINT: list[tuple[dict[str, Any], Callable[..., None]]] = [
    (
        {
            "training.learning_rate": 1e-5,
            "training.scheduler": "linear",
            "training.weight_decay": 0.5,
            "training.beta1": 0.8,
            "training.beta2": 0.95,
            "training.epsilon": 1e-6,
        },
        group(weight_decay=0.5, betas=(0.8, 0.95), eps=1e-6),
    ),
    (
        {"training.scheduler": "constant", "training.optimizer": "adamw_torch", "lora.dropout": 0.3},
        all_of(group(fused=None), dropout),
    ),
    (
        {
            "training.min_lr_ratio": 0.5,
            "training.warmup_steps": 9,
            "model.attention": "eager",
            "saving.every_steps": 2,
        },
        all_of(attention, saved_at(8, 10, 12)),
    ),
    (
        {"training.max_steps": 20, "training.max_grad_norm": 0.05, "training.padding_free": True},
        all_of(ends_at(20), args(max_grad_norm=0.05, padding_free=True)),
    ),
    ({"training.max_steps": 8, "training.checkpointing": True}, all_of(ends_at(8), args(gradient_checkpointing=True))),
    (
        {"training.max_steps": 0, "training.epochs": 2.5, "training.batch_size": 1, "training.accumulation": 4},
        all_of(ends_at(20), args(per_device_train_batch_size=1, gradient_accumulation_steps=4)),
    ),
    (
        {
            "training.precision": "bf16",
            "method.compute_dtype": "bf16",
            "evaluation.every_steps": 4,
            "evaluation.batch_size": 3,
            "evaluation.prompts": ["1 and 2 is"],
        },
        all_of(in_bf16, evaluated_at(8, 12)),
    ),
    ({"evaluation.every_steps": 1, "evaluation.patience": 1, "training.learning_rate": 0.5}, patience_told),
    (
        {"saving.every_steps": 1, "saving.keep": 3, "hardware.cpu": False, "hardware.gpu": "RTX 4090"},
        all_of(three_kept, recorded),
    ),
]


@pytest.mark.parametrize(
    ("changes", "holds"), FROM_CHECKPOINT, ids=[", ".join(changes) for changes, _ in FROM_CHECKPOINT]
)
def test_a_change_that_a_checkpoint_can_take_is_in_force_at_the_next_step(
    begun: Run, tmp_path: Path, changes: dict[str, Any], holds: Callable[..., None]
) -> None:
    trainer, run, events = changed(begun, tmp_path / "run", changes)
    fix = next(event for event in events if isinstance(event, Fix))
    assert (fix.start, fix.from_step) == ("checkpoint", SAVED) and steps(events)[0].step == SAVED + 1
    assert all(run.plan().get(key) == value for key, value in changes.items())
    rates_are_the_plans(trainer, run, events)
    holds(trainer, run, events)


def test_nothing_changed_is_bit_for_bit_the_same(files: Path, begun: Run, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    whole = create_run(plan_of(files), output=tmp_path / "whole")
    execute(whole)
    _, run, events = changed(begun, tmp_path / "run", {})
    assert losses(events) == losses(EventTail(whole.events_path).new_events())[SAVED:]
    one, two = (load_file(each.adapter_path / "adapter_model.safetensors") for each in (whole, run))
    assert all(torch.equal(one[name], two[name]) for name in one)


def goes_on(changes: dict[str, Any], **more: Any) -> tuple[dict[str, Any], Callable[..., None]]:
    def check(trainer: Any, run: Run) -> None:
        for name, expected in more.items():
            assert getattr(trainer.args, name) == expected, name

    return changes, check


FROM_WEIGHTS = [
    goes_on({"training.max_length": 24, "training.accumulation": 4}, gradient_accumulation_steps=4),
    goes_on({"training.packing": True, "training.seed": 7}, packing=True, data_seed=7),
    goes_on({"training.group_by_length": True, "training.optimizer": "adamw_8bit"}, optim="adamw_8bit"),
    goes_on({"dataset.exclude": [0, 1, 2], "model.dtype": "bf16"}),
]


@pytest.mark.parametrize(("changes", "holds"), FROM_WEIGHTS, ids=[", ".join(changes) for changes, _ in FROM_WEIGHTS])
def test_what_a_checkpoint_cannot_take_goes_on_from_its_weights(
    begun: Run, tmp_path: Path, changes: dict[str, Any], holds: Callable[..., None]
) -> None:
    trainer, run, events = changed(begun, tmp_path / "run", changes)
    fix = next(event for event in events if isinstance(event, Fix))
    assert (fix.start, fix.from_step) == (
        "adapter",
        SAVED,
    ) and "optimizer, schedule and rows begin anew at step 0" in fix.message
    assert steps(events)[0].step == 1
    first = steps(EventTail(begun.events_path).new_events())[0]
    assert (steps(events)[0].loss or 9) < 0.95 * (first.loss or 0), "it goes on from what was learnt"
    assert (
        fix.set_aside == ["earlier/checkpoints"]
        and (run.path / "earlier" / "checkpoints" / f"checkpoint-{SAVED}").is_dir()
    )
    rates_are_the_plans(trainer, run, events)
    holds(trainer, run)


SHAPES: list[dict[str, Any]] = [
    {"lora.r": 8, "lora.alpha": 16.0},
    {"lora.alpha": 64.0},
    {"lora.targets": ["q_proj", "v_proj"]},
    {"lora.variant": "dora"},
    {"method.kind": "qlora", "method.quantization": "nf4", "method.double_quantization": True},
    {"method.kind": "full"},
]


@pytest.mark.parametrize("changes", SHAPES, ids=[", ".join(changes) for changes in SHAPES])
def test_another_shape_starts_anew_from_the_base(begun: Run, tmp_path: Path, changes: dict[str, Any]) -> None:
    _, run, events = changed(begun, tmp_path / "run", changes)
    fix = next(event for event in events if isinstance(event, Fix))
    assert (fix.start, fix.from_step) == ("anew", 0) and fix.message.startswith("It starts anew from the base model")
    first = steps(EventTail(begun.events_path).new_events())[0]
    assert steps(events)[0].step == 1 and steps(events)[0].loss == pytest.approx(first.loss, rel=0.05), (
        "nothing of what was learnt is there"
    )
    assert (run.path / "earlier" / "checkpoints" / f"checkpoint-{SAVED}").is_dir() and run.status().state == "finished"


ALONE = [
    *(("checkpoint", {key: value}) for one, _ in FROM_CHECKPOINT for key, value in one.items()),
    *(("adapter", {key: value}) for one, _ in FROM_WEIGHTS for key, value in one.items()),
    *(("anew", one) for one in SHAPES),
]
TOGETHER = {
    "training.accumulation",
    "training.batch_size",
    "training.epochs",
    "method.compute_dtype",
    "hardware.cpu",
    "hardware.gpu",
}
"""Decided with another key: their product, what the other one means, or what it excludes."""


@pytest.mark.parametrize(
    ("start", "changes"), [one for one in ALONE if not set(one[1]) & TOGETHER], ids=lambda one: str(one)[:60]
)
def test_each_key_alone_is_decided_as_with_the_others(begun: Run, start: str, changes: dict[str, Any]) -> None:
    if changes == {"training.max_steps": 0}:
        changes = changes | {"training.epochs": 2.5}
    assert continuation(begun, changes).start == start


def test_the_rest_is_decided_alike() -> None:
    """Keys that need another model, other data, several devices, a compiler or a package: the table says how, and
    `test_continuing` that it says it of all.
    """
    tried = {
        key
        for changes in [one for one, _ in FROM_CHECKPOINT] + [one for one, _ in FROM_WEIGHTS] + SHAPES
        for key in changes
    }
    placed = {key for key in fields() if key.startswith("cluster.")}  # where a job runs changes nothing that it learns
    pairs = {key for key in fields() if key.startswith("preference.")}  # mean nothing while answers are learnt
    assert set(fields()) - tried - placed - pairs == {
        "training.objective",
        "model.id",
        "model.revision",
        "model.chat_template",
        "model.end_token",
        "model.thinking",
        "model.trust_remote_code",
        "dataset.path",
        "dataset.parts",
        "dataset.format",
        "dataset.columns",
        "dataset.preference",
        "dataset.reasoning",
        "dataset.calls",
        "dataset.configuration",
        "dataset.encoding",
        "dataset.split",
        "dataset.eval_fraction",
        "dataset.eval_count",
        "dataset.split_by",
        "dataset.split_seed",
        "dataset.long_text",
        "dataset.eval_path",
        "dataset.leave_out",
        "lora.adapter",
        "training.compile",
        "training.liger",
        "training.loss_on",
        "hardware.devices",
        "hardware.parallelism",
    }


def test_decay_stays_apart_by_group_in_full_fine_tuning(files: Path, tmp_path: Path) -> None:
    run = half_done(tmp_path / "base", plan_of(files, method__kind="full"))
    trainer, run, events = changed(
        run, tmp_path / "run", {"training.weight_decay": 0.5, "training.learning_rate": 1e-4}
    )
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.5, 0.0]
    assert all(group["params"] for group in trainer.optimizer.param_groups)
    rates_are_the_plans(trainer, run, events)
    before, path = Run(tmp_path / "base"), tmp_path / "weights"
    _, run, events = changed(before, path, {"training.accumulation": 4})
    first = steps(EventTail(before.events_path).new_events())[0]
    assert steps(events)[0].step == 1 and (steps(events)[0].loss or 9) < 0.95 * (first.loss or 0)


def test_a_plan_edited_by_hand_is_refused_in_a_sentence(begun: Run, tmp_path: Path) -> None:
    from loratui.core.errors import PlanError
    from loratui.core.plan_text import plan_to_toml

    shutil.copytree(begun.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    for changes, flag in (({"lora.r": 8}, "--anew"), ({"training.max_length": 32}, "--from-weights")):
        run.plan_path.write_text(plan_to_toml(with_values(begun.plan(), changes)))
        with pytest.raises(PlanError, match=next(iter(changes)).replace(".", r"\.")) as caught:
            execute(run)
        assert flag in caught.value.sentence and f"checkpoint-{SAVED}" in caught.value.sentence
    assert run.last_checkpoint() is not None


def test_restarting_is_possible_whatever_the_change(begun: Run, tmp_path: Path) -> None:
    _, run, events = changed(begun, tmp_path / "run", {"training.learning_rate": 1e-3}, restart=True)
    fix = next(event for event in events if isinstance(event, Fix))
    assert (
        fix.start == "anew" and steps(events)[0].step == 1 and fix.changes == {"training.learning_rate": [5e-3, 1e-3]}
    )
    again = continuation(run, {"training.learning_rate": 5e-4})
    assert again.start == "checkpoint" and again.from_step == LAST


def test_what_is_in_force_is_held_against_the_plan_before_a_step_is_made(
    begun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint's own rate would be trained with, were nothing written anew after loading: nothing is trained."""
    from loratui.core.errors import WorkerError
    from loratui.worker.training import trainer

    monkeypatch.setattr(trainer, "obey", lambda *_: None)
    with pytest.raises(WorkerError, match=r"learning_rate is .* instead of 0\.002.*Nothing was trained"):
        changed(begun, tmp_path / "run", {"training.learning_rate": 2e-3})
    events = EventTail(Run(tmp_path / "run").events_path).new_events()
    fix = next(event for event in events if isinstance(event, Fix))
    assert not steps(events[events.index(fix) :])


def test_what_was_in_force_stands_in_the_card(begun: Run, tmp_path: Path) -> None:
    _, run, events = changed(begun, tmp_path / "run", {"training.learning_rate": 2e-3, "training.weight_decay": 0.25})
    live = [event for event in events if isinstance(event, Started)][-1].in_force
    assert (live["learning_rate"], live["weight_decay"], live["seed"]) == (2e-3, 0.25, run.plan().training.seed)
    card = (run.adapter_path / "README.md").read_text()
    assert f"(`{live['optimizer']}`), weight decay 0.25" in card and "| learning rate | 0.002, " in card
    total = [event for event in events if isinstance(event, Started)][-1].total_steps
    assert f"| steps made | {total} of {total} |" in card
