"""The wizard by real keys, at 80 × 24 and 120 × 36."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pictured import until
from textual.widgets import Input, Static
from wizard import SIZES, choose, dataset_file, machine, model_folder, screen_text, settled, wizard

from loratui.format import size
from loratui.tui.app import LoratuiApp
from loratui.tui.common.filter_list import FilterList, filter_words
from loratui.tui.frame.step import StepScreen
from loratui.tui.machine.device_card import DeviceCard
from loratui.tui.recipe.field_list import FieldList
from loratui.tui.review.rows import plan_rows
from loratui.tui.wizard.command import command_text


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check starts a worker that loads a tokenizer: it has a test of its own."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


def step_of(app: LoratuiApp) -> str:
    assert isinstance(app.screen, StepScreen)
    return app.screen.STEP


@sizes
async def test_next_walks_through_the_demo(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, demo=True)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        seen = [step_of(app)]
        for _ in range(4):
            await pilot.press("ctrl+n")
            await settled(pilot)
            seen.append(step_of(app))
        assert seen == ["machine", "model", "dataset", "recipe", "review"]
        await pilot.press("m", "end")
        await settled(pilot)
        text = " ".join(screen_text(app).replace("│", " ").split())
        assert size[0] == 80 or "loratui plan -m demo -d demo --preset demo -o plan.toml && loratui train" in text
        await pilot.press("escape")
        await settled(pilot)
        assert "fits" in screen_text(app)
        for expected in ("recipe", "dataset", "model", "machine"):
            await pilot.press("ctrl+p")
            await settled(pilot)
            assert step_of(app) == expected


@sizes
async def test_every_line_is_as_wide_as_the_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, demo=True)
    async with app.run_test(size=size) as pilot:
        for key in ("f2", "f3", "f4", "f5", "f6"):
            await pilot.press(key)
            await settled(pilot)
            assert "�" not in screen_text(app)
            assert app.screen.virtual_size.width <= size[0]
            assert app.screen.virtual_size.height <= size[1]


async def test_steps_are_made_when_first_visited_and_kept(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert callable(app._installed_screens["recipe"])
        await pilot.press("f5")
        await settled(pilot)
        recipe = app.screen
        await pilot.press("down", "down", "f3", "f5")
        await settled(pilot)
        assert app.screen is recipe
        assert recipe.query_one(FieldList).key == "training.learning_rate"


async def test_next_says_what_is_missing_and_goes_there(tmp_path: Path) -> None:
    app = wizard(tmp_path, chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+n", "ctrl+n")
        await settled(pilot)
        assert step_of(app) == "model"
        assert "✗ Choose a model first" in screen_text(app)
        await pilot.press("f6")
        await settled(pilot)
        assert "✗ Step 2: Choose a model first" in screen_text(app)
        assert "✗ Step 3: Choose a dataset first" in screen_text(app)
        await pilot.press("enter")
        assert step_of(app) == "review"


# Machine


@sizes
async def test_cards_show_what_can_be_chosen(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        text = screen_text(app)
        for words in (
            "GPU 0  NVIDIA A100-SXM4-40GB",
            "28.0 of 40.0 GiB free",
            "python (ann) 11.0 GiB",
            "GPU 1  Tesla T4",
            "no bf16",
            "AMD EPYC 7742",
            "16 cores",
            "chosen for you",
        ):
            assert words in text
        assert (
            isinstance(app.focused, DeviceCard) and app.focused.key == "gpu:1"
        )  # idle, while the larger one has a neighbour
        await pilot.press("up", "enter")
        assert app.state.draft.devices == [0]
        await pilot.press("down", "space")
        assert app.state.draft.devices == [0, 1]
        assert "Training on GPU 0, 1" in screen_text(app)
        await pilot.press("space")
        assert app.state.draft.devices == [0]
        await pilot.press("down", "enter")
        assert app.state.draft.cpu
        assert app.state.choices.given()["hardware.cpu"] is True and "--set hardware.cpu=true" in command_text(
            app.state.draft
        )


@sizes
async def test_eight_cards_are_walked_and_put_together(tmp_path: Path, size: tuple[int, int]) -> None:
    """More than fit on the screen: the arrows move from card to card, and the one that was chosen by itself is kept."""
    app = wizard(tmp_path, screen="machine", gpus=8)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert isinstance(app.focused, DeviceCard) and app.focused.key == "gpu:0"
        await pilot.press("down", "down", "space")
        assert app.state.draft.devices == [0, 2]
        await pilot.press("down", "space")
        await settled(pilot)
        assert app.state.draft.devices == [0, 2, 3]
        await pilot.press("f5", "m")
        await settled(pilot)
        plan = app.state.plan.proposal.plan if app.state.plan.proposal else None
        assert plan and plan.hardware.parallelism == "ddp", "a copy fits on each"
        await pilot.press("f6")
        await settled(pilot)
        assert "3 × NVIDIA A100-SXM4-40GB" in screen_text(app)
        text = " ".join(row.text for row in plan_rows(app.state))
        assert "3 × NVIDIA A100-SXM4-40GB" in text and "a whole copy (DDP)" in text and "rehearsed first" in text


async def test_planning_for_a_card_that_is_not_here(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o")
        await pilot.pause()
        await pilot.press("slash", *"3090")
        await pilot.pause()
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.gpu == "RTX 3090"
        assert app.state.plan.proposal is not None and app.state.plan.proposal.device.simulated
        assert "● Plan for RTX 3090" in screen_text(app)


async def test_no_gpu_is_said_and_the_cpu_offered(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine", gpus=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "▲ No NVIDIA driver was found" in text
        assert "● CPU" in text and "chosen for you" in text


async def test_only_lines_that_changed_are_painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        painted: list[object] = []
        monkeypatch.setattr(
            DeviceCard, "refresh", lambda self, *regions, **options: painted.append((self.key, regions)) or self
        )
        app.state.hardware.take(machine())
        assert painted == []
        busier = replace(machine().gpus[1], **{"temperature_celsius": 77})
        app.state.hardware.take(replace(machine(), **{"gpus": (machine().gpus[0], busier)}))
        assert [key for key, _ in painted] == ["gpu:1"]
        (region,) = painted[0][1]  # type: ignore[index]
        assert region.height == 1


# Model


def flat(app: LoratuiApp) -> str:
    """What is shown, long lines whole again."""
    return " ".join(screen_text(app).split())


@sizes
async def test_models_are_listed_filtered_and_chosen(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert "demo" in screen_text(app) and "QLoRA" in screen_text(app)
        await pilot.press("slash", *"3.1-8b-inst")
        await pilot.pause()
        text = screen_text(app)
        assert "meta-llama/Llama-3.1-8B-Instruct" in text
        assert "Qwen" not in text
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.model == "meta-llama/Llama-3.1-8B-Instruct"
        assert app.state.plan.proposal is not None and app.state.plan.proposal.parameters_total == 8_030_261_248
        assert "is chosen" in screen_text(app)


async def test_a_folder_typed_is_taken(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    folder = app.state.draft.model
    choose(app, model="")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.screen.query_one(FilterList).filter_field.value = folder
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.model == folder
        assert app.state.model.spec is not None and app.state.model.spec.layers == 16


@sizes
async def test_enter_goes_on_with_a_folder_that_was_browsed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """It took the demo instead: the cursor had stayed on the first line."""
    monkeypatch.chdir(tmp_path)
    app = wizard(tmp_path, screen="model", chosen=False)
    folder = model_folder(tmp_path / "my-model")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+f", *"my-model")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.model == str(folder) and "enter or ^n goes on." in flat(app)
        assert app.screen.query_one(FilterList).highlighted_key == str(folder)
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.model == str(folder) and step_of(app) == "dataset"


@pytest.mark.parametrize("home", [False, True])
async def test_enter_goes_on_with_a_path_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: bool
) -> None:
    """It did nothing: the same path was looked for again and again."""
    monkeypatch.setenv("HOME", str(tmp_path))
    app = wizard(tmp_path, screen="model", chosen=False)
    folder = model_folder(tmp_path / "my-model")
    typed = "~/my-model" if home else str(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*typed, "enter")
        await settled(pilot)
        assert "is chosen. enter or ^n goes on." in flat(app) and "● " in flat(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.model == typed and step_of(app) == "dataset"


async def test_a_folder_that_is_no_model_gets_one_sentence(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model", chosen=False)
    (tmp_path / "empty").mkdir()
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.screen.query_one(FilterList).filter_field.value = str(tmp_path / "empty")
        await pilot.press("enter")
        await settled(pilot)
        assert "✗ " in screen_text(app)
        assert "config.json" in screen_text(app)
        await pilot.press("ctrl+n")
        assert step_of(app) == "model"


# Dataset


@sizes
async def test_a_dataset_shows_how_it_is_read(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        text = screen_text(app)
        for words in (
            "prompt-completion",
            "prompt ← question",
            "completion ← answer",
            "38 · 2 held out",
            "What is question 0?",
            "▌ Paris is the capital. (0)",
        ):
            assert words in text
        await pilot.press("right")
        await pilot.pause()
        assert "What is question 1?" in screen_text(app)
        await pilot.press("left", "left")
        await pilot.pause()
        assert "What is question 0?" in screen_text(app)


async def test_rows_are_searched_and_jumped_to(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("colon", *"31", "enter")
        await settled(pilot)
        assert "What is question 30?" in screen_text(app) and "rows 31 to" in screen_text(app)
        await pilot.press("left")
        await settled(pilot)
        assert "row 30" in screen_text(app) or "rows 30 to" in screen_text(app)
        await pilot.press("colon", *"x", "enter")
        await settled(pilot)
        assert "is no row's number" in screen_text(app)
        await pilot.press("slash", *"question 3", "enter")
        await settled(pilot)
        assert "is in row 31; / and enter goes to the next one" in screen_text(app)
        await pilot.press("slash", "enter")
        await settled(pilot)
        assert "is in row 32" in screen_text(app)
        await pilot.press("slash", "ctrl+u", *"nowhere at all", "enter")
        await settled(pilot)
        assert "No row holds 'nowhere at all'" in screen_text(app)
        for _ in range(12):
            await pilot.press("right")
            await settled(pilot)
        assert "What is question 3?" in screen_text(app)  # after the last comes the first


async def test_another_file_is_typed(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=False)
    path = dataset_file(tmp_path / "other.jsonl", rows=5)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "No dataset yet" in screen_text(app)
        await pilot.press(*str(path), "enter")  # the line above is where typing goes
        await settled(pilot)
        assert (
            app.state.dataset.view is not None
            and app.state.dataset.view.facts.examples + app.state.dataset.view.facts.eval_examples == 5
        )


@sizes
async def test_what_the_empty_dataset_screen_says_is_so(tmp_path: Path, size: tuple[int, int]) -> None:
    """What begins a path goes into the path, its keys work at once, and what it says stays where a path was wrong."""
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert "d   takes the demo" in screen_text(app)
        await pilot.press(*"./nowhere.jsonl", "enter")
        await settled(pilot)
        text = screen_text(app)
        assert "✗ " in text and "nowhere.jsonl" in text
        assert "d   takes the demo" in text and "o   opens" in text
        await pilot.press("i", "x", "escape")
        assert not isinstance(app.focused, Input), "esc leaves the path"
        await pilot.press("d")
        await settled(pilot)
        assert app.state.draft.dataset == "demo" and app.state.dataset.view is not None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.jsonl", b'{"question": "a", "answer": "b"}\n{"question": "c", "ans\n', "line 2"),
        ("unknown.jsonl", b'{"alpha": 1}\n{"alpha": 2}\n', "alpha"),
        ("missing.jsonl", None, "missing.jsonl"),
        ("empty.jsonl", b"", "empty.jsonl"),
    ],
)
async def test_bad_data_gets_one_clear_sentence(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    app = wizard(tmp_path, screen="dataset")
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    choose(app, dataset=str(path))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        text = " ".join(screen_text(app).split())
        if name == "broken.jsonl":  # its other rows can be trained on: the row itself says what is wrong
            await pilot.press("e")
            await pilot.pause()
            text = screen_text(app)
        else:
            assert "✗" in text
        assert words in text
        assert "Traceback" not in text


async def test_columns_can_be_mapped_by_hand(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    path = tmp_path / "two.jsonl"
    path.write_text("".join(json.dumps({"alpha": f"a{n}", "beta": f"b{n}", "text": f"t{n}"}) + "\n" for n in range(6)))
    choose(app, dataset=str(path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await pilot.pause()
        assert "by hand" in screen_text(app)
        await pilot.press("escape")
        app.state.choices.set_values({"dataset.columns": {"prompt": "alpha", "completion": "nothing"}})
        app.read_dataset()
        await settled(pilot)
        assert "✗" in screen_text(app) and "nothing" in screen_text(app)
        app.state.choices.set_values({"dataset.columns": {"prompt": "alpha", "completion": "beta"}})
        app.read_dataset()
        await settled(pilot)
        assert "▌ b0" in screen_text(app)


# Recipe


@pytest.mark.parametrize("way", ["f6", "f4", "ctrl+r"])
async def test_a_refused_value_leaves_the_plan_as_it_was(tmp_path: Path, way: str) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        before = app.state.plan.proposal
        assert before is not None
        await pilot.press("down", "down", "down")
        assert app.screen.query_one(FieldList).key == "training.epochs"
        await pilot.press("enter", *"1e99")
        await settled(pilot)
        assert "✗ takes a number above 0" in screen_text(app)
        assert "Epochs 3 → 1" not in screen_text(app) and "1 mine" not in screen_text(app)
        await pilot.press(way)
        await settled(pilot)
        assert app.state.plan.proposal is not None and app.state.plan.proposal.plan == before.plan
        await pilot.press("f5")
        await settled(pilot)
        fields = app.screen.query_one(FieldList)
        assert not fields.editing and not fields.error
        assert not app.state.choices.undo(), "nothing was changed, so there is nothing to take back"


@sizes
async def test_while_a_value_is_typed_no_letter_is_told_as_a_key(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        before = screen_text(app).splitlines()[-1]
        await pilot.press("down", "enter")
        await settled(pilot)
        keys = screen_text(app).splitlines()[-1]
        assert keys.split("  ")[1:3] == ["enter Take this", "esc Leave as it was"]
        assert "^q Quit" in keys and "F1 Why" in keys
        assert not any(other in keys for other in ("V Try", "? Help", " q Quit", "← →", "m All", " ?")), keys
        await pilot.press("escape")
        await settled(pilot)
        assert "q Quit" in screen_text(app).splitlines()[-1] and before.split() != keys.split()


async def test_enter_leaves_a_refused_value_to_be_corrected(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "enter", "0")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        fields = app.screen.query_one(FieldList)
        assert fields.text == "0" and fields.error
        assert "✗ Not taken: " in screen_text(app), "enter does not stay silent"
        await pilot.press("backspace")
        await settled(pilot)
        assert "Not taken" not in screen_text(app)
        await pilot.press("0", "ctrl+n")
        await settled(pilot)
        text = screen_text(app)
        assert app.screen.name == "recipe" and "✗ Not taken: " in text and text.count("✗ takes") == 1
        await pilot.press("backspace", "8", "enter")
        await settled(pilot)
        assert app.state.draft.by_hand["lora.r"] == 8 and not fields.editing


@sizes
async def test_fields_are_changed_by_keys_and_the_memory_answers(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert app.state.plan.proposal is not None
        before = app.state.plan.proposal.memory.total_bytes
        fields = app.screen.query_one(FieldList)
        await pilot.press("down")
        assert fields.key == "lora.r"
        await pilot.press(*"128")
        await pilot.pause()
        assert app.state.plan.proposal.plan.lora.r == 128
        assert app.state.plan.proposal.memory.total_bytes > before
        (told,) = [line for line in screen_text(app).splitlines() if "Rank 16 → 128" in line]
        assert "memory +" in told, "what the change did stands above the bar"
        await pilot.press("enter", "right")
        await pilot.pause()
        assert app.state.plan.proposal.plan.lora.r == 256
        assert "mine" in screen_text(app)
        await pilot.press("r")
        assert "lora.r" not in app.state.draft.by_hand
        await pilot.press("u")
        assert app.state.draft.by_hand["lora.r"] == 256


async def test_a_wrong_value_is_said_beside_its_field_and_nothing_is_lost(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down")
        before = app.state.plan.proposal
        await pilot.press("0")
        await pilot.pause()
        (line,) = [
            line for line in screen_text(app).splitlines() if line.strip(" ▌").startswith("Rank") and "✗" in line
        ]
        assert "✗ takes a whole number, 1 to 1024" in line, "the range was cut off at its end"
        assert app.state.plan.proposal is before
        await pilot.press("ctrl+n")
        assert step_of(app) == "recipe"
        await pilot.press("down")
        await pilot.pause()
        assert app.state.draft.by_hand == {}
        assert "stays as it was" in screen_text(app)


async def test_escape_takes_a_typed_value_back(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", *"64", "escape")
        await pilot.pause()
        assert app.state.draft.by_hand == {}
        assert step_of(app) == "recipe"


async def test_a_digit_typed_into_a_field_goes_nowhere_else(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "5")
        await pilot.pause()
        assert step_of(app) == "recipe"
        assert app.state.draft.by_hand == {"lora.r": 5}


@sizes
async def test_f1_shows_the_derivation(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("down", "down", "f1")
        await pilot.pause()
        assert app.state.plan.proposal is not None
        reason = app.state.plan.proposal.recommendations["training.learning_rate"]
        assert "training.learning_rate" in screen_text(app)
        told = " ".join("\n".join(str(part.content) for part in app.screen.query(".paragraph").results(Static)).split())
        assert reason.source.replace(" ", "") in told.replace(" ", ""), "a link may be cut where a line ends"
        for words in (reason.formula, reason.why):
            assert words and words in told
        assert "The guides: Learning rate by size" in told and "7B 1e-4 to 3e-4" in told
        await pilot.press("f1")
        await pilot.pause()
        assert "Take the proposed value again" in "".join(
            str(part.content) for part in app.screen.query("#keys").results(Static)
        )
        await pilot.press("escape")
        await pilot.pause()
        assert step_of(app) == "recipe"


async def test_all_fields_are_there_at_a_key(tmp_path: Path) -> None:
    from loratui.core.plan_text import fields
    from loratui.tui.wizard.fields import GROUPS

    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m", "end")
        await pilot.pause()
        assert "model.trust_remote_code" in {row.key for row in app.screen.query_one(FieldList).rows}
    elsewhere = {key for key in fields() if key.startswith("hardware.")} | {
        "model.id",
        "dataset.path",
        "dataset.parts",
        "dataset.format",
        "dataset.columns",
        "dataset.configuration",
        "dataset.split",
        "dataset.exclude",
    }
    assert {key for _, keys in GROUPS for key in keys} >= set(fields()) - elsewhere


async def test_presets_are_weighed_chosen_and_saved(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("p")
        await settled(pilot)
        assert "GiB ✓" in screen_text(app)
        await pilot.press("slash", *"small data", "enter")
        await settled(pilot)
        assert app.state.draft.preset == "small-data"
        assert app.state.plan.proposal is not None and app.state.plan.proposal.plan.lora.r == 8
        await pilot.press("down", *"24", "enter", "w")
        await pilot.pause()
        await pilot.press(*"Mine!", "enter")
        await pilot.pause()
        assert "✗" in screen_text(app)
        app.screen.query_one(Input).value = "mine"
        await pilot.press("enter")
        await settled(pilot)
        assert "mine" in app.state.plan.presets
    from loratui.presets_store import find_preset

    assert find_preset("mine").values["lora.r"] == 24


async def test_keys_in_one_burst_keep_their_order(tmp_path: Path) -> None:
    from textual import events

    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for key, character in (("down", None), ("9", "9"), ("6", "6"), ("down", None), ("right", None)):
            app.post_message(events.Key(key, character))
        await settled(pilot)
        assert app.state.draft.by_hand["lora.r"] == 96
        assert "training.learning_rate" in app.state.draft.by_hand
        await pilot.press("f3")
        await settled(pilot)
        for character in "qwen3":
            app.post_message(events.Key(character, character))
        await settled(pilot)
        chooser = app.screen.query_one(FilterList)
        assert chooser.filter_field.value == "qwen3" and "Qwen3" in chooser.highlighted_key


async def test_letters_narrow_the_models_and_arrows_move_in_them(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*"qwen3", "down")  # q is no way out here
        await settled(pilot)
        chooser = app.screen.query_one(FilterList)
        second = chooser.highlighted_key
        await pilot.press("up")
        assert chooser.highlighted_key != second and "Qwen3" in chooser.highlighted_key
        await pilot.press("down", "enter")
        await settled(pilot)
        assert app.state.draft.model == second


def test_a_slash_in_front_is_no_word_and_a_path_is_whole() -> None:
    assert filter_words(" /Qwen3 4B ") == ["qwen3", "4b"]
    assert filter_words("/home/ada") == ["/home/ada"]


# Review


async def test_start_makes_a_run_and_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.tui.wizard import loading

    started: list[object] = []
    monkeypatch.setattr(
        loading, "start_run", lambda plan, cpu=False: started.append((plan, cpu)) or str(tmp_path / "run")
    )
    app = wizard(tmp_path, screen="review")
    shown: list[str] = []
    monkeypatch.setattr(app, "open_step", shown.append)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.plan.proposal is not None
        assert started == [(app.state.plan.proposal.plan, False)]
        assert shown == ["training"]
        assert app.state.draft.run == str(tmp_path / "run")


async def test_a_run_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "file"))
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f9")
        await settled(pilot)
        assert step_of(app) == "review"
        assert "✗ " in screen_text(app)
        assert "cannot be written" in screen_text(app)


async def test_a_plan_for_another_machine_is_written_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = wizard(tmp_path, screen="review")
    choose(app, gpu="A10G")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert "▸ Write the plan" in screen_text(app) and "Start" not in screen_text(app)
        await pilot.press("ctrl+n")
        assert "✗ A10G is not here: enter writes the plan" in screen_text(app)
        await pilot.press("enter", "w")
        await pilot.pause()
        assert "is written" in screen_text(app)
    from loratui.core.plan_text import plan_from_toml

    assert app.state.plan.proposal is not None
    assert plan_from_toml((tmp_path / "plan.toml").read_text()) == app.state.plan.proposal.plan
    assert (tmp_path / "plan-2.toml").exists()


async def test_a_plan_that_is_too_big_warns_and_can_be_made_to_fit(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review")
    choose(app, devices=[1])
    choose(
        app,
        by_hand={
            "training.batch_size": 8,
            "training.max_length": 1024,
            "training.packing": True,
            "training.checkpointing": False,
        },
    )
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.state.plan.proposal is not None and not app.state.plan.proposal.fits
        assert "✗ too big by" in screen_text(app)
        before = app.state.plan.proposal
        await pilot.press("f")
        await pilot.pause()
        gentlest = next(one for one in before.alternatives if one.fits)
        key = next(key for key in gentlest.change if key not in gentlest.held)
        shown = " ".join(screen_text(app).split())
        assert "Checkpointing off → on" in shown or "Batch size 8 →" in shown, "its way is told before it goes"
        assert f"→ {size(gentlest.memory_total_bytes)}" in shown and app.state.plan.proposal is before
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.plan.proposal.fits and app.state.plan.proposal.plan.get(key) == gentlest.change[key]
        assert app.state.plan.proposal.memory.total_bytes == gentlest.memory_total_bytes


# The frame


async def test_help_lists_the_keys(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("f1")
        await pilot.pause()
        assert "Machine: help" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert step_of(app) == "machine"


async def test_quit_keeps_the_draft(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", *"48", "enter", "q")
    kept = json.loads((tmp_path / "state" / "draft.json").read_text())
    assert kept["by_hand"] == {"lora.r": 48}
    assert kept["step"] == "recipe"
    again = wizard(tmp_path, chosen=False)
    async with again.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert step_of(again) == "runs", "home, where it can be gone on with"
        await pilot.press("enter")
        await settled(pilot)
        assert step_of(again) == "recipe"
        assert again.state.plan.proposal is not None and again.state.plan.proposal.plan.lora.r == 48


async def test_every_theme_can_be_taken(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        seen = []
        for _ in range(4):
            await pilot.press("ctrl+t")
            await pilot.pause()
            seen.append(app.theme)
        assert set(seen) == {"loratui-dark", "loratui-light", "loratui-contrast", "ansi-dark"}
        assert app.state.draft.theme == app.theme


async def test_no_color_takes_the_terminals_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)):
        assert app.theme == "ansi-dark"


async def test_a_defect_in_a_look_up_is_said_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.tui.wizard import loading

    def broken(identifier: str) -> None:
        raise ZeroDivisionError("not foreseen")

    monkeypatch.setattr(loading, "load_model", broken)
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await until(pilot, "A defect of loratui")
    assert "not foreseen" in (tmp_path / "home" / "state" / "crash.log").read_text()


async def test_of_several_defects_at_its_end_the_first_is_said_and_all_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)):
        for what in ("the first", "a second"):
            try:
                raise ZeroDivisionError(what)
            except ZeroDivisionError:
                app._fatal_error()
    said = capsys.readouterr().err
    assert "ZeroDivisionError: the first" in said and "a second" not in said and "textual run" not in said
    assert "a second" in (tmp_path / "home" / "state" / "crash.log").read_text()
