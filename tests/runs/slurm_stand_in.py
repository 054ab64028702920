"""Commands that stand in for Slurm's where only what is asked of it, and how its answers are taken, is tested: a real
one is asked in `tests/slurm`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

JOB = 41
"""Number of the job that sbatch gives."""
CONFIG = "ClusterName = here\nSLURM_VERSION = 23.11.4\nAccountingStorageType = accounting_storage/none\n"
NODES = """\
NodeName=n1 CPUTot=64 Gres=gpu:h100:4 GresUsed=gpu:h100:0 RealMemory=512000 State=IDLE Partitions=gpu
NodeName=n2 CPUTot=64 Gres=gpu:h100:4 GresUsed=gpu:h100:0 RealMemory=512000 State=IDLE Partitions=gpu
"""
PARTITIONS = "PartitionName=gpu AllowAccounts=ALL AllowQos=ALL Default=YES MaxNodes=2 MaxTime=02:00:00 State=UP\n"
PROGRAMS = {
    "scontrol": 'for last in "$@"; do :; done; cat {0}/"$last"',
    "sbatch": f'env > {{0}}/environment; pwd > {{0}}/cwd; cp "$2" {{0}}/handed; echo "{JOB};here"',
    "srun": 'while [ "$1" != /bin/sh ]; do shift; done; exec "$@"',
    "squeue": "cat {0}/queue",
    "scancel": "true",
}  # fmt: skip
"""What each does after it noted its arguments."""


@dataclass(frozen=True)
class StandIn:
    """A folder of commands, which lies first on PATH."""

    folder: Path

    def asked(self, program: str) -> list[str]:
        """The arguments of each call of a command."""
        path = self.folder / f"{program}.calls"
        return path.read_text().splitlines() if path.exists() else []

    def answers(self, program: str, script: str) -> None:
        """Let a command do something else."""
        path = self.folder / program
        path.write_text(f'#!/bin/sh\necho "$*" >> {self.folder}/{program}.calls\n{script}\n')
        path.chmod(0o755)

    def has(self, state: str, **fields: object) -> None:
        """Let the queue hold the job in this state, and in no other."""
        job = {"job_id": JOB, "job_state": state, "partition": "gpu", "submit_time": 9e9, **fields}
        (self.folder / "queue").write_text(json.dumps({"jobs": [job]}))


def make_stand_in(folder: Path) -> StandIn:
    """The commands of a cluster of two free nodes, with an empty queue."""
    folder.mkdir()
    made = StandIn(folder)
    for name, text in (("config", CONFIG), ("node", NODES), ("partition", PARTITIONS), ("queue", '{"jobs": []}')):
        (folder / name).write_text(text)
    for program, script in PROGRAMS.items():
        made.answers(program, script.format(folder))
    return made


def path_with(stand_in: StandIn) -> str:
    """What PATH must be."""
    return f"{stand_in.folder}{os.pathsep}{os.environ['PATH']}"
