"""Presets: the shipped ones say what their table says; a wrong one is named with file, key and reason."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.errors import PlanError
from loratui.core.operations import expected_longest, tokens_per_pass
from loratui.core.presets import AUTO, Preset, preset_from_toml, preset_to_toml
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.core.time import predict
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model
from loratui.paths import presets_path, user_presets_path
from loratui.presets_store import find_preset, load_presets, save_preset

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
SEVEN = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]
TABLE: dict[str, tuple[Any, ...]] = {
    # r, alpha, dropout, targets, rate, epochs, batch, accumulation, maximum length, warm-up, quantisation
    "small-data": (8, 16, 0.1, None, 1e-4, 3, 4, 4, None, 0.1, None),
    "medium-data": (16, 32, 0.05, None, 2e-4, 2, 4, 4, None, 0.03, None),
    "large-data": (32, 64, 0.05, None, 2e-4, 1, 8, 2, None, 0.03, None),
    "quick-experiment": (4, 16, 0.1, None, 2e-4, 3, 4, None, 256, None, None),
    "balanced-quality": (8, 32, 0.1, None, 2e-4, 3, 8, None, 512, None, None),
    "maximum-quality": (16, 64, 0.1, None, 1e-4, 3, 8, None, 1024, None, None),
    "memory-constrained": (4, 16, 0.1, None, 2e-4, 5, 2, None, 256, None, None),
    "t4-limited": (8, 16, None, ATTENTION, None, None, 2, 8, 1024, None, "nf4"),
    "v100-balanced": (16, 32, None, ATTENTION, None, None, 4, 4, 2048, None, "nf4"),
    "a100-quality": (64, 128, None, SEVEN, None, None, 8, 4, 4096, None, "none"),
    "fast-iteration": (8, 16, None, None, None, 1, 4, 2, 512, None, "nf4"),
    "speed": (None, None, 0.0, None, None, 1, None, None, None, None, None),
    "quality": (32, 64, None, SEVEN, None, 5, 8, 4, None, None, None),
}
KEYS = (
    "lora.r",
    "lora.alpha",
    "lora.dropout",
    "lora.targets",
    "training.learning_rate",
    "training.epochs",
    "training.batch_size",
    "training.accumulation",
    "training.max_length",
)


@pytest.mark.parametrize("name", TABLE)
def test_shipped_presets_say_what_their_table_says(name: str) -> None:
    preset = find_preset(name, [presets_path()])
    *values, warmup, quantisation = TABLE[name]
    assert {key: preset.values.get(key) for key in KEYS} == dict(zip(KEYS, values, strict=True))
    assert preset.warmup_ratio == warmup
    if quantisation == "none":
        assert preset.values["method.kind"] == "lora" and "method.quantization" not in preset.values
    else:
        assert preset.values.get("method.quantization") == quantisation


def test_every_shipped_preset_loads_and_none_is_forgotten() -> None:
    presets, problems = load_presets([presets_path()])
    assert problems == []
    assert {*TABLE, "auto", "rules-of-thumb"} <= {preset.name for preset in presets}
    assert presets[0].name == "auto"
    for preset in presets:
        assert preset.title and preset.description.endswith(".")
        assert (presets_path() / f"{preset.name}.toml").is_file()


@pytest.mark.parametrize("kernels", [(), ("flash_attention_2",)])
@pytest.mark.parametrize("examples", [400, 7473, 60_000])
@pytest.mark.parametrize("gpu", ["T4", "RTX 4090", "A100 80GB"])
def test_the_preset_for_speed_is_as_fast_as_any(gpu: str, examples: int, kernels: tuple[str, ...]) -> None:
    draw = random.Random(0)
    lengths = tuple(sorted(min(2000, 20 + int(draw.lognormvariate(4.6, 0.8))) for _ in range(2000)))
    data, device = DataFacts(examples, lengths), replace(find_gpu(gpu).device(), attention_kernels=kernels)
    situation = Situation(find_model("Qwen/Qwen3-0.6B", online=False).spec, data, device)
    found = {}
    for name in ("speed", "auto", "quality"):
        made = propose(situation, find_preset(name, [presets_path()]))
        told = predict(situation.spec, made.plan, data, device, made.schedule)
        assert told is not None
        found[name] = made.plan, told.low_seconds, told.high_seconds
    plan, low, high = found["speed"]
    assert low <= found["auto"][1] * 1.01 and high <= found["auto"][2] * 1.01, "nothing that it fixes costs time"
    assert found["quality"][2] > 2 * high, "other presets ask for more"
    rows = plan.training.batch_size
    content = expected_longest(data, 1, plan.training.max_length)
    assert tokens_per_pass(plan, data) / (rows * content) <= 1.05, "padding"
    assert plan.training.padding_free == (plan.model.attention == "flash_attention_2")


@pytest.mark.parametrize("examples", [400, 7473, 60_000])
@pytest.mark.parametrize("gpu", ["T4", "RTX 4090", "A100 80GB"])
def test_a_fixed_batch_is_slower_or_makes_fewer_steps(gpu: str, examples: int) -> None:
    """What the preset's own file says of the values that it once had."""
    draw = random.Random(0)
    lengths = tuple(sorted(min(2000, 20 + int(draw.lognormvariate(4.6, 0.8))) for _ in range(2000)))
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    situation = Situation(spec, DataFacts(examples, lengths), find_gpu(gpu).device())
    speed = find_preset("speed", [presets_path()])
    once = {"training.batch_size": 8, "training.accumulation": 2, "training.max_length": 1024}
    now, before = propose(situation, speed), propose(situation, replace(speed, values={**speed.values, **once}))
    assert now.time is not None and before.time is not None
    longer = before.time.high_seconds / now.time.high_seconds
    if before.schedule.total_steps == now.schedule.total_steps:
        assert 1.25 < longer < 1.55
    else:
        assert before.schedule.total_steps < now.schedule.total_steps / 3


