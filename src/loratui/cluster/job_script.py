"""The job script of a run: what a scheduler is handed, for people to read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui.core.cluster_section import ClusterSection

GOES_ON = 75
"""Exit status of a worker that saved because its job ends, and is to go on in the next one (EX_TEMPFAIL)."""
FAILED_SETUP = "loratui: the set-up failed"
"""Begins the line of the log that names the command of `cluster.setup` that failed."""
PORTS = 10_000
"""Pairs of ports from 20,000 on, one of which is a job's by its number."""
SIGNAL_SECONDS = 120
"""How long before its end Slurm asks the training to save; Slurm may ask up to a minute earlier."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a job script is made of. argument: what commands take for the run. minutes: 0 leaves it to the partition.

    watch: the command that looks after the step while it goes on.
    """

    name: str
    argument: str
    folder: Path
    section: ClusterSection
    command: Sequence[str]
    watch: Sequence[str]
    partition: str
    minutes: int = 0
    rehearse: bool = False
    environment: Mapping[str, str]


def script_text(script: Script) -> str:
    """The script: directives, environment, the person's set-up, and the training."""
    section = script.section
    setup = [
        "# The set-up (cluster.setup); a command that fails ends the job and is named in the log.",
        f"""trap 'status=$?; echo "{FAILED_SETUP} with status $status at: $BASH_COMMAND"; exit $status' ERR""",
        *section.setup,
        "trap - ERR",
        "",
    ]
    command = shlex.join(["srun", *_srun_options(section), *script.command])
    return "\n".join(
        [
            "#!/bin/bash",
            f"# The job of run {script.name}, written by loratui from [cluster] of plan.toml.",
            f"# To submit it again, with its checks: loratui resume {shlex.quote(script.argument)}",
            *(f"#SBATCH {option}" for option in options(script)),
            "",
            *(f"export {name}={shlex.quote(value)}" for name, value in script.environment.items()),
            "# When this job ends, for versions of Slurm that do not say so: the training saves in time.",
            'if [ -z "$SLURM_JOB_END_TIME" ]; then',
            '  SLURM_JOB_END_TIME=$(date -d "$(squeue -h -j "$SLURM_JOB_ID" -o %e)" +%s 2>/dev/null)',
            "fi",
            'export SLURM_JOB_END_TIME SLURM_JOB_START_TIME="${SLURM_JOB_START_TIME:-$(date +%s)}"',
            *(
                [
                    "# What processes of an earlier job said of their end.",
                    f"rm -f {shlex.quote(str(script.folder))}/.ending-*.json",
                    "# Where the launchers of all nodes meet: on this one, for a rehearsal at the next port.",
                    f'export LORATUI_MEETING="$(hostname):$((20000 + 2 * (SLURM_JOB_ID % {PORTS})))"',
                ]
                if section.nodes > 1
                else []
            ),
            "",
            *(setup if section.setup else []),
            "# Slurm goes on where the daemon of a step was killed: this sees it, says so in the run and ends srun.",
            f"{shlex.join(script.watch)} &",
            "watch=$!; disown",
            *(
                [
                    "rehearse=--rehearse",
                    '[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || rehearse=  # once is enough',
                    f"{command} $rehearse",
                ]
                if script.rehearse
                else [command]
            ),
            "status=$?",
            'kill "$watch" 2>/dev/null',
            *(
                [
                    f"# {GOES_ON}: it saved because this job ends. The next one goes on from there.",
                    f'[ "$status" != {GOES_ON} ] || scontrol requeue "$SLURM_JOB_ID"',
                ]
                if section.requeue
                else []
            ),
            'exit "$status"',
            "",
        ]
    )


def options(script: Script) -> list[str]:
    """The directives, as sbatch takes them."""
    section = script.section
    named = {"partition": script.partition, "account": section.account, "qos": section.qos}
    found = [
        f"--job-name={re.sub(r'[^A-Za-z0-9._-]+', '-', script.name)}",
        *(f"--{name}={value}" for name, value in named.items() if value),
    ]
    if section.constraint:
        found.append(f"--constraint={section.constraint}")
    found += [f"--nodes={section.nodes}", "--ntasks-per-node=1"]
    if section.gpus_per_node:
        kind = f"{section.gpu_type}:" if section.gpu_type else ""
        found.append(f"--gpus-per-node={kind}{section.gpus_per_node}")
    if section.cpus_per_gpu:
        found.append(f"--cpus-per-task={_cpus(section)}")
    if section.memory_gib:
        found.append(f"--mem={section.memory_gib}G")
    if script.minutes:
        found.append(f"--time={script.minutes}")
    found.append("--requeue" if section.requeue else "--no-requeue")
    found.append(f"--signal=TERM@{_signal_seconds(script.minutes)}")
    return [*found, f"--output={_quoted(script.folder / 'worker.log')}", "--open-mode=append"]


def _quoted(path: Path) -> str:
    """A path as a directive has it: Slurm fills in what follows a %, and ends a word at a space."""
    text = str(path).replace("%", "%%")
    return text if re.fullmatch(r"[\w./%+-]+", text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _signal_seconds(minutes: int) -> int:
    """A short job must have some of its time left to train in."""
    return min(SIGNAL_SECONDS, minutes * 60 // 4) if minutes else SIGNAL_SECONDS


def _cpus(section: ClusterSection) -> int:
    return section.cpus_per_gpu * max(1, section.gpus_per_node)


def _srun_options(section: ClusterSection) -> list[str]:
    # The launchers end each other (a file of the run says why), and name the cause before they do: srun must not.
    found = ["--export=ALL", "--kill-on-bad-exit=0", "--wait=0", "--mpi=none"]
    if section.cpus_per_gpu:  # since Slurm 22.05 a step does not take it from its job
        found.append(f"--cpus-per-task={_cpus(section)}")
    return found
