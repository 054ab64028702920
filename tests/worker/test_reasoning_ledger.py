"""The ledger of thinking: what is learnt, shown, dropped or the template's own; each mend held against what it does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from template_tokenizer import ROWS, TEMPLATES, assistant, thought, user, with_template
from tiny_model import write_tiny_model

from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.tui.wizard.check import found_words
from loratui.worker.tokenised import IGNORED

pytestmark = pytest.mark.worker
STOPS = ["<|im_end|>", "<|eot_id|>", "<|return|>", "<|end|>", "<|user|>", "<|observation|>", "<｜end▁of▁sentence｜>"]
LLAMA = TEMPLATES["llama3_1"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("reasoning") / "model")


def inspected(model: Path, folder: Path, template: str, rows: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """The inspection's result under this chat template."""
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.inspecting.model import load_text_model
    from loratui.worker.tokenizer import apply_plan, template_text

    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = with_values(Plan(), {"model.id": str(model), "dataset.path": str(path)})
    plan = with_values(own, values)
    name = plan.model.chat_template
    tokenizer = apply_plan(with_template(template_text(name) if name else template), plan)
    stops = frozenset(tokenizer.convert_tokens_to_ids(STOPS))
    text_model = load_text_model(own)
    spec = replace(text_model.found.spec, vocab_size=len(tokenizer))
    text_model = replace(text_model, tokenizer=tokenizer, stop_ids=stops, found=text_model.found._replace(spec=spec))
    return Inspection(plan, [].append).run(text_model)


def learnt(model: Path, template: str, row: dict[str, Any], **values: Any) -> str:
    """The text that bears loss."""
    from loratui.data.convert import to_conversation
    from loratui.data.recognise import Recognition
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.tokenizer import apply_plan

    plan = with_values(Plan(), values)
    tokenizer = apply_plan(with_template(template), plan)
    tokenised = Tokeniser(tokenizer, reasoning=plan.dataset.reasoning).one(
        to_conversation(row, Recognition("messages", {"messages": "messages"}, ""))
    )
    pairs = zip(tokenised.input_ids, tokenised.labels, strict=True)
    return str(tokenizer.decode([number for number, label in pairs if label != IGNORED]))


def said(result: dict[str, Any]) -> str:
    return found_words(result, 4096)[0]


def mend(result: dict[str, Any], key: str) -> dict[str, Any]:
    return next(fix["set"] for fix in result["reasoning"]["fixes"] if key in fix["set"])


def test_the_empty_thought_of_qwen3_is_named_and_masked(model: Path, tmp_path: Path) -> None:
    rows = [{"messages": [user(f"{n}?"), assistant(f"{n}!")]} for n in range(24)]
    result = inspected(model, tmp_path, TEMPLATES["qwen3"], rows)
    filler = result["reasoning"]["filler"]
    assert (filler["rows"], filler["answers"], filler["text"]) == (24, 24, "<think>\n\n</think>\n\n")
    assert "no problem found" not in said(result) and "<think>" in said(result)
    off = inspected(model, tmp_path, TEMPLATES["qwen3"], rows, **mend(result, "model.thinking"))
    assert off["reasoning"]["filler"]["answers"] == 0 and "no problem found" in said(off)
    assert result["trained_tokens"] - off["trained_tokens"] == filler["tokens"] == 24 * 6
    assert result["tokens"] == off["tokens"], "the same text is shown to the model"


def test_what_is_masked_is_asked(model: Path) -> None:
    from loratui.data.conversation import Conversation, Message
    from loratui.worker.generation.prompt import render
    from loratui.worker.tokenizer import with_thinking

    asked = Conversation((Message("user", "1?"),))
    off = render(with_template(with_thinking(TEMPLATES["qwen3"], "off")), asked)[0]
    assert off.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert render(with_template(TEMPLATES["qwen3"]), asked)[0].endswith("<|im_start|>assistant\n")
    with pytest.raises(PlanError, match="never asks"):
        with_thinking(LLAMA, "off")


