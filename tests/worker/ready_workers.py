"""Workers as forks of a process that has imported torch already, for commands that start them as processes.

`serve` starts that process and writes a program that stands for the interpreter. Who has it as its `sys.executable`
starts `-m loratui.worker NAME` as usual, or a command of ours, a launcher of several processes, or a file of the tests'
own, and the fork gets its pipes, environment and directory; anything else the interpreter itself executes. Signals
reach the fork, which ends with its program. What an interpreter and the C library would read of the environment as they
start is read in the fork: PYTHONPATH, a `sitecustomize` in it, how memory is given back.

    python ready_workers.py SOCKET OWNER
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import psutil

MODULES = ("loratui", "loratui.worker", "accelerate.commands.launch", "torch.distributed.run")
"""What forks are asked to be, beside files in the folders of the tests. Not `watch_step`: it looks at its parent."""
TESTS = str(Path(__file__).parents[1])
HEAP = {"MALLOC_MMAP_THRESHOLD_": -3, "MALLOC_ARENA_MAX": -8}
"""What the C library reads of the environment as it starts, and its number for `mallopt`."""
STUB = """#!{python} -SE
import os, sys
arguments = [one for one in sys.argv[1:] if one != "-u"]
own = arguments[:1] and arguments[0].startswith({tests!r}) and arguments[0].endswith(".py")
whole = arguments[:1] != ["-m"] or arguments[1] not in {modules!r} or "watch_step" in arguments
if whole and not own:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
import array, json, signal, socket
told = {{
    "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd(), "program": {stub!r}
}}
told["environment"].pop("LORATUI_PARENT", None)
line = json.dumps(told).encode()
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({place!r})
    pipes = array.array("i", [0, 1, 2])
    asked.sendmsg([len(line).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, pipes)])
    asked.sendall(line)
    for number in (0, 1, 2):
        os.close(number)
    worker = int.from_bytes(asked.recv(4), "big")
    if not worker:
        os._exit(1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, frame: os.kill(worker, number))
    ended = asked.recv(4)
    code = int.from_bytes(ended, "big", signed=True) if ended else 1
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""
"""What stands for the interpreter: the worker's signals go to it, its end is the program's."""


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The program that stands for the interpreter, for as long as workers are to be ready."""
    process = _begin(folder, os.getpid())
    try:
        yield str(folder / "python")
    finally:
        process.kill()
        process.wait()


def shared(folder: Path, owner: int) -> str:
    """That program, of one process that all who name this folder ask. owner: the process with which it ends."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "workers").exists():
            _begin(folder, owner)
    return str(folder / "python")


def _begin(folder: Path, owner: int) -> subprocess.Popen[bytes]:
    place, stub = folder / "workers", folder / "python"
    stub.write_text(STUB.format(python=sys.executable, place=str(place), stub=str(stub), modules=MODULES, tests=TESTS))
    stub.chmod(0o755)
    command = [sys.executable, __file__, str(place), str(owner)]
    # Threads of OpenMP do not come along into a fork of a fork, and two on a busy core wait for each other.
    process = subprocess.Popen(command, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 300
    while not place.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    if not place.exists():
        process.kill()
        raise AssertionError("no process is there that workers could be forks of")
    return process


def main(place: str, owner: psutil.Process) -> None:
    """Import what takes the time, then be asked, for as long as the owner lives."""
    from loratui.worker import playground, train  # noqa: F401
    from loratui.worker.generation import answer, load  # noqa: F401
    from loratui.worker.training import session  # noqa: F401

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{place}.new")
    listener.listen(64)
    Path(f"{place}.new").rename(place)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while owner.is_running() and owner.status() != psutil.STATUS_ZOMBIE:
        if not select.select([listener], [], [], 1.0)[0]:
            continue
        asked, _ = listener.accept()
        if not os.fork():
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _watch(asked)
        asked.close()


def _watch(asked: socket.socket) -> None:
    """Start the worker, and tell its exit status."""
    data, hidden, _, _ = asked.recvmsg(4, socket.CMSG_SPACE(12))
    pipes = array.array("i")
    pipes.frombytes(hidden[0][2])
    told = json.loads(_whole(asked, int.from_bytes(data, "big")))
    worker = os.fork()
    if not worker:
        asked.close()
        _work(told, list(pipes))
    for number in pipes:
        os.close(number)
    with contextlib.suppress(OSError):
        asked.sendall(worker.to_bytes(4, "big"))
    code = _ended(worker, asked)
    with contextlib.suppress(OSError):
        asked.sendall(code.to_bytes(4, "big", signed=True))
    os._exit(0)


def _ended(worker: int, asked: socket.socket) -> int:
    """Wait for the worker's end; it is killed where the program that stands for it was."""
    while True:
        pid, status = os.waitpid(worker, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if select.select([asked], [], [], 0.02)[0]:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
            os._exit(0)


def _whole(asked: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = asked.recv(size - len(data))
        if not part:
            raise EOFError("who asked is gone")
        data += part
    return data


def _work(told: dict[str, object], pipes: list[int]) -> None:
    """Be `python -m loratui.worker …`; never returns."""
    code = 1
    try:
        os.setsid()
        for number, pipe in enumerate(pipes):
            os.dup2(pipe, number)
        os.environ.clear()
        os.environ.update(told["environment"])  # type: ignore[call-overload]
        os.chdir(str(told["folder"]))
        for name, number in HEAP.items():
            if name in os.environ:
                ctypes.CDLL(None).mallopt(number, int(os.environ[name]))
        arguments: list[str] = told["arguments"]  # type: ignore[assignment]
        sys.executable = str(told["program"])  # what it starts in its turn is a fork too
        sys.orig_argv = [sys.executable, *arguments]
        sys.argv = arguments[1:] if arguments[0] == "-m" else arguments
        folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
        sys.path[:0] = folders
        for folder in folders:
            if (site := Path(folder) / "sitecustomize.py").is_file():
                exec(site.read_text(), {"__name__": "sitecustomize"})
        if arguments[0] == "-m":
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(arguments[0]).parent))
            runpy.run_path(arguments[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # this process ends here, whatever it is
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], psutil.Process(int(sys.argv[2])))
