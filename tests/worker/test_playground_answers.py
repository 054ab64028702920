"""Answers of the playground's engine are those of plain `model.generate`, alone and side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_adapter, make_model

from loratui.core.errors import ModelError
from loratui.core.generation import GenerationSettings
from loratui.workers.protocol import Ask, Done, Event, Failed, Load, Piece, Rendered

pytestmark = pytest.mark.worker

MESSAGES = [{"role": "user", "content": "Who is there?"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_model(folder / "base")
    make_model(folder / "wide", hidden=64)
    make_model(folder / "whole", seed=3)
    make_adapter(folder / "base", folder / "one", tokenizer=True)
    make_adapter(folder / "base", folder / "two", seed=7)
    return folder


@pytest.fixture(scope="module")
def models(folder: Path) -> Any:
    from loratui.worker.generation.load import LoadedModels

    return LoadedModels(
        Load(
            str(folder / "base"),
            {"base": "", "adapter": str(folder / "one"), "two": str(folder / "two"), "whole": str(folder / "whole")},
        )
    )


def ask(
    models: Any, sides: list[str], settings: GenerationSettings, flags: Any = None, **question: Any
) -> tuple[dict[str, str], dict[str, Event], list[Event]]:
    from loratui.worker.generation.answer import StopFlags, answer

    events: list[Event] = []
    answer(
        models,
        Ask(1, sides, settings=settings.model_dump(), **(question or {"messages": MESSAGES})),
        events.append,
        flags or StopFlags(),
    )
    texts = {side: "".join(one.text for one in events if isinstance(one, Piece) and one.side == side) for side in sides}
    ends = {one.side: one for one in events if isinstance(one, (Done, Failed))}
    return texts, ends, events


def plain_text(model: Any, tokenizer: Any, **options: Any) -> str:
    import torch

    inputs = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        ids = model.generate(**inputs, pad_token_id=0, **options)[0, inputs["input_ids"].shape[1] :]
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def test_greedy_answers_equal_plain_generate(models: Any, folder: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    texts, ends, events = ask(models, ["base", "adapter", "two", "whole"], GenerationSettings(max_tokens=40))
    rendered = events[0]
    assert isinstance(rendered, Rendered)
    assert rendered.text == "<|im_start|>user\nWho is there?<|im_end|>\n<|im_start|>assistant\n"
    expected = {
        "base": AutoModelForCausalLM.from_pretrained(folder / "base"),
        "adapter": PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "base"), folder / "one"),
        "two": PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "base"), folder / "two"),
        "whole": AutoModelForCausalLM.from_pretrained(folder / "whole"),
    }
    for side, model in expected.items():
        assert texts[side] == plain_text(model, models.tokenizer, max_new_tokens=40, do_sample=False), side
    assert len(set(texts.values())) == 4
    assert all(isinstance(end, Done) and end.tokens == 40 and end.reason == "length" for end in ends.values())


def test_sampled_answers_do_not_depend_on_who_answers_beside_them(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is handed over at every token, and each is sent: how many fit into a turn is up to the machine."""
    from loratui.worker.generation import answer as answering

    monkeypatch.setattr(answering, "Turns", partial(answering.Turns, turn_seconds=0.0))
    monkeypatch.setattr(answering, "FLUSH_SECONDS", 0.0)
    settings = GenerationSettings(temperature=1.0, top_p=0.95, max_tokens=120, seed=5)
    together, _, events = ask(models, ["base", "adapter"], settings)
    turns = [one.side for one in events if isinstance(one, Piece)]
    assert turns.index("adapter") < len(turns) - 1 - turns[::-1].index("base"), "both sides should grow together"
    for side in ("base", "adapter"):
        alone, _, _ = ask(models, [side], settings)
        assert alone[side] == together[side]
    other, _, _ = ask(models, ["base"], settings.model_copy(update={"seed": 6}))
    assert other["base"] != together["base"]


def test_an_answer_that_is_stopped_makes_no_token_more_than_the_one_under_way(
    models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token takes a fraction of a second at most, so that a person who stops it does not wait."""
    from loratui.worker.generation import answer as answering

    flags, made = answering.StopFlags(), list[str]()
    looks = answering._Stopped.__call__

    def counted(self: Any, *given: Any, **more: Any) -> Any:
        """Once for each token of each side; a person stops all of them at the fiftieth."""
        made.append(self._side)
        if len(made) == 50:
            flags.stop(1)
        return looks(self, *given, **more)

    monkeypatch.setattr(answering._Stopped, "__call__", counted)
    monkeypatch.setattr(models, "context_tokens", 0)
    _, ends, _ = ask(models, ["base", "adapter"], GenerationSettings(max_tokens=30_000), flags)
    assert {end.reason for end in ends.values() if isinstance(end, Done)} == {"stopped"}
    assert sum(end.tokens for end in ends.values() if isinstance(end, Done)) <= len(made) <= 52


def test_the_stop_token_ends_an_answer_and_is_not_shown(models: Any) -> None:
    inputs = models.tokenizer.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids = (
        models.use("base")
        .generate(**inputs, do_sample=False, max_new_tokens=10)[0, inputs["input_ids"].shape[1] :]
        .tolist()
    )
    before, models.stop_ids = models.stop_ids, [ids[3]]
    try:
        _, ends, _ = ask(models, ["base"], GenerationSettings(max_tokens=30))
    finally:
        models.stop_ids = before
    end = ends["base"]
    assert isinstance(end, Done)
    assert end.reason == "stop token"
    assert end.tokens <= 4
    assert before == [models.tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_the_context_limits_an_answer(models: Any) -> None:
    _, ends, _ = ask(models, ["base"], GenerationSettings(max_tokens=100), prompt="x" * 250)
    end = ends["base"]
    assert isinstance(end, Done)
    assert (end.reason, end.tokens) == ("context full", 6)
    _, ends, _ = ask(models, ["base", "two"], GenerationSettings(), prompt="x" * 300)
    assert all(isinstance(end, Failed) and "context holds 256" in end.message for end in ends.values())
    assert set(ends) == {"base", "two"}


def test_switching_adapters_loads_and_copies_nothing(models: Any) -> None:
    model = models.use("adapter")
    weights = {name: value.data_ptr() for name, value in model.named_parameters()}
    assert models.use("two") is model and models.use("adapter") is model
    assert weights == {name: value.data_ptr() for name, value in model.named_parameters()}


def test_a_broken_adapter_is_a_sentence_and_leaves_the_others_working(models: Any, folder: Path) -> None:
    before, _, _ = ask(models, ["base", "adapter"], GenerationSettings(max_tokens=12))
    make_adapter(folder / "wide", folder / "misfit")
    with pytest.raises(ModelError, match="another shape"):
        models.add("misfit", folder / "misfit")
    cut = folder / "cut"
    cut.mkdir()
    (cut / "adapter_config.json").write_text((folder / "two" / "adapter_config.json").read_text())
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors"):
        models.add("cut", cut)
    with pytest.raises(ModelError, match="neither an adapter nor a model"):
        models.add("nothing", folder)
    after, _, _ = ask(models, ["base", "adapter"], GenerationSettings(max_tokens=12))
    assert after == before
    assert "misfit" not in models.sides
