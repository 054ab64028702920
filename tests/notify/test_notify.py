"""People are told what became of their runs: by a program of theirs, a real webhook, and their terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loratui.commands.tree import loratui
from loratui.core.errors import InputError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.notify.happening import happening_of
from loratui.notify.told import Told
from loratui.notify.watch import watch
from loratui.notify.ways import body_of, webhook_of
from loratui.paths import runs_home
from loratui.runs.directory import Run
from loratui.runs.enqueue import queue_run
from loratui.runs.events import encode, make
from loratui.runs.status import Status, own_mark, signs_of_life, write_status
from loratui.runs.waiting import changing
from loratui.settings import Notify, has_way, read_settings
from loratui.terminal import call_attention
from waiting import PATIENCE_SECONDS

HOSTILE = "it\x1b]0;owned\x07\x9b31m <!channel> `x` failed"


@dataclass
class Hook:
    """A webhook on loopback. answers: the status of each request in turn; 200 afterwards."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def wait(self, number: int, seconds: float = PATIENCE_SECONDS) -> None:
        until = time.monotonic() + seconds
        while len(self.got) < number and time.monotonic() < until:
            time.sleep(0.05)
        assert len(self.got) >= number, self.got


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append((self.path, dict(self.headers), json.loads(body)))
            status = found.answers.pop(0) if found.answers else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/up/topic"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path / "config"))
    for name in ("LORATUI_NOTIFY_WEBHOOK", "LORATUI_NOTIFY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").mkdir()
    return tmp_path


def settings(home: Path, text: str) -> None:
    (home / "config" / "settings.toml").write_text(f"[notify]\n{text}\n")


def run_of(name: str = "one", *, state: str = "finished", message: str = "", losses: list[float] | None = None) -> Run:
    run = Run(runs_home() / name)
    run.path.mkdir(parents=True)
    run.plan_path.write_text(plan_to_toml(with_values(Plan(), {"dataset.path": "demo", "model.id": "demo"})))
    made = losses or [2.0 * 0.9**at for at in range(20)]
    events = [make("started", 1.0, step=0, total_steps=len(made))]
    events += [make("step", 2.0, step=step, loss=loss) for step, loss in enumerate(made, 1)]
    if state == "finished":
        events.append(make("finished", 3.0, step=len(made), seconds=12.0, loss=made[-1], judged=True))
    run.events_path.write_text("".join(f"{encode(event)}\n" for event in events))
    set_state(run, state, message)
    return run


def set_state(run: Run, state: str, message: str = "", *, started: float = 100.0) -> None:
    mark = own_mark()
    status = Status(
        state=state,  # type: ignore[arg-type]
        message=message,
        step=20,
        total=20,
        pid=mark.pid,
        process_started=mark.started,
        process_ticks=mark.ticks,
        started=started,
        **signs_of_life(),
    )
    write_status(run.status_path, status)


def follower(run: Run, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "loratui.notify", str(run.path)],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_a_webhook_hears_of_the_end_once_without_any_terminal(home: Path, hook: Hook) -> None:
    settings(home, f'webhook = "{hook.url}"\nform = "ntfy"')
    run = run_of(state="running")
    process = follower(run, LORATUI_NOTIFY_TOKEN="tk_secret")
    time.sleep(1.5)
    assert process.poll() is None and not hook.got, "nothing has happened yet"
    run.events_path.open("a").write(encode(make("finished", 3.0, step=20, seconds=12.0, loss=0.27, judged=True)) + "\n")
    set_state(run, "finished")
    assert process.wait(PATIENCE_SECONDS) == 0
    ((path, headers, body),) = hook.got
    assert path == "/up/" and body["topic"] == "topic" and body["title"] == "one finished"
    assert "20 steps in 12 s, loss 0.2700." in body["message"] and body["priority"] == 3
    assert headers["Authorization"] == "Bearer tk_secret"
    assert "tk_secret" not in "".join(path.read_text() for path in run.path.glob("*.*") if path.is_file())
    assert follower(run).wait(PATIENCE_SECONDS) == 0
    assert len(hook.got) == 1, "a second follower knows that it was told"
    set_state(run, "failed", "It broke.", started=200.0)
    assert follower(run).wait(PATIENCE_SECONDS) == 0
    assert [body["title"] for _, _, body in hook.got] == ["one finished", "one failed"]


