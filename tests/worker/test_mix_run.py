"""Several datasets as one, trained: which rows are drawn, in which order, and what each part comes to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import write_rows, write_tiny_model

from loratui.core.errors import DatasetError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.paths import tokens_home
from loratui.runs.directory import Run
from loratui.runs.events import Event, EventTail
from loratui.runs.start import create_run
from loratui.worker.training.journal import Journal
from loratui.worker.training.session import Session
from loratui.worker.training.signals import Requests

pytestmark = pytest.mark.worker


def write_chats(path: Path, rows: int, first: int = 0) -> Path:
    """Conversations of another shape and length than `write_rows` writes."""
    turns = [
        [{"role": "user", "content": f"name {n}"}, {"role": "assistant", "content": f"it is {n * 7} and {n * 11}"}]
        for n in range(first, first + rows)
    ]
    path.write_text("".join(json.dumps({"messages": one}) + "\n" for one in turns))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mix")
    write_tiny_model(folder / "model", hidden=32)
    write_rows(folder / "orders.jsonl", 40)
    write_chats(folder / "chats.jsonl", 30)
    write_chats(folder / "few.jsonl", 60, first=100)
    return folder


def plan_of(files: Path, **changes: Any) -> Plan:
    """A mix of 40 orders, 30 chats twice, and half of at most 20 of 60 others."""
    parts = [
        {"path": str(files / "orders.jsonl")},
        {"path": str(files / "chats.jsonl"), "weight": 2},
        {"path": str(files / "few.jsonl"), "weight": 0.5, "cap": 20},
    ]
    values = {
        "model.id": str(files / "model"),
        "model.dtype": "fp32",
        "dataset.path": "",
        "dataset.parts": parts,
        "dataset.eval_fraction": 0.1,
        "training.precision": "fp32",
        "training.batch_size": 4,
        "training.accumulation": 1,
        "training.max_length": 64,
        "training.epochs": 1,
        "training.learning_rate": 5e-3,
        "evaluation.every_steps": 10,
        "evaluation.batch_size": 3,
        "saving.every_steps": 5,
        "saving.keep": 20,
        "method.compute_dtype": "fp32",
        "hardware.cpu": True,
    }
    return with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})


class Watched(Session):
    """A session that notes the rows of each batch that is trained on, and may stop after some steps."""

    def __init__(self, *arguments: Any, stop_after: int = 0) -> None:
        super().__init__(*arguments)
        self.trained: list[tuple[int, ...]] = []
        self.kept: Any = None
        self.stop_after = stop_after
        self.killed_after = int(os.environ.get("KILLED_AFTER", "0"))

    def build(self, **options: Any) -> Any:
        trainer, prepared = super().build(**options)
        self.kept = trainer, prepared
        step = trainer.training_step

        def noted(model: Any, inputs: Any, *more: Any) -> Any:
            for ids, mask in zip(inputs["input_ids"].tolist(), inputs["labels"].tolist(), strict=True):
                assert len(ids) == len(mask)
                self.trained.append(tuple(ids))
            found = step(model, inputs, *more)
            if self.killed_after and len(self.trained) >= 4 * self.killed_after:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.stop_after and len(self.trained) >= 4 * self.stop_after:
                self.requests.stop = True
            return found

        trainer.training_step = noted
        return trainer, prepared


def train(plan: Plan, path: Path, *, stop_after: int = 0) -> tuple[Run, Watched, list[Event]]:
    run = create_run(plan, output=path) if not path.exists() else Run(path)
    journal = Journal(run)
    session, state = Watched(run, run.plan(), journal, Requests(), stop_after=stop_after), "failed"
    try:
        state = session.execute().state
    finally:
        journal.close(state)  # type: ignore[arg-type]
    return run, session, EventTail(run.events_path).new_events()


def adapter(run: Run) -> bytes:
    return (run.adapter_path / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Watched, list[Event]]:
    return train(plan_of(files), tmp_path_factory.mktemp("whole") / "run")


def data_of(events: list[Event]) -> Any:
    return next(event for event in events if event.type == "data")


def test_an_epoch_draws_what_the_weights_and_caps_say(whole: tuple[Run, Watched, list[Event]]) -> None:
    _, session, events = whole
    parts = {part.name: part for part in data_of(events).parts}
    assert {name: (part.rows, part.examples, part.eval_examples, part.capped) for name, part in parts.items()} == {
        "orders": (36, 36, 4, 0),
        "chats": (27, 54, 3, 0),
        "few": (18, 9, 2, 40),
    }
    assert data_of(events).examples == 99
    assert sum(event.type == "step" for event in events) == 25, "one epoch is one pass over the drawn rows"
    rows = session.kept[1].train
    owners = session.kept[1].mix.of_rows(rows.row)
    given = {tuple(rows.ids(at)): int(owners[at]) for at in range(len(rows))}
    unpadded = [next(ids for n in range(len(row), 0, -1) if (ids := row[:n]) in given) for row in session.trained]
    counted = Counter(given[ids] for ids in unpadded)
    assert counted == {0: 36, 1: 54, 2: 9}, "what the steps trained on is what was told"
    times = Counter(unpadded)
    assert {times[ids] for ids in given if given[ids] == 1} == {2}
    assert {times[ids] for ids in given if given[ids] != 1} == {1}


def test_held_out_rows_are_never_trained_on(whole: tuple[Run, Watched, list[Event]]) -> None:
    prepared = whole[1].kept[1]
    said = prepared.mix.stored.table.identities
    trained = {said[at] for at in prepared.train.row.tolist()}
    held = [said[at] for at in prepared.held_out.row.tolist()]
    assert len(set(held)) == len(held) == 9
    assert not trained & set(held)


def test_the_loss_of_each_part_is_a_plain_loops(whole: tuple[Run, Watched, list[Event]]) -> None:
    _run, session, events = whole
    trainer, prepared = session.kept
    last = [event for event in events if event.type == "eval"][-1]
    assert last.step == 25, "the weights are those that were evaluated last"
    by_part, whole_loss = plain_loops(trainer, prepared)
    assert set(by_part) == {"orders", "chats", "few"}
    assert last.loss_by_part == pytest.approx(by_part, abs=1e-5) and last.loss == pytest.approx(whole_loss, abs=1e-5)
    judged = [event for event in events if event.type == "eval"]
    for name, since in last.parts_beside_best.items():
        earlier = [(one.loss_by_part[name], one.step) for one in judged[:-1]]
        assert (since.before, since.step) == (pytest.approx(min(earlier)[0], abs=1e-4), min(earlier)[1])
        assert since.difference == pytest.approx(last.loss_by_part[name] - since.before, abs=1e-4)
    assert set(last.parts_beside_best) == set(by_part), "beside its lowest so far, what the run began with among them"


@pytest.mark.parametrize("setting", ["group_by_length", "padding_free", "packing"])
def test_the_losses_by_part_do_not_follow_the_batches(files: Path, tmp_path: Path, setting: str) -> None:
    run = create_run(plan_of(files, **{f"training__{setting}": True}), output=tmp_path / "run")
    journal = Journal(run)
    trainer, prepared = Session(run, run.plan(), journal, Requests()).build()
    journal.close("stopped")
    trainer.evaluate()
    assert trainer.loss_by_part == pytest.approx(plain_loops(trainer, prepared)[0], abs=1e-5)


def plain_loops(trainer: Any, prepared: Any) -> tuple[dict[str, float], float]:
    """The loss on each part's held-out rows and on all of them, one row at a time, by torch alone."""
    owners = prepared.mix.of_rows(prepared.held_out.row)
    model = trainer.model.eval()
    sums: dict[str, list[float]] = {name: [0.0, 0.0] for name in prepared.mix.names}
    for at in range(len(prepared.held_out)):
        ids, labels = torch.tensor([prepared.held_out.ids(at)]), torch.tensor(prepared.held_out.labels(at))[1:]
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1].double()
        kept = labels != -100
        entry = sums[prepared.mix.names[int(owners[at])]]
        entry[0] += float(torch.nn.functional.cross_entropy(logits[kept], labels[kept], reduction="sum"))
        entry[1] += int(kept.sum())
    total = sum(loss for loss, _ in sums.values()) / sum(count for _, count in sums.values())
    return {name: loss / count for name, (loss, count) in sums.items()}, total


