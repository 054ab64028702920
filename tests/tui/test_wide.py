"""Wide terminals use their width; narrow ones lose nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pictured import until
from recorded_run import record_run
from textual.widgets import OptionList, Static
from wizard import machine, screen_text, settled, wizard

from loratui.format import in_gib
from loratui.machine.nvml_calls import NO_GPU_HINT
from loratui.tui.app import LoratuiApp
from loratui.tui.common.filter_list import FilterList
from loratui.tui.common.help import HelpScreen
from loratui.tui.frame.headroom_bar import FILLS, LIMIT, MemoryView, bar, legend, memory_view, room_words, verdict
from loratui.tui.frame.step import StepScreen
from loratui.tui.machine.screen import GpuCatalogueScreen
from loratui.tui.model.methods import method_lines
from loratui.tui.model.screen import RESTING_SECONDS
from loratui.tui.recipe.why import MARGIN
from loratui.tui.review.pictures import REST_FILL, memory_picture

GIB = 2**30
PARTS = ("weights", "adapter", "gradients", "optimizer", "activations", "logits", "overhead")


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


@pytest.mark.parametrize("size", [(160, 40), (200, 50)], ids=str)
async def test_recipe_shows_all_fields_with_the_derivation_beside_them(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("down")
        text = await until(pilot, "smallest power of two")
        assert "ADAPTER" in text and "Alpha" in text, "all fields are there"
        lines = text.splitlines()
        assert any("Rank" in line and "source" not in line for line in lines)
        assert any(line.find("formula") > size[0] // 3 for line in lines), "what F1 tells stands beside them"
        assert "steps an epoch" in text
        await pilot.press("m")
        await settled(pilot)
        assert "ADAPTER" not in screen_text(app)


async def test_recipe_at_80_columns_shows_the_everyday_fields(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "Maximum length" in text and "ADAPTER" not in text and "steps of" in text


async def test_model_weighs_the_methods_of_the_one_under_the_cursor(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot)
        text = await until(pilot, "what a training may take here")
        assert all(method in text for method in ("full fine-tuning", "QLoRA  ")) and f"{LIMIT} " in text
        model, proposal = app.state.model.found, app.state.plan.proposal
        assert model is not None and proposal is not None
        fits = {fit.kind: fit for fit in app.state.plan.methods_of(model.spec)}
        assert fits[proposal.plan.method.kind].memory_bytes == proposal.memory.total_bytes


async def test_model_keeps_no_figures_of_the_model_before_where_nothing_matches(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot)
        panel = app.screen.query_one("#model-methods", Static)
        await until(pilot, lambda: "LoRA" in str(panel.render()))
        await pilot.press(*"no-such-model")
        await until(pilot, "Nothing matches")
        await until(pilot, "No model is under the cursor.")
        await pilot.pause(2 * RESTING_SECONDS)  # what was being weighed would be shown by now
        assert "LoRA" not in str(panel.render()) and not panel.border_title
        for _ in "no-such-model":
            await pilot.press("backspace")
        await until(pilot, lambda: "LoRA" in str(panel.render()))


async def test_model_at_80_columns_is_the_list_alone(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert not app.screen.query_one("#model-methods", Static).display


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)], ids=str)
async def test_training_keeps_bars_and_figures_in_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    run = record_run(tmp_path, values={"hardware.cpu": True})
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "CPU")
        assert all(word in text for word in ("held out", "rate ", "speed"))
        assert ("held out, the newest first" in text) == (size[1] >= 50), "what one would otherwise page to"
        assert app.screen.virtual_size.width <= size[0] and app.screen.virtual_size.height <= size[1]


# The memory bar


def view(*parts: int, budget: int = 20) -> MemoryView:
    named = tuple((name, value) for name, value in zip(PARTS, parts, strict=True) if value)
    return MemoryView("GPU", named, sum(parts), budget * GIB, GIB, 2 * GIB)


@pytest.mark.parametrize("width", [76, 116, 156, 196])
def test_each_part_has_its_own_place_whether_it_is_there_or_not(width: int) -> None:
    """Parts of the legend came and went with their sizes."""
    full = legend(view(*(GIB,) * 7), width)[0].plain
    bare = legend(view(9 * GIB, 0, 0, 0, 300, 0, 17 << 20), width)[0].plain
    words = [word for word in full.split() if word.isalpha()]
    assert [full.index(word) for word in words] == [bare.index(word) for word in words]
    assert len(full) <= width and full.endswith("GiB") and "MiB" not in bare
    assert "0.0 " not in bare and "<0.01" in bare, "what is hardly anything is not told as 0.0"
    small = legend(view(300 << 20, 0, 0, 0, 300, 0, 17 << 20), width)[0].plain
    assert small.endswith("MiB") and "300" in small and "17" in small and ("<1" in small or width < 100)


@pytest.mark.parametrize(
    ("upper", "budget", "said"),
    [
        (12, 20, "✓ fits: at least 8.00 GiB left"),
        (9, 20, "✓ fits: 11.0 GiB left"),
        (21, 20, "▲ tight: up to 1.00 GiB short"),
        (12, 8, "✗ too big by 1.00 GiB"),
    ],
)
def test_what_is_left_is_left_at_the_estimates_upper_end(upper: int, budget: int, said: str) -> None:
    """The verdict went by the upper end, and "left" by the estimate."""
    shown = view(9 * GIB, 0, 0, 0, 0, 0, 0, budget=budget)._replace(upper=upper * GIB)
    assert verdict(shown)[0] == said


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 36)], ids=str)
async def test_the_verdict_is_whole_at_every_width(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        shown = memory_view(proposal)
        assert shown.upper > shown.total, "a guess has a span"
        bars = [line for line in screen_text(app).splitlines() if verdict(shown)[0] in line]
        assert bars and f"at least {in_gib(shown.budget - shown.upper)} GiB left" in bars[0] and LIMIT in bars[0]


async def test_methods_tell_what_is_left_as_the_bar_does(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(160, 45)) as pilot:
        await settled(pilot)
        spec = app.state.model.spec
        assert spec is not None
        fits = app.state.plan.methods_of(spec)
        told = method_lines(fits, 80).plain
        for fit in fits:
            assert room_words(fit.memory_bytes, fit.upper_bytes, fit.room_bytes) in told
        assert "at least" in told


@pytest.mark.parametrize("width", [40, 56, 76, 96, 116, 156, 196])
def test_a_part_has_one_name_at_every_width(width: int) -> None:
    """The optimizer's part was "states" at one width, and "optimizer" at another; at 60 columns parts were cut off."""
    told = legend(view(*(GIB,) * 7), width)[0].plain
    assert len(told) <= width and told.endswith("GiB")
    names = {name.rstrip(".") for name in re.findall(r"[a-z][a-z.]+", told)} - {"kept", "free", "others"}
    assert names and all(name == "trained" or any(part.startswith(name) for part in PARTS) for name in names), names


