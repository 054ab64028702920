"""What the rehearsal measures of a batch's rows, padded and end to end, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_tiny_model

from loratui.core.batch_ways import faster_way
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.control import wait_ended
from loratui.runs.events import EventTail
from loratui.runs.start import create_run, start_worker

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of which one in eight is thirty times as long as the others."""
    folder = tmp_path_factory.mktemp("ways")
    write_tiny_model(folder / "model", hidden=64)
    rows = [{"prompt": f"{n} is", "completion": "ten " * (120 if n % 8 == 0 else 1)} for n in range(64)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def plan_for(files: Path, **changes: Any) -> Plan:
    values = {
        "model.id": str(files / "model"),
        "model.dtype": "fp32",
        "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0.0,
        "training.precision": "fp32",
        "training.batch_size": 16,
        "training.accumulation": 1,
        "training.max_length": 512,
        "training.max_steps": 1,
        "method.compute_dtype": "fp32",
        "hardware.cpu": True,
    }
    return with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})


def test_the_rehearsal_measures_both_ways_and_says_which_is_faster(files: Path, tmp_path: Path) -> None:
    run = create_run(plan_for(files), output=tmp_path / "run")
    start_worker(run, rehearse=True)
    assert wait_ended(run, 600).state == "finished", run.log_path.read_text()[-3000:]
    events = EventTail(run.events_path).new_events()
    ways = next(event.fields["ways"] for event in events if event.type == "rehearsal")
    assert set(ways) == {"padded", "end_to_end"} and min(ways.values()) > 0
    told = [event.fields for event in events if event.fields.get("finding") == "faster-batches"]
    better = faster_way(run.plan(), ways)  # as a rule, but how fast either was is up to the machine
    assert [(one["message"], one["fix"]) for one in told] == ([better] if better is not None else [])
    assert run.plan().training.padding_free is False, "nobody's plan is changed without a word"


def test_figures_that_speak_for_the_other_way_are_told_with_the_change(files: Path, tmp_path: Path) -> None:
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.rehearse import tell_better

    run = create_run(plan_for(files), output=tmp_path / "run")
    journal = Journal(run)
    for end_to_end in (105.0, 1234.0):
        tell_better(journal, run.plan(), {"ways": {"padded": 100.0, "end_to_end": end_to_end}})
    (told,) = [event.fields for event in EventTail(run.events_path).new_events() if event.type == "finding"]
    assert told["finding"] == "faster-batches" and told["severity"] == "info"
    assert told["fix"] == {"training.padding_free": True} and "1,234 tokens a second" in told["message"]


def built(files: Path, place: Path, **changes: Any) -> tuple[Any, Any, Plan]:
    """A trainer as a run has it before its first step."""
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    plan = plan_for(files, **changes)
    run = create_run(plan, output=place)
    trainer, prepared = Session(run, plan, Journal(run, writes=False), Requests()).build()
    trainer.create_optimizer_and_scheduler(1)
    return trainer, prepared, plan


def test_nothing_is_learnt_and_rows_that_see_each_other_are_noticed(
    files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from loratui.worker.training.batch_ways import measure

    trainer, prepared, plan = built(files, tmp_path / "run", training__batch_size=4)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    step, computed = trainer.training_step, dict[int, int]()

    def counted(model: Any, batch: dict[str, Any], **more: Any) -> Any:
        rows, columns = batch["input_ids"].shape
        computed[rows] = computed.get(rows, 0) + rows * columns
        return step(model, batch, **more)

    trainer.training_step = counted
    assert set(measure(trainer, prepared, with_values(plan, {"training.batch_size": 16}))) == {"padded", "end_to_end"}
    trainer.training_step = step
    assert computed[16] > 3 * computed[1] > 0, "of what is padded most is padding, and end to end nothing is"
    assert all(torch.equal(before[name], value) for name, value in trainer.model.named_parameters())
    assert all(value.grad is None for value in trainer.model.parameters())

    class Mixed(DataCollatorForLanguageModeling):
        def __call__(self, rows: list[Any], *more: Any) -> dict[str, Any]:
            batch = super().__call__(rows, *more)
            if self.padding_free:  # one row to the model: each sees those before it
                batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]
            return batch

    with torch.no_grad():  # a model that was never trained hardly looks back: this one does
        for name, value in trainer.model.named_parameters():
            value *= 8.0 if "proj" in name else 1.0
    assert set(measure(trainer, prepared, plan)) == {"padded", "end_to_end"}
    trainer.data_collator = Mixed(pad_token_id=0)
    assert set(measure(trainer, prepared, plan)) == {"padded"} and "not kept apart" in caplog.text


def test_batches_that_are_timed_are_like_those_of_the_run(files: Path, tmp_path: Path) -> None:
    from loratui.worker.training.batch_ways import can_choose, typical_batches

    _, prepared, plan = built(files, tmp_path / "run", training__batch_size=4, training__group_by_length=True)
    lengths = prepared.train.lengths
    grouped = [[int(lengths[row]) for row in rows] for rows in typical_batches(prepared, plan)]
    assert len(grouped) == 3 and all(len(rows) == 4 and max(rows) < 2 * min(rows) for rows in grouped)
    at_random = typical_batches(prepared, with_values(plan, {"training.group_by_length": False}))
    assert len({row for rows in at_random for row in rows}) == 12
    assert len(typical_batches(prepared, with_values(plan, {"training.batch_size": 100}))[0]) == 64
    assert can_choose(plan, 1) and not can_choose(plan, 2)
    pairs = {"training.objective": "dpo", "training.group_by_length": False}
    for change in ({"training.packing": True}, {"training.batch_size": 1}, {"model.attention": "eager"}, pairs):
        assert not can_choose(with_values(plan, change), 1), change


def test_only_a_clear_gain_is_spoken_of() -> None:
    plan = Plan()
    assert faster_way(plan, {}) is None and faster_way(plan, {"padded": 100.0}) is None
    assert faster_way(plan, {"padded": 100.0, "end_to_end": 109.0}) is None
    said = faster_way(plan, {"padded": 100.0, "end_to_end": 1234.0})
    assert said is not None and said[1] == {"training.padding_free": True}
    assert "1,234 tokens a second, as planned (padded to the longest) 100" in said[0]
    free = with_values(plan, {"training.padding_free": True})
    back = faster_way(free, {"padded": 150.0, "end_to_end": 100.0})
    assert back is not None and back[1] == {"training.padding_free": False}
