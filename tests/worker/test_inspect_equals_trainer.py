"""What the inspection shows is, id by id, what the trainer's collator yields; and its labels agree with TRL's own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny_model import write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.data.conversation import Conversation, Message

pytestmark = pytest.mark.worker

MULTI = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "1 and 2 is"},
    {"role": "assistant", "content": "3"},
    {"role": "user", "content": "世界 🙂?"},
    {"role": "assistant", "content": "é世🙂 — 7\n\nthat is all"},
]
FORMATS = {
    "prompt-completion": [{"question": f"{n} and {n} is", "answer": str(2 * n)} for n in range(8)],
    "instruction": [{"instruction": "Add", "input": f"{n} and {n}", "output": str(2 * n)} for n in range(8)],
    "objects": [{"input": {"a": n, "b": "é"}, "output": f"#{n}"} for n in range(8)],
    "messages": [{"messages": MULTI[: 3 + 2 * (n % 2)]} for n in range(8)],
    "conversations": [
        {"conversations": [{"from": "human", "value": f"{n}?"}, {"from": "gpt", "value": f"{n}!"}]} for n in range(8)
    ],
    "text": [{"text": f"once upon {n} times"} for n in range(8)],
    "tokens": [{"input_ids": [10 + n, 20, 30, 2], "labels": [-100, 20, 30, 2]} for n in range(8)],
    "preference": [{"prompt": f"{n}?", "chosen": f"{n}!", "rejected": "no"} for n in range(8)],
}
FOLDED = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '<|im_end|>\n\n' + m['content'] | trim + '<|im_end|>' "
    "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_end|>\n\n' }}{% endif %}"
)
REASONING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' and loop.last %}{{ "
    "'<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% "
    "endif %}"
)
TEMPLATES = {"own": "", "folded": FOLDED, "reasoning": REASONING}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("inspect") / "model")


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_plan(model: Path, data: Path, **values) -> Plan:
    return with_values(
        Plan(),
        {
            "model.id": str(model),
            "model.dtype": "fp32",
            "dataset.path": str(data),
            "dataset.eval_fraction": 0.0,
            "dataset.preference": "chosen",
            "training.precision": "fp32",
            "training.batch_size": 4,
            "training.accumulation": 1,
            "training.max_steps": 1,
            "training.optimizer": "adamw_torch",
            **values,
        },
    )


def shown(plan: Plan) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of every row as the inspection renders them, cut as it says."""
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.inspecting.model import load_text_model
    from loratui.worker.inspecting.rendering import render_rows

    inspection = Inspection(plan, lambda message: None)
    text_model = load_text_model(plan)
    rows = render_rows(plan, inspection.found, inspection.recognition, text_model, range(100))
    kept = [[token for token in row["tokens"] if not token[4]] for row in rows]
    return [([token[0] for token in row], [token[0] if token[2] else -100 for token in row]) for row in kept]


def yielded(plan: Plan, output: Path) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of every row as the trainer's own loader and collator hand them to the model, padding removed."""
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.training.config import DeviceTraits, lora_config, sft_config
    from loratui.worker.training.dataset import prepare
    from loratui.worker.training.load_model import load_base, load_tokenizer, stop_ids
    from loratui.worker.training.trainer import make_trainer

    tokenizer = load_tokenizer(plan)
    base = load_base(plan, device="cpu")
    tokeniser = Tokeniser(
        tokenizer, loss_on=plan.training.loss_on, max_length=plan.training.max_length, stop_ids=stop_ids(base)
    )
    prepared = prepare(plan, tokeniser)
    trainer = make_trainer(
        base,
        tokenizer,
        sft_config(plan, output, DeviceTraits("cpu"), evaluates=False),
        prepared.train.as_dataset(),
        None,
        lora_config(plan, base.config.to_dict()),
        [],
    )
    rows = []
    for batch in trainer.get_train_dataloader():
        for ids, labels, mask in zip(
            batch["input_ids"].tolist(), batch["labels"].tolist(), batch["attention_mask"].tolist(), strict=True
        ):
            length = sum(mask)
            assert set(labels[length:]) <= {-100}
            rows.append((ids[:length], labels[:length]))
    return rows