async def test_help_says_what_the_bars_parts_are(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(120, 60)) as pilot:
        await settled(pilot)
        await pilot.press("f1")
        await settled(pilot)
        await pilot.press("end")
        await settled(pilot)
        assert isinstance(app.screen, HelpScreen) and "The memory bar is what" in screen_text(app)
        said = app.screen.frame_text
        assert all(words in said for words in ("gradients (grad.)", "(optim.)", "activations (activ.)", '"trained" is'))


@pytest.mark.parametrize("step", ["model", "recipe", "review"])
async def test_a_heading_and_what_is_to_be_typed_are_whole_in_60_columns(tmp_path: Path, step: str) -> None:
    app = wizard(tmp_path, screen=step)
    async with app.run_test(size=(60, 15)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert isinstance(app.screen, StepScreen) and app.screen.EXPLANATION in text
        if step == "model":
            assert app.screen.query_one(FilterList).placeholder in text


async def test_in_narrow_terminals_the_verdicts_stand_once_and_the_template_whole(tmp_path: Path) -> None:
    """ "full fits · LoRA fits · …" stood below the list's own signs, and what came after it was cut off."""
    app = wizard(tmp_path, screen="model", demo=True)
    async with app.run_test(size=(60, 15)) as pilot:
        await settled(pilot)
        text = await until(pilot, "on disk · has a chat template")
        assert "LoRA fits" not in text


async def test_what_is_the_rest_has_no_parts_fill(tmp_path: Path) -> None:
    """It had the optimizer's."""
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        fills = [line[0] for line in memory_picture(proposal, 60, 5).plain.splitlines()]
        assert REST_FILL in fills and len(set(fills)) == len(fills) and REST_FILL not in FILLS.values()


def test_nobody_holds_memory_of_a_card_that_is_not_here() -> None:
    one = view(9 * GIB, 0, 0, 0, 0, 0, 0)
    here, planned = (legend(one._replace(planned=planned), 196)[0].plain for planned in (False, True))
    assert "others' 2.00" in here and "unusable" not in here
    assert "unusable 2.00" in planned and "others" not in planned


@pytest.mark.parametrize("width", [76, 116, 156, 196])
@pytest.mark.parametrize("weights", [1, 12, 20, 45])
def test_the_limit_is_marked_where_it_is(width: int, weights: int) -> None:
    shown = view(weights * GIB, 0, 0, 0, 0, 0, 0)
    _, outside = legend(shown, width)
    drawn = bar(shown, width, outside=outside).plain
    assert len(drawn) == width and drawn.count(LIMIT) == 1
    whole = max(weights, 20) + (3 if outside else 0)
    assert abs(drawn.index(LIMIT) + 0.5 - 20 / whole * width) <= 1.01
    assert ("╱" in drawn and "×" in drawn) == outside, "hatches are drawn only where they are explained"
    assert ("╱ kept free" in legend(shown, width)[0].plain) == outside


# The list of GPUs


async def test_the_newest_gpus_come_first(tmp_path: Path) -> None:
    """It began with the P100."""
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("o")
        await settled(pilot)
        assert isinstance(app.screen, GpuCatalogueScreen)
        names = [option.id for option in app.screen.query_one(OptionList).options if option.id]
        assert names.index("H100 80GB") < names.index("A100 80GB") < names.index("T4") < names.index("P100")
        assert "BLACKWELL" in screen_text(app) and names[0] and "50" in " ".join(names[:3])


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_no_option_of_the_command_line_is_advised_in_the_wizard(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="machine", gpus=0)
    app.state.hardware.take(replace(machine(0), problems=(f"No NVIDIA driver was found. {NO_GPU_HINT}",)))
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert "No NVIDIA driver" in screen_text(app) and "--gpu" not in screen_text(app)


async def test_a_derivation_is_wrapped_once(tmp_path: Path) -> None:
    """It was laid out for a box without its scroll bar, and the last word of full lines stood alone."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(200, 34)) as pilot:
        await settled(pilot)
        why = app.screen.query_one("#why", Static)
        await until(pilot, lambda: "because" in str(why.content))
        await settled(pilot)
        assert app.screen.query_one("#why-box").show_vertical_scrollbar, "there is more than fits"
        width, lines = why.content_size.width, str(why.content).split("\n")
        laid = [line for line in lines if "  " in line[:MARGIN]]
        assert len(laid) > 20 and max(map(len, laid)) <= width
