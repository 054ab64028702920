"""Data of which the check finds no row to train on does not get past its step, nor to a start."""

from __future__ import annotations

from pathlib import Path

from wizard import choose, dataset_file, screen_text, settled, wizard


async def test_it_is_said_and_stands_between_the_steps(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    choose(app, dataset=str(dataset_file(tmp_path / "rows.jsonl")))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        now = app.state.check.now
        now.key, now.result = app.state.check.key(), {"usable": 0}
        assert app.state.check.finds_nothing
        await pilot.press("ctrl+n")
        await pilot.pause()
        said = " ".join(screen_text(app).split())
        assert "No row of the dataset can be trained on" in said
        assert any("can be trained on" in problem.sentence for problem in app.state.ready())
