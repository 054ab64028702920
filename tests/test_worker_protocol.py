"""Inspect, playground, shape, trace and take-away speak one way: a worker that dies, hangs, or prints what is no
message is one sentence for each; what a library prints beside the messages harms none."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from loratui import child_process
from loratui.child_process import Refused, ask, worker_command
from loratui.core.errors import LoratuiError
from loratui.core.families import read_config
from loratui.core.plan import Plan
from loratui.models import shapes
from loratui.tui.take_away import process as take_away
from loratui.workers import inspect_client
from loratui.workers.client import PlaygroundClient
from loratui.workers.protocol import Load

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 128,
}
Client = Callable[[list[str], pytest.MonkeyPatch], Awaitable[Any]]


async def inspect(command: list[str], patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(inspect_client, "worker_command", lambda name: command)
    client = inspect_client.InspectClient()
    try:
        return [message async for message in client.inspect(Plan())][-1]["result"]  # type: ignore[typeddict-item]
    finally:
        await client.close()


async def playground(command: list[str], patch: pytest.MonkeyPatch) -> Any:
    client = PlaygroundClient(command=command)
    try:
        return (await client.start(Load("x"))).sides
    finally:
        await client.close()


async def shape(command: list[str], patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(shapes, "command", lambda: command)
    patch.setattr(shapes, "remember", lambda config, found: None)
    return (await shapes.learn_meanwhile(CONFIG)).architecture


async def trace(command: list[str], patch: pytest.MonkeyPatch) -> Any:
    return await ask(command, "The tracing worker", {"config": CONFIG}, "traced")


CLIENTS: dict[str, Client] = {"inspect": inspect, "playground": playground, "shape": shape, "trace": trace}
ANSWERS: dict[str, dict[str, Any]] = {
    "inspect": {"type": "result", "result": {}},
    "playground": {
        "event": "ready",
        "sides": ["base"],
        "device": "cpu",
        "dtype": "float32",
        "chat_template": False,
        "context_tokens": 1,
        "seconds": 0.0,
        "memory_bytes": 1,
        "number": 1,
    },
    "shape": {"spec": asdict(replace(read_config(CONFIG), traced=True))},
    "trace": {"traced": {}},
}


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; sys.exit('no room')", "ended with status 1"),
        ("print('Loading checkpoint shards: 100%')", "Loading checkpoint shards"),
        ("import time; time.sleep(60)", "was not heard of for 1 seconds and was ended"),
    ],
)
async def test_a_worker_that_dies_babbles_or_hangs_is_one_sentence(
    name: str, code: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "SILENCE_SECONDS", 1.0)
    with pytest.raises(LoratuiError) as raised:
        await CLIENTS[name]([sys.executable, "-c", code], monkeypatch)
    assert says in raised.value.sentence and "\n" not in raised.value.sentence
    assert "SIGKILL" not in raised.value.sentence, "it was ended by us, not by the system"


@pytest.mark.parametrize("name", CLIENTS)
async def test_what_a_library_prints_harms_no_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives, too, however long it is silent: the beats say so."""
    monkeypatch.setattr(child_process, "SILENCE_SECONDS", 1.0)
    code = (
        "import os, sys, time\nfrom loratui import child_process\nchild_process.BEAT_SECONDS = 0.2\n"
        "voice = child_process.Voice()\nprint('noise')\nos.write(1, b'more noise\\n')\nsys.stdin.readline()\n"
        f"time.sleep(1.6)\nprint('noise')\nvoice.message({ANSWERS[name]!r})\nsys.stdin.readline()\n"
    )
    assert await CLIENTS[name]([sys.executable, "-c", code], monkeypatch) in ({}, ["base"], "LlamaForCausalLM")


@pytest.mark.parametrize(
    ("code", "last", "result"),
    [
        ("import sys; sys.exit('no room')", "no room", {}),
        ("import json; print('noise'); print(json.dumps({'commit': 'x'}, indent=2))", "", {"commit": "x"}),
        (
            "import time, sys; time.sleep(0.5); print('done', file=sys.stderr)",
            "Still there, but it has said nothing for 0 seconds.",
            {},
        ),
    ],
)
async def test_a_command_that_dies_babbles_or_is_silent(
    code: str, last: str, result: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take_away, "SILENT_SECONDS", 0.2)
    command = take_away.CommandProcess([], program=[sys.executable, "-c", code])
    told = [line async for line in command.lines()]
    assert (last in told or not last) and command.result == result
    assert command.complaint == ("no room" if "exit" in code else "done" if "done" in code else "")


async def test_the_tracing_worker_answers_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    question = {"config": CONFIG, "plan": {"lora.r": 4, "training.precision": "fp32"}, "rows": 1, "tokens": 16}
    traced = await ask(worker_command("trace", "-"), "The tracing worker", question, "traced")
    assert traced["peak_bytes"] >= traced["weights_bytes"] > 0 and traced["tokens"] == 16
    with pytest.raises(Refused, match="names no model_type"):
        await ask(worker_command("trace", "-"), "The tracing worker", {"config": {}}, "traced")
