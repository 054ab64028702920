"""Serving: the commands of existing servers, and transformers' own, which really answers as the adapter does."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loratui.commands.serve import command
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.export.serving import SERVER_NEEDS, Served, question, serving_steps
from loratui.paths import demo_model_path
from loratui.workers.command import CommandProcess, Ended, GgufFile

CAN_SERVE = all(importlib.util.find_spec(name) is not None for name in SERVER_NEEDS)


def lines(**changes: Any) -> dict[str, str]:
    what = Served("mine", "/runs/mine/merged", "acme/base", "/runs/mine/adapter", 12, **changes)
    return {step.words: step.line for step in serving_steps(what, port=9000)}


def test_the_merged_model_and_the_adapter_on_its_base() -> None:
    found = lines()
    assert found["transformers serve"] == "transformers serve /runs/mine/merged --host 127.0.0.1 --port 9000"
    assert "serve /runs/mine/merged --served-model-name mine --host 127.0.0.1 --port 9000" in found["vLLM"]
    adapter = found["vLLM, the adapter on its base"]
    assert "serve acme/base --enable-lora --max-lora-rank 16 --lora-modules mine=/runs/mine/adapter" in adapter


def test_what_a_server_cannot_take_is_not_offered() -> None:
    assert len(lines(variant="dora")) == 2, "vLLM has no DoRA"
    assert "--quantization bitsandbytes" in lines(quantization="nf4")["vLLM, the adapter on its base"]
    assert "--revision v2" in lines(revision="v2")["vLLM, the adapter on its base"]
    assert len(serving_steps(Served("whole", "/runs/whole/model"))) == 2


def test_the_question_is_a_command_for_a_shell() -> None:
    assert "'Content-Type: application/json'" in question("/a b/'c'") and "127.0.0.1" in question("x", host="0.0.0.0")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with an adapter that changes the demo model's answers."""
    torch = pytest.importorskip("torch")
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("served") / "orders"
    folder.mkdir()
    (folder / "plan.toml").write_text(plan_to_toml(with_values(Plan(), {"model.dtype": "fp32"})))
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(demo_model_path(), dtype=torch.float32)
    model = get_peft_model(
        base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    )
    model.save_pretrained(folder / "adapter")
    AutoTokenizer.from_pretrained(demo_model_path()).save_pretrained(folder / "adapter")
    return folder


@pytest.mark.worker
def test_printed_commands_begin_with_the_merge(run: Path) -> None:
    printed = json.loads(CliRunner().invoke(command, [str(run), "--print", "--json"], catch_exceptions=False).output)
    assert printed["first"] == f"loratui merge {run} -o {run}/merged"
    assert [server["name"] for server in printed["servers"]] == [
        "transformers serve",
        "vLLM",
        "vLLM, the adapter on its base",
    ]


@pytest.mark.worker
async def test_a_file_for_llama_cpp_is_made_by_processes_that_tell_of_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three deep, as the screen starts it: the command, the merge that it waits for, and llama.cpp's own converter."""
    (tmp_path / "convert_hf_to_gguf.py").write_text(
        "import pathlib, sys\nprint('Writing: 50 %', end='\\r', flush=True)\n"
        "assert (pathlib.Path(sys.argv[1]) / 'config.json').is_file()\n"
        "pathlib.Path(sys.argv[sys.argv.index('--outfile') + 1]).write_text('GGUF')\n"
    )
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    copy = tmp_path / "orders"
    shutil.copytree(run, copy)
    arguments = ["gguf", str(copy), "-o", str(tmp_path / "x.gguf"), "--format", "f16", "--json"]
    process = CommandProcess(arguments)
    told = [line async for line in process.lines()]
    assert process.ended == Ended(0), told
    assert process.made(GgufFile) == GgufFile(str(tmp_path / "x.gguf"), 4)
    places = [next(n for n, line in enumerate(told) if words in line) for words in WORDS_OF_A_MERGE]
    assert places == sorted(places)
    assert (copy / "merged" / "config.json").is_file() and not (copy / "merged.part").exists()
    process = CommandProcess(arguments)
    assert [line async for line in process.lines()] == [] and process.ended is not None
    assert process.ended.status != 0 and "there already" in process.ended.problem


WORDS_OF_A_MERGE = (
    "Merging the adapter",
    "The adapter answers the prompts",
    "Adding the adapter",
    "Reading it back",
    "Writing: 50 %",
)


@pytest.mark.worker
@pytest.mark.skipif(not CAN_SERVE, reason=f"{', '.join(SERVER_NEEDS)} are not installed: pip install '.[serve]'")
def test_the_adapter_is_really_served(run: Path) -> None:
    """The merged folder is made, served by transformers on the loopback, and answers as the adapter does, not as the
    base.
    """
    from loratui.api import load

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from loratui.cli import main; sys.argv = ['loratui', *sys.argv[1:]]; main()"
    environment = dict(
        os.environ, OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", HF_HOME=str(run.parent / "hf")
    )
    with (run / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", code, "serve", str(run), "--port", str(port), "--device", "cpu"],
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        ask(port, "/health", server, run)
        assert (run / "merged" / "config.json").is_file()
        messages = [{"role": "user", "content": "Two large pizzas for Ann, please."}]
        body = {"model": str(run / "merged"), "messages": messages, "max_tokens": 24, "temperature": 0}
        answer = ask(port, "/v1/chat/completions", server, run, body)["choices"][0]["message"]["content"]
        ask(port, "/v1/models", server, run)
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) is not None
    model = load(run, device="cpu", max_tokens=24)
    expected = model.generate({"messages": messages})
    assert answer.strip() == expected.strip() != model.generate({"messages": messages}, side="base").strip()


def ask(port: int, path: str, server: subprocess.Popen[bytes], run: Path, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode() if body else None,
        {"Content-Type": "application/json"},
    )
    until = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as found:
                return json.load(found)
        except urllib.error.HTTPError as error:
            raise AssertionError(
                f"{path}: {error.code} {error.read()[:300]!r}\n{(run / 'serve.log').read_text()[-2000:]}"
            ) from error
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None and time.monotonic() < until, (run / "serve.log").read_text()[-3000:]
            time.sleep(0.2)
