"""One fact, one figure: what several screens tell of a thing agrees, and what they advise works there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from recorded_run import record_run
from textual.widgets._toast import ToastRack
from wizard import choose, dataset_file, machine, screen_text, settled, wizard

from loratui.core.recommend.scale_of_data import passes_for, why_passes
from loratui.format import in_gib, loss_text, value_text
from loratui.machine.catalogue import find_gpu
from loratui.runs.directory import Run
from loratui.runs.events import Step, decode
from loratui.tui.frame.headroom_bar import memory_view
from loratui.tui.home.lines import row
from loratui.tui.home.reading import Looker
from loratui.tui.machine.screen import GpuCatalogueScreen
from loratui.tui.playground.session import Session
from loratui.tui.training.follow import Followed
from loratui.tui.training.run_state import facts


@pytest.mark.parametrize("rows", [3, 50, 120, 160])
def test_more_passes_than_the_rule_of_thumb_say_why(rows: int) -> None:
    why, _ = why_passes(rows)
    assert (passes_for(rows) > 3) == ("where the usual 3 would make" in why) == (rows < 133)


async def test_a_planned_cards_memory_is_one_figure_and_its_parts_are_named(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    choose(app, gpu="RTX 4090")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        gpu, proposal = find_gpu("RTX 4090"), app.state.plan.proposal
        assert proposal is not None
        total, may_take = in_gib(gpu.memory_total_bytes), in_gib(memory_view(proposal).budget)
        text = " ".join(screen_text(app).split())
        assert f"of its {total} GiB a process can have {in_gib(gpu.usable_mib * 2**20)}" in text
        assert f"a plan may take {may_take}" in text and f"┃{may_take} GiB" in text
        await pilot.press("o")
        await pilot.pause()
        assert isinstance(app.screen, GpuCatalogueScreen)
        await pilot.press(*"RTX 4090")
        await pilot.pause()
        line = next(line for line in screen_text(app).splitlines() if "RTX 4090 " in line and "GB/s" in line)
        assert f"{total} GiB" in line, line


def test_a_loss_has_the_same_digits_in_the_list_and_on_the_training_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    run = record_run(tmp_path, state="finished", steps=375)
    followed = Followed(Run(run.path))
    while not followed.whole:
        followed.poll()
    told = {name: value for name, value, _ in facts(followed.record, None)}
    best = followed.record.best_eval
    assert best is not None and told["held out"] == loss_text(followed.record.evals[-1].loss)
    (line,) = Looker().look().lines
    assert loss_text(best.loss) in row(line, 160).plain
    assert loss_text(2.0) == "2.0000" and loss_text(None) == "–"


def test_the_loss_of_a_run_is_that_of_its_last_step_wherever_it_is_called_so(homes: Path) -> None:
    run = record_run(homes / "home", "noisy", state="finished", steps=143)
    followed = Followed(Run(run.path))
    while not followed.whole:
        followed.poll()
    told = {name: value for name, value, _ in facts(followed.record, None)}
    (line,) = Looker().look().lines
    assert told["loss"] in row(line, 160).plain, "home and training say the same"
    assert told["smoothed"] != told["loss"], "what is smoothed has another name"
    last = [event for event in map(decode, run.events_path.read_bytes().splitlines()) if isinstance(event, Step)][-1]
    assert told["loss"] == loss_text(last.loss)


@pytest.mark.parametrize("value", [0.0026, 1.25e-4])
def test_what_tells_runs_apart_is_told_whole_at_80_columns(homes: Path, value: float) -> None:
    for number, rate in enumerate((1e-3, value)):
        record_run(homes / "home", f"a-very-long-name-of-a-run-{number}", values={"training.learning_rate": rate})
    look = Looker().look()
    lines = [row(line, 74, look.sets_apart(line), longest=28).plain for line in look.lines]
    assert any(f"rate {value_text(value)} " in line for line in lines), lines


async def test_the_learnt_share_names_what_it_is_a_share_of(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert "% of the characters learnt" in screen_text(app)
        known = app.state.dataset.facts()
        assert known is not None
        app.state.dataset.take_exact(replace(known, exact=True))
        await settled(pilot)
        assert "% of the tokens learnt" in screen_text(app)


async def test_a_model_that_is_not_here_is_not_to_be_inspected_here(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review", chosen=False)
    choose(app, model="Qwen/Qwen3-0.6B", dataset=str(dataset_file(tmp_path / "rows.jsonl")))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.state.model.found is not None and app.state.model.found.path is None
        said = " ".join(screen_text(app).split())
        assert "the model is not on this machine" in said and "tokenising the data" not in said


async def test_a_notice_leaves_the_notes_of_the_machine_in_sight(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine", gpus=0)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        app.notify("Another draft was kept aside (demo). The command palette, ctrl+o, takes it up.", timeout=30)
        await settled(pilot)
        (toast,) = app.screen.get_child_by_type(ToastRack).query("Toast")
        assert toast.region.area and not toast.region.overlaps(app.screen.query_one("#host").region)
        assert "No NVIDIA driver was found" in screen_text(app)


async def test_a_keys_own_line_is_painted_before_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Textual paints at once is made for the whole height between the first and the last line that changed."""
    from textual._compositor import Compositor

    painted: list[tuple[int, int]] = []
    original = Compositor.render_update

    def render(self: Compositor, *given: object, **named: object) -> object:
        regions = self._dirty_regions
        painted.append((min(one.y for one in regions), max(one.bottom for one in regions)) if regions else (0, 0))
        return original(self, *given, **named)  # type: ignore[arg-type]

    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("down", "right", "left")  # the line of what changed is there from the first change on
        await settled(pilot)
        monkeypatch.setattr(Compositor, "render_update", render)
        for key in ("down", "up", "right"):
            painted.clear()
            await pilot.press(key)
            await settled(pilot)
            top, bottom = painted[0]
            fields = app.screen.query_one("#fields-box").region
            assert fields.y <= top < bottom <= (top + 2 if key != "right" else fields.bottom), (key, painted)


LONG = "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"
"""Of 55 characters: the longest name that NVIDIA gives."""


async def test_a_cards_name_is_told_whole_where_there_is_room(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    first, *rest = machine(2).gpus
    app.state.hardware.take(replace(machine(2), gpus=(replace(first, name=LONG), *rest)))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert LONG in screen_text(app)


def test_what_cannot_be_done_while_a_model_loads_says_why() -> None:
    session = Session(lambda what: None)
    session.begin()
    assert "being loaded" in session.why_not(False) and "esc takes it back" in session.why_not(True)
    session.settle()
    assert "no model to ask" in session.why_not(False)


def test_a_login_node_is_told_of_a_way_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.machine.detect import detect_machine

    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("SLURM_JOB_ID", "SLURM_JOBID"):
        monkeypatch.delenv(name, raising=False)
    notes = " ".join(detect_machine(tmp_path).notes)
    assert "`loratui train PLAN --set cluster.engine=slurm` submits it" in notes
