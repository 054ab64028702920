"""A process that works for this one: started, spoken to in lines, watched, and ended. The one base of every such pair.

Inspecting, playground, shapes and traces are workers (`python -m loratui.worker NAME`): each leads a session of its
own, so that ctrl+c is for the program in front, and ends when its parent does, however that ended. So does a command of
ours that a screen has started (`workers.command`). What a process says beside its lines goes to a log, and its last
words there are told when it dies. A worker speaks through `Voice`, so that nothing a library prints can break a line of
ours, and says that it lives: one that falls silent is ended, with a sentence. A tool of others is waited
for (`run_tool`). What trains, watches the queue or reads beside a run outlives this process (`start_detached`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from loratui.core.errors import LoratuiError, WorkerError
from loratui.format import one_line
from loratui.machine.memory_kills import MemoryKills, memory_killed, read_kills
from loratui.terminal import PARENT_VARIABLE

LINE_LIMIT_BYTES = 2**27
WATCH_SECONDS = 0.5
BEAT_SECONDS = 5.0
"""A worker says so often that it lives, with an empty line, beside what it has to say."""
SILENCE_SECONDS = 180.0
"""A worker that is not heard of for so long hangs. Loading libraries from a slow disk may hold a beat back for long."""
TOOL_END_SECONDS = 3.0
"""How long a tool of others may take to end once it is interrupted."""
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the kernel sends when the parent has ended."""
_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


def worker_command(name: str, *arguments: str) -> list[str]:
    """The command line of one of our workers."""
    return [sys.executable, "-m", "loratui.worker", name, *arguments]


def end_with_parent() -> None:
    """In a worker: end when the process that started this one is gone, whatever this one does then. Where none is
    named in the environment, nothing happens."""
    named = os.environ.pop(PARENT_VARIABLE, "")  # not for the processes that this one starts
    if not named.isdigit():
        return
    with contextlib.suppress(OSError, AttributeError):  # Linux: also where no thread of Python's comes to run
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == int(named):
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class Voice:
    """A worker's own side: its lines go to the pipe that it was given, whatever else is printed goes to the log."""

    def __init__(self) -> None:
        pipe = os.dup(1)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._pipe = os.fdopen(pipe, "wb", buffering=0)
        self._lock = threading.Lock()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def say(self, line: bytes) -> None:
        """Send one line, its end included; the process ends where nobody reads any more."""
        try:
            with self._lock:
                self._pipe.write(line)
        except BrokenPipeError:
            os._exit(0)

    def message(self, document: Mapping[str, Any]) -> None:
        """Send one JSON object."""
        self.say(json.dumps(document, ensure_ascii=True, allow_nan=False).encode() + b"\n")

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            self.say(b"\n")


class Refused(WorkerError):
    """A worker that answered, in a sentence, why it cannot do what it was asked."""


class Child:
    """One process.

    `called` begins its sentences ("The playground's worker"); log_path: where its own words go, else a file that is
    forgotten.
    """

    def __init__(self, command: Sequence[str], called: str, *, log_path: Path | None = None) -> None:
        self._command = list(command)
        self._called = called
        self._log_path = log_path
        self._log: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        """The process's pipes: what asyncio makes a Process of, which gives no way to close them."""
        self._kills = MemoryKills()

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Its process id; None before the start."""
        return self._process.pid if self._process is not None else None

    @property
    def status(self) -> int | None:
        """Its exit status, or the signal's number below zero; None while it runs."""
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        """Start it as a worker: lines in, lines out, everything else to the log. WorkerError where that cannot be."""
        try:
            self._log = _private_log(self._log_path) if self._log_path else tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        except OSError as error:
            raise WorkerError(
                f"{self._called} cannot be started: its log cannot be written ({error.strerror}).",
                where=str(self._log_path or ""),
            ) from None
        self._kills = read_kills()
        loop = asyncio.get_running_loop()
        try:
            self._transport, protocol = await loop.subprocess_exec(
                lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=LINE_LIMIT_BYTES, loop=loop),
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, **_ENVIRONMENT, PARENT_VARIABLE: str(os.getpid())},
                start_new_session=True,
            )
        except OSError as error:
            self._close_log()
            raise WorkerError(f"{self._called} cannot be started: {error.strerror or error}.") from None
        self._process = asyncio.subprocess.Process(self._transport, protocol, loop)

    async def send(self, line: bytes) -> None:
        """Give it one line, its end included. WorkerError where it is not there any more."""
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise WorkerError(f"{self._called} is not running.")
        try:
            process.stdin.write(line)
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise WorkerError(f"{self._called} has ended.") from None

    def end_input(self) -> None:
        """Say that nothing more comes."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def line(self) -> bytes:
        """Its next line; empty at the end. WorkerError for one beyond LINE_LIMIT_BYTES, or where none comes for too
        long: either ends it."""
        assert self._process is not None and self._process.stdout is not None
        line = b"\n"
        try:
            while line == b"\n":  # it lives, and has nothing to say
                line = await asyncio.wait_for(self._process.stdout.readline(), SILENCE_SECONDS)
            return line
        except TimeoutError:
            self.kill()
            raise WorkerError(
                f"{self._called} was not heard of for {SILENCE_SECONDS:.0f} seconds and was ended.",
                hint="Try again; where it hangs again, `loratui doctor` looks at what it needs.",
            ) from None
        except ValueError:
            self.kill()
            raise WorkerError(f"{self._called} wrote a line of more than {LINE_LIMIT_BYTES >> 20} MiB.") from None

    async def message(self) -> dict[str, Any]:
        """Its next line as a JSON object. WorkerError with its last words where it ended, or said something else."""
        line = await self.line()
        if not line:
            raise await self.death()
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise WorkerError(
                f"{self._called} said something that is no message: {one_line(line.decode('utf-8', 'replace'), 100)}"
            )
        return document

    async def wait(self) -> int:
        """Its exit status, waited for."""
        assert self._process is not None
        return await self._process.wait()

    async def death(self) -> WorkerError:
        """How it ended, in one sentence with its last words or the place of its log."""
        status = await self.wait()
        how = f"ended with status {status}"
        if status < 0:
            how = f"was ended by {signal_name(-status)}"
            if status == -signal.SIGKILL:
                by_kernel = memory_killed(self._kills)
                how = f"was killed {by_kernel}" if by_kernel else f"{how}, by somebody or by the system"
        if self._log_path:
            return WorkerError(f"{self._called} {how}.", hint=f"Its log: {self._log_path}.")
        words = self.last_words()
        return WorkerError(
            f"{self._called} {how}.{f' Its last words: {words}' if words else ''}",
            hint="Try again; if it was killed, memory may be short.",
        )

    def last_words(self) -> str:
        """The last line of its log, harmless; empty where it said nothing, or keeps its log in a file."""
        if self._log is None or self._log_path:
            return ""
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return one_line(lines[-1], 300) if lines else ""

    def interrupt(self) -> None:
        """As ctrl+c would; harmless where it has ended."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, and a worker's own processes with it; harmless where it has ended."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self, patience_seconds: float = 0.0) -> None:
        """Close its input, give it so long to go by itself, end it, and forget its log. May be called again.

        Cancelled while it waits, as when the program ends, it leaves neither the process nor its pipes behind: closed
        after its loop, a pipe raises where nobody can catch it.
        """
        if self._process is None:
            self._close_log()
            return
        self.end_input()
        try:
            if patience_seconds and self._process.returncode is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), patience_seconds)
        finally:
            self.kill()
            self._close_pipes()
            self._close_log()
        await self._process.wait()

    def _close_pipes(self) -> None:
        """Whoever else holds their other ends: asyncio waits for the end of a process until its pipes are closed."""
        for number in (0, 1):
            pipe = self._transport.get_pipe_transport(number) if self._transport is not None else None
            if pipe is not None:
                pipe.close()

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


