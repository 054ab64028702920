"""What the start does before the first frame, what it never does, and how often it proposes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pictured import until
from textual.app import App
from wizard import settled, wizard

from loratui.core.hardware import Machine
from loratui.tui.app import LoratuiApp
from loratui.tui.garbage import collect_garbage_again

HEAVY = ("pydantic", "psutil", "pynvml", "numpy", "yaml", "loratui.core.plan", "loratui.machine", "loratui.data")
"""What the first frame does not wait for."""
NEVER = ("numpy", "yaml", "loratui.runs.listing", "loratui.cluster.facts", "textual.widgets._text_area")
"""What the demo's start does not need at all, where there is no run and no Slurm."""

CODE = """
import asyncio, sys
from textual.app import App
from loratui.tui.app import LoratuiApp

frames, before, display = [], [], App._display
def counted(self, screen, renderable):
    if renderable is not None:
        frames.append(1)
        if len(frames) == 1:
            before.extend(sys.modules)
    display(self, screen, renderable)
App._display = counted

async def main():
    app = LoratuiApp(demo=True)
    async with app.run_test(size=(120, 36)) as pilot:
        for _ in range(600):
            await pilot.pause(0.05)
            if app.state.plan.proposal is not None and app.state.dataset.view is not None:
                break
        while any(worker.group == "look-up" for worker in app.workers):
            await pilot.pause(0.05)
    print(*sorted({heavy} & set(before)), "|", *sorted({never} & set(sys.modules)), "|", len(frames) > 0)
asyncio.run(main())
"""


def test_the_first_frame_waits_for_nothing_heavy_and_the_rest_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    code = CODE.replace("{heavy}", repr(set(HEAVY))).replace("{never}", repr(set(NEVER)))
    without_slurm = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=without_slurm)
    assert done.stdout.split() == ["|", "|", "True"]


