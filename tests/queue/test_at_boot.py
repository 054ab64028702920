"""The watcher after a restart: a unit of the person's systemd or a line of their crontab, written, shown, taken away.

`systemctl`, `loginctl` and `crontab` are stand-ins that keep real files as the real ones do; what they keep is run as
systemd or cron would run it, after a changed boot id.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from loratui.commands.doctor import queue_checks
from loratui.commands.tree import loratui
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.queue import at_boot, wake
from loratui.queue.trainings import trainings
from loratui.runs.enqueue import queue_run
from loratui.runs.waiting import changing
from waiting import PATIENCE_SECONDS, wait_for

WATCHER = Path(__file__).with_name("watcher.py")
DEMO = with_values(Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True})
CRONTAB = """#!/bin/sh
kept={kept}
case "$1" in
-l) [ -f "$kept" ] || {{ echo "no crontab for $USER" >&2; exit 1; }}; cat "$kept";;
-r) [ -f "$kept" ] || {{ echo "no crontab for $USER" >&2; exit 1; }}; rm "$kept";;
-) cat >"$kept.new"
  [ -z "$(tail -c1 "$kept.new")" ] || {{ echo "new crontab file is missing newline before EOF" >&2; exit 1; }}
  mv "$kept.new" "$kept";;
*) exit 1;;
esac
"""
SYSTEMCTL = """#!/bin/sh
units="$XDG_CONFIG_HOME/systemd/user"
[ "$1" = --user ] || exit 1
[ -f {runs} ] || {{ echo "Failed to connect to bus: No medium found" >&2; exit 1; }}
case "$2" in
show-environment|daemon-reload) exit 0;;
enable)
  [ -f "$units/$3" ] || {{ echo "Failed to enable unit: Unit file $3 does not exist." >&2; exit 1; }}
  wanted=$(sed -n 's/^WantedBy=//p' "$units/$3")
  mkdir -p "$units/$wanted.wants" && ln -sf "$units/$3" "$units/$wanted.wants/$3";;
disable) rm -f "$units"/*.wants/"$3";;
*) exit 1;;
esac
"""
LOGINCTL = "#!/bin/sh\n[ -f {lingers} ] && echo yes || echo no\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a blank and a percent sign in its name, and a stand-in of each tool in front on the path."""
    own = tmp_path / "a 50% home"
    monkeypatch.setenv("LORATUI_HOME", str(own / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(own / "config"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(own / "xdg"))
    monkeypatch.setenv("USER", "ann")
    monkeypatch.setattr(wake, "wake", lambda: False)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("crontab", CRONTAB), ("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)):
        places = {key: shlex.quote(str(tmp_path / key)) for key in ("kept", "runs", "lingers")}
        (tools / name).write_text(text.format(**places))
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    yield tmp_path
    for one in trainings():
        os.kill(one.pid, 9)


@pytest.fixture
def systemd(home: Path) -> None:
    (home / "runs").touch()


def asked(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(loratui, ["queue", *words])
    if found.exception is not None and hasattr(found.exception, "sentence"):
        return found.exception.exit_status, found.exception.sentence
    return found.exit_code, found.output


def state() -> str:
    return next(queue_checks()).state


def test_it_says_what_it_writes_and_writes_nothing_unasked(home: Path) -> None:
    code, output = asked("at-boot")
    assert code == 2 and "nobody to ask" in output and not (home / "kept").exists()
    code, output = asked("at-boot", "--yes")
    assert code == 0, output
    assert (home / "kept").read_text().strip() in output, "the whole line was shown"
    assert "the queue's watcher is started by your crontab" in output and state() == "ok"
    assert "is started by your crontab" in asked()[1]


def test_other_lines_of_a_crontab_stay_as_they_are(home: Path) -> None:
    others = "# mine\nMAILTO=ann\n*/5 * * * * date +\\%H\n@reboot python -m loratui.queue\n"
    (home / "kept").write_text(others)
    for _ in range(2):
        assert asked("at-boot", "--yes")[0] == 0
    lines = (home / "kept").read_text().splitlines()
    assert len(lines) == 5 and "\n".join(lines[:4]) + "\n" == others, "written twice it stands there once"
    code, output = asked("at-boot", "--remove", "--yes")
    assert code == 0 and (home / "kept").read_text() == others
    code, output = asked("at-boot", "--remove", "--yes")
    assert code == 0 and "nothing to take away" in output and state() == "note"


