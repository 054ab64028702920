"""Settings of an answer: what they take, what is told of them, and when they do nothing."""

from __future__ import annotations

import pytest

from loratui.core.errors import InputError
from loratui.core.generation import PRESETS, GenerationSettings, advice, preset_of, range_of, set_value


def test_a_preset_is_known_whatever_its_length_and_seed() -> None:
    for name, preset in PRESETS.items():
        assert preset_of(preset.model_copy(update={"max_tokens": 7, "seed": 9})) == name
    assert preset_of(set_value(PRESETS["balanced"], "top_k", "51")) == "own"


def test_a_value_is_taken_as_text_and_refused_with_its_range() -> None:
    assert set_value(GenerationSettings(), "temperature", "0.7").temperature == 0.7
    assert (range_of("temperature"), range_of("top_p"), range_of("top_k")) == ("0 to 2", "above 0 to 1", "0 to 1000")
    for name, value, says in (
        ("temperature", "hot", "takes a number, 0 to 2; not 'hot'"),
        ("top_p", 0, "above 0 to 1"),
        ("top_k", "1.5", "a whole number, 0 to 1000"),
        ("temperture", 1, "there is no setting temperture"),
        ("zzz", 1, "there is no setting zzz"),
    ):
        with pytest.raises(InputError) as error:
            set_value(GenerationSettings(), name, value)
        assert says in error.value.sentence
    with pytest.raises(InputError) as near:
        set_value(GenerationSettings(), "temperture", 1)
    assert near.value.hint == "Did you mean temperature?"


def test_what_draws_nothing_has_no_effect() -> None:
    greedy = GenerationSettings()
    assert greedy.greedy and all("No effect" in advice(greedy, name) for name in ("top_p", "top_k", "min_p", "seed"))
    drawn = set_value(greedy, "temperature", 0.7)
    assert not any("No effect" in advice(drawn, name) for name in GenerationSettings.model_fields)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("temperature", (0.3, 0.7, 1.1, 1.9)),
        ("top_p", (0.5, 0.9, 1.0)),
        ("top_k", (0, 5, 50)),
        ("min_p", (0, 0.05, 0.5)),
        ("repetition_penalty", (1.0, 1.1, 1.5)),
        ("max_tokens", (32, 256)),
    ],
)
def test_advice_changes_with_the_value(name: str, values: tuple[float, ...]) -> None:
    drawn = GenerationSettings(temperature=0.7)
    said = [advice(set_value(drawn, name, value), name) for value in values]
    assert len(set(said)) == len(values) and all(said)