def test_the_order_follows_from_the_seed_and_a_stopped_run_goes_on_in_it(
    whole: tuple[Run, Watched, list[Event]], files: Path, tmp_path: Path
) -> None:
    run, session, _events = whole
    stopped, before, _ = train(plan_of(files), tmp_path / "run", stop_after=12)
    assert stopped.last_checkpoint() is not None and len(before.trained) < len(session.trained)
    again, after, _told = train(plan_of(files), tmp_path / "run")
    assert before.trained + after.trained == session.trained
    assert adapter(again) == adapter(run)
    assert again.fingerprint()["data"] == run.fingerprint()["data"]
    _other, otherwise, _ = train(plan_of(files, training__seed=7, training__max_steps=2), tmp_path / "other")
    assert otherwise.trained != session.trained[: len(otherwise.trained)]


@pytest.mark.usefixtures("ready_workers")
def test_a_killed_run_goes_on_in_the_same_order(
    whole: tuple[Run, Watched, list[Event]], files: Path, tmp_path: Path
) -> None:
    """SIGKILL in the middle of step 13: the last checkpoint is that of step 10."""
    run, session, _ = whole
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "KILLED_AFTER": "13", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, __file__, str(files), str(tmp_path / "run")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    last = Run(tmp_path / "run").last_checkpoint()
    assert last is not None and last.name == "checkpoint-10"
    again, after, told = train(plan_of(files), tmp_path / "run")
    assert after.trained == session.trained[40:]
    assert adapter(again) == adapter(run)
    mine, theirs = (
        {one.step: (one.loss, one.beside_best, one.parts_beside_best) for one in each if one.type == "eval"}
        for each in (told, whole[2])
    )
    assert mine == theirs and mine[20][1] is not None, "what the rows tell is the same to the bit"


