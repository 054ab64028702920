"""No control character of a dataset, a model, a process or a path reaches the terminal, and no markup is obeyed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from wizard import CONFIG, choose, machine, model_folder, screen_text, settled, wizard

from loratui.core.hardware import GpuProcess
from loratui.format import CONTROLS
from loratui.tui.app import LoratuiApp

HOSTILE = "A\x1b]0;PWNED\x07B\x1b[5mC\x9b31mD\x85E\x00F\u202eG\x1b[2J[bold]H[/]I[/nothing]J[@click=app.quit]K[/]"


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check starts a worker that loads a tokenizer; nothing of it is shown here."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self: None)


def hostile_wizard(folder: Path) -> LoratuiApp:
    app = wizard(folder, chosen=False)
    name = HOSTILE.replace("\x00", "").replace("/", "|")[:60]
    rows = folder / f"{name}.jsonl"
    rows.write_text(
        "".join(json.dumps({"question": HOSTILE, "answer": HOSTILE, f"x{HOSTILE}": HOSTILE}) + "\n" for _ in range(5))
    )
    choose(app, dataset=str(rows))
    choose(app, model=str(model_folder(folder / f"m{name}", {**CONFIG, "architectures": ["LlamaForCausalLM"]})))
    gpu = replace(
        machine().gpus[0],
        **{
            "name": HOSTILE,
            "processes": (GpuProcess(pid=1, name=HOSTILE, user=HOSTILE, memory_bytes=2**30),),
            "notes": (HOSTILE,),
            "throttle_reasons": (HOSTILE,),
        },
    )
    host = replace(machine().host, **{"hostname": HOSTILE, "cpu_name": HOSTILE, "disk_path": HOSTILE})
    told = {"problems": (HOSTILE,), "notes": (HOSTILE,), "driver_version": HOSTILE}
    app.state.hardware.take(replace(machine(), **{"gpus": (gpu,), "host": host, **told}))
    return app


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_every_screen_stays_harmless(tmp_path: Path, size: tuple[int, int]) -> None:
    app = hostile_wizard(tmp_path)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        for keys in (
            ["f2"],
            ["f3"],
            ["f4"],
            ["right"],
            ["c"],
            ["escape", "e"],
            ["escape", "f5"],
            ["f1"],
            ["escape", "f6"],
            ["enter"],
        ):
            await pilot.press(*keys)
            await settled(pilot)
            app.screen.refresh()
            await pilot.pause()
            painted = screen_text(app).replace("\n", "")
            assert not CONTROLS.search(painted)
            assert app.is_running
        await pilot.press("f4")
        await settled(pilot)
        assert "[bold]H[/]I" in screen_text(app)
        app.notify(HOSTILE, markup=False)
        app.screen.say(HOSTILE, "error")  # type: ignore[attr-defined]
        await pilot.pause()
        assert not CONTROLS.search(screen_text(app).replace("\n", ""))


async def test_a_path_that_does_not_exist_is_shown_harmless(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=False)
    choose(app, dataset="/nowhere/" + HOSTILE.replace("\x00", ""))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "✗" in text and "␛" in text
        assert not CONTROLS.search(text.replace("\n", ""))


async def test_the_filter_is_the_last_wall(tmp_path: Path) -> None:
    from textual.widgets import Static

    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await app.screen.mount(Static("\x1b[2J\u202eraw", markup=False))
        await pilot.pause()
        assert not CONTROLS.search(screen_text(app).replace("\n", ""))
