"""The one base of processes that work for this one: lines, last words, and no life beyond the parent's."""

from __future__ import annotations

import ast
import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import loratui
from loratui.child_process import Child, worker_command
from loratui.core.errors import WorkerError
from waiting import is_gone, wait_for

PACKAGE = Path(loratui.__file__).parent


def python(code: str, called: str = "The worker", log_path: Path | None = None) -> Child:
    return Child([sys.executable, "-c", code], called, log_path=log_path)


async def test_messages_go_and_come_and_everything_else_goes_to_the_log(tmp_path: Path) -> None:
    child = python(
        (
            "import sys, json\nprint('noise', file=sys.stderr)\nfor line in sys.stdin: print(json.dumps({'got': "
            "json.loads(line)}), flush=True)"
        ),
        log_path=tmp_path / "log",
    )
    await child.start()
    assert child.pid is not None and os.getsid(child.pid) == child.pid, "a session of its own"
    await child.send(b'{"a": 1}\n')
    assert await child.message() == {"got": {"a": 1}}
    await child.close(120.0)
    assert (
        child.status == 0
        and (tmp_path / "log").read_text() == "noise\n"
        and (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    )
    with pytest.raises(WorkerError, match=r"The worker is not running\."):
        await child.send(b"{}\n")


def test_closed_while_its_loop_ends_it_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the wizard is left while a check goes on: its workers are cancelled, and cancelled again as the loop
    ends. The pipe is held open by another process, so that it cannot be at its end before that.
    """
    fell: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: fell.append(raised.exc_value))
    pids: list[int] = []
    holds = "import subprocess as s; print(s.Popen(['sleep', '600'], start_new_session=True).pid, flush=True); "

    async def work(child: Child) -> None:
        try:
            await child.start()
            pids.extend([int(await child.line()), child.pid or 0])
            await child.line()
        finally:
            await child.close()

    async def leave() -> None:
        task = asyncio.create_task(work(python(holds + "import time; time.sleep(600)")))
        while not pids:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0)  # it is in the midst of closing

    asyncio.run(leave())
    gc.collect()
    holder, pid = pids
    os.kill(holder, signal.SIGKILL)
    assert fell == []
    wait_for(lambda: is_gone(pid), "the process's end")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "import sys; print('first', file=sys.stderr); sys.exit('no \\x1b[31mmodel')",
            r"^The worker ended with status 1\. Its last words: no ␛\[31mmodel",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            r"was ended by SIGKILL, by somebody or by the system\.",
        ),
        ("import os; os.kill(os.getpid(), 40)", r"was ended by signal 40\."),
        ("print('hello')", r"said something that is no message: hello"),
    ],
)
async def test_a_death_is_one_sentence(code: str, says: str) -> None:
    child = python(code)
    await child.start()
    with pytest.raises(WorkerError, match=says) as raised:
        await child.message()
    assert "\n" not in raised.value.sentence and "\x1b" not in raised.value.sentence
    await child.close()


async def test_what_cannot_be_started_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="The worker cannot be started: No such file"):
        await Child([str(tmp_path / "absent")], "The worker").start()
    with pytest.raises(WorkerError, match="its log cannot be written"):
        await python("", log_path=tmp_path / "absent" / "log").start()


async def test_closing_ends_it_and_what_it_began() -> None:
    child = python(
        "import subprocess, sys, time\nprint(subprocess.Popen([sys.executable, '-c', 'import time; "
        "time.sleep(600)']).pid, flush=True)\ntime.sleep(600)"
    )
    await child.start()
    grandchild = int(await child.line())
    await child.close()
    assert not child.alive
    wait_for(lambda: is_gone(grandchild), "the end of what it began")


PARENT = """
import asyncio, sys
from loratui.child_process import Child, worker_command

async def main():
    child = Child(worker_command(sys.argv[1], *sys.argv[2:]), "The worker")
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["inspect", "shape", "playground"])
def test_a_worker_ends_with_its_parent_however_that_ends(name: str, tmp_path: Path) -> None:
    """Also where it does not read its input: the end of that would not be heard in the middle of work."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, name, *([str(pipe)] if name == "shape" else [])],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    wait_for(lambda: "LORATUI_PARENT" in worker.environ(), "the program that the process becomes")
    time.sleep(2.0)
    assert not is_gone(worker), "it waits, for its input or for a pipe"
    parent.kill()
    parent.wait()
    wait_for(lambda: is_gone(worker), "the worker's end")


HANGING = """
import asyncio, sys
from loratui.child_process import Child

async def main():
    code = "from loratui.child_process import end_with_parent as end; end(); print('{}', flush=True); 9 ** (9 ** 9)"
    child = Child([sys.executable, "-c", code], "The worker")
    await child.start()
    await child.message()
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_also_a_worker_in_which_no_thread_comes_to_run_ends_with_its_parent() -> None:
    """A chat template can hang within one step of the interpreter: such a worker went on for ever."""
    parent = subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    try:
        wait_for(lambda: is_gone(worker), "the worker's end")
    finally:
        if not is_gone(worker):
            worker.kill()


def test_a_worker_that_was_started_by_hand_outlives_its_shell() -> None:
    """Nobody is named as its parent, so nobody's end is its own."""
    code = (
        "import os\nfrom loratui.child_process import end_with_parent\nbefore = "
        "set(os.listdir('/proc/self/task'))\nend_with_parent()\nprint(len(set(os.listdir('/proc/self/task')) - "
        "before))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "LORATUI_PARENT"}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        == "0\n"
    )


def test_nobody_else_starts_a_process_and_talks_to_it() -> None:
    """Runs, and who tells of them, copies them or starts what waits, outlive their parent; the doctor reads lines with
    a deadline; the commands of the scheduler, of systemd and of cron, and a person's program are no processes of ours
    that speak our protocol: they are asked once, with a deadline.
    """
    waiting = {
        "cluster/slurm.py",
        "cluster/submit.py",
        "commands/doctor.py",
        "notify/ways.py",
        "queue/at_boot.py",
        "worker/training/launch.py",
        "worker/training/rehearse.py",
    }
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "subprocess.Popen",
                "subprocess.run",
                "asyncio.create_subprocess_exec",
                "loop.subprocess_exec",
            ):
                found.add(str(path.relative_to(PACKAGE)))
    assert found - waiting == {"child_process.py"}


def test_the_command_of_a_worker() -> None:
    assert worker_command("shape", "-") == [sys.executable, "-m", "loratui.worker", "shape", "-"]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "without type"),
        ({"type": "dance"}, "without type"),
        ({"type": "progress", "done": 1}, "without phase, seconds, total"),
    ],
)
def test_a_message_of_the_inspection_that_lacks_something_is_named(document: dict[str, object], says: str) -> None:
    from loratui.workers.inspect_messages import checked

    with pytest.raises(WorkerError, match=says):
        checked(document)
