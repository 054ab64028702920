"""Handing a script to Slurm, signalling and cancelling jobs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from loratui.cluster.slurm import PATIENCE_SECONDS, ClusterError, ask, own_words

ADVICE: tuple[tuple[str, str], ...] = (
    ("account", "`loratui machine` lists your accounts; set cluster.account."),
    ("qos", "`loratui machine` lists the QOS that you may use; set cluster.qos."),
    ("feature", "`scontrol show node` lists the features of nodes; set cluster.constraint."),
    ("partition", "`loratui machine` lists the partitions; set cluster.partition."),
    ("node", "`loratui machine` shows what a node has; ask for fewer GPUs, processors or less memory."),
    ("time limit", "Set cluster.time_limit_minutes lower."),
    ("submit limit", "You have as many jobs in the queue as you may: wait until one has ended."),
    ("contact", "`scontrol ping` shows whether Slurm's controller is up."),
    ("memory", "Set cluster.memory_gib to less than a node has."),
)
"""What to do about a refusal, by a word of Slurm's sentence."""


def submit(script: Path) -> int:
    """Hand a script to sbatch; the job's number. ClusterError with Slurm's own sentence, and what to do."""
    environment = {
        key: text
        for key, text in os.environ.items()
        if not key.startswith("SBATCH_") and (not key.startswith("SLURM_") or key in ("SLURM_CONF", "SLURM_CLUSTERS"))
    }  # settings of the person's own, or of a job that this runs in, would stand above the script's
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", str(script)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=2 * PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise ClusterError(
            "there is no sbatch here.", hint='Log in to a login node of the cluster, or set cluster.engine = "".'
        ) from None
    except subprocess.TimeoutExpired:
        raise ClusterError(
            "Slurm did not answer to sbatch in time.", hint="`squeue --me` shows whether the job is there."
        ) from None
    number = done.stdout.strip().split(";")[0]
    if done.returncode or not number.isdigit():
        said = own_words(done.stderr) or done.stdout.strip() or f"exit status {done.returncode}"
        hint = next((advice for word, advice in ADVICE if word in said.lower()), "")
        raise ClusterError(f"Slurm refused the job: {said.rstrip('.')}.", hint=hint)
    return int(number)


def signal_job(job: int, name: str) -> None:
    """Send a signal (`INT`, `USR1`) to the processes of a job, not to its script. ClusterError where Slurm refuses."""
    ask(["scancel", f"--signal={name}", str(job)])


def cancel(job: int) -> None:
    """End a job, or take it out of the queue. ClusterError where Slurm refuses."""
    ask(["scancel", str(job)])
