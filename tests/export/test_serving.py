"""Serving: the commands of existing servers, and transformers' own, which really answers as the adapter does."""

from __future__ import annotations

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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loratui.commands.gguf import command as gguf_command
from loratui.commands.serve import command
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.export.serving import Served, can_serve, question, serving_steps
from loratui.paths import demo_model_path
from loratui.runs.checkpoints import seal
from loratui.workers.command import CommandProcess, Ended, GgufFile


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


@pytest.mark.worker
def test_a_stopped_runs_newest_checkpoint_becomes_a_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through its own merge, which is not that of a result that comes later."""
    from loratui.workers.target import served

    (tmp_path / "convert_hf_to_gguf.py").write_text(
        "import pathlib, sys\nassert (pathlib.Path(sys.argv[1]) / 'config.json').is_file()\n"
        "pathlib.Path(sys.argv[sys.argv.index('--outfile') + 1]).write_text(sys.argv[1])\n"
    )
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    stopped = tmp_path / "stopped"
    checkpoint = stopped / "checkpoints" / "checkpoint-5"
    shutil.copytree(run / "adapter", checkpoint)
    shutil.copy(run / "plan.toml", stopped)
    (checkpoint / "trainer_state.json").write_text('{"global_step": 5}')
    seal(checkpoint, 5)
    merged = stopped / "merged-checkpoint-5"
    assert served(str(stopped)).merged == str(merged)
    made = CliRunner().invoke(gguf_command, [str(stopped), "-o", str(tmp_path / "x.gguf"), "--format", "f16"])
    assert made.exit_code == 0, made.output
    assert "checkpoint-5 answers" in made.output and (tmp_path / "x.gguf").read_text() == str(merged)
    assert not (stopped / "merged").exists()
    later = (merged / "config.json").stat().st_mtime + 60
    os.utime(checkpoint / "adapter_model.safetensors", (later, later))  # begun anew, it was saved again
    made = CliRunner().invoke(gguf_command, [str(stopped), "-o", str(tmp_path / "y.gguf"), "--format", "f16"])
    assert made.exit_code == 0 and "Merging checkpoint-5 into its base first" in made.output


WORDS_OF_A_MERGE = (
    "Merging the adapter",
    "The adapter answers the prompts",
    "Adding the adapter",
    "Reading it back",
    "Writing: 50 %",
)


@pytest.fixture(scope="module")
def served_at(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The run and another one on the same base, served by `loratui serve` on the loopback; its address."""
    if can_serve():
        pytest.skip(can_serve())
    other = run.parent / "second-0.6b"
    shutil.copytree(run, other)
    with serving(run, str(run), str(other), "--max-tokens", "64", "--most-waiting", "40") as address:
        yield address


@contextmanager
def serving(run: Path, *arguments: str, key: str = "") -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from loratui.cli import main; sys.argv = ['loratui', *sys.argv[1:]]; main()"
    environment = dict(
        os.environ, OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", LORATUI_API_KEY=key
    )
    with (run / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", code, "serve", *arguments, "--port", str(port), "--device", "cpu"],
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        until = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60):
                    break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None and time.monotonic() < until, (run / "serve.log").read_text()[-3000:]
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0, (run / "serve.log").read_text()[-3000:]


def client(address: str, key: str = "none") -> Any:
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=address, api_key=key, max_retries=0, timeout=120)


ASKED = [{"role": "user", "content": "Two large pizzas for Ann, please."}]


