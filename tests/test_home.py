"""One rule for where things lie: LORATUI_HOME for runs and memories, LORATUI_CONFIG for presets and themes."""

from __future__ import annotations

from pathlib import Path

import pytest

from loratui.core.presets import Preset
from loratui.machine.host import read_host
from loratui.paths import config_home, home, runs_home, user_presets_path, user_themes_path
from loratui.presets_store import load_presets, save_preset


def test_settings_move_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LORATUI_CONFIG", "~/mine")
    assert (user_presets_path(), user_themes_path()) == (tmp_path / "mine" / "presets", tmp_path / "mine" / "themes")
    assert save_preset(Preset("own", "Own", "Mine.")).parent == user_presets_path()
    assert "own" in [preset.name for preset in load_presets()[0]]
    monkeypatch.delenv("LORATUI_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert config_home() == tmp_path / "xdg" / "loratui"


async def test_the_interface_finds_a_theme_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from loratui.paths import themes_path
    from loratui.tui.app import LoratuiApp

    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config" / "themes").mkdir(parents=True)
    shipped = next(iter(sorted(themes_path().glob("*.toml")))).read_text(encoding="utf-8").splitlines()
    renamed = ['name = "my-own"' if line.startswith("name") else line for line in shipped]
    (tmp_path / "config" / "themes" / "mine.toml").write_text("\n".join(renamed))
    app = LoratuiApp(demo=True)
    async with app.run_test(size=(80, 24)):
        assert "my-own" in app.available_themes


def test_runs_lie_where_the_machine_looks_for_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    runs_home().mkdir()
    assert home() == tmp_path and read_host().disk_path == str(runs_home())


def test_the_readme_names_the_variables_and_the_api() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "$LORATUI_HOME" in readme and "$LORATUI_CONFIG" in readme and "from loratui.api import load" in readme
