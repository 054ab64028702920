"""`loratui generate` killed at moments of its own work and begun again until it ends; prints what came of it.

python killed_again_and_again.py JOURNAL ARGUMENT…
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import peft  # noqa: F401 (what takes the time, before the forks)
import psutil

import loratui.worker.generate
import loratui.worker.generation.batch
import loratui.worker.generation.load  # noqa: F401
from loratui.commands.generate import command

journal, log, arguments = Path(sys.argv[1]), Path(sys.argv[1] + ".log"), sys.argv[2:]
random.seed(4)
told, kept, kills = [], set(), 0
while True:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
        os._exit(command.main(arguments, standalone_mode=False))
    # seconds of its own work: a busy machine changes nothing
    worked, until, ended = psutil.Process(child), random.uniform(0.02, 0.9), 0
    while kills < 8 and not ended and sum(worked.cpu_times()[:2]) < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.001)
    if kills < 8 and not ended:
        os.kill(child, signal.SIGKILL)
        kills += 1
    if not ended:
        _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        break
    lines = journal.read_text().split("\n") if journal.exists() else []
    numbers = [json.loads(line)[0] for line in lines[1:-1]]
    told.append(len(numbers))
    assert len(numbers) == len(set(numbers)), "a row was answered twice"
    assert kept <= set(numbers), "an answer was lost"
    kept = set(numbers)
print(json.dumps({"kills": kills, "told": told, "status": os.WEXITSTATUS(status), "log": log.read_text()}))
