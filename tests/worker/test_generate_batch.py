"""`loratui generate` on a tiny model: batched answers are those given one by one, and a killed start goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_adapter, make_model

from loratui.core.generation import GenerationSettings
from loratui.worker.protocol import Load

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    make_model(folder / "base", context=20_000)
    make_adapter(folder / "base", folder / "adapter")
    return folder


def command(folder: Path, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "loratui.worker", "generate", "--adapter", str(folder / "adapter"),
        "--input", str(folder / "in.jsonl"), "--output", str(folder / "out.json"), *options,
    ]


def test_a_batch_answers_as_one_by_one(folder: Path) -> None:
    from loratui.worker.generation.batch import generate_batch
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.generation.prompt import conversation, prompt_ids

    models = LoadedModels(Load(str(folder / "base"), {"base": "", "adapter": str(folder / "adapter")}, dtype="fp32"))
    prompts = [prompt_ids(models.tokenizer, conversation([{"role": "user", "content": "x" * length}])) for length in (1, 40, 7)]
    settings = GenerationSettings(max_tokens=24)
    together = generate_batch(models, "adapter", prompts, settings)
    alone = [generate_batch(models, "adapter", [prompt], settings)[0] for prompt in prompts]
    assert together == alone
    assert len({one.text for one in together}) == 3
    stop = models.tokenizer(together[1].text, add_special_tokens=False)["input_ids"]
    assert stop
    base = generate_batch(models, "base", prompts, settings)
    assert [one.text for one in base] != [one.text for one in together]


def test_killed_and_continued(folder: Path) -> None:
    rows: list[Any] = [{"input": {"number": number}} for number in range(40)]
    (folder / "in.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnonsense\n")
    journal = folder / "out.json.part"
    first = subprocess.Popen(command(folder, "--batch-size", "2", "--max-tokens", "150"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while (not journal.exists() or journal.read_bytes().count(b"\n") < 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.wait()
    done = journal.read_bytes().count(b"\n") - 1
    assert 4 <= done < 40
    second = subprocess.run(command(folder, "--batch-size", "8", "--max-tokens", "150"), capture_output=True, text=True)
    assert second.returncode == 1, second.stderr
    assert f"{done} of 41 rows were answered before" in second.stderr
    assert "row 41 (line 41) is left out" in second.stderr
    document = json.loads((folder / "out.json").read_text())
    assert [row["input"] for row in document] == [row["input"] for row in rows]
    assert all(isinstance(row["generated_output"], str) for row in document)
    assert not journal.exists()


@pytest.mark.parametrize(("options", "words"), [
    (["--temperature", "9"], "Temperature takes a number, 0 to 2"),
    (["--top-k", "many"], "Top-k takes a whole number"),
    (["--adapter", "no-such-run"], "there is no run no-such-run"),
    (["--input", "absent.json"], "absent.json"),
])
def test_wrong_use_is_a_sentence_without_waiting_for_torch(folder: Path, options: list[str], words: str, tmp_path: Path) -> None:
    (folder / "in.jsonl").write_text('{"input": "x"}\n')
    done = subprocess.run(command(folder, *options), capture_output=True, text=True, cwd=tmp_path)
    assert words in done.stderr, done.stderr
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "PyTorch" not in done.stderr