def test_a_crontab_that_held_nothing_else_is_gone_again(home: Path) -> None:
    asked("at-boot", "--yes")
    asked("at-boot", "--remove", "--yes")
    assert not (home / "kept").exists()


@pytest.mark.usefixtures("systemd")
def test_with_a_systemd_of_ones_own_it_is_a_unit_and_lingering_is_told(home: Path) -> None:
    code, output = asked("at-boot", "--yes")
    assert code == 0 and "loginctl enable-linger" in output, output
    unit = at_boot.unit_path()
    assert unit.read_text() in output and (unit.parent / "default.target.wants" / unit.name).is_symlink()
    assert not (home / "kept").exists() and state() == "note"
    (home / "lingers").touch()
    assert state() == "ok" and "enable-linger" not in asked()[1]
    code, output = asked("at-boot", "--remove", "--yes")
    assert code == 0 and not unit.exists() and not list(unit.parent.rglob("*.service"))


@pytest.mark.usefixtures("systemd")
def test_a_unit_of_somebody_elses_stays(home: Path) -> None:
    unit = at_boot.unit_path()
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    code, output = asked("at-boot", "--yes")
    assert code == 1 and "has not made: it stays" in output and unit.read_text().startswith("[Service]")
    code, output = asked("at-boot", "--remove", "--yes")
    assert "nothing to take away" in output and unit.exists()


@pytest.mark.usefixtures("systemd")
def test_the_unit_is_one_that_systemd_reads(home: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd here")
    asked("at-boot", "--yes")
    told = subprocess.run([verify, "verify", "--user", at_boot.unit_path()], capture_output=True, text=True)
    if "XDG_RUNTIME_DIR" in told.stderr or "Failed to" in told.stderr:
        told = subprocess.run([verify, "verify", at_boot.unit_path()], capture_output=True, text=True)
    assert at_boot.unit_path().name not in told.stderr, told.stderr


def test_where_neither_is_there_one_sentence_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home / "nothing"))
    code, output = asked("at-boot", "--yes")
    assert code == 1 and "call: loratui queue" in output


def test_a_python_that_is_gone_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = home / "python"
    python.write_text("#!/bin/sh\n")
    monkeypatch.setattr(sys, "executable", str(python))
    asked("at-boot", "--yes")
    assert state() == "ok"
    python.unlink()
    assert state() == "note" and "a Python that is gone" in asked()[1]


@pytest.fixture
def python(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter whose `-m loratui.queue` is the watcher of the tests, with workers that are stand-ins."""
    program = home / "an interpreter"
    program.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(WATCHER))}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def waiting_since_another_boot() -> Path:
    run = queue_run(DEMO)
    (run.path / "seconds").write_text("0.2")
    with changing() as queue:
        queue[0] = replace(queue[0], starting=12.5, boot="another-boot")
    return run.path


def started(command: str | list[str], environment: dict[str, str], run: Path) -> None:
    from loratui.runs.directory import Run

    with subprocess.Popen(
        command, shell=isinstance(command, str), env=environment, cwd="/", start_new_session=True
    ) as process:
        wait_for(lambda: Run(run).status().state == "finished", Run(run).status)
        process.wait(PATIENCE_SECONDS)


@pytest.mark.usefixtures("python")
def test_what_cron_runs_after_a_restart_starts_what_waits(home: Path) -> None:
    asked("at-boot", "--yes")
    run = waiting_since_another_boot()
    line = (home / "kept").read_text().strip().removeprefix("@reboot ")
    command = line.replace("\\%", "%")  # as cron does: a bare % would begin the input
    assert "%" not in line.replace("\\%", "")
    started(command, {"HOME": str(home), "LOGNAME": "ann", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}, run)
    assert (Path(os.environ["LORATUI_HOME"]) / "state" / "queue.log").read_text().strip(), "it says what it did"


@pytest.mark.usefixtures("python", "systemd")
def test_what_systemd_runs_after_a_restart_starts_what_waits(home: Path) -> None:
    asked("at-boot", "--yes")
    run = waiting_since_another_boot()
    lines = [line.partition("=") for line in at_boot.unit_path().read_text().splitlines() if "=" in line]
    told = [(key, value.replace("%%", "%")) for key, _, value in lines]
    environment = {"HOME": str(home)}
    for setting in (value for key, value in told if key == "Environment"):
        name, _, value = shlex.split(setting)[0].partition("=")
        environment[name] = value
    started(shlex.split(dict(told)["ExecStart"]), environment, run)
    assert dict(told)["KillMode"] == "process", "the trainings outlive their watcher"
