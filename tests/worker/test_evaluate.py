"""`loratui evaluate` on tiny models: the training's own loss, plain likelihoods, kills, and exit status."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tiny_model import write_rows, write_tiny_model
from tiny_models import make_adapter, make_model

from loratui.core.errors import InputError
from loratui.core.generation import GenerationSettings
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.evaluation.judge_client import Judge
from loratui.evaluation.scoring import Rules
from loratui.runs.directory import Run
from loratui.runs.events import EventTail
from loratui.runs.start import create_run
from loratui.worker.evaluate import EvaluateRequest, evaluate, execute
from loratui.workers.client import PlaygroundClient
from loratui.workers.protocol import Answered, Evaluated, Failed
from loratui.workers.target import find_target

pytestmark = pytest.mark.worker
SHORT = GenerationSettings(max_tokens=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, ready_workers: None) -> Run:
    """A run of ten steps with two checkpoints and 12 held-out rows."""
    folder = tmp_path_factory.mktemp("evaluated")
    write_tiny_model(folder / "model")
    values = {
        "model.id": str(folder / "model"),
        "model.dtype": "fp32",
        "dataset.path": str(write_rows(folder / "rows.jsonl", 40)),
        "dataset.eval_fraction": 0.3,
        "training.precision": "fp32",
        "training.batch_size": 4,
        "training.max_length": 64,
        "training.max_steps": 10,
        "training.learning_rate": 5e-3,
        "saving.every_steps": 5,
        "evaluation.every_steps": 5,
    }
    run = create_run(with_values(Plan(), values), output=folder / "run")
    subprocess.run([sys.executable, "-m", "loratui.worker", "train", str(run.path)], check=True, capture_output=True)
    return run


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    rows = [{"prompt": f"{number} and so on", "completion": "x" * (number % 5 + 1)} for number in range(24)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnonsense\n")
    return make_adapter(make_model(folder / "base"), folder / "adapter")


def command(adapter: Path, *options: str) -> list[str]:
    data = str(adapter.parent / "rows.jsonl")
    return [sys.executable, "-m", "loratui", "evaluate", str(adapter), "--data", data, "--max-tokens", "24", *options]


def test_a_run_is_measured_as_its_training_measured_it(run: Run) -> None:
    """The same rows, the same tokens, the same loss, whatever the batches; and its checkpoints beside it."""
    found = evaluate(EvaluateRequest(str(run.path), checkpoints=True, settings=SHORT))
    last = [event for event in EventTail(run.events_path).new_events() if event.type == "eval"][-1]
    figures = {side["name"]: side["figures"] for side in found["sides"]}
    assert list(figures) == ["base", "checkpoint-5", "checkpoint-10", "run"] and found["judged"] == "run"
    assert found["rows"] == 12 and figures["run"]["loss"]["rows"] == 12
    assert figures["run"]["loss"]["value"] == pytest.approx(last.loss, abs=1e-5)
    assert figures["run"]["token_accuracy"]["value"] == pytest.approx(last.token_accuracy)
    assert figures["run"]["loss"] == figures["checkpoint-10"]["loss"] != figures["checkpoint-5"]["loss"]
    told = {(one["against"], one["measure"]): one["told"] for one in found["differences"]}
    assert told["base", "loss"] == "better" and told["checkpoint-10", "loss"] == "no difference"
    folder = Path(found["folder"])
    assert folder.parent == run.evaluations_path and json.loads((folder / "evaluation.json").read_text()) == found
    assert len(list(folder.glob("*.jsonl"))) == 4


def test_a_base_that_is_another_now_is_told_with_the_figures(run: Run, tmp_path: Path) -> None:
    """Its score was 0, without a word; and the answers of before are not those of this base."""
    model = shutil.copytree(run.path.parent / "model", tmp_path / "model")
    other = Run(Path(shutil.copytree(run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evaluations"))))
    other.plan_path.write_text(plan_to_toml(with_values(other.plan(), {"model.id": str(model)})))
    known = other.fingerprint()
    assert set(known["base"]) == {"config.json", "model.safetensors"}, "its worker wrote them down"
    known["plan"]["model.id"] = str(model)
    other.fingerprint_path.write_text(json.dumps(known))
    request = EvaluateRequest(str(other.path), limit=2, settings=SHORT, without_base=True)
    before = evaluate(request)
    assert before["base_changed"] == ""
    weights = load_file(model / "model.safetensors")
    save_file({name: -one for name, one in weights.items()}, model / "model.safetensors", {"format": "pt"})
    found = evaluate(request)
    assert "model.safetensors was written on" in found["base_changed"]
    losses = [one["sides"][-1]["figures"]["loss"]["value"] for one in (before, found)]
    assert losses[0] != losses[1], "what was answered on the base of before does not count"


async def test_the_playground_finds_what_the_command_finds_with_the_models_that_it_holds(run: Run) -> None:
    """Stopped at its first rows, it goes on; and what is answered already, neither of them asks again."""
    target = find_target(str(run.path))
    client = PlaygroundClient(run.path / "worker.log")
    long = GenerationSettings(max_tokens=40)
    try:
        await client.start(replace(target.load, sides=target.load.sides | {"checkpoint-5": str(checkpoint(run, 5))}))
        sides = ["base", "checkpoint-5", "adapter"]
        events = []
        async for event in client.evaluate(str(run.path), sides, 12, long):
            events.append(event)
            if isinstance(event, Answered) and event.rows:
                await client.stop()
        assert isinstance(events[-1], Evaluated) and not events[-1].path, "it was stopped"
        events = [event async for event in client.evaluate(str(run.path), sides, 12, long)]
        told = [event.side for event in events if isinstance(event, Answered)]
        last = events[-1]
        assert set(told) == {"checkpoint-5", "adapter"}, "the base's batch was kept"
        assert isinstance(last, Evaluated)
        found = json.loads(Path(last.path).read_text())
        again = [event async for event in client.evaluate(str(run.path), sides, 12, long)]
        assert [type(event) for event in again] == [Evaluated]
        failed = [event async for event in client.evaluate(str(run.path / "nowhere"), sides, 12, long)]
        assert isinstance(failed[-1], Failed)
        weights = run.adapter_path / "adapter_model.safetensors"
        written = weights.stat().st_mtime_ns
        os.utime(weights, ns=(written, written + 10**9))  # as a training that was extended leaves it
        failed = [event async for event in client.evaluate(str(run.path), sides, 12, long)]
        assert isinstance(failed[-1], Failed) and "was written anew since it was loaded" in failed[-1].message
        os.utime(weights, ns=(written, written))
    finally:
        await client.close()
    before = {path: path.stat().st_mtime_ns for path in Path(found["folder"]).glob("*.jsonl")}
    mine = evaluate(EvaluateRequest(str(run.path), settings=long, limit=12))
    assert before == {path: path.stat().st_mtime_ns for path in Path(found["folder"]).glob("*.jsonl")}
    assert [side["name"] for side in found["sides"]] == ["base", "checkpoint-5", "run"]
    assert [found["sides"][0], found["sides"][2]] == mine["sides"] and found["failed"] == mine["failed"]


def checkpoint(run: Run, step: int) -> Path:
    return run.checkpoints_path / f"checkpoint-{step}"


def test_answers_are_those_of_generate_and_likelihoods_those_of_transformers(adapter: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from loratui.api import load
    from loratui.worker.generation.load import LoadedModels

    rows = [
        {"prompt": "a", "completion": "yes", "options": ["no", "yes", "perhaps so"], "label": 2},
        {"prompt": "bb", "completion": "no", "options": ["no", "yes"], "label": 1},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    request = EvaluateRequest(
        str(adapter), str(tmp_path / "rows.json"), choices="options", right="label", settings=SHORT, batch_rows=2
    )
    found = evaluate(request)
    (mine,) = [json.loads(line) for line in Path(found["folder"]).glob("adapter-*").__next__().open()][:1]
    assert mine["side"] == "adapter"
    lines = [json.loads(line) for line in next(Path(found["folder"]).glob("adapter-*")).read_text().splitlines()[1:]]
    answers = {line[1]: line[3] for line in lines if line[0] == "answer"}
    assert [answers[0], answers[1]] == load(adapter, max_tokens=16).generate(["a", "bb"])
    chosen = {line[1]: line[2:] for line in lines if line[0] == "choices"}
    target = find_target(str(adapter))
    models = LoadedModels(target.load)
    model, tokenizer = models.use("adapter"), AutoTokenizer.from_pretrained(target.load.base)
    for number, row in enumerate(rows):
        wanted = []
        for text in row["options"]:
            asked = f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n"
            start = len(tokenizer(asked)["input_ids"])
            ids = torch.tensor([tokenizer(f"{asked}{text}<|im_end|>")["input_ids"]])
            with torch.no_grad():
                scores = model(ids).logits[0].log_softmax(-1)
            wanted.append(sum(float(scores[at - 1, ids[0, at]]) for at in range(start, ids.shape[1])))
        assert chosen[number] == pytest.approx(wanted, abs=1e-4)
    best = [max(range(len(chosen[n])), key=lambda at, n=n: chosen[n][at]) for n in (0, 1)]
    value = found["sides"][1]["figures"]["choice"]["value"]
    assert value == sum(at == row["label"] for at, row in zip(best, rows, strict=True)) / 2


@pytest.mark.usefixtures("ready_workers")
def test_killed_and_continued_it_is_what_an_undisturbed_start_finds(
    adapter: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    drawn = ("--temperature", "1", "--samples", "3", "--pass-at", "1,2", "--batch-size", "4", "--json")
    homes = tmp_path / "one", tmp_path / "other"
    outputs = []
    for home, kill in zip(homes, (True, False), strict=True):
        monkeypatch.setenv("LORATUI_HOME", str(home))
        if kill:
            first = subprocess.Popen(command(adapter, *drawn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 100
            while time.monotonic() < deadline and first.poll() is None:
                files = list(home.rglob("adapter-*.jsonl"))
                if files and files[0].read_bytes().count(b"\n") > 6:
                    break
                time.sleep(0.005)
            first.send_signal(signal.SIGKILL)
            first.wait()
        done = subprocess.run(command(adapter, *drawn), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        outputs.append(json.loads(done.stdout))
    one, other = outputs
    assert one["sides"] == other["sides"]
    assert one.pop("folder") != other.pop("folder") and one == other
    assert {"pass@1", "pass@2", "exact_match", "loss"} <= one["sides"][1]["figures"].keys()
    assert one["left_out"][0]["row"] == 25 and one["rows"] == 24
    again = subprocess.run(command(adapter, *drawn), capture_output=True, text=True)
    assert json.loads(again.stdout)["sides"] == one["sides"]
    assert "PyTorch" not in again.stderr, "what is kept needs no model"


def test_exit_status_and_sentences(adapter: Path) -> None:
    from click.testing import CliRunner

    from loratui.commands.evaluate import command as evaluate_command

    data = str(adapter.parent / "rows.jsonl")

    def ended(*options: str) -> tuple[int, str]:
        arguments = [str(adapter), "--data", data, "--max-tokens", "4", "--limit", "4", *options]
        result = CliRunner().invoke(evaluate_command, arguments)
        return result.exit_code, result.stderr

    assert ended("--metrics", "tokens,empty", "--at-least", "tokens=1")[0] == 0
    status, said = ended("--metrics", "exact_match", "--at-least", "exact_match=0.9")
    assert status == 1 and "exact_match is 0, not 0.9 as it was to be" in said
    for options, words in (
        (("--metrics", "loss", "--at-least", "exact_match=0.9"), "exact_match is not measured"),
        (
            ("--metrics", "tokens", "--at-least", "loss=2", "--seed", "9"),
            "loss is not measured here. Measured: tokens.",
        ),
        (("--metrics", "exact_mach"), "Did you mean exact_match"),
        (("--metrics", "choice"), "--choices COLUMN"),
        (("--metrics", "pass@4"), "--samples 4"),
    ):
        status, said = ended(*options)
        assert status == 2 and words in said and "rows/s" not in said, "said before anything is asked"
    with pytest.raises(InputError, match="Name rows with --data"):
        evaluate(EvaluateRequest(str(adapter)))


def test_rows_that_cannot_be_asked_are_left_out_of_every_side(adapter: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "x" * length, "completion": "y"} for length in (3, 400, 5)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    found = evaluate(EvaluateRequest(str(adapter), str(tmp_path / "rows.json"), settings=SHORT, rules=Rules()))
    assert found["rows"] == 2 and [row["row"] for row in found["left_out"]] == [2]
    assert "this model's context holds 256" in found["left_out"][0]["problem"]


def test_several_runs_stand_in_one_table(run: Run, adapter: Path) -> None:
    """Another run is asked through its own template and base; that it did not hold these rows out is said."""
    found = evaluate(EvaluateRequest(str(run.path), against=(str(adapter),), settings=SHORT, without_base=True))
    assert [side["name"] for side in found["sides"]] == ["adapter", "run"]
    assert {one["against"] for one in found["differences"]} == {"adapter"}
    with pytest.raises(InputError, match="named twice"):
        evaluate(EvaluateRequest(str(run.path), against=(str(adapter), str(adapter)), settings=SHORT))


def test_a_missing_library_is_a_sentence(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    data = str(adapter.parent / "rows.jsonl")
    with pytest.raises(Exception, match=r"sacrebleu, which is not installed.*loratui\[evaluate\]"):
        evaluate(EvaluateRequest(str(adapter), data, measures=("bleu",), limit=4, settings=SHORT))
    found = evaluate(EvaluateRequest(str(adapter), data, limit=4, settings=SHORT))
    assert "bleu" not in found["sides"][0]["figures"] and "rougeL" in found["sides"][0]["figures"]


def test_likelihoods_that_were_broken_off_are_those_of_an_undisturbed_start(adapter: Path) -> None:
    """To the last bit: a row's batch is the same, whatever of it was there before."""
    from loratui.data.conversation import Message
    from loratui.worker.generation.likelihood import likelihoods, written
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.generation.prompt import conversation
    from loratui.worker.tokenise import Tokeniser
    from loratui.workers.target import find_target

    models = LoadedModels(find_target(str(adapter)).load)
    tokeniser = Tokeniser(models.tokenizer, stop_ids=models.stop_ids)
    rows = []
    for number in range(9):
        asked = conversation([{"role": "user", "content": "x" * number * 7}])
        answered = asked._replace(messages=(*asked.messages, Message("assistant", "yes", True)))
        rows.append(written(tokeniser, answered, (number, -1), models.context_tokens))
    whole = {key: one for batch in likelihoods(models, "adapter", rows) for key, one in batch.items()}
    done = {(number, -1) for number in (0, 3, 8)}
    rest = {key: one for batch in likelihoods(models, "adapter", rows, done) for key, one in batch.items()}
    assert rest == {key: one for key, one in whole.items() if key not in done} and len(whole) == 9
    assert list(likelihoods(models, "adapter", rows, whole)) == []


