"""Damage to the files of a run, one kind at a time, and commands called on it.

Used by the tests, and many times over by `benchmarks/damage.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.format import CONTROLS
from loratui.runs.directory import Run
from loratui.runs.events import encode, make
from loratui.runs.fingerprint import plan_values, versions
from loratui.runs.start import create_run
from loratui.runs.status import Status, write_status

HOSTILE = "A\x1b]0;PWNED\x07B\x1b[5mC\x9b31mD\x85E\u202eG\x1b[2J"
DEEP = "[" * 100_000
HANG_SECONDS = 5.0
Damage = Callable[[Path], Path | None]
"""Done to a run's directory; the directory's new place where it has another."""


def stopped_run(home: Path, name: str = "run") -> Run:
    """A run that was stopped at step 2, as its worker left it, without weights: what needs none is called on it."""
    os.environ["LORATUI_HOME"] = str(home)
    run = create_run(with_values(Plan(), {"hardware.cpu": True, "training.max_steps": 4}), name)
    checkpoint = run.checkpoints_path / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    (checkpoint / "scheduler.pt").touch()
    (checkpoint / "trainer_state.json").write_text('{"global_step": 2}')
    run.fingerprint_path.write_text(json.dumps({"plan": plan_values(run.plan()), "versions": versions()}))
    run.machine_path.write_text(json.dumps({"device": "CPU", "versions": versions()}))
    run.proposed_path.write_text('{"values": {}, "bf16": true}')
    lines = [
        make("started", 1.79e9, total_steps=4, examples=10, device="cpu"),
        make("data", 1.79e9, examples=10, eval_examples=2, tokens=100, trained_tokens=50),
        *(make("step", 1.79e9 + n, step=n, loss=2.0 / n, learning_rate=1e-4, epoch=0.5 * n) for n in (1, 2)),
        make("eval", 1.79e9 + 3, step=2, loss=1.0, rows=2),
        make("stopped", 1.79e9 + 4, step=2, checkpoint="checkpoint-2"),
    ]
    run.events_path.write_text("".join(encode(line) + "\n" for line in lines))
    write_status(run.status_path, Status(state="stopped", step=2, total=4, created=1.79e9, ended=1.79e9, loss=1.0))
    return run


def _written(name: str, content: str | bytes) -> Damage:
    def damage(path: Path) -> None:
        _gone(path / name)
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))

    return damage


def _added(name: str, content: str) -> Damage:
    def damage(path: Path) -> None:
        with (path / name).open("a", encoding="utf-8") as file:
            file.write(content)

    return damage


def _cut(name: str, share: float = 0.5) -> Damage:
    def damage(path: Path) -> None:
        data = (path / name).read_bytes()
        (path / name).write_bytes(data[: int(len(data) * share)])

    return damage


def _changed(name: str, **values: object) -> Damage:
    def damage(path: Path) -> None:
        document = json.loads((path / name).read_bytes())
        (path / name).write_text(json.dumps(document | values))

    return damage


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _removed(name: str) -> Damage:
    return lambda path: _gone(path / name)


def _pipe(name: str) -> Damage:
    def damage(path: Path) -> None:
        _gone(path / name)
        os.mkfifo(path / name)

    return damage


def _folder(name: str) -> Damage:
    def damage(path: Path) -> None:
        _gone(path / name)
        (path / name).mkdir()

    return damage


def _link(name: str, to: str) -> Damage:
    def damage(path: Path) -> None:
        _gone(path / name)
        (path / name).symlink_to(to)

    return damage


def _event(kind: str, **fields: object) -> Damage:
    return _added("events.jsonl", json.dumps({"type": kind, "time": 1.79e9, **fields}) + "\n")


def _plan(**values: object) -> Damage:
    text = plan_to_toml(Plan())
    for key, value in values.items():
        text = text.replace(f"{key} = ", f"{key} = {value} #", 1)
    return _written("plan.toml", text)


def _renamed(path: Path) -> Path:
    return path.rename(path.with_name(f"{path.name}-{HOSTILE.replace('/', '')}"))


def _failed(path: Path) -> None:
    _changed("status.json", state="failed", message=HOSTILE)(path)
    _event("failed", message=HOSTILE, code=HOSTILE, where=HOSTILE)(path)


BIG = "x" * (20 << 20)
STATE = "checkpoints/checkpoint-2/trainer_state.json"
KINDS: dict[str, Damage] = {
    "plan-bad-byte": _written("plan.toml", b'[model]\nid = "\xff"\n'),
    "plan-cut": _cut("plan.toml"),
    "plan-empty": _written("plan.toml", ""),
    "plan-nulls": _written("plan.toml", b"\0" * 4096),
    "plan-gone": _removed("plan.toml"),
    "plan-folder": _folder("plan.toml"),
    "plan-pipe": _pipe("plan.toml"),
    "plan-device": _link("plan.toml", "/dev/zero"),
    "plan-loop": _link("plan.toml", "plan.toml"),
    "plan-huge": _written("plan.toml", f"# {BIG}\n"),
    "plan-deep": _written("plan.toml", f"a = {DEEP}"),
    "plan-digits": _written("plan.toml", "version = " + "9" * 10_000),
    "plan-unknown-key": _written(
        "plan.toml", f'[lora]\n"{HOSTILE.encode("unicode_escape").decode()}" = 1\n'.replace("\\x", "\\u00")
    ),
    "plan-hostile-model": _plan(id=json.dumps(HOSTILE)),
    "plan-infinite": _plan(epochs="inf"),
    "plan-wrong-type": _plan(seed='"many"'),
    "plan-kept-pipe": _pipe("plan.1.toml"),
    "status-gone": _removed("status.json"),
    "status-empty": _written("status.json", ""),
    "status-cut": _cut("status.json"),
    "status-pipe": _pipe("status.json"),
    "status-folder": _folder("status.json"),
    "status-device": _link("status.json", "/dev/zero"),
    "status-infinite": _written("status.json", '{"state":"stopped","eta_seconds":Infinity,"loss":NaN,"epoch":1}'),
    "status-huge-numbers": _changed("status.json", pid=10**30, step=10**25, total=-3),
    "status-every-process": _changed("status.json", state="running", pid=-1),
    "status-unknown-state": _changed("status.json", state="dreaming"),
    "status-hostile": _changed("status.json", message=HOSTILE, phase=HOSTILE, host=HOSTILE),
    "status-failed-hostile": _failed,
    "status-deep": _written("status.json", DEEP),
    "status-list": _written("status.json", "[1, 2]"),
    "status-huge": _written("status.json", json.dumps({"message": BIG})),
    "status-bad-byte": _written("status.json", b'{"message": "\xff"}'),
    "status-half-pairs": _written("status.json", '{"state": "stopped", "message": "\\ud800\\udfff \\ud834"}'),
    "events-gone": _removed("events.jsonl"),
    "events-pipe": _pipe("events.jsonl"),
    "events-folder": _folder("events.jsonl"),
    "events-device": _link("events.jsonl", "/dev/zero"),
    "events-link": _link("events.jsonl", "../../precious.txt"),
    "events-garbage": _written("events.jsonl", b"\xff\xfe\0\0 not json\n" * 50),
    "events-deep": _added("events.jsonl", f'{{"type": "step", "time": 1, "x": {DEEP}\n'),
    "events-long-line": _added("events.jsonl", BIG + "\n"),
    "events-no-time": _written(
        "events.jsonl", '{"type": "started", "time": 1e999}\n{"type": "finished", "time": 1e300, "step": 2}\n'
    ),
    "events-infinite": _added(
        "events.jsonl", '{"type":"step","time":1,"step":3,"loss":Infinity,"eta":Infinity,"learning_rate":NaN}\n'
    ),
    "events-hostile": _event("finding", finding=HOSTILE, message=HOSTILE, severity=HOSTILE),
    "events-hostile-phase": _event("phase", phase=HOSTILE, message=HOSTILE),
    "events-odd-fix": _event("fix", changes={"lora.r": [1, 2, 3], "x": []}, start="nowhere", set_aside=["../../x"]),
    "events-odd-ways": _event(
        "oom", message="full", fixes=[{"change": "lora.r"}, {"change": {"lora.r": {"a": 1}}}, {}]
    ),
    "events-huge-step": _event("step", step=10**30, tokens=-1, epoch=1e308, loss=1e308),
    "fingerprint-wrong-types": _written("fingerprint.json", '{"plan": [1], "data": "x", "versions": 3, "model": []}'),
    "fingerprint-cut": _cut("fingerprint.json"),
    "fingerprint-pipe": _pipe("fingerprint.json"),
    "machine-wrong-types": _written("machine.json", '{"versions": [1], "device": {"a": 1}}'),
    "machine-hostile": _written("machine.json", json.dumps({"versions": {HOSTILE: HOSTILE}, "device": HOSTILE})),
    "machine-pipe": _pipe("machine.json"),
    "proposed-wrong-types": _written("proposed.json", '{"values": [1, 2], "bf16": "yes"}'),
    "proposed-pipe": _pipe("proposed.json"),
    "checkpoints-link": _link("checkpoints", "../../elsewhere"),
    "checkpoints-file": _written("checkpoints", "x"),
    "checkpoint-state-pipe": _pipe(STATE),
    "checkpoint-state-deep": _written(STATE, DEEP),
    "checkpoint-numbers": lambda path: (path / "checkpoints" / ("checkpoint-" + "9" * 200)).mkdir(),
    "log-pipe": _pipe("worker.log"),
    "log-link": _link("worker.log", "../../precious.txt"),
    "lock-pipe": _pipe("run.lock"),
    "lock-folder": _folder("run.lock"),
    "resume-lock-link": _link(".resume.lock", "../../precious.txt"),
    "adapter-pipe": lambda path: (path / "adapter").mkdir() or os.mkfifo(path / "adapter" / "adapter_config.json"),
    "adapter-garbage": lambda path: (
        (path / "adapter").mkdir() or ((path / "adapter" / "adapter_config.json").write_text(DEEP) and None)
    ),
    "adapter-link": _link("adapter", "../../elsewhere"),
    "first-weights-outside": _written("first_weights.json", '{"weights": "../../elsewhere"}'),
    "recovery-odd": _written("auto-recover.json", '{"left": 1e999}'),
    "votes-pipe": _pipe("votes.jsonl"),
    "origin-odd": _written("origin.json", '{"run": ["x"], "proof": null}'),
    "name-hostile": _renamed,
}


@dataclass(frozen=True)
class Outcome:
    """How one call ended. status: of the exit; None where it had to be killed after `HANG_SECONDS`."""

    status: int | None
    out: str
    err: str
    seconds: float

    @property
    def fault(self) -> str:
        """What must not be; empty where nothing is."""
        said = self.out + self.err
        if self.status is None:
            return "hangs"
        if "Traceback" in said:
            return "traceback"
        if "defect of loratui" in said:
            return "defect: " + next((line for line in said.splitlines() if "defect of loratui" in line), "")[:200]
        if self.status < 0 or self.status not in (0, 1, 2):
            return f"status {self.status}"
        found = [one for one in CONTROLS.findall(said) if one not in "\n"]
        if found:
            return f"escapes: {found[:3]!r}"
        if self.status and not self.err.strip():
            return "says nothing"
        return ""


def call(
    home: Path, arguments: list[str], *, seconds: float = HANG_SECONDS, cwd: Path | None = None, python: str = ""
) -> Outcome:
    """Call `loratui` in a fork of this process, without a terminal: far quicker than a process of its own.

    python: the interpreter that the command starts its workers with, instead of this one.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("out", "err")]
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            sys.executable = python or sys.executable
            _run(arguments, home, places, cwd)
        status: int | None = None
        while time.monotonic() - began < seconds:
            pid, code = os.waitpid(child, os.WNOHANG)
            if pid:
                status = os.waitstatus_to_exitcode(code)
                break
            time.sleep(0.005)
        else:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        out, err = (place.read_text(encoding="utf-8", errors="replace") for place in places)
        return Outcome(status, out, err, time.monotonic() - began)


