"""The store of tokens: rows are tokenised once for inspection, training and resumes, and are the same as row by row."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_model import TEMPLATE, write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.paths import tokens_home

pytestmark = pytest.mark.worker
ROWS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("store") / "model", hidden=64)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def plan_for(model: Path, data: Path, **values: Any) -> Plan:
    return with_values(
        Plan(),
        {
            "model.id": str(model),
            "model.dtype": "fp32",
            "dataset.path": str(data),
            "dataset.eval_fraction": 0.2,
            "training.precision": "fp32",
            "training.batch_size": 4,
            "training.accumulation": 1,
            "training.max_length": 64,
            "training.max_steps": 4,
            "method.compute_dtype": "fp32",
            **values,
        },
    )


def tokeniser_of(plan: Plan) -> Any:
    from loratui.worker.inspecting.model import load_text_model

    return load_text_model(plan).tokeniser(plan, plan.training.max_length)


def prepared(plan: Plan, tokeniser: Any = None, said: list[str] | None = None) -> tuple[Any, list[bool]]:
    """The plan's rows, and for each report of progress whether the rows came out of the store."""
    from loratui.worker.training.dataset import prepare

    reused: list[bool] = []
    found = prepare(
        plan,
        tokeniser or tokeniser_of(plan),
        progress=lambda rows, stored: reused.append(stored),
        say=(said if said is not None else []).append,
    )
    return found, reused


def content(rows: Any) -> list[tuple[list[int], list[int]]]:
    return [(rows.ids(at), rows.labels(at)) for at in range(len(rows))]


def row_by_row(plan: Plan) -> list[tuple[list[int], list[int]]]:
    """Every row of the plan as the tokeniser makes it alone."""
    from loratui.core.errors import ModelError
    from loratui.data.convert import to_conversation
    from loratui.data.find import find_planned
    from loratui.data.read import read_rows, sample_rows
    from loratui.data.recognise import recognise

    found = find_planned(plan.dataset)
    recognition = recognise(sample_rows(found, 200), plan.dataset.format, plan.dataset.columns, where=found.path)
    tokeniser, rows = tokeniser_of(plan), []
    for row in read_rows(found):
        try:
            one = tokeniser.one(to_conversation(row, recognition))
        except ModelError:
            continue
        if one.trained_tokens:
            rows.append((one.input_ids, one.labels))
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(number: int) -> dict[str, Any]:
    turns = [
        ("user", f"{number} and 1 is"),
        ("assistant", f"{number + 1}"),
        ("user", "und?"),
        ("assistant", "ein € 漢"),
    ]
    return {"messages": [{"role": role, "content": words} for role, words in turns[: 2 + 2 * (number % 2)]]}