def test_a_memory_that_is_full_while_loading_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from loratui.core.errors import WorkerError
    from loratui.worker.generation import load
    from loratui.worker.loading import load_models
    from loratui.workers.protocol import Load

    def full(*given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(load, "LoadedModels", full)
    with pytest.raises(WorkerError, match=r"^the GPU's memory is full"):
        load_models(Load("demo"))


def test_a_judge_that_cannot_be_reached_takes_nothing_of_what_was_measured(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    monkeypatch.setattr("loratui.evaluation.judge_client.time.sleep", lambda seconds: None)
    judge = Judge("http://127.0.0.1:9/v1", "nobody")
    asked = EvaluateRequest(
        str(adapter), str(adapter.parent / "rows.jsonl"), settings=GenerationSettings(max_tokens=8), judge=judge
    )
    assert execute(asked) == 1
    said = capsys.readouterr()
    assert "exact match" in said.out and "Nothing was judged: the judge at 127.0.0.1:9 cannot be reached" in said.err
    (kept,) = tmp_path.rglob("evaluation.json")
    found = json.loads(kept.read_text())
    assert found["sides"] and "cannot be reached" in found["judge"]["problem"] and "pairs" not in found["judge"]
    monkeypatch.setattr("loratui.worker.evaluate.judged", lambda *given: {"pairs": [], "agreement": {"votes": 0}})
    assert "problem" not in evaluate(asked)["judge"] and "problem" not in json.loads(kept.read_text())["judge"]
