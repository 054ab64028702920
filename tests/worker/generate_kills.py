"""`loratui generate` killed at random moments, in forks of a process that has imported torch already."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loratui.core.generation import GenerationSettings
from loratui.worker.generate import GenerateRequest, execute

GREEDY = GenerationSettings(max_tokens=24)
SAMPLED = GenerationSettings(max_tokens=24, temperature=1.3, top_p=0.95)


@dataclass
class Kill:
    """What one kill met: answers that were kept by then (-1: the start had not even begun to write, or it was over),
    and whether the file is in the end, byte for byte, that of an undisturbed start.
    """

    kept: int
    same: bool


def write_rows(path: Path, count: int) -> Path:
    """Rows of unlike length, one of them none."""
    lines = [f'{{"id": {number}, "prompt": "{number} and so on{" and on" * (number % 7)}"}}' for number in range(count)]
    path.write_text("\n".join([*lines[: count // 2], "nonsense", *lines[count // 2 :]]) + "\n")
    return path


def start(request: GenerateRequest) -> int:
    """A fork that answers the rows; its process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        import torch

        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        torch.set_num_threads(1)  # the pool of threads stayed in the other process
        code = execute(request)
    except BaseException:  # this process ends here, whatever it is
        traceback.print_exc()
    finally:
        os._exit(code)


def kill_often(
    adapter: Path, rows: Path, folder: Path, *, kills: int, seed: int, suffix: str = ".jsonl", midst: bool = False
) -> list[Kill]:
    """Kill so many starts, every second one sampled, each at a random moment; then give its command again. midst: the
    first one is killed once answers are kept, however busy the machine is.
    """
    chance = random.Random(seed)
    found = []
    ways = [replace(_request(adapter, rows), settings=SAMPLED, samples=2), _request(adapter, rows)]
    whole = [_undisturbed(replace(way, output=str(folder / f"whole-{n}{suffix}"))) for n, way in enumerate(ways)]
    for number in range(kills):
        seconds, wanted = whole[number % 2]
        output = folder / f"{number}{suffix}"
        request = replace(ways[number % 2], output=str(output))
        pid = start(request)
        journal = output.with_name(output.name + ".part")
        if midst and number == 0:
            until = time.monotonic() + 120
            while not (journal.is_file() and journal.read_bytes().count(b"\n") > 1) and time.monotonic() < until:
                time.sleep(0.002)
        else:
            time.sleep(chance.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kept = journal.read_bytes().count(b"\n") - 1 if journal.is_file() else -1
        if not output.exists() or kept >= 0:
            os.waitpid(start(request), 0)
        found.append(Kill(kept, output.read_bytes() == wanted and not journal.exists()))
    return found


def _request(adapter: Path, rows: Path) -> GenerateRequest:
    return GenerateRequest(str(adapter), str(rows), device="cpu", batch_rows=4, settings=GREEDY)


def _undisturbed(request: GenerateRequest) -> tuple[float, bytes]:
    began = time.monotonic()
    os.waitpid(start(request), 0)
    return time.monotonic() - began, Path(request.output).read_bytes()


def told(found: Sequence[Kill]) -> dict[str, int]:
    """Counts of a series."""
    return {
        "kills": len(found),
        "in the midst of answering": sum(one.kept >= 0 for one in found),
        "byte for byte the same": sum(one.same for one in found),
    }