async def ask(command: Sequence[str], called: str, question: Mapping[str, Any], answer: str) -> dict[str, Any]:
    """What a worker that answers one question and ends says to it: the value of this name in its answer. Cancelled, it
    ends the worker. Refused with its own sentence where it cannot, else WorkerError."""
    worker = Child(command, called)
    try:
        await worker.start()
        with contextlib.suppress(WorkerError):  # it has ended: the next message says how
            await worker.send(json.dumps(dict(question)).encode() + b"\n")
        message = await worker.message()
        if "refused" in message:
            raise Refused(str(message["refused"]))
        found = message.get(answer)
        if not isinstance(found, dict):
            raise WorkerError(f"{called} gave an answer without {answer}: {one_line(message, 100)}")
        return found
    finally:
        await worker.close()


def answer_one(name: str, answer: Callable[[dict[str, Any]], Mapping[str, Any]]) -> int:
    """A worker's whole life, for `ask`: read the question, say the answer under this name, or why not; the exit
    status."""
    voice = Voice()
    try:
        question = json.loads(sys.stdin.readline())
        voice.message({name: answer(question)})
    except LoratuiError as error:
        voice.message({"refused": error.sentence})
        return error.exit_status
    return 0


def run_tool(command: Sequence[str], tell: Callable[[str, bool], None]) -> tuple[int, str]:
    """Run a program of others to its end: its exit status, and the last line that it said.

    tell: gets each line, and whether the next one is drawn over it. Interrupted, the tool is interrupted too; it ends
    when this process does, however that ends.
    """
    last = ""
    with start_tool(command, subprocess.PIPE) as tool:
        assert tool.stdout is not None
        try:
            for line in io.TextIOWrapper(tool.stdout, encoding="utf-8", errors="replace", newline=""):
                if text := line.strip():
                    last = text
                    tell(text, line.endswith("\r"))
        except BaseException:
            tool.send_signal(signal.SIGINT)
            try:
                tool.wait(TOOL_END_SECONDS)
            except subprocess.TimeoutExpired:
                tool.kill()
            raise
    return tool.returncode, one_line(last, 300)


def start_tool(
    command: Sequence[str], output: int | IO[bytes], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A program of others, begun, which ends when this process does. output: where all goes that it says. environment:
    beside this one's.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "loratui.child_process", *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {}), PARENT_VARIABLE: str(os.getpid())},
    )


def start_detached(
    command: Sequence[str], log: IO[bytes] | int, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A process that outlives this one and its terminal: it leads a session of its own, and all that it says goes to
    the log. environment: its whole environment, else this one's. Raises OSError.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        cwd="/",
        env=environment,
    )


def _private_log(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def signal_name(number: int) -> str:
    """`SIGKILL`, or `signal 40` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if __name__ == "__main__":  # `run_tool`: the kernel's promise to end this process outlives what it becomes
    end_with_parent()
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as fault:
        sys.exit(f"{sys.argv[1]} cannot be started: {fault.strerror}.")