@pytest.mark.parametrize("name", ["qwen3_6", "qwen3_5_think", "glm4moe"])
def test_several_turns_with_thinking_in_the_text_are_trained(model: Path, tmp_path: Path, name: str) -> None:
    rows = [{"messages": [*ROWS["tags-multi"]["messages"][:-1], thought(f"{n}", "Again I ponder")]} for n in range(3)]
    result = inspected(model, tmp_path, TEMPLATES[name], rows)
    assert result["usable"] == 3
    ledger = result["reasoning"]
    assert ledger["characters"] == {"given": 93, "learnt": 42, "shown": 0, "dropped": 51}
    assert ledger["dropped"] == {"rows": 3, "answers": 3}
    assert result["problem_counts"]["template-drops"] == 3 and "drops the thinking" in said(result)
    if name != "glm4moe":
        mended = inspected(model, tmp_path, "", rows, **{"model.chat_template": f"{name}_training"})
        assert mended["reasoning"]["characters"]["learnt"] == 93
        assert mend(result, "model.chat_template") == {"model.chat_template": f"{name}_training"}


def test_a_field_that_the_template_does_not_know_is_missed_and_moved(model: Path, tmp_path: Path) -> None:
    result = inspected(model, tmp_path, LLAMA, [ROWS["field-multi"]])
    assert result["reasoning"]["characters"] == {"given": 31, "learnt": 0, "shown": 0, "dropped": 31}
    values = mend(result, "dataset.reasoning")
    assert values == {"dataset.reasoning": "inline"}
    mended = inspected(model, tmp_path, LLAMA, [ROWS["field-multi"]], **values)
    assert mended["reasoning"]["characters"]["learnt"] == 31 and "template-drops" not in mended["problem_counts"]


def test_a_template_that_drops_thinking_is_caught_and_trls_own_keeps_it(model: Path, tmp_path: Path) -> None:
    row = ROWS["tags"]
    result = inspected(model, tmp_path, TEMPLATES["deepseek_r1_distill"], [row])
    assert result["reasoning"]["characters"]["dropped"] == 17
    values = mend(result, "model.chat_template")
    mended = inspected(model, tmp_path, TEMPLATES["deepseek_r1_distill"], [row], **values)
    assert mended["reasoning"]["characters"] == {"given": 17, "learnt": 17, "shown": 0, "dropped": 0}
    assert mended["reasoning"]["unprompted"]["answers"] == 0


def test_the_last_analysis_of_gpt_oss_is_learnt_in_several_turns_too(model: Path) -> None:
    one = learnt(model, TEMPLATES["gptoss"], ROWS["field"])
    several = learnt(model, TEMPLATES["gptoss"], ROWS["field-multi"])
    assert one.startswith("<|channel|>analysis<|message|>Let me think hard<|end|>")
    assert several == (
        "<|channel|>final<|message|>One it is<|end|>"
        "<|channel|>analysis<|message|>Again I ponder<|end|><|start|>assistant<|channel|>final<|message|>"
        "Two, of course<|return|>"
    )


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("as-given", "One it is<|im_end|><think>\nAgain I ponder\n</think>\n\nTwo, of course<|im_end|>"),
        ("last-turn", "One it is<|im_end|><think>\nAgain I ponder\n</think>\n\nTwo, of course<|im_end|>"),
        ("separate", "One it is<|im_end|><think>\nAgain I ponder\n</think>\n\nTwo, of course<|im_end|>"),
        ("drop", "One it is<|im_end|><think>\n\n</think>\n\nTwo, of course<|im_end|>"),
    ],
)
def test_each_arrangement_is_what_it_says(model: Path, mode: str, text: str) -> None:
    assert learnt(model, TEMPLATES["qwen3"], ROWS["tags-multi"], **{"dataset.reasoning": mode}) == text


def test_an_asked_for_arrangement_leaves_nothing_unsaid(model: Path, tmp_path: Path) -> None:
    kept = inspected(model, tmp_path, TEMPLATES["qwen3"], [ROWS["tags-multi"]], **{"dataset.reasoning": "last-turn"})
    assert kept["reasoning"]["characters"] == {"given": 14, "learnt": 14, "shown": 0, "dropped": 0}
    assert "no problem found" in said(kept)


