"""`loratui generate` on a tiny model: batched answers are those given one by one, and a killed start goes on."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from tiny_models import make_adapter, make_model

from loratui.core.generation import GenerationSettings
from loratui.workers.protocol import Load
from waiting import PATIENCE_SECONDS

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]
KILLED_AGAIN_AND_AGAIN = Path(__file__).with_name("killed_again_and_again.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    make_model(folder / "base", context=20_000)
    make_adapter(folder / "base", folder / "adapter")
    return folder


def command(folder: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "loratui",
        "generate",
        "--adapter",
        str(folder / "adapter"),
        "--input",
        str(folder / "in.jsonl"),
        "--output",
        str(folder / "out.json"),
        *options,
    ]


def test_a_batch_answers_as_one_by_one(folder: Path) -> None:
    from loratui.worker.generation.batch import generate_batch
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.generation.prompt import conversation, prompt_ids

    models = LoadedModels(Load(str(folder / "base"), {"base": "", "adapter": str(folder / "adapter")}, dtype="fp32"))
    prompts = [
        prompt_ids(models.tokenizer, conversation([{"role": "user", "content": "x" * length}])) for length in (1, 40, 7)
    ]
    settings = GenerationSettings(max_tokens=24)
    together = generate_batch(models, "adapter", prompts, settings)
    alone = [generate_batch(models, "adapter", [prompt], settings)[0] for prompt in prompts]
    assert together == alone
    assert len({one.text for one in together}) == 3
    stop = models.tokenizer(together[1].text, add_special_tokens=False)["input_ids"]
    assert stop
    base = generate_batch(models, "base", prompts, settings)
    assert [one.text for one in base] != [one.text for one in together]


def test_killed_and_continued(folder: Path, request: pytest.FixtureRequest) -> None:
    rows: list[Any] = [{"input": {"number": number}} for number in range(40)]
    (folder / "in.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnonsense\n")
    journal = folder / "out.json.part"
    first = subprocess.Popen(command(folder, "--batch-size", "2", "--max-tokens", "150"), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while (not journal.exists() or journal.read_bytes().count(b"\n") < 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.communicate()  # until nobody writes any more
    done = journal.read_bytes().count(b"\n") - 1
    assert 4 <= done < 40
    assert not (folder / "out.json").exists(), "what lacks answers must not look like the whole"
    request.getfixturevalue("whole_processes")  # libraries' notes come as they are imported
    second = subprocess.run(command(folder, "--batch-size", "8", "--max-tokens", "150"), capture_output=True, text=True)
    assert second.returncode == 1, second.stderr
    assert f"{done} of 41 answers were there before" in second.stderr
    assert "Warning" not in second.stderr and "kernels" not in second.stderr, "libraries' notes are for programmers"
    assert "row 41 (line 41) is left out" in second.stderr
    document = json.loads((folder / "out.json").read_text())
    assert [row["input"] for row in document[:-1]] == [row["input"] for row in rows]
    assert all(isinstance(row["generated_output"], str) for row in document[:-1])
    assert document[-1]["row"] == 41 and document[-1]["problem"] and document[-1]["generated_output"] is None
    assert not journal.exists()


def test_an_answer_that_is_drawn_follows_from_its_row_alone(folder: Path) -> None:
    from loratui.worker.generation.batch import generate_batch
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.generation.prompt import conversation, prompt_ids
    from loratui.worker.generation.sampling import seed_of

    models = LoadedModels(Load(str(folder / "base"), {"base": "", "adapter": str(folder / "adapter")}, dtype="fp32"))
    prompts = [prompt_ids(models.tokenizer, conversation([{"role": "user", "content": "same"}]))] * 12
    settings = GenerationSettings(temperature=1.0, top_p=0.95, top_k=40, min_p=0.01, max_tokens=12)
    seeds = [seed_of(settings, row) for row in range(12)]

    def answered(size: int, order: list[int]) -> dict[int, str]:
        found = {}
        for at in range(0, 12, size):
            rows = order[at : at + size]
            batch = generate_batch(
                models, "adapter", [prompts[row] for row in rows], settings, [seeds[r] for r in rows]
            )
            found.update(zip(rows, (one.text for one in batch), strict=True))
        return found

    together = answered(12, list(range(12)))
    assert together == answered(1, list(range(12))) == answered(5, list(range(11, -1, -1)))
    assert len(set(together.values())) > 8, "equal prompts are drawn for each row anew"
    assert answered(4, list(range(12))) == together


def test_tokens_are_drawn_from_the_models_own_probabilities() -> None:
    import torch

    from loratui.worker.generation.sampling import samplers

    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    settings = GenerationSettings(temperature=0.8)
    wanted = torch.softmax(scores[0] / 0.8, -1)
    processors = samplers(settings, [7], "cpu")
    counts = torch.zeros(4)
    for _ in range(4000):
        counts[processors(torch.zeros(1, 1, dtype=torch.long), scores.clone())[0].argmax()] += 1
    assert torch.allclose(counts / 4000, wanted, atol=0.03)


@pytest.mark.parametrize(
    "document",
    [
        {"input": {"starting_page": 1, "project_title": "Bridges", "contents_txt": "…"}},
        [
            {"input": {"starting_page": 1, "project_title": "Bridges"}},
            {"input": {"starting_page": 10, "project_title": "Tunnels"}},
        ],
    ],
    ids=["one object", "a list"],
)
def test_the_guides_forms_printed_without_an_output(
    folder: Path, tmp_path: Path, document: Any, request: pytest.FixtureRequest
) -> None:
    if isinstance(document, list):
        request.getfixturevalue("whole_processes")  # what libraries print as they are imported is not there either
    (tmp_path / "in.json").write_text(json.dumps(document))
    arguments = [
        "--adapter",
        str(folder / "adapter"),
        "--input",
        str(tmp_path / "in.json"),
        "--temperature",
        "0.5",
        "--max-tokens",
        "9",
        "--seed",
        "3",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "loratui", "generate", *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    answered = json.loads(done.stdout)
    assert [row["input"] for row in answered] == [
        row["input"] for row in (document if isinstance(document, list) else [document])
    ]
    assert all(
        set(row) == {"row", "input", "generated_output", "ended_by"} and isinstance(row["generated_output"], str)
        for row in answered
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.json"], "nothing is left behind"


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_killed_at_any_moment_no_row_is_answered_twice_or_lost(folder: Path, tmp_path: Path, suffix: str) -> None:
    rows = [{"input": {"number": number, "text": "x" * (number % 7)}} for number in range(40)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    output = tmp_path / f"out{suffix}"
    arguments = [
        "--adapter",
        str(folder / "adapter"),
        "--input",
        str(tmp_path / "in.jsonl"),
        "--output",
        str(output),
        "--batch-size",
        "2",
        "--max-tokens",
        "40",
        "--temperature",
        "1",
    ]
    done = subprocess.run(
        [sys.executable, str(KILLED_AGAIN_AND_AGAIN), str(output) + ".part", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    story = json.loads(done.stdout)
    assert story["status"] == 0 and story["kills"] >= 3, story
    assert story["told"] == sorted(story["told"]) and story["told"][-1] > 0, "it went on from start to start"
    assert f"{story['told'][-1]} of 40 answers were there before" in story["log"]
    inputs = [row["input"] for row in rows]
    if suffix == ".json":
        answered = [row["input"] for row in json.loads(output.read_text())]
    else:
        answered = [json.loads(row["input"]) for row in csv.DictReader(output.open(newline=""))]
    assert answered == inputs and not Path(str(output) + ".part").exists()
    whole = [str(tmp_path / f"whole{suffix}") if one == str(output) else one for one in arguments]
    subprocess.run([sys.executable, "-m", "loratui", "generate", *whole], check=True, capture_output=True)
    assert output.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes(), "as an undisturbed start writes it"


def test_a_damaged_adapter_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "adapter", tmp_path / "adapter")
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    (tmp_path / "in.jsonl").write_text('{"input": "x"}\n')
    done = subprocess.run(
        [sys.executable, "-m", "loratui", "generate", str(tmp_path / "adapter"), str(tmp_path / "in.jsonl")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "damaged" in done.stderr and "a defect of loratui" not in done.stderr


@pytest.mark.usefixtures("whole_processes")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--temperature", "9"], "Temperature takes a number, 0 to 2"),
        (["--top-k", "many"], "Top-k takes a whole number"),
        (["--adapter", "no-such-run"], "there is no run no-such-run"),
        (["--input", "absent.json"], "absent.json"),
    ],
)
def test_wrong_use_is_a_sentence_without_waiting_for_torch(
    folder: Path, options: list[str], words: str, tmp_path: Path
) -> None:
    (folder / "in.jsonl").write_text('{"input": "x"}\n')
    done = subprocess.run(command(folder, *options), capture_output=True, text=True, cwd=tmp_path)
    assert words in done.stderr, done.stderr
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "PyTorch" not in done.stderr


def test_a_server_answers_in_halves_what_does_not_fit_into_memory_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from loratui.worker.generation.batch import generate_batch
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.serving.engine import Done, Engine, Failed, Job, Piece

    models = LoadedModels(Load(str(folder / "base"), device="cpu"))
    settings, told = GenerationSettings(max_tokens=8), dict[int, list[Any]]()
    prompts = [[5, 6, 7 + number] for number in range(5)]
    wanted = [one.text for one in generate_batch(models, "base", prompts, settings)]
    real, sizes = models.base.generate, list[int]()

    def small(*given: Any, **more: Any) -> Any:
        sizes.append(len(more["inputs"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(*given, **more)

    def ask(number: int) -> Job:
        told[number] = []
        return Job("base", prompts[number], settings, 8, told[number].append)

    monkeypatch.setattr(models.base, "generate", small)
    engine, most = Engine(models), 2
    engine._answer([ask(number) for number in range(5)])
    assert sizes == [5, 2, 3, 1, 2]
    for number, events in told.items():
        assert "".join(one.text for one in events if isinstance(one, Piece)) == wanted[number]
        assert isinstance(events[-1], Done) and sum(isinstance(one, Done) for one in events) == 1
    most = 0
    engine.put([ask(0)])
    engine.begin()
    until = time.monotonic() + 60
    while not told[0] and time.monotonic() < until:
        time.sleep(0.01)
    engine.close()
    assert [type(one) for one in told[0]] == [Failed] and "memory is full" in told[0][0].sentence


def test_sixteen_questions_that_wait_take_the_models_steps_once(folder: Path) -> None:
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.serving.engine import Done, Engine, Failed, Job

    models = LoadedModels(Load(str(folder / "base"), device="cpu"))
    steps, told = list[int](), SimpleQueue[Any]()
    models.base.register_forward_pre_hook(lambda model, given: steps.append(1))
    settings = GenerationSettings(max_tokens=12, temperature=1)

    def ended(questions: int) -> list[int]:
        """Tokens of each answer, as they end."""
        found = list[int]()
        while len(found) < questions:
            event = told.get(timeout=PATIENCE_SECONDS)
            assert not isinstance(event, Failed), event
            if isinstance(event, Done):
                found.append(event.tokens)
        return found

    engine = Engine(models)
    engine.put([Job("base", [5, 6, 7 + number], settings, 12, told.put) for number in range(16)])
    engine.begin()
    longest = max(ended(16))
    assert len(steps) == longest, "each step of the model is for all that wait"
    steps.clear()
    engine.put([Job("base", [5, 6, 7], settings, 12, told.put)])
    assert ended(1) == [len(steps)], "alone, a question takes as many steps as its own tokens"
    engine.close()