@pytest.mark.parametrize(
    ("name", "template", "max_length"),
    [(name, "own", 1024) for name in FORMATS]
    + [("messages", "folded", 1024), ("messages", "reasoning", 1024), ("messages", "own", 70)],
)
def test_rendered_rows_equal_what_the_collator_yields(
    model: Path, tmp_path: Path, name: str, template: str, max_length: int
):
    values: dict[str, object] = {"training.max_length": max_length}
    if TEMPLATES[template]:
        (tmp_path / "t.jinja").write_text(TEMPLATES[template])
        values["model.chat_template"] = str(tmp_path / "t.jinja")
    plan = make_plan(model, write(tmp_path / "rows.jsonl", FORMATS[name]), **values)
    ours, theirs = shown(plan), yielded(plan, tmp_path / "out")
    assert len(ours) == 8
    assert sorted(ours) == sorted(theirs)


def training_templates() -> list[Path]:
    import trl

    found = sorted((Path(trl.__file__).parent / "chat_templates").glob("*_training.jinja"))
    return [path for path in found if not any(word in path.name for word in ("_vl", "idefics", "llava", "smolvlm"))]


def test_labels_agree_with_trls_masks_under_its_training_templates():
    """Never a label where TRL has none; and of TRL's, all but what the prompt brings and white space after the end."""
    from tiny_models import make_tokenizer

    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.tokenised import IGNORED

    first, second = "It is 4.", "That makes 6.\nYes."
    conversation = Conversation(
        (
            Message("user", "What is 2+2?"),
            Message("assistant", first, True),
            Message("user", "And 3+3?"),
            Message("assistant", second, True),
        )
    )
    paths = training_templates()
    assert len(paths) >= 15
    for path in paths:
        template = path.read_text()
        tokenizer = make_tokenizer(template=template)
        tokenizer.add_tokens(
            sorted(set(re.findall(r"<\|[^|<>\n]+\|>|<[a-z_]*(?:_of_turn|turn)\|?>|<｜[^<>\n]+｜>", template))),
            special_tokens=True,
        )
        tokenizer.add_special_tokens({"bos_token": "<bos>", "eos_token": "<eos>"})
        row = Tokeniser(tokenizer).one(conversation)
        theirs = tokenizer.apply_chat_template(
            [message.as_dict() for message in conversation.messages],
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        assert row.input_ids == theirs["input_ids"], path.name
        labelled = [label != IGNORED for label in row.labels]
        assert not [
            at
            for at, (mine, mask) in enumerate(zip(labelled, theirs["assistant_masks"], strict=True))
            if mine and not mask
        ], path.name
        learnt = tokenizer.decode(
            [number for number, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORED]
        )
        for answer in (first, second):
            assert answer in learnt, path.name
            after = learnt[learnt.index(answer) + len(answer) :]
            assert after.startswith(("<", "\n</")), (path.name, after)


def test_labels_equal_trls_own_preparation_of_prompts_and_completions(model: Path, tmp_path: Path):
    """The plain TRL script on the same rows: the same ids, and the same labels up to the stop token."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = FORMATS["prompt-completion"]
    turns = [
        {
            "prompt": [{"role": "user", "content": row["question"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in rows
    ]
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(model),
        args=SFTConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, report_to="none"),
        train_dataset=Dataset.from_list(turns),
        processing_class=AutoTokenizer.from_pretrained(model),
    )
    stop = trainer.processing_class.eos_token_id
    for (ids, labels), theirs in zip(
        shown(make_plan(model, write(tmp_path / "rows.jsonl", rows))), trainer.train_dataset, strict=True
    ):
        assert ids == theirs["input_ids"]
        end = len(labels) - labels[::-1].index(stop)
        assert labels[:end] == theirs["labels"][:end]
        assert set(labels[end:]) <= {-100}


CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
TOOLS = (
    Message("user", "1+1 世界"),
    Message("assistant", "", True, {"tool_calls": [CALL]}),
    Message("tool", "2", extra={"name": "add"}),
    Message("assistant", "It is 2.", True),
)


@pytest.mark.parametrize("name", ["qwen3", "qwen2_5", "qwen3_instruct_2507"])
def test_tool_calls_are_learnt_and_what_tools_say_is_not(name: str):
    from tiny_models import make_tokenizer

    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.tokenizer import template_text

    rendered = Tokeniser(make_tokenizer(template=template_text(name))).render(Conversation(TOOLS))
    first, second = (rendered.text[start:end] for start, end in rendered.answers)
    assert first.endswith('<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>')
    assert second.endswith("It is 2.<|im_end|>")
    assert "tool_response" in rendered.text and "tool_response" not in first + second


def test_a_template_that_drops_tool_calls_is_refused():
    from tiny_models import make_tokenizer

    from loratui.core.errors import ModelError
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.tokenizer import template_text

    with pytest.raises(ModelError, match="leaves out the tool call of message 2"):
        Tokeniser(make_tokenizer(template=template_text("chatml"))).render(Conversation(TOOLS))