@pytest.mark.worker
def test_base_and_adapters_are_listed_by_name_and_each_answers_as_itself(run: Path, served_at: str) -> None:
    from loratui.api import load

    asked = client(served_at)
    assert [one.id for one in asked.models.list()] == ["demo", "orders", "second-0.6b"]
    model = load(run, device="cpu", max_tokens=24)
    wanted = {"demo": model.generate({"messages": ASKED}, side="base"), "orders": model.generate({"messages": ASKED})}
    for name, text in wanted.items():
        answer = asked.chat.completions.create(model=name, messages=ASKED, max_tokens=24, temperature=0)
        assert answer.choices[0].message.content == text and answer.usage.completion_tokens <= 24
    assert wanted["demo"] != wanted["orders"]
    same = asked.chat.completions.create(model="second-0.6b", messages=ASKED, max_tokens=24, temperature=0)
    assert same.choices[0].message.content == wanted["orders"], "a name with a dot, and the same weights"
    streamed = asked.chat.completions.create(
        model="orders",
        messages=ASKED,
        max_tokens=24,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    pieces = list(streamed)
    assert "".join(one.choices[0].delta.content or "" for one in pieces if one.choices) == wanted["orders"]
    assert len(pieces) > 5 and pieces[-1].usage.completion_tokens <= 24
    assert [one.choices[0].finish_reason for one in pieces if one.choices][-1] in ("stop", "length")
    prompts = ["Two large", "Please send"]
    done = asked.completions.create(model="orders", prompt=prompts, max_tokens=8, temperature=0, n=1)
    alone = [asked.completions.create(model="orders", prompt=one, max_tokens=8, temperature=0) for one in prompts]
    assert [one.text for one in done.choices] == [one.choices[0].text for one in alone]


@pytest.mark.worker
def test_settings_are_each_requests_own_and_a_stop_text_ends_it(served_at: str) -> None:
    asked = client(served_at)

    def ask(**settings: Any) -> list[str]:
        found = asked.chat.completions.create(model="orders", messages=ASKED, max_tokens=24, **settings)
        return [choice.message.content for choice in found.choices]

    ways = [{"temperature": 0}, {"temperature": 2, "seed": 1, "n": 3}, {"temperature": 2, "seed": 7}]
    alone = [ask(**way) for way in ways]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda way: ask(**way), ways)) == alone, "a batch changes nobody's answer"
    assert len(set(alone[1])) == 3, "three answers drawn with seeds of their own"
    (whole,) = alone[0]
    stop = whole[5:9]
    (cut,) = ask(temperature=0, stop=stop)
    assert cut == whole[: whole.index(stop)]


@pytest.mark.worker
def test_what_is_not_known_is_refused_in_openais_form(served_at: str) -> None:
    openai = pytest.importorskip("openai")
    asked = client(served_at)
    with pytest.raises(openai.NotFoundError, match=r"there are: demo, orders, second-0\.6b"):
        asked.chat.completions.create(model="gpt", messages=ASKED)
    with pytest.raises(openai.BadRequestError, match="tools"):
        asked.chat.completions.create(model="orders", messages=ASKED, tools=[])
    with pytest.raises(openai.BadRequestError, match="context holds"):
        asked.completions.create(model="orders", prompt=[5] * 20_000)
    with pytest.raises(openai.BadRequestError, match="8 stop texts at most"):
        asked.chat.completions.create(model="orders", messages=ASKED, stop=[str(one) for one in range(9)])
    with pytest.raises(openai.RateLimitError, match="too many"):
        asked.completions.create(model="orders", prompt=["a"] * 41)
    with pytest.raises(urllib.error.HTTPError, match="415"):
        urllib.request.urlopen(urllib.request.Request(f"{served_at}/chat/completions", b"{}"), timeout=30)
    half = json.dumps({"model": "orders", "messages": [{"role": "user", "content": "\ud800"}]}).encode()
    json_body = {"Content-Type": "application/json"}
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(urllib.request.Request(f"{served_at}/chat/completions", half, json_body), timeout=30)
    assert "half of a surrogate pair" in json.load(refused.value)["error"]["message"]
    foreign = urllib.request.Request(f"{served_at}/models", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(foreign, timeout=30)


def test_a_run_that_is_called_as_its_base_stands_beside_it(run: Path) -> None:
    """`two of them have the name demo. Name each once.`, of one run that was named once."""
    from loratui.worker.serving.offered import offered
    from loratui.workers.target import find_target

    models, sides, _ = offered([replace(find_target(str(run)), title="demo")])
    assert [(one.name, one.side) for one in models[:2]] == [("demo-base", "base"), ("demo", "demo")]
    assert set(sides) == {"base", "demo"}


@pytest.mark.worker
async def test_a_defect_of_the_server_is_said_in_openais_form(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if can_serve():
        pytest.skip(can_serve())
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.serving import server
    from loratui.worker.serving.engine import Engine
    from loratui.worker.serving.offered import offered
    from loratui.workers.target import find_target

    def fail(*given: Any) -> None:
        raise TypeError("secret of the program")

    monkeypatch.setattr(server, "render", fail)
    target = find_target(str(run))
    app = server.Server(Engine(LoadedModels(target.load)), offered([target])[0], server.Limits(8)).app
    asked = {"model": "orders", "messages": [{"role": "user", "content": "Two"}]}
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(asked).encode()}

    async def send(message: Any) -> None:
        said.append(message)

    headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers, "query_string": b""}
    with pytest.raises(TypeError):  # it is in the log, too
        await app(scope, receive, send)
    assert said[0]["status"] == 500 and json.loads(said[1]["body"])["error"]["type"] == "server_error"
    assert b"secret" not in said[1]["body"]


