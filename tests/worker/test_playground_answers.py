"""Answers of the playground's engine are those of plain `model.generate`, alone and side by side."""

from __future__ import annotations

import threading
import time
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


def test_sampled_answers_do_not_depend_on_who_answers_beside_them(models: Any) -> None:
    settings = GenerationSettings(temperature=1.0, top_p=0.95, max_tokens=120, seed=5)
    together, _, events = ask(models, ["base", "adapter"], settings)
    turns = [one.side for one in events if isinstance(one, Piece)]
    assert turns.index("adapter") < len(turns) - 1 - turns[::-1].index("base"), "both sides should grow together"
    for side in ("base", "adapter"):
        alone, _, _ = ask(models, [side], settings)
        assert alone[side] == together[side]
    other, _, _ = ask(models, ["base"], settings.model_copy(update={"seed": 6}))
    assert other["base"] != together["base"]


def test_an_answer_is_stopped_within_half_a_second(models: Any) -> None:
    from loratui.worker.generation.answer import StopFlags

    flags, stopped = StopFlags(), []
    context, models.context_tokens = models.context_tokens, 0

    def stop() -> None:
        stopped.append(time.perf_counter())
        flags.stop(1)

    timer = threading.Timer(0.5, stop)
    timer.start()
    try:
        _, ends, _ = ask(models, ["base", "adapter"], GenerationSettings(max_tokens=30_000), flags)
    finally:
        models.context_tokens = context
    took = time.perf_counter() - stopped[0]
    assert took < 0.5, f"stopped after {took:.2f} s"
    assert {end.reason for end in ends.values() if isinstance(end, Done)} == {"stopped"}


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


def test_switching_adapters_is_quick(models: Any) -> None:
    models.use("adapter")
    began = time.thread_time()
    models.use("two")
    models.use("adapter")
    assert (time.thread_time() - began) / 2 < 0.2


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
