"""What a change moved is shown where it is, and a held value is moved by nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from wizard import choose, dataset_file, model_folder, screen_text, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.wizard.change import Change

QWEN = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 151936,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
}
"""Qwen3-4B, as its config.json describes it."""


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


def qwen_on_a_4090(folder: Path, sentences: int = 36) -> LoratuiApp:
    """The issue's own case: batch 128 moved the method and the rate without a word."""
    app = wizard(folder, screen="recipe")
    long = "Because the sum of its parts is what it is. " * sentences
    choose(
        app,
        model=str(model_folder(folder / "qwen", QWEN)),
        dataset=str(dataset_file(folder / "rows.jsonl", rows=400, answer=long)),
        gpu="NVIDIA GeForce RTX 4090",
    )
    return app


def change_of(app: LoratuiApp) -> Change:
    assert app.state.plan.change is not None
    return app.state.plan.change


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)], ids=str)
async def test_what_a_change_moved_is_told_until_the_next(tmp_path: Path, size: tuple[int, int]) -> None:
    app = qwen_on_a_4090(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        before = app.state.plan.proposal
        assert before is not None and app.state.plan.change is None and " · also " not in screen_text(app)
        app.state.choices.set_value("training.batch_size", 128)
        await pilot.pause()
        after = app.state.plan.proposal
        assert after is not None
        moved = {move.key: (move.before, move.after) for move in change_of(app).moves.also}
        assert before.plan.method.kind == "lora" and after.plan.method.kind == "qlora"
        assert moved["method.kind"] == ("lora", "qlora")
        assert all(before.plan.get(key) == old and after.plan.get(key) == new for key, (old, new) in moved.items())
        shown = " ".join(screen_text(app).split())
        assert f"Batch size {before.plan.training.batch_size} → 128" in shown
        assert "also method LoRA → QLoRA" in shown
        assert "was LoRA" in shown, "the field itself tells what it was"
        app.state.choices.set_value("training.seed", 7)
        await pilot.pause()
        shown = " ".join(screen_text(app).split())
        assert "Seed 42 → 7" in shown and "LoRA → QLoRA" not in shown and "was LoRA" not in shown


async def test_typing_is_compared_with_what_stood_before_the_first_key(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("down", *"128")
        await pilot.pause()
        assert change_of(app).cause == "Rank 16 → 128"
        await pilot.press("enter", "right")
        await pilot.pause()
        assert change_of(app).cause == "Rank 128 → 256"


async def test_a_machine_that_is_planned_for_tells_what_it_moved(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.choose_devices([0])
        app.state.choices.choose_devices([1])
        await pilot.pause()
        assert change_of(app).cause == "Machine NVIDIA A100-SXM4-40GB → Tesla T4"
        assert "precision bf16 → fp16" in change_of(app).followed
        assert "Machine NVIDIA A100-SXM4-40GB → Tesla T4" in screen_text(app)


async def test_a_dataset_that_is_read_later_is_one_change(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    longer = dataset_file(tmp_path / "longer.jsonl", rows=900, answer="Long words, and many of them. " * 30)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        before = app.state.plan.proposal
        app.choose_dataset(str(longer))
        await settled(pilot)
        after, change = app.state.plan.proposal, change_of(app)
        assert before is not None and after is not None
        assert change.cause.startswith("Dataset ") and change.cause.endswith("longer.jsonl")
        lengths = (before.plan.training.max_length, after.plan.training.max_length)
        assert lengths[0] != lengths[1] and f"maximum length {lengths[0]} → {lengths[1]}" in change.followed


async def test_a_held_value_is_moved_by_nothing_and_released_by_the_same_key(tmp_path: Path) -> None:
    app = qwen_on_a_4090(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("h")
        await pilot.pause()
        assert app.state.draft.held == {"method.kind": "lora"}
        assert app.state.plan.proposal is not None and app.state.plan.proposal.origins["method.kind"] == "held"
        line = next(line for line in screen_text(app).splitlines() if "▌ Method" in line)
        assert "LoRA" in line and "held" in line
        app.state.choices.set_value("training.batch_size", 128)
        await pilot.pause()
        assert app.state.plan.proposal.plan.method.kind == "lora", "a search may not move it"
        assert "Proposed is qlora" in app.state.plan.proposal.why("method.kind"), "what it would be else is told"
        await pilot.press("h")
        await pilot.pause()
        assert app.state.draft.held == {}
        assert app.state.plan.proposal.plan.method.kind == "qlora"
        await pilot.press("u", "u")
        await pilot.pause()
        assert app.state.draft.held == {"method.kind": "lora"}, "undo brings a hold back"


async def test_a_hold_outlives_the_session(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "h", "q")
    again = wizard(tmp_path, chosen=False)
    async with again.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert again.state.draft.held == {"lora.r": 16}
        assert again.state.plan.proposal is not None and again.state.plan.proposal.origins["lora.r"] == "held"


async def test_the_price_of_a_method_tells_what_explains_it(tmp_path: Path) -> None:
    """QLoRA seemed to cost memory, beside the words "a quarter of the weights' memory"."""
    app = qwen_on_a_4090(tmp_path, sentences=50)
    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot)
        moved = app.state.plan.moves_if("method.kind", "qlora")
        assert moved is not None and moved.memory_bytes > 0
        explained = [move.key for move in moved.also]
        assert "training.checkpointing" in explained or "training.batch_size" in explained
        await until(pilot, "QLoRA: +")
        shown = " ".join(str(app.screen.query_one("#why").content).split())
        assert "QLoRA: +" in shown and ("(batch size" in shown or "(checkpointing on → off" in shown)
