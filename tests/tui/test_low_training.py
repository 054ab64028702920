"""On a low screen no row of Training stands empty while the curves and the figures could have it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from recorded_run import record_run

from loratui.tui.app import LoratuiApp


@pytest.mark.parametrize("size", [(80, 24), (100, 29)])
@pytest.mark.parametrize("state", ["running", "stopped"])
async def test_what_is_not_told_leaves_its_rows_to_the_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], state: str
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    run = record_run(tmp_path, state=state, steps=20)  # no evaluation yet, so no sample
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=size) as pilot:
        await until(pilot, f"{state}   step 20")

        def told() -> int:
            return sum(bool(line) for line in str(pilot.app.screen.query_one("#news").content).splitlines())  # type: ignore[attr-defined]

        await until(pilot, lambda: pilot.app.screen.query_one("#news").size.height == told())
        alone = pilot.app.screen.query_one("#loss").size.height
        record_run(tmp_path, "with samples", state="running", steps=60)
        with run.events_path.open("a") as file:
            more = (tmp_path / "runs" / "with samples" / "events.jsonl").read_text().splitlines()
            file.write("\n".join(line for line in more if '"sample"' in line) + "\n")
        if state == "running":
            await until(pilot, "two large pizzas")
            await until(pilot, lambda: pilot.app.screen.query_one("#loss").size.height < alone)
