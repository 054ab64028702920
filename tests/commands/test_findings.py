"""`loratui runs findings` says what the monitor says, its commands mend, and the exit status says how it went."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from loratui.commands.tree import loratui
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.paths import runs_home
from loratui.runs.directory import Run
from loratui.runs.events import Event, encode, make
from loratui.runs.status import Status, write_status
from loratui.tui.training.follow import Followed
from loratui.tui.training.mending import fixes_of
from loratui.tui.training.run_state import finding_lines


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))


def run_of(
    name: str, losses: Sequence[float], held_out: Sequence[float] = (), *more: Event, state: str = "finished"
) -> Run:
    """A run that made these steps, evaluated at even distances, and ended so."""
    run = Run(runs_home() / name)
    run.path.mkdir(parents=True)
    values = {"training.learning_rate": 0.3, "dataset.path": "demo", "model.id": "demo"}
    run.plan_path.write_text(plan_to_toml(with_values(Plan(), values)))
    every = len(losses) // max(1, len(held_out))
    events: list[Event] = [make("started", 1.0, step=0, total_steps=len(losses), eval_examples=0)]
    for step, loss in enumerate(losses, 1):
        events.append(make("step", 2.0, step=step, loss=loss, learning_rate=0.3, grad_norm=1.0))
        if held_out and step % every == 0:
            events.append(make("eval", 2.5, step=step, loss=held_out[step // every - 1]))
    if state == "finished":
        events.append(make("finished", 3.0, step=len(losses), judged=True))
    events += more
    run.events_path.write_text("".join(f"{encode(event)}\n" for event in events))
    ended = Status(state=state, step=len(losses), total=len(losses), loss=losses[-1])  # type: ignore[arg-type]
    write_status(run.status_path, ended)
    return run


FALLS = [2.0 - 0.015 * at for at in range(100)]
WORSE = (2.6, 2.9, 3.1, 3.4)
BETTER = (1.7, 1.4, 1.1, 1.0)


def ask(*arguments: str) -> str:
    result = CliRunner().invoke(loratui, ["runs", "findings", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_it_says_what_the_training_screen_says_and_offers_what_f_offers() -> None:
    run = run_of("worse", FALLS, WORSE)
    found = json.loads(ask("worse", "--json"))
    followed = Followed(run)
    while not followed.whole:
        followed.poll()
    painted = "\n".join(line.plain for line in finding_lines(followed, most=99))
    kinds = [one["finding"] for one in found["findings"]]
    assert "worse-than-base" in kinds and "overfitting" in kinds
    for one in found["findings"]:
        if one["severity"] != "note":
            assert one["message"][:200] in painted
    offered = [(dict(fix.change), fix.restart) for fix in fixes_of(followed)]
    assert [(one["change"], one["start"] == "anew") for one in found["fixes"]] == offered and offered
    assert found["key"] == "f"
    text = ask("worse")
    assert "worse than its base" in text and found["fixes"][0]["command"] in text


def test_each_command_is_one_that_resume_takes_and_changes_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("worse", FALLS, WORSE)
    first = json.loads(ask("worse", "--json"))["fixes"][0]
    words = shlex.split(first["command"])
    assert words[0] == "loratui"
    started: list[Run] = []

    def start(run: Run, **options: object) -> int:
        started.append(run)
        return 1

    monkeypatch.setattr("loratui.runs.resume.start_worker", start)
    monkeypatch.setattr("loratui.runs.start.wait_started", lambda *args, **options: None)
    result = CliRunner().invoke(loratui, [*words[1:], "--detach"])
    assert result.exit_code == 0, result.output
    assert started and all(run.plan().get(key) == value for key, value in first["change"].items())


def test_weights_that_would_balance_both_kinds_come_with_their_command() -> None:
    mend = {"preference.undesirable_weight": 2.0}
    ways = [{"change": mend, "advice": "16 and 8.", "restart": anew} for anew in (False, True)]
    told = make("finding", 1.5, finding="imbalance", severity="warning", message="16 and 8.", fix=mend, fixes=ways)
    run_of("judged", FALLS[:20], (), told)
    found = json.loads(ask("judged", "--json"))
    (one,) = [one for one in found["fixes"] if one["change"] == mend]
    assert one["start"] == "anew" and "preference.undesirable_weight=2" in one["command"]
    assert one["command"] in ask("judged")


def test_a_run_at_work_is_stopped_first_by_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    told = make(
        "finding",
        4.0,
        finding="diverged",
        severity="error",
        message="\x1b]0;it\x07 diverged",
        step=90,
        fixes=[{"change": {"training.learning_rate": 0.001}, "advice": "Lower it.", "restart": True}],
    )
    run = run_of("bad", FALLS, (), told, state="failed")
    found = json.loads(ask("bad", "--json"))
    assert found["fixes"][0]["command"] == "loratui resume bad --set training.learning_rate=0.001 --anew"
    text = ask("bad")
    assert "\x1b" not in text and "\x07" not in text and "diverged" in text
    going = Status(state="running", step=90, total=100)
    monkeypatch.setattr(Run, "status", lambda self: going)
    assert run.status() is going
    now = json.loads(ask("bad", "--json"))["fixes"][0]
    assert now["command"].startswith("loratui stop bad && loratui resume bad ")


def test_a_healthy_run_has_none() -> None:
    run_of("well", [1.0 + 0.9**at for at in range(100)], (1.3, 1.1, 1.05, 1.04))
    assert json.loads(ask("well", "--json"))["findings"] == []
    assert "Nothing was found." in ask("well")


@pytest.mark.parametrize(
    ("held_out", "losses", "status", "words"),
    [
        (WORSE, FALLS, 3, "worse than its base"),
        (BETTER, FALLS, 0, ""),
        ((), [2.0, *([9.0] * 99)], 1, "worth nothing"),
        ((2.9, 2.8, 2.7, 2.6), FALLS, 0, ""),
        ((3.6, *WORSE), FALLS, 0, ""),
        ((1.3, 1.7, 1.6, 1.5, 1.4), FALLS, 3, "worse than its base"),
    ],
    ids=[
        "worse than its base",
        "better",
        "diverged",
        "held-out rows were harder from the beginning",
        "they were, and the base was evaluated on them",
        "they were easier, and the base was evaluated on them",
    ],
)
def test_the_end_is_said_and_in_the_exit_status(
    held_out: tuple[float, ...], losses: list[float], status: int, words: str
) -> None:
    """Five evaluations: the first is that of the base."""
    begun = [make("eval", 1.5, step=0, loss=held_out[0])] if len(held_out) == 5 else []
    run = run_of("one", losses, held_out[-4:], *begun)
    if status == 1:  # as a worker of before, which judged no end
        lines = [line for line in run.events_path.read_text().splitlines() if '"finished"' not in line]
        run.events_path.write_text("\n".join([*lines, encode(make("finished", 3.0, step=100))]) + "\n")
    result = CliRunner().invoke(loratui, ["attach", "one", "--plain"])
    assert result.exit_code == status, result.output
    assert words in result.output
    if status:
        assert "loratui resume one --set " in result.output


def test_runs_stays_a_command_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    run_of("well", FALLS, BETTER)
    listed = CliRunner().invoke(loratui, ["runs"])
    assert listed.exit_code == 0 and "well" in listed.output
    shown = CliRunner().invoke(loratui, ["runs", "--json"])
    assert [one["name"] for one in json.loads(shown.output)["runs"]] == ["well"]
    wrong = CliRunner().invoke(loratui, ["runs", "finding", "well"])
    assert wrong.exit_code == 2 and "Did you mean 'findings'?" in wrong.output
    helped = CliRunner().invoke(loratui, ["runs", "--help"])
    assert "findings" in helped.output
