"""The checks of the installation that need no torch: driver, GPUs, memory, disk, hub, terminal; and what a check
says.
"""

from __future__ import annotations

import locale
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from loratui.core.accelerators import ACCELERATORS, FEATURES
from loratui.core.document import Document
from loratui.core.hardware import Machine
from loratui.format import size
from loratui.hub.client import HubError, Token, ask, endpoint, find_token, hub_cache, offline
from loratui.machine.device import choose_gpu, is_idle

GIB = 2**30
HUB_SECONDS = 5.0
SHARED_MEMORY = Path("/dev/shm")


def machine_checks(machine: Machine) -> list[Check]:
    """Driver, GPUs, memory and disk."""
    return [_driver(machine), *_gpus(machine), _memory(machine), *_disks(machine), *_shared_memory(machine)]


def _driver(machine: Machine) -> Check:
    if machine.driver == "works" and machine.vendor != "nvidia":
        accelerator = ACCELERATORS[machine.vendor]
        meaning = f"{accelerator.called}'s driver shows {len(machine.gpus)} of its cards ({accelerator.runtime})."
        return Check(name="driver", state="ok", meaning=meaning)
    if machine.driver == "works":
        version = f"NVIDIA driver {machine.driver_version}, for CUDA up to {machine.cuda_version}."
        return Check(name="driver", state="ok", meaning=version)
    problem = machine.problems[0] if machine.problems else "No NVIDIA driver answers."
    if machine.driver == "absent":
        return Check(
            name="driver",
            state="note",
            meaning="No NVIDIA driver and no NVIDIA card: training runs on the CPU.",
            mend=problem,
        )
    return Check(name="driver", state="fault", meaning="NVIDIA's driver does not work.", mend=problem)


def _gpus(machine: Machine) -> list[Check]:
    if machine.driver != "works":
        return []
    checks = [Check(name="gpu", state="warning", meaning=problem) for problem in machine.problems]
    chosen = choose_gpu(machine)
    if chosen is None:
        checks.append(
            Check(name="gpu", state="fault", meaning="No GPU can be trained on.", mend=" ".join(machine.notes))
        )
        return checks
    free = (
        f"GPU {chosen.index}, {chosen.name}: {size(chosen.memory_free_bytes)} free of "
        f"{size(chosen.memory_total_bytes)}."
    )
    if is_idle(chosen):
        checks.append(Check(name="gpu", state="ok", meaning=free))
    else:
        holders = ", ".join(f"{process.name} ({process.user or 'unknown user'})" for process in chosen.processes[:3])
        checks.append(
            Check(
                name="gpu",
                state="warning",
                meaning=f"Every GPU is in use. The freest is {free}",
                mend=(
                    f"Held by {holders or 'processes that cannot be seen from here'}. Plans are made for what is free."
                ),
            )
        )
    checks += [Check(name="gpu", state="note", meaning=note) for note in machine.notes]
    accelerator = ACCELERATORS[machine.vendor]
    for feature, why in accelerator.lacks.items():
        meaning = f"{FEATURES[feature]} does not work on {accelerator.called}'s cards: {why}."
        checks.append(Check(name="gpu", state="note", meaning=meaning))
    return checks


def _memory(machine: Machine) -> Check:
    host = machine.host
    meaning = f"{size(host.memory_available_bytes)} free of {size(host.memory_total_bytes)}."
    if host.memory_limited_by:
        meaning += f" The limit is the {host.memory_limited_by}'s."
    if host.memory_available_bytes < 2 * GIB:
        return Check(
            name="memory",
            state="fault",
            meaning=meaning,
            mend="Loading torch and a small model takes 2 GiB. End other programs.",
        )
    if host.memory_available_bytes < 8 * GIB:
        return Check(
            name="memory",
            state="warning",
            meaning=meaning,
            mend="A model of 4 B parameters passes through 8 GiB when it is loaded.",
        )
    return Check(name="memory", state="ok", meaning=meaning)


def _disks(machine: Machine) -> list[Check]:
    """The disk of the runs, and that of the hub's cache where it is another one."""
    runs = Path(machine.host.disk_path)
    checks = [_disk("disk for runs", runs, machine.host.disk_free_bytes, least=GIB)]
    cache = hub_cache()
    while not cache.exists() and cache != cache.parent:
        cache = cache.parent
    try:
        if cache.stat().st_dev != runs.stat().st_dev:
            checks.append(_disk("disk for models", cache, shutil.disk_usage(cache).free, least=0))
    except OSError as error:
        checks.append(
            Check(
                name="disk for models",
                state="warning",
                meaning=f"{cache}: {error.strerror}.",
                mend="Set HF_HOME to a folder that can be read.",
            )
        )
    return checks


def _disk(name: str, folder: Path, free: int, *, least: int) -> Check:
    meaning = f"{size(free)} free at {folder}."
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(
            name=name,
            state="fault",
            meaning=f"{folder} cannot be written: {error.strerror}.",
            mend="Set LORATUI_HOME (runs) or HF_HOME (models) to a folder that can.",
        )
    if free < least:
        return Check(
            name=name,
            state="fault",
            meaning=meaning,
            mend="A run needs at least 1 GiB. Free some, or set LORATUI_HOME to a larger disk.",
        )
    if free < 20 * GIB:
        return Check(
            name=name,
            state="warning",
            meaning=meaning,
            mend="A model of 7 B parameters takes 15 GB, and each checkpoint of a full fine-tuning as much and more.",
        )
    return Check(name=name, state="ok", meaning=meaning)


