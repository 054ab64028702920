"""Without a dataset no key is offered that says something of its rows."""

from __future__ import annotations

from pathlib import Path

from wizard import screen_text, settled, wizard


async def test_keys_about_rows_come_with_the_rows(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    app.state.choices.choose_dataset(str(tmp_path / "absent.jsonl"))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert "no such file" in screen_text(app)
        keys = screen_text(app).splitlines()[-1]
        assert "Open" in keys and "Path" in keys
        assert not any(word in keys for word in ("Problems", "Tokens", "Search", "Lengths"))
        await pilot.press("e")
        await pilot.pause()
        assert "Nothing is wrong" not in screen_text(app)
