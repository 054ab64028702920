"""A real Slurm of two nodes on this machine, each with two GPUs that are only counted.

Its daemons, its key and its ports are its own: another Slurm of this machine is none of its business.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.directory import Run
from loratui.runs.events import Event, EventTail
from waiting import wait_for

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "munged", "mungekey")

CONF = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/ctl
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
NodeName=DEFAULT CPUs=2 RealMemory=16000 Gres=gpu:h100:2
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports[1]}-{ports[2]}]
PartitionName=gpu Nodes=n[1-2] Default=YES MaxTime=02:00:00 State=UP PriorityTier=1
PartitionName=urgent Nodes=n[1-2] MaxTime=01:00:00 State=UP PriorityTier=10
PartitionName=closed Nodes=n[1-2] MaxTime=01:00:00 State=UP AllowAccounts=physics
"""


def why_not() -> str:
    """Why there is no Slurm to test with; empty where there is."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)}): apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "starting a Slurm of one's own takes root"


def free_ports() -> tuple[int, int, int]:
    """A free port, and two free ones beside each other."""
    for first in random.sample(range(23000, 30000, 3), 2000):  # another Slurm looks for ports at the same time
        try:
            for port in range(first, first + 3):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first, first + 1, first + 2
    raise AssertionError("no free ports")


@contextmanager
def running_slurm(folder: Path) -> Iterator[Path]:
    """Its configuration: the daemons end when this does."""
    for name in ("ctl", "spool-n1", "spool-n2"):
        (folder / name).mkdir()
    for number in (0, 1):
        os.mknod(folder / f"gpu{number}", 0o20666, os.makedev(1, 3))
    ports = free_ports()
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=socket.gethostname().split(".")[0], folder=folder, ports=ports))
    (folder / "gres.conf").write_text(f"NodeName=n[1-2] Name=gpu Type=h100 File={folder}/gpu[0-1]\n")
    daemons: list[subprocess.Popen[bytes]] = []

    def begin(*command: str, **environment: str) -> None:
        log = (folder / "daemons.log").open("ab")
        daemons.append(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment))

    subprocess.run(["mungekey", "-c", "-k", str(folder / "munge.key")], check=True)
    (folder / "munge.key").chmod(0o600)
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{name}={folder}/munge.{suffix}" for name, suffix in files.items()]
    try:
        begin("munged", "--foreground", "--force", *options)  # whatever it thinks of the folders above
        wait_for(lambda: (folder / "munge.socket").exists(), "munged")
        begin("slurmctld", "-D", "-f", str(conf))
        begin("slurmd", "-D", "-f", str(conf), "-N", "n1")
        begin("slurmd", "-D", "-f", str(conf), "-N", "n2")
        with patched_environment(conf):
            wait_for(lambda: said("sinfo", "-h", "-p", "gpu", "-o", "%t").split() == ["idle"], "two idle nodes")
        yield conf
        with patched_environment(conf):
            said("scancel", "--user=root")
            wait_for(lambda: not said("squeue", "-h"), "an empty queue")
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            try:
                daemon.wait(timeout=60)
            except subprocess.TimeoutExpired:
                daemon.kill()


@contextmanager
def patched_environment(conf: Path) -> Iterator[None]:
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    try:
        yield
    finally:
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip()


def plan_for(files: Path, **changes: Any) -> Plan:
    """A plan that Slurm places on the processors of one node; `changes` with __ for the dots of keys."""
    values = {
        "model.id": str(files / "model"),
        "model.dtype": "fp32",
        "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0.2,
        "training.precision": "fp32",
        "training.batch_size": 2,
        "training.accumulation": 2,
        "training.max_length": 64,
        "training.epochs": 2.0,
        "training.learning_rate": 5e-3,
        "training.warmup_steps": 3,
        "lora.dropout": 0.1,
        "saving.every_steps": 5,
        "evaluation.every_steps": 0,
        "hardware.cpu": True,
        "cluster.engine": "slurm",
        "cluster.gpus_per_node": 0,
    }
    return with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})


def events_of(run: Run) -> list[Event]:
    return EventTail(run.events_path).new_events()


def adapter_of(run: Run) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(run.adapter_path / "adapter_model.safetensors")


def same_adapter(one: Run, two: Run) -> bool:
    import torch

    first, second = adapter_of(one), adapter_of(two)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
