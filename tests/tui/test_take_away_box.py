"""The box beside what can be taken away: it tells each thing once, and shows the file that is made or goes along."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run
from test_take_away import opened, run, stand_in  # noqa: F401  # the finished run

from loratui.paths import demo_model_path
from loratui.runs.directory import MERGE_NOTE, Run
from loratui.runs.merges import measured_merge
from loratui.runs.origin import sign
from loratui.tui.app import LoratuiApp
from loratui.tui.take_away.outputs import outputs_of


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run without a result."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return record_run(tmp_path, state="stopped", checkpoint=True)


def empty_lines(text: str) -> int:
    """Lines at the end of the right box in which nothing stands."""
    told = [line.rsplit("│", 2)[-2].strip() for line in text.splitlines() if line.count("│") >= 4]
    return len(told) - max(number for number, line in enumerate(told, 1) if line)


@pytest.mark.parametrize("size", [(120, 36), (160, 45), (200, 50)], ids=str)
async def test_the_box_is_filled_by_the_file_that_goes_along(run: Run, size: tuple[int, int]) -> None:  # noqa: F811
    """More than half of it was empty, at each of these sizes."""
    (run.adapter_path / "README.md").unlink()
    async with LoratuiApp(screen="runs").run_test(size=size) as pilot:
        await opened(pilot)
        text = await until(pilot, "the model card, as it would be written now")
        assert "How it was made" in await _paged(pilot), "the whole card can be read"
        assert "library_name" not in text, "what stands for programs is left out"
        await pilot.press("end", "up")
        text = await until(pilot, "── train_transformers.py")
        assert "import json" in text and empty_lines(text) < 4, text


async def _paged(pilot: object) -> str:
    """Everything that the box shows, page by page."""
    read = ""
    for _ in range(12):
        read += shown(pilot.app)  # type: ignore[attr-defined]
        await pilot.press("pagedown")  # type: ignore[attr-defined]
        await pilot.pause()  # type: ignore[attr-defined]
    return read


async def test_the_card_that_lies_beside_the_result_is_the_one_that_is_shown(run: Run) -> None:  # noqa: F811
    (run.adapter_path / "README.md").write_text("---\nlicense: mit\n---\n\n# Written by hand [bold]\n")
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        text = await until(pilot, "README.md beside the result")
        assert "# Written by hand [bold]" in text and "license: mit" not in text


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_what_is_not_finished_says_why_once(stopped: Run, size: tuple[int, int]) -> None:
    """`enter` wrote the same sentence once more below the box."""
    async with LoratuiApp(screen="runs").run_test(size=size) as pilot:
        await until(pilot, "x Take away")
        await pilot.press("x")
        await until(pilot, "▲ The run has no result yet")
        await pilot.press("enter")
        text = await until(pilot, "cannot be made yet; ▲ in its box says why.")
        assert text.count("has no result yet") == 1, text


async def test_a_thing_that_cannot_be_made_says_so_in_whole_words(stopped: Run) -> None:
    """`▲ SkyPilot task      cannot be` read like the beginning of a sentence."""
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await until(pilot, "x Take away")
        await pilot.press("x")
        text = await until(pilot, "▲ SkyPilot task")
        assert "cannot be made" in text


def test_the_merged_models_box_shows_the_card_of_its_own_folder(run: Run) -> None:  # noqa: F811
    """It showed the adapter's."""
    (run.adapter_path / "README.md").write_text("# The adapter's card\n")
    before = {output.key: output.shows for output in outputs_of(run)}
    title, text = before["merge"]
    assert "as it would be written now" in title and ", merged\n" in text, "what will lie there"
    run.merged_path.mkdir()
    (run.merged_path / "README.md").write_text("---\nlicense: mit\n---\n\n# The merged card\n")
    after = {output.key: output.shows for output in outputs_of(run)}
    assert "in its folder" in after["merge"][0] and after["merge"][1].strip() == "# The merged card"
    assert after["result"][1].strip() == before["result"][1].strip() == "# The adapter's card"


async def test_why_a_thing_cannot_be_made_stands_first_and_what_was_said_of_it_goes_with_the_cursor(
    run: Run,  # noqa: F811
) -> None:
    """The reason was the last line of the box, and cut; "GGUF cannot be made yet" stood below six other things."""
    async with LoratuiApp(screen="runs").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "gguf")
        text = await until(pilot, "▲ Its tools are not here")
        assert text.index("▲ Its tools are not here") < text.index("where "), text
        await pilot.press("enter")
        await until(pilot, "GGUF cannot be made yet")
        await pilot.press("down")
        await until(pilot, lambda: "cannot be made yet" not in shown(pilot.app))


@pytest.mark.parametrize(
    ("seconds", "words"), [(3600.0, r"\d s of about 1 h 00 min  Merged: "), (0.6, r"\d s, the last time 1 s  Merged: ")]
)
async def test_a_merge_is_told_beside_the_time_of_the_last_one(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    words: str,
) -> None:
    """A merge of 19 s told nothing of how long it would take, though the same base had been merged before."""
    assert run.plan().model.id == "demo"
    sign(run)
    run.merged_path.mkdir()
    took = measured_merge(str(demo_model_path()), run.plan().method.quantization, seconds)
    (run.merged_path / MERGE_NOTE).write_text(json.dumps(took))
    stand_in(monkeypatch, "import time; say('The adapter answers: 2 of 4 prompts …'); time.sleep(600)")
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "merge")
        await until(pilot, "The last time on this base took")
        await pilot.press("enter")
        await until(pilot, "Merged: make it again?")
        await pilot.press("enter")
        await until(pilot, lambda: re.search(words + "The adapter answers", shown(pilot.app)))
        await pilot.press("s")
        await until(pilot, "■ Stopped.")


async def test_the_box_of_a_run_without_a_result_shows_its_plan_without_the_help_of_each_key(stopped: Run) -> None:
    """Behind each value its help was wrapped, and the cursor stood on what is not there."""
    newest = stopped.last_checkpoint()
    assert newest is not None
    (newest / "adapter_config.json").write_text("{}")
    (newest / "adapter_model.safetensors").write_bytes(b"x" * 2048)
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await until(pilot, "x Take away")
        await pilot.press("x")
        text = await until(pilot, 'id = "demo"')
        assert "Hub id, local folder" not in text and 'revision = ""' in text
        assert pilot.app.screen.chosen.key == "checkpoint"  # type: ignore[attr-defined]