async def test_the_start_proposes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.core import proposal

    asked: list[int] = []
    propose = proposal.propose

    def counted(*situation: object) -> object:
        asked.append(1)
        return propose(*situation)  # type: ignore[arg-type]

    monkeypatch.setattr(proposal, "propose", counted)
    app = wizard(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.state.plan.proposal is not None and app.state.dataset.view is not None
        assert len(asked) == 1


async def test_an_edited_field_is_painted_before_its_reasons_are_worked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.core import proposal

    app = wizard(tmp_path, screen="recipe")
    story: list[str] = []
    display, calculated = App._display, proposal._calculated

    def shown(self: LoratuiApp, screen: object, renderable: object) -> None:
        story.append("frame" if renderable is not None else "")
        display(self, screen, renderable)  # type: ignore[arg-type]

    def counted(*situation: object) -> object:
        story.append("proposal")
        return calculated(*situation)  # type: ignore[arg-type]

    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_values({"lora.r": 8, "training.epochs": 2.0, "training.batch_size": 2})
        await pilot.press("down")
        await pilot.pause()
        assert app.screen.fields.key == "lora.r"
        monkeypatch.setattr(App, "_display", shown)
        monkeypatch.setattr(proposal, "_calculated", counted)
        await pilot.press("right")
        await pilot.pause()
        told = [part for part in story if part]
        assert told[:2] == ["proposal", "frame"]
        assert told.count("proposal") > 3  # the reasons of what is fixed, afterwards
        row = next(row for row in app.screen.fields.rows if row.key == "lora.r")
        plan = app.state.plan.proposal
        assert plan is not None and row.value == plan.plan.lora.r == 16 and row.why == plan.why("lora.r")


def test_help_loads_what_it_prints_with_and_no_more() -> None:
    code = (
        "import sys; from loratui.cli import main; sys.argv = ['loratui', '--help']\n"
        "try: main()\n"
        "finally: print(*sorted({'json', 'asyncio', 'textual', 'pydantic', 'platformdirs'} & set(sys.modules)), '|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--demo" in done.stdout and done.stdout.splitlines()[-1] == "|"


def test_garbage_is_collected_again() -> None:
    import gc

    threshold = gc.get_threshold()
    gc.disable()
    try:
        collect_garbage_again()
        assert gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
        gc.set_threshold(*threshold)


THREADS = """
import io, sys, threading, time
from importlib.util import find_spec

class Slow:  # a slow disk
    def find_spec(self, name, path=None, target=None):
        time.sleep(0.01)

def take():
    both.wait()
    try:
        from importlib.metadata import entry_points, version
    except ImportError as error:
        failed.append(error)

def run(self, **options):
    sys.meta_path.insert(0, Slow())
    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

both, failed = threading.Barrier(4), []
sys.stdin = sys.stdout = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
from loratui.tui.start import open_interface
from textual.app import App
App.run = run
open_interface(demo=True)
print(*failed, file=sys.stderr)
"""


def test_modules_are_imported_whole_by_whichever_thread_comes_first(tmp_path: Path) -> None:
    """The look-ups and the screens import the same modules at the same time: with a module that is executed when it is
    first used, one of them found it half made, and the recipe stayed empty.
    """
    environment = {**os.environ, "LORATUI_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr.strip() == ""


async def test_a_machine_that_answers_late_is_taken_up_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.machine import sampler
    from loratui.tui.wizard import loading

    answers, look = threading.Event(), sampler.snapshot

    def late(*arguments: Any) -> Machine:
        answers.wait()
        return look(*arguments)

    monkeypatch.setattr(sampler, "snapshot", late)
    monkeypatch.setattr(loading, "FIRST_SAMPLE_SECONDS", 0.01)
    app = LoratuiApp(demo=True)
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("ctrl+n", "ctrl+n", "ctrl+n")
            await until(pilot, lambda: app.state.dataset.view is not None)
            await until(pilot, "Looking up model and machine")
            answers.set()
            await until(pilot, "Rank")
    finally:
        answers.set()


def test_a_proposal_builds_the_checks_of_its_plan_and_not_those_of_each_section() -> None:
    code = (
        "import loratui.core.proposal; from loratui.core.plan import LoraSection, Plan, plain_plan\n"
        "made = plain_plan()\n"
        "sections = [type(getattr(made, name)) for name in Plan.model_fields if name != 'version']\n"
        "print(sum(section.__pydantic_complete__ for section in sections) < 2)\n"
        "print(made == Plan(), LoraSection(r=8).r)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "8"]


async def test_a_screens_looks_are_read_once_when_it_is_first_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Textual reads the looks of everything again for each screen that has some of its own."""
    from textual.css import stylesheet

    parse, read = stylesheet.parse, list[str]()

    def counted(scope: str, css: str, read_from: Any, *more: Any, **options: Any) -> Any:
        if str(read_from[0]).endswith(".tcss"):
            read.append(Path(read_from[0]).name)
        return parse(scope, css, read_from, *more, **options)

    monkeypatch.setattr(stylesheet, "parse", counted)
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert read == ["app.tcss", "machine.tcss"]
        for key in ("f3", "f4", "f5", "f6", "ctrl+r", "f3", "f4"):
            await pilot.press(key)
            await pilot.pause()
        own = ["model.tcss", "dataset.tcss", "recipe.tcss", "review.tcss", "home.tcss"]
        assert read == ["app.tcss", "machine.tcss", *own]
        # and they are heeded: the model's details have two rows, and no more where a narrow screen has less room
        assert app.screen_stack and app.get_screen("model").query_one("#model-details").size.height == 2


async def test_showing_the_review_again_works_no_reason_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.core import proposal

    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_values({"lora.r": 8})
        await pilot.pause()
        asked: list[int] = []
        calculated = proposal._calculated

        def counted(*situation: object) -> object:
            asked.append(1)
            return calculated(*situation)  # type: ignore[arg-type]

        monkeypatch.setattr(proposal, "_calculated", counted)
        app.state.dataset.changed.publish()  # read again: the same plan
        await pilot.pause()
        assert len(asked) == 1
        app.state.choices.set_values({"lora.r": 4})
        await pilot.pause()
        assert "rank 4" in app.screen.query_one("#card-4").render().plain  # type: ignore[union-attr]