KINDS: dict[str, list[dict[str, Any]]] = {
    "pairs": [{"prompt": f"{n} and {n} is", "completion": " ".join(["ten"] * (1 + n % 30))} for n in range(1, 40)],
    "chats": [chat(n) for n in range(30)],
    "tokens": [{"input_ids": [5, 6, 7, n], "labels": [-100, 6, -100, n]} for n in range(8, 30)],
    "other labels": [{"input_ids": [5, 6, 7, n], "labels": [-100, 9, n, -100]} for n in range(8, 30)],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_length", [24, 512])
def test_what_is_stored_is_what_each_row_is_alone(model: Path, tmp_path: Path, kind: str, max_length: int) -> None:
    path = write(tmp_path / "rows.jsonl", KINDS[kind])
    plan = plan_for(model, path, **{"dataset.eval_fraction": 0.0, "training.max_length": max_length})
    wanted = row_by_row(plan)
    made, first = prepared(plan)
    read, second = prepared(plan)
    assert content(made.train) == content(read.train) == wanted
    assert True not in first and second == [True]
    assert made.train.fingerprint() == read.train.fingerprint()
    assert read.train.trained_tokens == sum(label != -100 for _, labels in wanted for label in labels[1:])
    assert read.train.table.one_span is (kind in ("pairs", "other labels")), "both ways of counting are tried"
    assert read.train.trained.tolist() == [sum(label != -100 for label in labels[1:]) for _, labels in wanted]
    (folder,) = stored()
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert all(set(one) == {"size", "xxh3_128"} for one in files.values()), "read at every start: the quick digest"


def test_a_table_of_many_batches_is_read_by_position(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.worker import token_table

    monkeypatch.setattr(token_table, "BATCH_ROWS", 7)
    plan = plan_for(model, write(tmp_path / "rows.jsonl", KINDS["chats"]), **{"dataset.eval_fraction": 0.0})
    made, _ = prepared(plan)
    assert content(made.train) == row_by_row(plan)
    assert content(made.train.chosen([29, 0, 0, 14])) == [content(made.train)[at] for at in (29, 0, 0, 14)]


class TokenisedAgainError(AssertionError):
    """The tokeniser was called where the store should have been read."""


def forbid_tokenising(monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.worker.tokenise import Tokeniser

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise TokenisedAgainError

    monkeypatch.setattr(Tokeniser, "many", refuse)


def train(plan: Plan, path: Path, *, stop_at: int = 0) -> list[dict[str, Any]]:
    """A run in this process, begun or gone on with; the fields of its events."""
    from loratui.runs.directory import Run
    from loratui.runs.events import EventTail
    from loratui.runs.start import create_run
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    run = create_run(plan, output=path) if not path.exists() else Run(path)
    journal, requests = Journal(run), Requests()
    if stop_at:
        emit = journal.emit

        def watch(kind: str, **fields: Any) -> None:
            emit(kind, **fields)
            requests.stop |= kind == "step" and fields["step"] == stop_at

        journal.emit = watch  # type: ignore[method-assign]
    state = "failed"
    try:
        state = Session(run, plan, journal, requests).execute().state
    finally:
        journal.close(state)  # type: ignore[arg-type]
    return [{"type": event.type, **event.fields} for event in EventTail(run.events_path).new_events()]


def losses(events: list[dict[str, Any]]) -> list[float]:
    return [event["loss"] for event in events if event["type"] == "step"]


def watch_reading(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[list[str]]]:
    """What is compared of stored rows from now on, and what of it was when the rows were asked for."""
    from loratui.runs import manifest
    from loratui.worker.training import session

    read: list[str] = []
    before: list[list[str]] = []
    digest, prepare = manifest.hashlib.file_digest, session.prepare

    def digested(file: Any, name: str) -> Any:
        if file.name.endswith("rows.arrow"):
            read.append(Path(file.name).name)
        return digest(file, name)

    manifest._known.clear()
    monkeypatch.setattr(manifest.hashlib, "file_digest", digested)
    monkeypatch.setattr(session, "prepare", lambda *given, **more: before.append(list(read)) or prepare(*given, **more))
    return read, before


def test_rehearsals_and_resumes_tokenise_nothing_and_learn_the_same(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(model, write_rows(tmp_path / "rows.jsonl", ROWS), **{"saving.every_steps": 2})
    whole = losses(train(plan, tmp_path / "whole"))
    shutil.rmtree(tokens_home())
    begun = losses(train(plan, tmp_path / "parts", stop_at=2))
    forbid_tokenising(monkeypatch)
    read, before = watch_reading(monkeypatch)
    events = train(plan, tmp_path / "parts")
    assert before == [["rows.arrow"]] and read == ["rows.arrow"], "compared once, while the model was loaded"
    assert 2 <= len(begun) < len(whole) and losses(events) == whole
    told = [event["message"] for event in events if event["type"] == "phase" and "tokenised before" in event["message"]]
    assert told == [f"{ROWS} rows were tokenised before"]
    assert not [event for event in events if event.get("finding") in ("resume-differs", "token-store")]


def test_what_is_inspected_is_not_tokenised_again_for_the_training(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.inspecting.model import load_text_model

    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    with path.open("a") as file:
        file.write('broken\n{"prompt": "x", "completion": ""}\n{"prompt": "x", "completion": "left out"}\n')
    plan = plan_for(model, path, **{"dataset.exclude": [3, ROWS + 2], "training.max_length": 30})
    fresh, _ = prepared(plan)
    trained = losses(train(plan, tmp_path / "before"))
    shutil.rmtree(tokens_home())
    result = Inspection(plan, lambda message: None).run(load_text_model(plan))
    forbid_tokenising(monkeypatch)
    found, reused = prepared(plan)
    assert reused == [True] and result["usable"] == len(found.train) + len(found.held_out)
    assert [content(part) for part in (found.train, found.held_out)] == [
        content(part) for part in (fresh.train, fresh.held_out)
    ]
    assert found.left_out == fresh.left_out and found.train.unusable == fresh.train.unusable == 2
    assert losses(train(plan, tmp_path / "after")) == trained


def test_a_split_and_a_maximum_length_choose_among_the_same_tokens(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rows.jsonl", KINDS["pairs"])
    changed = {"training.max_length": 24, "dataset.eval_count": 7, "training.seed": 5}
    fresh, _ = prepared(plan_for(model, path, **changed))
    shutil.rmtree(tokens_home())
    prepared(plan_for(model, path))
    forbid_tokenising(monkeypatch)
    found, _ = prepared(plan_for(model, path, **changed))
    assert content(found.train) == content(fresh.train) and content(found.held_out) == content(fresh.held_out)
    assert found.train.cut == fresh.train.cut > 0 and len(found.held_out) == 7


def stored() -> list[Path]:
    return sorted(one for one in tokens_home().iterdir() if one.is_dir() and not one.name.startswith("."))


def test_what_is_held_out_is_found_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from loratui.worker.training import held_out_rows

    plan = plan_for(model, write(tmp_path / "rows.jsonl", KINDS["pairs"]))
    searches: list[int] = []
    search = held_out_rows.split_rows
    monkeypatch.setattr(held_out_rows, "split_rows", lambda *given: searches.append(given[2]) or search(*given))
    first = prepared(plan)[0]
    again = prepared(plan)[0]
    assert searches == [42], "a million rows take seconds to be split: a resume does not do it again"
    assert (first.train.fingerprint(), first.held_out.fingerprint()) == (
        again.train.fingerprint(),
        again.held_out.fingerprint(),
    )
    others = [{"training.seed": 7}, {"dataset.eval_count": 3}, {"dataset.split_by": "order"}]
    parts = [content(prepared(with_values(plan, one))[0].held_out) for one in others]
    assert searches == [42, 7, 42, 42] and len(parts[1]) == 3
    assert len({str(one) for one in (content(first.held_out), *parts)}) == 4
    (kept,) = (one for one in tokens_home().glob("*/held-out-*") if one.stat().st_size == 32 + 8 * 3)
    damaged = bytearray(kept.read_bytes())
    damaged[-1] ^= 1
    kept.write_bytes(damaged)
    assert content(prepared(with_values(plan, others[1]))[0].held_out) == parts[1]
    assert len(searches) == 5 and "found anew" in caplog.text


def test_whatever_decides_the_tokens_makes_others(model: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "t.jinja").write_text(TEMPLATE.replace("im_start|>'", "im_start|> '"))
    other = shutil.copytree(model, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:-1]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    plans = [
        plan_for(model, path),
        plan_for(model, path, **{"model.chat_template": str(tmp_path / "t.jinja")}),
        plan_for(model, path, **{"model.end_token": "<|endoftext|>"}),
        plan_for(model, path, **{"training.loss_on": "all"}),
        plan_for(model, path, **{"dataset.exclude": [1]}),
        plan_for(model, path, **{"dataset.leave_out": ["duplicate"]}),
        plan_for(model, path, **{"dataset.columns": {"prompt": "completion", "completion": "prompt"}}),
        plan_for(model, path, **{"dataset.reasoning": "drop"}),
        plan_for(other, path),
    ]
    for number, plan in enumerate(plans, 1):
        assert True not in prepared(plan)[1]
        assert len(stored()) == number
    for plan in plans:
        assert prepared(plan)[1] == [True]
    write_rows(path, ROWS, seed=1)
    assert True not in prepared(plans[0])[1]


def test_private_and_whole(model: Path, tmp_path: Path) -> None:
    prepared(plan_for(model, write_rows(tmp_path / "rows.jsonl", ROWS)))
    (folder,) = stored()
    assert tokens_home().stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o700
    names = {"rows.arrow", "facts.json", "manifest.json", "in-use"}
    (held_out,) = (file for file in folder.iterdir() if file.name not in names)
    assert held_out.name.startswith("held-out-") and held_out.stat().st_mode & 0o777 == 0o600
    assert len(list(folder.iterdir())) == len(names) + 1
    assert not [one for one in tokens_home().iterdir() if one.name.startswith(".")]


@pytest.mark.parametrize("harm", ["bit", "cut", "missing", "manifest", "facts"])
def test_damage_is_noticed_and_mended(model: Path, tmp_path: Path, harm: str) -> None:
    plan = plan_for(model, write_rows(tmp_path / "rows.jsonl", ROWS))
    wanted = content(prepared(plan)[0].train)
    (folder,) = stored()
    table, manifest = folder / "rows.arrow", folder / "manifest.json"
    data = bytearray(table.read_bytes())
    if harm == "bit":
        data[len(data) // 2] ^= 4
        table.write_bytes(data)
    elif harm == "cut":
        table.write_bytes(data[:-100])
    elif harm == "missing":
        table.unlink()
    else:
        (manifest if harm == "manifest" else folder / "facts.json").write_text("{")
    said: list[str] = []
    found, reused = prepared(plan, said=said)
    assert len(said) == 1 and "damaged" in said[0] and "anew" in said[0]
    assert content(found.train) == wanted and True not in reused
    said.clear()
    assert prepared(plan, said=said)[1] == [True] and said == []


def test_without_a_store_the_training_goes_on_and_says_so(model: Path, tmp_path: Path, home: Path) -> None:
    plan = plan_for(model, write_rows(tmp_path / "rows.jsonl", ROWS))
    wanted = losses(train(plan, tmp_path / "stored"))
    shutil.rmtree(home)
    home.mkdir()
    (home / "cache").write_text("no folder can be made here")
    events = train(plan, tmp_path / "unstored")
    told = [event["message"] for event in events if event.get("finding") == "token-store"]
    assert len(told) == 1 and "not stored (" in told[0]
    assert losses(events) == wanted


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 6,000 bytes: what a full disk does, in the middle of the rows."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


def test_a_disk_that_fills_up_meanwhile_costs_the_store_alone(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    from loratui.worker import token_table

    plan = plan_for(model, write(tmp_path / "rows.jsonl", KINDS["pairs"]), **{"dataset.eval_fraction": 0.0})
    tokeniser, wanted, said = tokeniser_of(plan), row_by_row(plan), []
    monkeypatch.setattr(token_table, "BATCH_ROWS", 7)
    request.getfixturevalue("small_files")
    found, _ = prepared(plan, tokeniser, said)
    assert content(found.train) == wanted
    assert len(said) == 1 and "not stored" in said[0]
    assert not [one for one in tokens_home().iterdir() if one.is_dir()]


def test_the_oldest_that_nobody_uses_make_room(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.worker import token_store

    plans = [plan_for(model, write_rows(tmp_path / f"{n}.jsonl", ROWS, seed=n)) for n in range(4)]
    held = prepared(plans[0])[0]
    prepared(plans[1])
    for number, folder in enumerate(sorted(stored(), key=lambda one: one.stat().st_mtime_ns)):
        os.utime(folder, (number, number))
    left = tokens_home() / ".packing-1-1"
    left.mkdir()
    (left / "in-use").touch()
    os.utime(left, (0, 0))
    monkeypatch.setattr(token_store, "LIMIT_BYTES", 1)
    said: list[str] = []
    prepared(plans[2], said=said)
    assert len(said) == 1 and "1970-01-01" in said[0] and "MiB" in said[0]
    assert not left.exists() and len(stored()) == 2
    assert prepared(plans[0])[1] == [True], "it is in use"
    assert content(held.train)


def process(values: dict[str, Any]) -> subprocess.Popen[str]:
    """A process that prepares these rows once a line comes."""
    child = subprocess.Popen(
        [sys.executable, __file__, json.dumps(values)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    return child


def answer(child: subprocess.Popen[str]) -> list[Any]:
    out, _ = child.communicate(timeout=240)
    found: list[Any] = json.loads(out)
    return found


@pytest.mark.usefixtures("ready_workers")
def test_of_two_processes_one_tokenises(model: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 1500)
    values = {"model.id": str(model), "dataset.path": str(path)}
    children = [process(values) for _ in range(2)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    found = [answer(child) for child in children]
    assert sorted(one[0] for one in found) == [False, True]
    assert found[0][1:3] == found[1][1:3] and len(stored()) == 1


@pytest.mark.usefixtures("ready_workers")
def test_memory_does_not_grow_with_the_tokens(model: Path, tmp_path: Path) -> None:
    """Ten times the tokens in as many rows: of 10 MB of text, ids and labels as Python lists took over 200 MB."""
    words = "one and two is " * 40
    peaks = []
    for name, times in (("short", 1), ("long", 10)):
        rows = [{"prompt": f"{n}?", "completion": f"{n} {words * times}"} for n in range(1800)]
        child = process(
            {
                "model.id": str(model),
                "dataset.path": str(write(tmp_path / f"{name}.jsonl", rows)),
                "training.max_length": 16384,
                "dataset.eval_fraction": 0.0,
            }
        )
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        peaks.append(answer(child)[3])
    assert peaks[1] - peaks[0] < 80 * 2**20


def test_a_changed_token_or_label_is_another_fingerprint(model: Path, tmp_path: Path) -> None:
    rows = KINDS["other labels"]
    changed = [rows, [{**rows[0], "labels": [-100, 9, 8, 7]}, *rows[1:]], [{**rows[0], "input_ids": [5, 6, 8, 8]}]]
    changed += [[*rows[1:], rows[0]], [{**rows[0], "labels": [-100, 9, 8, 8]}, *rows[1:]]]
    prints = {
        prepared(plan_for(model, write(tmp_path / f"{number}.jsonl", one), **{"dataset.eval_fraction": 0.0}))[
            0
        ].train.fingerprint()
        for number, one in enumerate(changed)
    }
    assert len(prints) == len(changed)
    same = write(tmp_path / "copy.jsonl", rows)
    assert prepared(plan_for(model, same, **{"dataset.eval_fraction": 0.0}))[0].train.fingerprint() in prints


def prepare_once(values: dict[str, Any]) -> None:
    """Prepare the rows once a line comes; tell whether they were there, what they are, and what it took at most."""
    from loratui.worker.inspecting.model import load_text_model
    from loratui.worker.training.dataset import prepare

    plan = with_values(Plan(), values)
    tokeniser = load_text_model(plan).tokeniser(plan, plan.training.max_length)
    print("ready", flush=True)
    sys.stdin.readline()
    reused: list[bool] = []
    found = prepare(plan, tokeniser, progress=lambda rows, stored: reused.append(stored))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([True in reused, found.train.fingerprint(), len(found.train), peak]))


if __name__ == "__main__":
    prepare_once(json.loads(sys.argv[1]))