@pytest.mark.worker
async def test_a_client_that_goes_before_its_answer_leaves_no_work_and_no_fault(run: Path) -> None:
    if can_serve():
        pytest.skip(can_serve())
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.serving.engine import Engine
    from loratui.worker.serving.offered import offered
    from loratui.worker.serving.server import Limits, Server
    from loratui.workers.target import find_target

    target = find_target(str(run))
    engine = Engine(LoadedModels(target.load))  # it has not begun: whoever asks waits
    app = Server(engine, offered([target])[0], Limits(8)).app
    asked = {"model": "orders", "messages": [{"role": "user", "name": "Ann", "content": "Two"}]}
    heard = iter([{"type": "http.request", "body": json.dumps(asked).encode()}, {"type": "http.disconnect"}])
    said: list[Any] = []

    async def receive() -> Any:
        return next(heard)

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "root_path": ""}
    await app({**scope, "headers": [(b"content-type", b"application/json")]}, receive, send)
    assert said[0]["status"] == 499
    assert [job.cancelled for job in engine._waiting] == [True]


@pytest.mark.worker
def test_a_key_is_asked_for_and_wanted_where_others_can_reach_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if can_serve():
        pytest.skip(can_serve())
    openai = pytest.importorskip("openai")
    with serving(run, str(run), key="sesame") as address:
        with pytest.raises(openai.AuthenticationError):
            client(address, "wrong").models.list()
        assert next(iter(client(address, "sesame").models.list())).id == "demo"
    from loratui.worker.serve import ServeRequest, serve

    monkeypatch.delenv("LORATUI_API_KEY", raising=False)
    with pytest.raises(LoratuiError, match="has no key"):
        serve(ServeRequest([str(run)], host="0.0.0.0"))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(LoratuiError, match="cannot be listened at"):
        serve(ServeRequest([str(run)], port=taken.getsockname()[1]))


@pytest.mark.worker
def test_runs_on_two_bases_are_not_served_together(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.worker import serve as serving_worker

    monkeypatch.setattr(serving_worker, "can_serve", lambda: "")
    shutil.copytree(run, tmp_path / "third")
    plan = with_values(Plan(), {"model.id": "acme/other", "model.dtype": "fp32"})
    (tmp_path / "third" / "plan.toml").write_text(plan_to_toml(plan))
    with pytest.raises(LoratuiError, match=r"third was trained on another base \(other\) than orders"):
        serving_worker.serve(serving_worker.ServeRequest([str(run), str(tmp_path / "third")]))