def test_another_weight_tokenises_nothing_and_holds_out_the_same_rows(
    whole: tuple[Run, Watched, list[Event]], files: Path, tmp_path: Path
) -> None:
    before = {path.name: path.stat().st_ctime_ns for path in tokens_home().iterdir() if path.is_dir()}
    parts = whole[0].plan().get("dataset.parts")
    parts[0]["weight"], parts[1]["weight"] = 0.25, 3.0
    _, session, events = train(plan_of(files, dataset__parts=parts, training__max_steps=1), tmp_path / "other")
    assert "were tokenised before" in " ".join(event.fields["message"] for event in events if event.type == "phase")
    assert {path.name for path in tokens_home().iterdir() if path.is_dir()} == before.keys()
    alone, held = session.kept[1], whole[1].kept[1]
    assert alone.held_out.fingerprint() == held.held_out.fingerprint()
    assert {part.name: part.examples for part in data_of(events).parts} == {"orders": 9, "chats": 81, "few": 9}


def test_a_row_of_two_parts_is_never_on_both_sides(files: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "same.jsonl", 40)
    parts = [{"path": str(files / "orders.jsonl")}, {"path": str(tmp_path / "same.jsonl"), "weight": 0.5}]
    _, session, events = train(plan_of(files, dataset__parts=parts, training__max_steps=1), tmp_path / "run")
    prepared = session.kept[1]
    said = prepared.mix.stored.table.identities
    trained, held = ({said[at] for at in rows.row.tolist()} for rows in (prepared.train, prepared.held_out))
    assert held and not trained & held
    told = {event.fields["finding"] for event in events if event.type == "finding"}
    assert {"mix-kept-out", "mix-shared"} <= told


@pytest.mark.parametrize(("objective", "each"), [("dpo", 1), ("orpo", 1), ("kto", 2)])
def test_pairs_of_several_files_are_learnt_as_one(files: Path, tmp_path: Path, objective: str, each: int) -> None:
    """KTO takes both sides of a pair as answers of their own; a pair is held out or drawn whole."""
    for name, first, count in (("one", 0, 30), ("two", 100, 20)):
        rows = [
            {"prompt": f"ask {n}", "chosen": f"good {n}", "rejected": f"bad {n * 3}"}
            for n in range(first, first + count)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = [{"path": str(tmp_path / "one.jsonl"), "weight": 2}, {"path": str(tmp_path / "two.jsonl"), "weight": 0.5}]
    plan = plan_of(files, dataset__parts=parts, training__objective=objective)
    run = create_run(plan, output=tmp_path / "run")
    journal = Journal(run)
    _, prepared = Session(run, plan, journal, Requests()).build()
    journal.close("stopped")
    told = prepared.mix.documents(prepared.train, prepared.held_out)
    assert [(part["examples"], part["eval_examples"]) for part in told] == [(54 * each, 3 * each), (9 * each, 2 * each)]
    assert prepared.train.read == 50
    said = prepared.mix.stored.table.identities
    pair = {at: said[at // 2 * 2] for at in range(len(said))}
    trained, held = ({pair[at] for at in rows.row.tolist()} for rows in (prepared.train, prepared.held_out))
    assert len(trained) == 27 + 9 and not trained & held


def test_a_part_without_a_row_is_one_sentence(files: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text('{"prompt": "a", "completion": ""}\n' * 3)
    parts = [{"path": str(files / "orders.jsonl")}, {"path": str(tmp_path / "empty.jsonl"), "name": "bare"}]
    with pytest.raises(DatasetError) as caught:
        train(plan_of(files, dataset__parts=parts), tmp_path / "run")
    assert "bare" in caught.value.sentence and "\n" not in caught.value.sentence


if __name__ == "__main__":
    train(plan_of(Path(sys.argv[1])), Path(sys.argv[2]))
