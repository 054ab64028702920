"""A playground that was opened while its run trains notices what becomes of the run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run
from test_playground_screen import answers, home

from loratui.runs.status import read_status, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.playground import loader
from loratui.tui.playground.prompt_area import PromptArea

__all__ = ["home"]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "WATCH_SECONDS", 0.1)


def told(app: LoratuiApp) -> str:
    return " ".join(shown(app).split())


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
@pytest.mark.parametrize("asked", [False, True], ids=["unasked", "asked"])
async def test_a_result_that_comes_answers(home: Path, size: tuple[int, int], asked: bool) -> None:
    run = record_run(home, steps=40, total=120)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "The run is training, step 40 of 120." in told(app))
        assert "no result and no checkpoint yet: only the base answers." in told(app)
        if asked:
            await pilot.press(*"one", "enter")
            await until(pilot, "base answers one")
        run.adapter_path.mkdir()
        (run.adapter_path / "adapter_config.json").write_text("{}")
        status = read_status(run.status_path)
        assert status is not None
        write_status(run.status_path, status.model_copy(update={"state": "finished", "step": 120}))
        if asked:
            await until(pilot, lambda: "it answers from the next question on" in told(app))
            assert "base answers one" in shown(app)
        else:
            await until(pilot, lambda: "adapter is there: it answers now." in told(app))
        await pilot.press(*"two", "enter")
        await until(pilot, lambda: answers(app) == {"base": "base answers two", "adapter": "adapter answers two"})
        assert "is training" not in told(app)


async def test_a_checkpoint_that_goes_is_left_for_the_result(home: Path) -> None:
    run = record_run(home, steps=60, total=120, checkpoint=True)
    old = run.checkpoints_path / "checkpoint-50"
    (old / "adapter_config.json").write_text("{}")
    app = LoratuiApp(screen="playground", adapter=str(old))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "● demo")
        run.adapter_path.mkdir()
        (run.adapter_path / "adapter_config.json").write_text("{}")
        await pilot.pause(0.5)
        assert "now." not in told(app)
        shutil.rmtree(old)
        await until(pilot, lambda: "checkpoint-50 is gone: adapter answers now." in told(app))
        assert app.screen.session.target.result == run.adapter_path  # type: ignore[attr-defined]
        await pilot.press(*"two", "enter")
        await until(pilot, "adapter answers two")


async def test_esc_takes_a_question_back_while_the_model_loads(home: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "config.json").write_text("{}")
    app = LoratuiApp(screen="playground", adapter=str(slow))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "reading the weights" in told(app))
        await pilot.press(*"early", "enter")
        await until(pilot, "“early” is asked")
        await pilot.press("escape")
        await until(pilot, "Taken back: nothing is asked.")
        prompt = app.screen.query_one(PromptArea)
        await until(pilot, lambda: prompt.text == "early")
        await pilot.press("escape")
        assert not prompt.has_focus


async def test_weights_that_are_not_here_are_fetched_only_when_a_person_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(home / "hub"))
    app = LoratuiApp(screen="playground", adapter="Qwen/Qwen3-4B")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "The weights of Qwen/Qwen3-4B are not on this machine" in told(app))
        assert "GiB in bfloat16" in told(app)
        session = app.screen.session  # type: ignore[attr-defined]
        assert session.client is None
        await pilot.press(*"hi", "enter")
        await until(pilot, "fetch and load it")
        await pilot.press("escape")
        await until(pilot, "is not fetched: nothing is asked.")
        assert session.client is None
        assert app.screen.query_one(PromptArea).text == "hi"
        await pilot.press("enter")
        await until(pilot, "fetch and load it")
        await pilot.press("enter")
        await until(pilot, "base answers hi")
