"""The playground's worker as a process: it answers, is killed, is started again, and never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tiny_models import make_adapter, make_model

from loratui.core.errors import WorkerError
from loratui.core.generation import GenerationSettings
from loratui.workers.client import PlaygroundClient
from loratui.workers.protocol import Done, Event, Failed, Load, Piece
from waiting import PATIENCE_SECONDS, is_gone, wait_for

pytestmark = pytest.mark.worker


async def collect(client: PlaygroundClient, sides: list[str], settings: GenerationSettings) -> list[Event]:
    return [event async for event in client.ask(sides, settings, messages=[{"role": "user", "content": "Hello"}])]


async def test_load_ask_stop_kill_and_start_again(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", context=100_000)
    make_adapter(base, tmp_path / "adapter")
    load = Load(str(base), {"base": "", "adapter": str(tmp_path / "adapter")})
    client = PlaygroundClient(tmp_path / "worker.log")
    progress: list[str] = []

    with pytest.raises(WorkerError, match="holds no model"):
        await client.start(Load(str(tmp_path / "nowhere")), progress.append)
    ready = await client.start(load, progress.append)
    assert ready.sides == ["base", "adapter"]
    assert any("weights" in what for what in progress)
    assert client.process_id is not None
    assert os.getsid(client.process_id) == client.process_id, "a session of its own"

    events = await collect(client, ["base", "adapter"], GenerationSettings(max_tokens=10))
    assert {event.side for event in events if isinstance(event, Done)} == {"base", "adapter"}

    stopped = False
    async for event in client.ask(["base"], GenerationSettings(max_tokens=30_000), prompt="go"):
        if isinstance(event, Piece) and not stopped:
            stopped = True
            await client.stop()
        if isinstance(event, Done):
            assert event.reason == "stopped"
    assert stopped

    async for event in client.ask(["base"], GenerationSettings(max_tokens=30_000), prompt="go"):
        if isinstance(event, Piece):
            os.kill(client.process_id, signal.SIGKILL)
        last = event
    assert isinstance(last, Failed)
    assert "SIGKILL" in last.message
    assert not client.alive
    with pytest.raises(WorkerError, match=r"was ended by SIGKILL.* Ask again"):
        await collect(client, ["base"], GenerationSettings())
    again = await client.start(load)
    assert again.sides == ["base", "adapter"]
    pid = client.process_id
    await client.close()
    assert not psutil.pid_exists(pid)


async def test_a_worker_that_dies_at_start_is_a_sentence(tmp_path: Path) -> None:
    client = PlaygroundClient(tmp_path / "log", command=[sys.executable, "-c", "import sys; sys.exit(3)"])
    with pytest.raises(WorkerError, match=r"ended|not running"):
        await asyncio.wait_for(client.start(Load("x")), PATIENCE_SECONDS)
    await client.close()
    with pytest.raises(WorkerError, match="cannot be started"):
        await PlaygroundClient(command=[str(tmp_path / "absent")]).start(Load("x"))


def test_the_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'loratui.worker', 'playground'], stdin=subprocess.PIPE,"
        " stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)\n"
        "child.stdout.readline()\nprint(child.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not is_gone(child)
    parent.kill()
    parent.wait()
    wait_for(lambda: is_gone(child), "the worker's end")
