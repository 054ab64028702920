"""Where a terminal is wide, the room below lists and cards holds what one would otherwise page to."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run, training_events
from textual.content import Content
from textual.widgets import Static
from wizard import machine, screen_text, settled, wizard

from loratui.core.memory.fit import method_fits
from loratui.tui.app import LoratuiApp
from loratui.tui.home.more import RunMore
from loratui.tui.machine.beside import FEW_CARDS, MOST_CARDS, DeviceBox
from loratui.tui.machine.device_card import DeviceCard
from loratui.tui.machine.offers import offer_lines
from loratui.tui.machine.others import find_others, newest_first, other_lines
from loratui.tui.model.anatomy import anatomy_lines
from loratui.tui.review.rows import Row, plan_rows
from loratui.tui.review.two_columns import in_columns
from loratui.tui.training.history_lines import history_lines
from loratui.tui.training.record import RunRecord

WIDE = [(160, 45), (200, 50)]
NARROW = [(80, 24), (120, 36), (159, 45)]


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


# Machine


@pytest.mark.parametrize("size", WIDE, ids=str)
async def test_machine_tells_what_the_card_offers_and_what_the_model_needs(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "llama-1b on other cards")
        assert "Turing, compute capability 7.5" in text
        assert "what Tesla T4 offers" in text and "▲ bf16 (emulated)" in text and "✗ fp8" in text
        assert "RTX 5090" in text and "from " in text
        await pilot.press("up", "enter")
        text = await until(pilot, "what NVIDIA A100-SXM4-40GB offers")
        assert "✓ bf16" in text
        assert max(map(len, text.splitlines())) <= size[0]


async def test_machine_keeps_its_cards_alone_where_it_is_small(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert not app.screen.query_one(DeviceBox).display and "offers" not in screen_text(app)


@pytest.mark.parametrize("size", NARROW[1:], ids=str)
async def test_below_few_cards_stands_what_the_chosen_one_offers(tmp_path: Path, size: tuple[int, int]) -> None:
    """The middle of the screen was empty."""
    app = wizard(tmp_path, screen="machine", gpus=1)
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "NVIDIA A100-SXM4-40GB offers")
        assert "compute capability 8.0" in text and "on other cards" not in text
        offers, cards = app.screen.query_one("#offers"), app.screen.query(DeviceCard)
        assert len(cards) <= FEW_CARDS and all(card.region.bottom <= offers.region.y for card in cards)
        assert offers.region.bottom <= app.screen.query_one("#host").region.y
        app.state.choices.choose_cpu()
        await settled(pilot)
        assert not app.screen.query_one(DeviceBox).display
        await pilot.resize_terminal(200, 50)
        assert "what AMD EPYC 7742 offers" in await until(pilot, "what AMD EPYC 7742 offers")


@pytest.mark.parametrize("size", NARROW[1:], ids=str)
async def test_more_cards_have_the_room_for_themselves(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="machine", gpus=2)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert len(app.screen.query(DeviceCard)) > FEW_CARDS and not app.screen.query_one(DeviceBox).display
        assert "Another GPU" in screen_text(app) and "Tesla T4" in screen_text(app)


async def test_many_cards_have_all_the_room(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine", gpus=MOST_CARDS)
    async with app.run_test(size=(160, 45)) as pilot:
        await settled(pilot)
        assert not app.screen.query_one(DeviceBox).display
        assert all(f"GPU {number}" in screen_text(app) for number in range(MOST_CARDS))


async def test_other_cards_are_judged_as_the_models_are(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(160, 45)) as pilot:
        await settled(pilot)
        model = app.state.model.found
    assert model is not None
    others = find_others(model.spec)
    assert [other.gpu for other in others] == [gpu for gpu in newest_first() if gpu.exact]
    assert all(other.verdicts == method_fits(model.spec, other.gpu.device()) for other in others)
    least = min(other.gpu.marketed_gb for other in others if other.verdicts["full"] == "fits")
    for width, height in ((76, 9), (116, 20)):
        told = other_lines(others, width, height).plain.splitlines()
        assert len(told) == height and max(map(len, told)) <= width
        assert f"from {least} GB" in told[0]
    bare = other_lines(find_others(None), 76, 9).plain
    assert "full" not in bare and "RTX 5090" in bare


async def test_a_processor_tells_its_instruction_sets_and_no_memory_that_never_rests(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine", gpus=0)
    async with app.run_test(size=(160, 45)) as pilot:
        text = await until(pilot, "what AMD EPYC 7742 offers")
        assert "avx2" in text and "16 cores up to 2.2 GHz" in text
        device, host = app.state.hardware.device(), machine(0).host
        assert device is not None
        less = replace(device, memory_free_bytes=device.memory_free_bytes - 12345678)
        assert offer_lines(device, host, 70).plain == offer_lines(less, host, 70).plain


# Home


@pytest.mark.parametrize("size", [*WIDE, *NARROW], ids=str)
async def test_home_tells_figures_and_settings_of_the_run_under_the_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    record_run(tmp_path, values={"lora.r": 8}, name="first")
    record_run(tmp_path, values={"lora.r": 64}, name="second")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, "second")
        await settled(pilot)
        assert app.screen.query_one(RunMore).display == (size[0] >= 160)
        if size[0] >= 160:
            text = await until(pilot, "held out, the newest first")
            assert "EVERYDAY" in text and "gradient norm" in text and "predicted" not in text
            settings = app.screen.query_one("#run-settings", Static)
            first, second = app.screen.listed.lines
            for line, key in ((first, "home"), (second, "end")):
                await pilot.press(key)
                rank = line.summary.plan.lora.r
                await until(pilot, lambda rank=rank: re.search(rf"Rank +{rank}\b", str(settings.content)) is not None)
                assert "no limit steps" not in str(settings.content)
                assert size[1] < 50 or "no limit" in str(settings.content)
        else:
            assert "EVERYDAY" not in shown(app)


@pytest.mark.parametrize("size", WIDE, ids=str)
async def test_home_with_many_runs_leaves_room_for_more_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    for number in range(30):
        record_run(tmp_path, values={"lora.r": 8}, name=f"run-{number}")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, "EVERYDAY")
        await settled(pilot)
        more, rows = app.screen.query_one(RunMore), app.screen.listed.rows
        assert more.region.height >= 12 and rows.region.bottom <= more.region.y
        assert more.region.bottom <= app.screen.query_one("#notice").region.y


# Review


async def test_the_whole_plan_stands_in_two_columns(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review", demo=True)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, "everything")
        await settled(pilot)
        rows = plan_rows(app.state)
        lines = [line for line in shown(app).splitlines() if line.count("│") == 2]
        assert len([row for row in rows if row.label and any(row.label in line for line in lines)]) >= 10
        labels = [row.label for row in rows if row.label]
        assert any(
            f" {one} " in line and f" {other} " in line
            for line in lines
            for one in labels
            for other in labels
            if one != other
        )


def test_columns_keep_every_line_and_a_label_with_what_belongs_to_it() -> None:
    rows = [Row(f"label{n}", f"text {n} " + "word " * (n * 6), "4") for n in range(7)]
    rows.insert(3, Row("", "belongs to label2"))
    for width in (100, 150, 190):
        told = in_columns(rows, width)
        assert max(line.cell_length for line in told.split("\n")) <= width
        assert all(row.text.split(" word")[0] in told.plain for row in rows)
    two = in_columns(rows, 190).plain.splitlines()
    assert len(two) < len(in_columns(rows, 140).plain.splitlines())
    place = next(n for n, line in enumerate(two) if "label2" in line)
    assert any("belongs to label2" in line for line in two[place:])


# Model and Training


async def test_a_model_is_told_part_by_part(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(200, 50)) as pilot:
        text = await until(pilot, "its layers")
        assert "embedding, also the output head" in text and "gate_proj" in text and "2,048 → 8,192" in text
        model = app.state.model.found
    assert model is not None
    told = Content("\n").join(anatomy_lines(model.spec, 72, 40)).plain
    shares = [int(line.split()[-1].strip("<%")) for line in told.splitlines() if line.endswith("%")]
    assert 98 <= sum(shares) <= 102
    assert all(linear.name in told for linear in model.spec.linears)
    assert len(anatomy_lines(model.spec, 72, 9)) == 9 and anatomy_lines(model.spec, 72, 3) == []


def test_answers_have_a_heading_only_where_one_of_them_has_room() -> None:
    record = RunRecord()
    record.take(training_events(100, 100))
    assert record.held_out
    assert any(line.plain == "answers to the pinned prompts" for line in history_lines(record, 40, 40))
    for room in range(3, 40):
        lines = [line.plain for line in history_lines(record, 40, room)]
        assert len(lines) <= room
        assert lines[-1] != "answers to the pinned prompts"
