"""Inspect, playground, shape, trace and take-away speak one way: a worker that dies, hangs, or prints what is no
message is one sentence for each; what a library prints beside the messages harms none."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from loratui import child_process
from loratui.child_process import Refused, ask, run_tool, worker_command
from loratui.core.errors import LoratuiError, WorkerError
from loratui.core.families import read_config
from loratui.core.plan import Plan
from loratui.models import shapes
from loratui.workers import command, inspect_client
from loratui.workers.client import PlaygroundClient
from loratui.workers.protocol import Load
from waiting import is_gone, wait_for

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


async def inspect(program: list[str], patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(inspect_client, "worker_command", lambda name: program)
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
        ("import time; time.sleep(600)", "was not heard of for 1 seconds and was ended"),
    ],
)
async def test_a_worker_that_dies_babbles_or_hangs_is_one_sentence(
    name: str, code: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep" in code:  # the others are heard of when a busy machine lets them begin
        monkeypatch.setattr(child_process, "SILENCE_SECONDS", 1.0)
    with pytest.raises(LoratuiError) as raised:
        await CLIENTS[name]([sys.executable, "-c", code], monkeypatch)
    assert says in raised.value.sentence and "\n" not in raised.value.sentence
    assert "SIGKILL" not in raised.value.sentence, "it was ended by us, not by the system"


async def test_a_worker_that_ended_before_it_was_asked_says_how_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    send = child_process.Child.send

    async def late(child: child_process.Child, line: bytes) -> None:
        await child.wait()
        await send(child, line)

    monkeypatch.setattr(child_process.Child, "send", late)
    for name in ("playground", "shape", "trace"):
        with pytest.raises(LoratuiError, match=r"ended with status 1\. Its last words: no room"):
            await CLIENTS[name]([sys.executable, "-c", "import sys; sys.exit('no room')"], monkeypatch)


@pytest.mark.parametrize("name", CLIENTS)
async def test_what_a_library_prints_harms_no_message(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It lives, too, however long it is silent: the beats say so. It is listened to from when it beats: how long an
    interpreter takes to begin is up to the machine."""
    begun, start = tmp_path / "begun", child_process.Child.start
    code = (
        "import os, pathlib, sys, time\nfrom loratui import child_process\nchild_process.BEAT_SECONDS = 0.05\n"
        f"voice = child_process.Voice()\npathlib.Path({str(begun)!r}).touch()\n"
        "print('noise')\nos.write(1, b'more noise\\n')\nsys.stdin.readline()\n"
        f"time.sleep(3.5)\nprint('noise')\nvoice.message({ANSWERS[name]!r})\nsys.stdin.readline()\n"
    )

    async def until_it_beats(child: child_process.Child) -> None:
        await start(child)
        wait_for(begun.exists, "its voice")

    monkeypatch.setattr(child_process.Child, "start", until_it_beats)
    monkeypatch.setattr(child_process, "SILENCE_SECONDS", 3.0)
    assert await CLIENTS[name]([sys.executable, "-c", code], monkeypatch) in ({}, ["base"], "LlamaForCausalLM")


SPEAKS = "import json, os, sys, time\nfrom loratui.workers.command import speak\nmessages = speak()\n"


async def told_by(code: str) -> tuple[command.CommandProcess, list[str]]:
    process = command.CommandProcess([], program=[sys.executable, "-c", SPEAKS + code])
    return process, [line async for line in process.lines()]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("sys.exit('no room')", r"The command ended with status 1\. Its last words: no room"),
        ("os.kill(os.getpid(), 9)", r"The command was ended by SIGKILL"),
        ("messages.voice.say(b'{}\\n')", "this line is no message of the command"),
        ("messages.voice.say(b'hello\\n')", "this line is no message of the command"),
    ],
)
async def test_a_command_that_dies_or_babbles_is_one_sentence(code: str, says: str) -> None:
    with pytest.raises(WorkerError, match=says):
        await told_by(code)


async def test_a_command_tells_and_makes_whatever_a_library_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SILENT_SECONDS", 0.5)
    process, told = await told_by(
        "print('noise'); os.write(1, b'more noise')\nmessages.told('one\\ntwo')\ntime.sleep(1)\n"
        "messages.printed({'file': 'x', 'size_bytes': 3, 'newer': 1})\nmessages.ended(0)"
    )
    assert [line for line in told if not line.startswith("Still there, but it has said nothing for")] == ["one", "two"]
    assert len(told) > 2
    assert process.made(command.GgufFile) == command.GgufFile("x", 3) and process.last == "two"
    assert process.ended == command.Ended(0) and process.status == 0
    with pytest.raises(WorkerError, match="this is no message of the command"):
        process.made(command.Sent)


async def test_a_real_command_speaks_so_and_is_plain_text_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    process = command.CommandProcess(["merge", str(tmp_path / "absent"), "-o", str(tmp_path / "out"), "--json"])
    assert [line async for line in process.lines()] == []
    assert process.ended is not None and process.ended.status == process.status == 1
    assert str(tmp_path / "absent") in process.ended.problem and "loratui:" not in process.ended.problem
    by_hand = subprocess.run(
        [sys.executable, "-m", "loratui", "merge", str(tmp_path / "absent"), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert by_hand.stderr == f"loratui: {process.ended.problem}\n" and by_hand.stdout == ""


async def test_a_command_is_interrupted_also_where_its_starter_was_deaf() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = command.CommandProcess(
            [],
            program=[
                sys.executable,
                "-c",
                SPEAKS + "try:\n messages.told('working'); time.sleep(600)\nexcept KeyboardInterrupt: "
                "messages.ended(130); sys.exit(130)",
            ],
        )
        async for _ in process.lines():
            process.stop()
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stopped and process.ended == command.Ended(130)
    await process.closed()
    assert process.status == 130


def test_a_tool_of_others_passes_its_lines_and_ends_with_who_waits_for_it(tmp_path: Path) -> None:
    heard: list[tuple[str, bool]] = []
    code = "import sys; sys.stderr.write('1 %\\r2 %\\r'); print('done'); sys.exit(3)"
    status, last = run_tool([sys.executable, "-uc", code], lambda text, over: heard.append((text, over)))
    assert (status, last) == (3, "done") and heard == [("1 %", True), ("2 %", True), ("done", False)]
    status, last = run_tool([str(tmp_path / "absent")], lambda text, over: None)
    assert status == 1 and "cannot be started: No such file" in last
    waits = (
        "import sys; from loratui.child_process import run_tool; run_tool([sys.executable, '-uc', 'import os, time; "
        "print(os.getpid()); time.sleep(600)'], lambda text, over: print(text, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        tool = psutil.Process(int(waiting.stdout.readline()))
        waiting.kill()
    wait_for(lambda: is_gone(tool), "the tool's end")


@pytest.mark.usefixtures("ready_workers")
async def test_the_tracing_worker_answers_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    question = {"config": CONFIG, "plan": {"lora.r": 4, "training.precision": "fp32"}, "rows": 1, "tokens": 16}
    traced = await ask(worker_command("trace", "-"), "The tracing worker", question, "traced")
    assert traced["peak_bytes"] >= traced["weights_bytes"] > 0 and traced["tokens"] == 16
    with pytest.raises(Refused, match="names no model_type"):
        await ask(worker_command("trace", "-"), "The tracing worker", {"config": {}}, "traced")
