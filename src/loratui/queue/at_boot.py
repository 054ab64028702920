"""The watcher after a restart of the machine, without anybody: a unit of the person's own systemd, or, where that does
not run, an `@reboot` line of their crontab. Nothing of root's is touched, no file of others is written over, and only
what was made here is taken away.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loratui.core.errors import RunError
from loratui.files import make_folder, read_document, write_whole
from loratui.paths import home, home_short
from loratui.runs.waiting import queue_path

Way = Literal["systemd", "crontab"]
MARK = "# Made by `loratui queue at-boot`; `loratui queue at-boot --remove` takes it away."
"""The first line of a unit of ours."""
LINE_MARK = "# loratui queue at-boot: "
"""Near the end of a line of ours, before the folder whose queue it watches."""
KEPT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "LORATUI_HOME",
    "LORATUI_CONFIG",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
)
"""What a watcher needs of the environment. No token is among them: whoever needs one keeps it in the hub's own file."""
TOOL_SECONDS = 20.0
LONGEST_LINE = 900
"""Vixie cron refuses a command of 1,000 characters."""


@dataclass(frozen=True)
class AtBoot:
    """What starts the watcher after a restart. place: the file, or `your crontab`. text: what stands there, or would.
    lingers: whether the person's systemd runs without them being logged in; None where that means nothing. gone: the
    interpreter that it names is no more there.
    """

    way: Way
    place: str
    text: str
    lingers: bool | None = None
    gone: bool = False


def unit_path() -> Path:
    """The unit of this home's watcher: of another home than the usual one it has another name."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    own = f"-{hashlib.sha256(str(home()).encode()).hexdigest()[:6]}" if os.environ.get("LORATUI_HOME") else ""
    return base / "systemd" / "user" / f"loratui-queue{own}.service"


def found() -> AtBoot | None:
    """What is there of ours for this home; None where nothing is. RunError where it cannot be told."""
    path = unit_path()
    text = _unit_there(path)
    if text is not None and is_ours(text):
        return AtBoot("systemd", home_short(path), text, _lingers(), _names_nobody(text))
    lines = [line for line in _crontab().splitlines() if _our_line(line)] if shutil.which("crontab") else []
    if lines:
        return AtBoot("crontab", "your crontab", "\n".join(lines), None, _names_nobody(lines[0]))
    return None


def proposed() -> AtBoot:
    """What would be made here. RunError where neither way is there, or a file of somebody else's is in its place."""
    if _systemd_runs():
        path = unit_path()
        text = _unit_there(path)
        if text is not None and not is_ours(text):
            hint = "Move it away, or start `loratui queue` yourself."
            raise RunError("there is a unit that loratui has not made: it stays.", where=str(path), hint=hint)
        return AtBoot("systemd", home_short(path), _unit(), _lingers())
    if shutil.which("crontab"):
        return AtBoot("crontab", "your crontab", _line())
    raise RunError(
        "neither a systemd of your own (systemctl --user) nor a crontab is here.",
        hint="Have whatever starts your programs after a restart call: loratui queue",
    )


def install(wanted: AtBoot) -> None:
    """Write it, and have it take effect. RunError where that fails; nothing stays half-made then."""
    make_folder(queue_path().parent)  # the log's folder
    if wanted.way == "crontab":
        others = [line for line in _crontab().splitlines(keepends=True) if not _our_line(line)]
        if others and not others[-1].endswith("\n"):
            others[-1] += "\n"
        _write_crontab("".join(others) + wanted.text + "\n")
        return
    path = unit_path()
    before = _unit_there(path)
    _written(lambda: make_folder(path.parent), path)
    _written(lambda: write_whole(path, wanted.text, durable=True), path)
    try:
        _tool("systemctl", "--user", "daemon-reload")
        _tool("systemctl", "--user", "enable", path.name)
    except RunError:
        _written(lambda: path.unlink() if before is None else write_whole(path, before, durable=True), path)
        raise


def remove(there: AtBoot) -> None:
    """Take away what was made here, and no more. RunError where that fails."""
    if there.way == "crontab":
        others = "".join(line for line in _crontab().splitlines(keepends=True) if not _our_line(line))
        if others:
            _write_crontab(others)
        else:
            _tool("crontab", "-r")
        return
    path = unit_path()
    wants = path.parent / "default.target.wants" / path.name
    if _systemd_runs():
        _tool("systemctl", "--user", "disable", path.name)
    elif wants.is_symlink():  # its systemd does not run now
        _written(wants.unlink, wants)
    _written(path.unlink, path)
    if _systemd_runs():
        _tool("systemctl", "--user", "daemon-reload")