def test_auto_is_the_calculation_alone() -> None:
    shipped = find_preset("auto", [presets_path()])
    assert shipped == AUTO and not shipped.values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "this is not TOML"),
        ('name = "x"\ntitle = "X"', "description is missing"),
        ('name = ""\ntitle = "X"\ndescription = "d"', "name is missing"),
        ('name = "x"\ntitle = "X"\ndescription = "d"\ncolour = 1', "no key colour in a preset"),
        (
            'name = "x"\ntitle = "X"\ndescription = "d"\n[values]\n"lora.rank" = 8',
            "there is no key lora.rank. Did you mean lora.",
        ),
        (
            'name = "x"\ntitle = "X"\ndescription = "d"\n[values]\n"lora.r" = "many"',
            'lora.r = "many" is not allowed. Rank takes a whole number',
        ),
        ('name = "x"\ntitle = "X"\ndescription = "d"\n[values.lora]\nr = 0', "lora.r = 0 is not allowed"),
        ('name = "x"\ntitle = "X"\ndescription = "d"\nwarmup_ratio = 3', "warmup_ratio = 3 is not allowed"),
        ('name = "x"\ntitle = "X"\ndescription = "d"\ncalculation = "magic"', 'calculation = "magic" is not allowed'),
        ('name = "x"\ntitle = "X"\ndescription = "d"\nvalues = 3', "values is not a table"),
    ],
)
def test_what_is_wrong_with_a_preset_is_named(text: str, words: str) -> None:
    with pytest.raises(PlanError) as error:
        preset_from_toml(text, "mine.toml")
    assert error.value.sentence.startswith("mine.toml: ") and words in error.value.sentence


def test_a_broken_file_is_reported_and_the_others_load(tmp_path: Path) -> None:
    save_preset(Preset("good", "Good", "It works.", {"lora.r": 8}), tmp_path)
    (tmp_path / "broken.toml").write_text('name = "broken"\ntitle = "B"\ndescription = "d"\n[values]\n"lora.r" = -1\n')
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    presets, problems = load_presets([tmp_path, tmp_path / "absent"])
    assert [preset.name for preset in presets] == ["auto", "good"]
    assert len(problems) == 2
    assert "broken.toml" in problems[1] and "lora.r = -1" in problems[1]


def test_saved_preset_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path))
    by_hand = Preset(
        "mine-1",
        'My "best"',
        "For the café.",
        {"lora.r": 8, "lora.targets": ["q_proj"], "training.learning_rate": 1e-5, "training.packing": True},
        warmup_ratio=0.05,
    )
    path = save_preset(by_hand)
    assert path.parent == user_presets_path() == tmp_path / "presets"
    assert find_preset("mine-1") == by_hand
    assert preset_from_toml(preset_to_toml(by_hand), "x") == by_hand
    assert not list(tmp_path.glob("**/*.tmp"))


def test_own_preset_stands_in_for_a_shipped_one(tmp_path: Path) -> None:
    save_preset(Preset("speed", "My speed", "Mine."), tmp_path)
    assert find_preset("speed", [presets_path(), tmp_path]).title == "My speed"


@pytest.mark.parametrize("name", ["", "auto", "../evil", "Has Space", "UPPER"])
def test_a_name_that_is_no_files_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError):
        save_preset(Preset(name, "T", "D."), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_preset_names_those_that_exist() -> None:
    with pytest.raises(PlanError) as error:
        find_preset("nope", [presets_path()])
    assert "t4-limited" in error.value.sentence
