"""Commands that are printed for a run are taken literally: they find it wherever it lies."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from commands.conftest import Loratui
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.events import append_event
from loratui.runs.listing import find_run
from loratui.runs.start import create_run
from loratui.runs.status import write_status

COMMAND = re.compile(r"loratui ((?:attach|stop|resume) (?:'[^']*'|\S)+(?: --\S+(?: \S+=\S+)?)*)")


def printed(text: str) -> list[list[str]]:
    """The arguments of every command in a text, as a shell would read them."""
    return [shlex.split(found.rstrip("`")) for found in COMMAND.findall(text)]


@pytest.mark.worker
@pytest.mark.usefixtures("ready_workers")
def test_what_is_printed_for_a_run_elsewhere_can_be_run(
    loratui: Loratui, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(home))
    short = {"dataset.path": "demo", "training.max_steps": 1, "training.learning_rate": 0.9, "hardware.cpu": True}
    run = create_run(with_values(Plan(), {"model.id": "demo", **short}), output=tmp_path / "my runs" / "a09")
    ways = [{"change": {"training.learning_rate": 0.0026}, "advice": "Start anew.", "restart": True}]
    append_event(run, "finding", finding="diverged", severity="error", message="It diverged.", fixes=ways)
    write_status(run.status_path, run.status().model_copy(update={"state": "failed", "message": "It diverged."}))
    failed = loratui("attach", "my runs/a09")
    assert failed.returncode == 1
    resume, attach = printed(failed.stderr)
    assert resume == ["resume", "my runs/a09", "--set", "training.learning_rate=0.0026", "--anew"]
    assert attach == ["attach", "my runs/a09"], "short, and quoted"
    again = loratui(*resume, "--detach")
    assert again.returncode == 0, again.stderr
    (watch,) = printed(again.stdout)
    assert loratui(*watch).returncode == 0
    assert run.plan().training.learning_rate == 0.0026 and run.status().state == "finished"


def test_a_run_is_called_by_what_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    inside = create_run(Plan(), "one")
    here, elsewhere = tmp_path / "here", tmp_path / "else"
    places = [here / "one", here / "-x", here / "~y", here / "a b" / "c", elsewhere / "it's", here / "demo"]
    runs = [create_run(Plan(), output=place) for place in places]
    for at in (here, elsewhere, here / "one", tmp_path, Path("/")):
        monkeypatch.chdir(at)
        for run in (inside, *runs):
            assert [find_run(word).place.resolve() for word in shlex.split(run.typed)] == [run.place.resolve()], at
            assert [find_run(word) for word in shlex.split(run.typed_anywhere)] == [run], at
    monkeypatch.chdir(here)
    assert (inside.typed, *(run.typed for run in runs)) == (
        "one", "./one", "./-x", shlex.quote(str(here / "~y")), "'a b/c'",
        shlex.quote(str(elsewhere / "it's")), "./demo",
    )  # fmt: skip