def is_ours(text: str) -> bool:
    """Whether a unit was made here."""
    return text.startswith(MARK)


def _our_line(line: str) -> bool:
    return line.startswith("@reboot ") and line.rstrip("\n").replace("\\%", "%").endswith(f"{LINE_MARK}{home()}")


# What is written


def _environment() -> dict[str, str]:
    return {key: os.environ[key] for key in KEPT if os.environ.get(key)}


def _unit() -> str:
    settings = [f"Environment={_quoted(f'{key}={value}')}" for key, value in _environment().items()]
    lines = [
        MARK,
        "[Unit]",
        "Description=loratui: the runs that wait for this machine",
        "",
        "[Service]",
        f"ExecStart={_quoted(sys.executable)} -m loratui.queue",
        *settings,
        "# The trainings that it starts outlive it.",
        "KillMode=process",
        f"StandardOutput=append:{_escaped(str(_log()))}",
        "StandardError=inherit",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _line() -> str:
    """The line, within what cron takes: where PATH is too long for it, the watcher has cron's own."""
    environment = _environment()
    line = _line_with(environment)
    if len(line) > LONGEST_LINE:
        line = _line_with({key: value for key, value in environment.items() if key != "PATH"})
    if len(line) > LONGEST_LINE or "\n" in line:
        raise RunError(
            "a crontab takes no line like this: its paths are too long, or hold a line's end.",
            hint="Have whatever starts your programs after a restart call: loratui queue",
        )
    return line


def _line_with(environment: Mapping[str, str]) -> str:
    words = ["env", *(f"{key}={value}" for key, value in environment.items()), sys.executable, "-m", "loratui.queue"]
    command = f"{shlex.join(words)} >>{shlex.quote(str(_log()))} 2>&1 {LINE_MARK}{home()}"
    return "@reboot " + command.replace("%", "\\%")


def _log() -> Path:
    return queue_path().with_name("queue.log")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "%%")


def _quoted(text: str) -> str:
    """As systemd reads it: nothing in it is a variable, a specifier or an end."""
    marked = _escaped(text).replace('"', '\\"').replace("\n", "\\n")
    return f'"{marked}"'


def _names_nobody(text: str) -> bool:
    """Whether the interpreter that a unit or a line names is gone."""
    line = next((line for line in text.splitlines() if "-m loratui.queue" in line), "")
    before = line.partition(" -m loratui.queue")[0].removeprefix("ExecStart=").removeprefix("@reboot ")
    try:
        words = shlex.split(before.replace("\\%", "%").replace("%%", "%"))
    except ValueError:
        return True
    return not words or not Path(words[-1]).is_file()


# What is there


def _unit_there(path: Path) -> str | None:
    try:
        return read_document(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"the unit cannot be read: {error.strerror or error}.", where=str(path)) from None


def _written(how: Callable[[], None], path: Path) -> None:
    try:
        how()
    except OSError as error:
        raise RunError(f"it cannot be written: {error.strerror or error}.", where=str(path)) from None


def _systemd_runs() -> bool:
    """Whether the person's own systemd answers."""
    return bool(shutil.which("systemctl")) and _run("systemctl", "--user", "show-environment").returncode == 0


def _lingers() -> bool | None:
    if not shutil.which("loginctl"):
        return None
    told = _run("loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value")
    words = told.stdout.strip()
    return words == "yes" if told.returncode == 0 and words else False


def _crontab() -> str:
    told = _run("crontab", "-l")
    if told.returncode == 0:
        return told.stdout
    if "no crontab for" in told.stderr.lower():
        return ""
    raise RunError(f"your crontab cannot be read: {told.stderr.strip() or 'crontab -l failed'}.")


def _write_crontab(text: str) -> None:
    _tool("crontab", "-", given=text)


def _tool(*words: str, given: str = "") -> None:
    told = _run(*words, given=given)
    if told.returncode:
        why = (told.stderr or told.stdout).strip().splitlines()
        raise RunError(f"`{' '.join(words)}` failed: {why[-1] if why else f'status {told.returncode}'}.")


def _run(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            words, input=given, capture_output=True, text=True, env=environment, timeout=TOOL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        return subprocess.CompletedProcess(words, 127, "", str(error))