def test_names_of_the_field_are_one(model: Path, tmp_path: Path) -> None:
    rows = [{"messages": [user("1?"), assistant("One", **{name: "Let me see"})]} for name in ("thinking", "reasoning")]
    parts = [{"type": "thinking", "thinking": "Let me see"}, {"type": "text", "text": "One"}]
    rows.append({"messages": [user("2?"), {"role": "assistant", "content": parts}]})
    result = inspected(model, tmp_path, TEMPLATES["qwen3"], rows)
    assert result["reasoning"]["characters"] == {"given": 30, "learnt": 30, "shown": 0, "dropped": 0}
    assert (result["reasoning"]["in_field"], result["reasoning"]["in_text"]) == (3, 0)


def test_thinking_in_the_text_of_a_template_with_a_field_is_named(model: Path, tmp_path: Path) -> None:
    result = inspected(model, tmp_path, TEMPLATES["gptoss"], [{"messages": [user("1?"), thought("One", "Hm, well")]}])
    assert result["reasoning"]["misplaced"]["answers"] == 1 and "no problem found" not in said(result)
    mended = inspected(
        model,
        tmp_path,
        TEMPLATES["gptoss"],
        [{"messages": [user("1?"), thought("One", "Hm, well")]}],
        **mend(result, "dataset.reasoning"),
    )
    assert mended["reasoning"]["misplaced"]["answers"] == 0
    assert mended["reasoning"]["characters"]["learnt"] == 8


def test_a_rows_parts_say_what_the_labels_say(model: Path) -> None:
    from loratui.data.convert import to_conversation
    from loratui.data.recognise import Recognition
    from loratui.worker.inspecting.rendering import part_states
    from loratui.worker.tokenise import Tokeniser

    reading = Recognition("messages", {"messages": "messages", "tools": "tools"}, "")
    several = to_conversation(ROWS["tags-multi"], reading)
    states = part_states(several, Tokeniser(with_template(TEMPLATES["qwen3"])), 0)
    assert states == [
        [0, "content", "shown"],
        [1, "thinking", "dropped"],
        [1, "content", "learnt"],
        [2, "content", "shown"],
        [3, "thinking", "learnt"],
        [3, "content", "learnt"],
    ]
    calling = to_conversation(ROWS["call"], reading)
    states = part_states(calling, Tokeniser(with_template(TEMPLATES["gptoss"])), 0)
    assert [1, "call", "learnt"] in states and [2, "content", "shown"] in states
    short = part_states(several, Tokeniser(with_template(TEMPLATES["qwen3"])), 60)
    assert [3, "content", "cut"] in short and [1, "content", "learnt"] in short


def test_calls_are_accounted_for(model: Path, tmp_path: Path) -> None:
    text = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bonn"}}\n</tool_call>'
    rows = [
        ROWS["call"],
        ROWS["two-calls"],
        {"messages": [user("1?"), {"role": "assistant", "content": text}]},
    ]
    result = inspected(model, tmp_path, LLAMA, rows)
    assert result["usable"] == 2 and result["problem_counts"]["template"] == 1, "two calls at once are refused"
    tools = result["tools"]
    assert (tools["rows"], tools["refused_rows"], tools["calls"]) == (2, 1, {"learnt": 1, "shown": 0})
    assert tools["in_text"] == {"Hermes": 1} and tools["fix"] == {"dataset.calls": "template"}
    assert result["problem_counts"]["call-in-text"] == 1
    mended = inspected(model, tmp_path, LLAMA, rows, **tools["fix"])
    assert mended["tools"]["calls"]["learnt"] == 2 and "call-in-text" not in mended["problem_counts"]
    own = inspected(model, tmp_path, TEMPLATES["qwen2_5"], rows)
    assert own["tools"]["fix"] == {} and own["tools"]["calls"]["learnt"] == 3, "that text is this template's own form"
