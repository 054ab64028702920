"""A real ssh session: a run is started through it, the connection is cut, and another login finds the run as it is.

Needs OpenSSH's server (`apt-get install openssh-server`); skipped where it is not installed.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from console import Console

from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.runs.directory import Run

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = [
    pytest.mark.terminal,
    pytest.mark.skipif(
        SSHD is None or not shutil.which("ssh-keygen") or not shutil.which("ssh"),
        reason="OpenSSH's server is not installed",
    ),
]
TIMEOUT = 120.0


def key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[list[str]]:
    """The words that begin a command on this machine through ssh, by a server and keys of the test's own."""
    host, mine = key(tmp_path / "host"), key(tmp_path / "mine")
    allowed = tmp_path / "authorized_keys"
    allowed.write_text((tmp_path / "mine.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {allowed}\nPidFile "
        "none\nStrictModes no\n"
        "UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPrintMotd no\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    assert SSHD is not None
    with (tmp_path / "sshd.log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
    command = [
        "ssh",
        "-F",
        "none",
        "-p",
        str(port),
        "-i",
        str(mine),
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        f"UserKnownHostsFile={tmp_path / 'known'}",
        "-o",
        "LogLevel=ERROR",
        f"{getpass.getuser()}@127.0.0.1",
    ]
    until = time.monotonic() + 20
    while subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        if server.poll() is not None or time.monotonic() > until:
            pytest.skip(f"sshd takes no login here: {(tmp_path / 'sshd.log').read_text()[-300:]}")
        time.sleep(0.2)
    yield command
    server.terminate()
    server.wait()


def remote(home: Path, *arguments: str) -> str:
    """A shell line that calls loratui over there."""
    program = [sys.executable, "-c", "from loratui.cli import main; main()", *arguments]
    return (
        f"LORATUI_HOME={shlex.quote(str(home))} OMP_NUM_THREADS=1 "
        f"PYTHONPATH={shlex.quote(os.environ.get('PYTHONPATH', ''))} {shlex.join(program)}"
    )


def step_of(run: Run) -> int:
    return run.status().step


def test_a_cut_connection_changes_nothing_and_the_next_login_shows_the_run(
    ssh: list[str], home: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        plan_to_toml(
            with_values(
                Plan(),
                {
                    "model.id": "demo",
                    "dataset.path": "demo",
                    "model.dtype": "fp32",
                    "training.precision": "fp32",
                    "hardware.cpu": True,
                    "training.batch_size": 4,
                    "training.accumulation": 1,
                    "training.max_length": 96,
                    "training.epochs": 20.0,
                    "evaluation.every_steps": 0,
                    "saving.every_steps": 20,
                    "lora.dropout": 0.0,
                },
            )
        )
    )
    run = Run(home / "runs" / "night")
    first = Console(
        [*ssh[:1], "-tt", *ssh[1:], remote(home, "train", str(plan), "--output", str(run.path))],
        columns=80,
        rows=24,
        environment={},
    )
    try:
        until = time.monotonic() + TIMEOUT
        while not run.status_path.exists() or step_of(run) < 5:
            assert time.monotonic() < until, first.text
            time.sleep(0.2)
        worker = run.status().pid
        os.kill(first.pid, signal.SIGKILL)  # the connection is gone without a word
    finally:
        first.close()
    reached, until = step_of(run), time.monotonic() + TIMEOUT
    while step_of(run) < reached + 10:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert run.status().pid == worker and run.status().state in ("running", "saving")

    listed = json.loads(
        subprocess.run([*ssh, remote(home, "runs", "--json")], capture_output=True, text=True, check=True).stdout
    )
    assert listed["runs"][0]["name"] == "night" and listed["runs"][0]["state"] in ("running", "saving")
    again = Console(
        [*ssh[:1], "-tt", *ssh[1:], f"TERM=xterm-256color {remote(home, 'attach', 'night')}"],
        columns=80,
        rows=24,
        environment={},
    )
    try:
        again.until("● running")
        again.until("of 8,000")
    finally:
        again.close()
    lines = subprocess.Popen([*ssh, remote(home, "attach", "night")], stdout=subprocess.PIPE, text=True)
    stopped = subprocess.run([*ssh, remote(home, "stop", "night")], capture_output=True, text=True, check=True)
    said, _ = lines.communicate(timeout=280)
    assert (
        "stopped" in (stopped.stdout + said) and run.status().state == "stopped" and run.last_checkpoint() is not None
    )
    assert "\x1b" not in said, "without a terminal there are lines, and no screen"
