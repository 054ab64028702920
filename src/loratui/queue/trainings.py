"""The trainings that are at work on this machine for this home, whoever started them and wherever their runs lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from loratui.paths import HOME_VARIABLE

MARK = ("-m", "loratui.worker", "train")


@dataclass(frozen=True)
class Training:
    """A worker's process. gpus: UUIDs or numbers of the GPUs that it sees; none: it is on the processors."""

    pid: int
    run: Path
    gpus: frozenset[str]


def trainings() -> list[Training]:
    """Those of this user and this home, as the system lists its processes. A watcher's several processes count as one
    run.
    """
    found: dict[Path, Training] = {}
    for process in psutil.process_iter(["pid", "uids", "cmdline"]):
        words = process.info["cmdline"] or []
        uids = process.info["uids"]
        if uids is None or uids.real != os.getuid() or not _is_training(words):
            continue
        try:
            environment = process.environ()
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
        except psutil.Error:
            continue
        if environment.get(HOME_VARIABLE, "") != os.environ.get(HOME_VARIABLE, ""):
            continue
        run = Path(words[_at(words) + len(MARK)])
        gpus = {one.strip() for one in environment.get("CUDA_VISIBLE_DEVICES", "").split(",")} - {"", "-1"}
        before = found.get(run)
        found[run] = Training(process.info["pid"], run, frozenset(gpus | (before.gpus if before else set())))
    return list(found.values())


def _is_training(words: list[str]) -> bool:
    at = _at(words)
    return at >= 0 and len(words) > at + len(MARK)


def _at(words: list[str]) -> int:
    return next((at for at in range(len(words)) if tuple(words[at : at + len(MARK)]) == MARK), -1)
