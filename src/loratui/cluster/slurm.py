"""Slurm's commands, run and answered: the one place that starts them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from loratui.core.errors import LoratuiError
from loratui.format import one_line

PATIENCE_SECONDS = 15.0
"""How long a command may take: a busy controller answers within seconds, a dead one never."""


class ClusterError(LoratuiError):
    """Slurm is not there, does not answer, or refuses; or a plan asks for what the cluster does not have."""

    code = "cluster"


def is_here(command: str = "sbatch") -> bool:
    """Whether this machine can speak to a Slurm."""
    return shutil.which(command) is not None


def ask(arguments: Sequence[str], *, timeout_seconds: float = PATIENCE_SECONDS, check: bool = True) -> str:
    """What a command of Slurm prints. ClusterError with Slurm's own sentence where it fails or does not answer."""
    done = call(arguments, timeout_seconds=timeout_seconds)
    if done.returncode and check:
        raise ClusterError(f"{arguments[0]} failed: {own_words(done.stderr) or f'exit status {done.returncode}'}")
    return done.stdout


def call(arguments: Sequence[str], *, timeout_seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a command of Slurm to its end, whatever it says. ClusterError where there is none, or it does not end."""
    environment = {key: text for key, text in os.environ.items() if key not in _FORMATS}
    try:
        return subprocess.run(
            arguments,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
            env=environment | {"SLURM_TIME_FORMAT": "standard"},
            check=False,
        )
    except FileNotFoundError:
        raise ClusterError(
            f"there is no command {arguments[0]} here.", hint="Log in to a login node of the cluster."
        ) from None
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"Slurm does not answer: {arguments[0]} said nothing for {timeout_seconds:.0f} s.",
            hint="`scontrol ping` shows whether its controller is up.",
        ) from None
    except OSError as error:
        raise ClusterError(f"{arguments[0]} cannot be started: {error.strerror or error}.") from None


_FORMATS = frozenset({"SQUEUE_FORMAT", "SQUEUE_FORMAT2", "SQUEUE_STATES", "SQUEUE_USERS", "SQUEUE_PARTITION"})
"""A person's own settings, which would change what is read here."""


PROGRAMS = ("sbatch", "scontrol", "scancel", "squeue", "srun", "sacctmgr")


def own_words(said: str) -> str:
    """What Slurm complains of, on one line and without the program's name before it."""
    lines = []
    for line in said.splitlines():
        text = line.strip()
        for opening in (*(f"{name}: " for name in PROGRAMS), "error: ", "fatal: "):
            text = text.removeprefix(opening)
        if text and text not in lines:
            lines.append(text)
    return one_line(" · ".join(lines), 400)