def test_an_outage_is_tried_again_a_bounded_number_of_times(home: Path, hook: Hook) -> None:
    naps: list[float] = []
    hook.answers = [503, 429]
    run = run_of(state="failed", message="It broke.")
    watch(run, Notify(webhook=hook.url, tries=4), sleep=_ahead(naps))
    assert len(hook.got) == 3 and Told(run).attempts["failed@100.000 webhook"].state == "told"
    hook.got.clear()
    hook.answers = [500] * 99
    set_state(run, "failed", "Again.", started=200.0)
    watch(run, Notify(webhook=hook.url, tries=4), sleep=_ahead(naps))
    assert len(hook.got) == 4
    left = Told(run).attempts["failed@200.000 webhook"]
    assert left.state == "given-up" and "500" in left.why
    hook.got.clear()
    hook.answers = [403]
    set_state(run, "failed", "Refused.", started=300.0)
    watch(run, Notify(webhook=hook.url, tries=4), sleep=_ahead(naps))
    assert len(hook.got) == 1, "what is refused is not tried again"
    hook.answers = [302]
    set_state(run, "failed", "Moved.", started=400.0)
    watch(run, Notify(webhook=hook.url, tries=4), sleep=_ahead(naps))
    assert {path for path, _, _ in hook.got} == {"/up/topic"}, "no redirect is followed"


def _ahead(naps: list[float]) -> Any:
    """Sleeping without waiting: the clock is set ahead instead."""
    real = time.monotonic

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        time.monotonic = lambda: real() + 1000 * sum(naps)  # type: ignore[assignment]

    return sleep


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", time.monotonic)  # put back after a test that set it ahead


def test_tries_are_counted_over_kills(home: Path, hook: Hook) -> None:
    run = run_of(state="lost", message="Gone.")
    hook.answers = [500] * 99
    told = happening_of(run, run.status())
    assert told is not None and told.kind == "lost"
    for _ in range(9):  # nine followers, each killed after one try
        Told(run).tell(told, Notify(webhook=hook.url, tries=3))
    assert len(hook.got) == 3


@pytest.mark.parametrize(
    ("state", "losses", "kind"),
    [
        ("failed", None, "failed"),
        ("lost", None, "lost"),
        ("stopped", None, "stopped"),
        ("finished", None, "finished"),
        ("finished", [2.0, *([9.0] * 99)], "diverged"),
        ("running", None, None),
    ],
)
def test_what_there_is_to_tell(state: str, losses: list[float] | None, kind: str | None) -> None:
    run = run_of(state=state, losses=losses, message="So it was." if kind else "")
    if kind == "diverged":
        run.events_path.write_text(run.events_path.read_text().replace('"judged":true', '"judged":false'))
    told = happening_of(run, run.status())
    assert (told.kind if told else None) == kind


def test_a_training_that_diverged_and_one_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(state="failed", message="It diverged.")
    with run.events_path.open("a") as file:
        file.write(encode(make("finding", 3.0, finding="diverged", severity="error", message="x", step=20)) + "\n")
    told = happening_of(run, run.status())
    assert told is not None and told.kind == "diverged" and told.command == "loratui runs findings one"
    monkeypatch.setattr("loratui.notify.happening.stall_words", lambda status: "No step for 12 min.")
    set_state(run, "running")
    told = happening_of(run, run.status())
    assert told is not None and (told.kind, told.message) == ("waits", "No step for 12 min.")


def test_a_run_that_the_queue_could_not_start_waits_for_a_person() -> None:
    plan = with_values(Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True})
    run = queue_run(plan)
    assert happening_of(run, run.status()) is None
    for why, kind in (("", None), ("no such GPU", "waits")):
        with changing() as queue:
            queue[0] = replace(queue[0], held=True, why=why)
        told = happening_of(run, run.status())
        assert (told.kind if told else None) == kind
    assert told is not None and "no such GPU" in told.message and told.command.startswith("loratui queue release")


def test_a_program_of_theirs_is_told_without_a_shell(home: Path) -> None:
    out = home / "out.json"
    script = "import json,os,sys; open(sys.argv[1],'w').write(json.dumps([json.load(sys.stdin),dict(os.environ)]))"
    settings(home, f"command = {json.dumps([sys.executable, '-c', script, str(out)])}")
    run = run_of(state="failed", message=f"$(touch {home}/pwned) {HOSTILE}")
    assert follower(run).wait(PATIENCE_SECONDS) == 0
    told, environment = json.loads(out.read_text())
    assert told["event"] == "failed" == environment["LORATUI_EVENT"] and told["run"] == "one"
    assert environment["LORATUI_TITLE"] == "one failed"
    assert not (home / "pwned").exists()
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in told["message"])