def _run(arguments: list[str], home: Path, places: list[Path], cwd: Path | None) -> None:
    """In the fork: be the command, and never come back."""
    code = 97
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        for number, place in zip((1, 2), places, strict=True):
            os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT), number)
        sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115
        os.environ["LORATUI_HOME"] = str(home)
        os.chdir(cwd or home)
        sys.argv = ["loratui", *arguments]
        from loratui.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


LIGHT: Mapping[str, list[str]] = {
    "runs": ["runs"],
    "runs --json": ["runs", "--json"],
    "attach --plain": ["attach", "--plain", "{run}"],
    "card": ["card", "{run}"],
    "stop": ["stop", "{run}", "--wait", "1"],
    "export": ["export", "{run}", "--to", "trl", "-o", "{out}/x.yaml", "--no-rows"],
}
"""Calls that load no model."""
HEAVY: Mapping[str, list[str]] = {
    "resume": ["resume", "{run}", "--yes"],
    "chat": ["chat", "{run}", "-q", "hello", "-s", "max_tokens=2"],
}
"""Calls that start a worker where nothing forbids it, and wait for it."""


def filled(arguments: list[str], run: Path, out: Path) -> list[str]:
    """The call with the run's directory and a folder for what it writes."""
    return [one.replace("{run}", str(run)).replace("{out}", str(out)) for one in arguments]


