"""Piece 5: the program as a person uses it, on the card: the demo, and a 4B run by the wizard in a pseudo-terminal.

The 4B run is started on the review screen, its worker is killed in the middle (and the wizard with it), resumed by the
command, merged with the proof that the merged model answers alike, and asked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine_piece import command
from random_models import folder_of, provide
from speed import shown_rows

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path += [str(TESTS), str(TESTS / "terminal")]
MODEL = "qwen3-4b"
STEPS, KILLED_AT = 40, 12
BEGUN = "4B started by the wizard and killed"
TITLES = {
    "model": "The model that will learn",
    "dataset": "What it will learn from",
    "recipe": "How it will learn",
    "review": "What will happen, and what it takes",
}
HOME = "Everything that was trained here"
SHOWN_LINES = 36


def run(results: Any, processes: Any, settings: dict[str, Any]) -> None:
    """The demo; then the 4B run step by step, each one a case that the next rests on."""
    results.case("demo by command", 60, lambda: demo_figures(240 * settings["patience"]))
    results.case("demo by wizard", 60, lambda: demo_by_wizard(settings["patience"]))
    if not provide(results, None, MODEL, settings):
        return
    later = ("4B resumed", "4B asked", "4B merged", "4B merged asked")
    if all(map(results.has, later)):
        return
    results.cases.pop(BEGUN, None)  # an earlier call's run is gone with its machine
    home = Path(tempfile.mkdtemp(prefix="loratui-wizard-"))
    try:
        begun = results.case(BEGUN, 60, lambda: start_and_kill(home, settings))
        if begun is None:
            return
        run, merged = begun["run"], str(home / "merged")
        measures = (
            lambda: own_command(home, settings, "resume", run, "--yes"),
            lambda: generate(home, run, settings),
            lambda: own_command(home, settings, "merge", run, "-o", merged, "--json"),
            lambda: generate(home, merged, settings),
        )
        for name, measure in zip(later, measures, strict=True):
            results.cases.pop(name, None)
            if results.case(name, 45, measure) is None:
                return
    finally:
        shutil.rmtree(home, ignore_errors=True)


def demo_figures(seconds: float) -> dict[str, Any]:
    """`benchmarks/demo.py` as it is, and its figures."""
    done = command(str(Path(__file__).resolve().parents[1] / "demo.py"), "--json", seconds=seconds)
    return {"figures": json.loads(done["out"].splitlines()[-1]), "took": done["took"], "status": done["status"]}


def console(home: Path, *arguments: str) -> Any:
    """The program in a pseudo-terminal."""
    from console import Console

    return Console(
        [sys.executable, "-m", "loratui", *arguments],
        columns=120,
        rows=SHOWN_LINES,
        environment={"LORATUI_HOME": str(home)},
    )


def demo_by_wizard(patience: float) -> dict[str, Any]:
    """`loratui --demo`, walked through with ctrl+n, trained to its end; screens as text."""
    home = Path(tempfile.mkdtemp(prefix="loratui-demo-"))
    began = time.monotonic()
    try:
        with console(home, "--demo") as wizard:
            wizard.until("What the training will run on", seconds=60 * patience)
            shown = {"machine": wizard.text}
            for step, title in TITLES.items():
                wizard.press("ctrl+n")
                wizard.until(title, seconds=60 * patience)
                wizard.pump(1.0)
                shown[step] = wizard.text
            wizard.press("enter")
            wizard.until("running", "evaluating", seconds=60 * patience)
            wizard.pump(3.0)
            shown["training"] = wizard.text
            wizard.until("✓ finished", "finished", seconds=150 * patience)
            shown["finished"] = wizard.text
            return {"screens": shown, "took": round(time.monotonic() - began, 1)}
    finally:
        shutil.rmtree(home, ignore_errors=True)


def start_and_kill(home: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """A draft with model and rows is opened, led to the review, started; then wizard and worker are killed."""
    from loratui.runs.directory import Run
    from loratui.tui.wizard.draft import Draft, draft_to_json

    tiny, patience = settings["rehearsal"], settings["patience"]
    rows = shown_rows(settings["rows"], home)
    by_hand = {
        "training.max_steps": 60 if tiny else STEPS,
        "saving.every_steps": 5,
        "dataset.eval_fraction": 0.0,
        "training.max_length": 64 if tiny else 512,
    }
    draft = Draft(
        step="recipe",
        visited=["machine", "model", "dataset", "recipe"],
        model=str(folder_of(MODEL)),
        dataset=str(rows),
        by_hand=by_hand,
    )
    state = home / "state"
    state.mkdir(parents=True, exist_ok=True)
    (state / "draft.json").write_text(draft_to_json(draft), encoding="utf-8")
    began = time.monotonic()
    with console(home) as wizard:
        wizard.until(HOME, seconds=60 * patience)
        shown = {"home": wizard.text}
        wizard.press("enter")  # goes on with the draft
        wizard.until(TITLES["recipe"], seconds=60 * patience)
        wizard.press("ctrl+n")
        wizard.until(TITLES["review"], seconds=60 * patience)
        wizard.pump(2.0)
        shown["review"] = wizard.text
        wizard.press("f9")
        wizard.until("running", "evaluating", seconds=90 * patience)
        (place,) = (home / "runs").iterdir()
        run = Run(place)
        _until_step(place, KILLED_AT, 60 * patience)
        wizard.pump(1.0)
        shown["training"] = wizard.text
        status = run.status()
        os.kill(wizard.pid, signal.SIGKILL)
        os.kill(status.pid, signal.SIGKILL)
        wizard.wait()
    return {
        "run": str(place),
        "killed_at": status.step,
        "checkpoints": [one.name for one in run.checkpoints()],
        "plan": run.plan_path.read_text(encoding="utf-8"),
        "screens": shown,
        "took": round(time.monotonic() - began, 1),
    }


def _until_step(run: Path, number: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        lines = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
        if any(one["type"] == "step" and one["step"] >= number for one in map(json.loads, lines)):
            return
        time.sleep(0.1)
    raise RuntimeError(f"no step {number} within {seconds:.0f} s")


def own_command(home: Path, settings: dict[str, Any], *arguments: str) -> dict[str, Any]:
    """A command of the program in that home. RuntimeError where it fails."""
    before = os.environ.get("LORATUI_HOME")
    os.environ["LORATUI_HOME"] = str(home)
    try:
        done = command("-m", "loratui", *arguments, seconds=120 * settings["patience"])
    finally:
        if before is not None:
            os.environ["LORATUI_HOME"] = before
    if done["status"]:
        raise RuntimeError(f"status {done['status']}: {(done['error'] or done['out'])[-300:]}")
    return done


def generate(home: Path, run: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Two rows answered by the result."""
    rows = home / "questions.jsonl"
    lines = (home / "train.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    rows.write_text("".join(json.dumps({"prompt": json.loads(line)["prompt"]}) + "\n" for line in lines), "utf-8")
    return own_command(home, settings, "generate", run, str(rows), "--json", "--max-tokens", "16")