def _shared_memory(machine: Machine) -> list[Check]:
    """Several GPUs talk through /dev/shm, which Docker makes 64 MiB small."""
    if len(machine.gpus) < 2 or not SHARED_MEMORY.is_dir():
        return []
    size = shutil.disk_usage(SHARED_MEMORY).total
    if size >= GIB:
        return []
    return [
        Check(
            name="shared memory",
            state="warning",
            meaning=f"/dev/shm has {size / 2**20:.0f} MiB; training on several GPUs needs more.",
            mend="Start the container with --shm-size=8g or --ipc=host.",
        )
    ]


def hub_checks(*, timeout_seconds: float = HUB_SECONDS) -> list[Check]:
    """Whether the hub can be reached, and whether a token is there and accepted. The token is never shown."""
    token = find_token()
    if offline():
        return [
            Check(
                name="hub", state="note", meaning="HF_HUB_OFFLINE is set: only models that are on this disk are used."
            ),
            _token_present(token),
        ]
    place = endpoint()
    try:
        ask("/api/models?limit=1", with_token=False, timeout_seconds=timeout_seconds)
    except HubError as error:
        return [
            Check(
                name="hub",
                state="warning",
                meaning=f"{place} cannot be reached: {_fault(error)}.",
                mend=(
                    "Models and data on this disk can be used. Behind a proxy set HTTPS_PROXY; for a mirror set "
                    "HF_ENDPOINT."
                ),
            ),
            _token_present(token),
        ]
    reached = Check(name="hub", state="ok", meaning=f"{place} answers.")
    if not token.value:
        return [reached, _token_present(token)]
    try:
        answer = ask("/api/whoami-v2", timeout_seconds=timeout_seconds)
    except HubError as error:
        return [
            reached,
            Check(
                name="hub token",
                state="warning",
                meaning=f"The token in {token.place} is not accepted: {_fault(error)}.",
                mend="Run `hf auth login`, or unset it for public models.",
            ),
        ]
    name = answer.get("name") if isinstance(answer, dict) else None
    who = name if isinstance(name, str) and name.isprintable() else "its user"
    return [reached, Check(name="hub token", state="ok", meaning=f"The token in {token.place} is accepted, for {who}.")]


def _fault(error: HubError) -> str:
    return (error.detail or error.message).rstrip(".")


def _token_present(token: Token) -> Check:
    if token.problem:
        return Check(
            name="hub token",
            state="warning",
            meaning=f"The token in {token.place} cannot be used: {token.problem.rstrip('.')}.",
            mend="Run `hf auth login`, or unset it for public models.",
        )
    if token.value:
        return Check(name="hub token", state="ok", meaning=f"A token is there ({token.place}).")
    return Check(
        name="hub token",
        state="note",
        meaning="No token: public models and data only.",
        mend="For gated ones (Llama, Gemma) run `hf auth login`.",
    )


def terminal_checks(
    environment: Mapping[str, str], *, is_terminal: bool | None = None, size: tuple[int, int] | None = None
) -> list[Check]:
    """Colours, characters and size of the terminal that the wizard would draw on."""
    is_terminal = sys.stdout.isatty() if is_terminal is None else is_terminal
    if not is_terminal:
        return [
            Check(
                name="terminal",
                state="note",
                meaning="The output is no terminal: the wizard is not for here, the commands are.",
            )
        ]
    columns, lines = size or tuple(shutil.get_terminal_size())
    kind = environment.get("TERM", "")
    checks = [_colours(environment, kind)]
    if columns < 80 or lines < 24:
        checks.append(
            Check(
                name="terminal size",
                state="warning",
                meaning=f"{columns} × {lines} characters.",
                mend="The wizard is made for 80 × 24 and more.",
            )
        )
    else:
        checks.append(Check(name="terminal size", state="ok", meaning=f"{columns} × {lines} characters."))
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") == "utf8":
        checks.append(Check(name="characters", state="ok", meaning="UTF-8."))
    else:
        checks.append(
            Check(
                name="characters",
                state="warning",
                meaning=f"The locale's encoding is {encoding}; lines and bars will look wrong.",
                mend="export LC_ALL=C.UTF-8",
            )
        )
    if environment.get("SSH_CONNECTION"):
        multiplexer = environment.get("TMUX") or environment.get("STY")
        checks.append(
            Check(
                name="connection",
                state="note",
                meaning="Over SSH" + (", within a multiplexer." if multiplexer else ". Runs outlive it."),
                mend="On a slow line, `ssh -C` compresses what is drawn.",
            )
        )
    return checks


def _colours(environment: Mapping[str, str], kind: str) -> Check:
    if kind in ("", "dumb", "unknown"):
        return Check(
            name="terminal",
            state="warning",
            meaning=f"TERM={kind or '(not set)'} cannot be drawn on.",
            mend="export TERM=xterm-256color",
        )
    if environment.get("NO_COLOR"):
        return Check(name="terminal", state="note", meaning=f"{kind}, without colour (NO_COLOR is set).")
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return Check(name="terminal", state="ok", meaning=f"{kind}, 16 million colours.")
    if "256" in kind or kind in ("xterm-kitty", "alacritty", "xterm-ghostty", "tmux", "screen"):
        return Check(
            name="terminal",
            state="ok",
            meaning=f"{kind}, 256 colours.",
            mend="For all colours: export COLORTERM=truecolor.",
        )
    return Check(
        name="terminal",
        state="note",
        meaning=f"{kind}, 16 colours.",
        mend="If it can do more: export TERM=xterm-256color.",
    )


State = Literal["ok", "note", "warning", "fault"]
"""`note`: fine, but worth knowing. `warning`: training works, less well. `fault`: training could not work."""


class Check(Document):
    """One line of `loratui doctor`: what was looked at, how it is, what that means, and how to mend it."""

    name: str
    state: State
    meaning: str
    mend: str = ""


def training_works(checks: list[Check]) -> bool:
    """Whether nothing stands in the way of a training."""
    return all(check.state != "fault" for check in checks)