def test_hostile_words_cannot_leave_their_place() -> None:
    run = run_of(state="failed", message=HOSTILE)
    told = happening_of(run, run.status())
    assert told is not None
    for how in ("osc9", "osc777"):
        sequence = call_attention(told.title, told.message, how)
        inner = sequence[2:-2]
        assert sequence.startswith("\x1b]") and sequence.endswith("\x1b\\")
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in inner)
    assert call_attention("a;b", "c;d", "osc777") == "\x1b]777;notify;a,b;c,d\x1b\\"
    assert call_attention("x", "y", "bell") == "\a" and call_attention("x", "y", "off") == ""
    _, slack = body_of("http://127.0.0.1/x", "slack", told)
    assert "<!channel>" not in slack["text"] and "&lt;!channel&gt;" in slack["text"] and "`" not in slack["text"]


def test_the_terminal_that_follows_is_rung(home: Path) -> None:
    settings(home, 'terminal = "osc777"')
    run_of(state="failed", message=HOSTILE)
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from loratui.cli import main; main()", "attach", "one", "--plain"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(main, 4096)
        except OSError:
            break
        shown += piece
        if not piece:
            break
    assert process.wait(PATIENCE_SECONDS) == 1
    os.close(main)
    assert b"\x1b]777;notify;one failed;it" in shown
    assert shown.count(b"\x1b]") == 1 and b"owned\x07" not in shown


def test_secrets_are_refused_in_the_file_and_taken_from_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not has_way(read_settings().notify)
    for text, words in (
        ('webhook = "https://hooks.slack.com/services/T/B/x"', "LORATUI_NOTIFY_WEBHOOK"),
        ('webhook = "https://me:word@ntfy.sh/x"', "LORATUI_NOTIFY_WEBHOOK"),
        ('webhok = "x"', "Did you mean webhook?"),
        ('form = "teams"', "notify.form"),
        ("tries = 900", "notify.tries"),
        ('webhook = "ftp://x"', "http"),
        ("x = [", "no TOML"),
    ):
        settings(home, text)
        with pytest.raises(InputError, match=words.replace("?", r"\?")):
            read_settings()
    settings(home, 'form = "slack"')
    monkeypatch.setenv("LORATUI_NOTIFY_WEBHOOK", "https://hooks.slack.com/services/T/B/hidden")
    assert has_way(read_settings().notify) and webhook_of(read_settings().notify).endswith("hidden")
    shown = CliRunner().invoke(loratui, ["notify"])
    assert shown.exit_code == 0 and "hooks.slack.com" in shown.output and "hidden" not in shown.output
    monkeypatch.delenv("LORATUI_NOTIFY_WEBHOOK")
    monkeypatch.setenv("LORATUI_NOTIFY_TOKEN", "tk")
    with pytest.raises(InputError, match="unencrypted"):
        webhook_of(Notify(webhook="http://ntfy.example/x"))


def test_a_message_to_try_it(home: Path, hook: Hook) -> None:
    settings(home, f'webhook = "{hook.url}"\ncommand = "false"')
    tried = CliRunner().invoke(loratui, ["notify", "--test"])
    assert tried.exit_code == 1 and "the webhook took it" in tried.output and "status 1" in tried.output
    assert hook.got[0][2]["event"] == "finished"


@pytest.mark.worker
def test_a_real_run_is_told_of_though_its_terminal_and_its_webhook_go(home: Path, hook: Hook) -> None:
    hook.answers = [503]
    settings(home, f'webhook = "{hook.url}"')
    short = ["--set", "training.max_steps=3", "--set", "evaluation.every_steps=0"]
    made = CliRunner().invoke(loratui, ["plan", "-m", "demo", "-d", "demo", *short, "-o", str(home / "plan.toml")])
    assert made.exit_code == 0, made.output
    main, terminal = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, "-c", "from loratui.cli import main; main()", "train", str(home / "plan.toml"), "--detach"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    threading.Thread(target=_drain, args=(main,), daemon=True).start()
    assert started.wait(PATIENCE_SECONDS) == 0
    os.close(terminal)
    (path,) = runs_home().iterdir()
    hook.wait(2)
    assert [body["event"] for _, _, body in hook.got] == ["finished", "finished"], "the first try met an outage"
    assert Run(path).status().state == "finished"
    with (path / ".told.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # its follower has ended


def _drain(main: int) -> None:
    try:
        while os.read(main, 4096):
            pass
    except OSError:
        pass