async def wizard_faults(seconds: float = 60.0) -> list[str]:
    """Open the list of this home's runs in the wizard and rest on each; what must not be."""
    from textual.widgets import OptionList

    from loratui.tui.app import LoratuiApp
    from loratui.tui.wizard.state import WizardState

    found: list[str] = []
    app = LoratuiApp(screen="runs", state=WizardState(None))
    async with app.run_test(size=(120, 40)) as pilot:
        expected = sum(1 for path in Path(os.environ["LORATUI_HOME"], "runs").iterdir())
        until = time.monotonic() + seconds
        listed = app.screen.query_one("#runs", OptionList)
        while listed.option_count < expected and time.monotonic() < until:
            await pilot.pause(0.1)
        if listed.option_count != expected:
            found.append(f"wizard: {listed.option_count} of {expected} runs are listed")
        for _ in range(expected):
            name = app.screen.chosen.name if app.screen.chosen else "?"
            await pilot.pause(0.15)
            began = time.monotonic()
            await pilot.press("down")
            if time.monotonic() - began > HANG_SECONDS:  # once more: a busy machine is slow, a pipe never answers
                await pilot.press("up")
                await pilot.pause(0.15)
                began = time.monotonic()
                await pilot.press("down")
                if time.monotonic() - began > HANG_SECONDS:
                    found.append(f"wizard × {name}: hangs")
        await app.workers.wait_for_complete()
        said = "\n".join(str(line.text) for line in app.screen._compositor.render_strips())
        if [one for one in CONTROLS.findall(said) if one != "\n"]:
            found.append("wizard: escapes")
        found += [f"wizard: {note.message}" for note in app._notifications if "defect" in note.message]
    return found
