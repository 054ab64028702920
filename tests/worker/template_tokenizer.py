"""One small tokenizer that knows the control tokens of every chat template that TRL ships, and rows of every kind."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import trl
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

TEMPLATES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))
}
_CONTROL = (
    r"<[|｜][^<>\s|｜]{1,40}[|｜]>|<(?:bos|eos|pad)>|</?s>|<(?:start|end)_of_\w+>|\[/?[A-Z_]{3,20}\]|</?think>|"
    r"<\|channel>|<channel\|>|<\|turn>|<turn\|>"
)


def _small() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    control = sorted({text for template in TEMPLATES.values() for text in re.findall(_CONTROL, template)})
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in control])
    return tokenizer


SMALL = _small()


def with_template(text: str) -> Any:
    """The tokenizer with this chat template."""
    tokenizer = copy.deepcopy(SMALL)
    tokenizer.chat_template = text
    return tokenizer


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "Its name"}},
                "required": ["city"],
            },
        },
    }
]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str | None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **fields}


def call(arguments: Any, number: int = 1) -> dict[str, Any]:
    return {
        "id": f"call0000{number}",
        "type": "function",
        "function": {"name": "get_weather", "arguments": arguments},
    }


RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "rainy"}
BONN, KOELN = {"city": "Bonn"}, {"city": "Köln"}


def thought(text: str, thinking: str) -> dict[str, Any]:
    return assistant(f"<think>\n{thinking}\n</think>\n\n{text}")


ROWS: dict[str, dict[str, Any]] = {
    "plain": {"messages": [user("What is 1?"), assistant("One it is")]},
    "multi": {"messages": [user("What is 1?"), assistant("One it is"), user("and two?"), assistant("Two, of course")]},
    "system": {"messages": [{"role": "system", "content": "Be brief"}, user("What is 1?"), assistant("One it is")]},
    "call": {
        "tools": TOOLS,
        "messages": [user("Rain in Bonn?"), assistant("", tool_calls=[call(BONN)]), RESULT, assistant("It rains")],
    },
    "call-as-text": {
        "tools": TOOLS,
        "messages": [
            user("Rain in Bonn?"),
            assistant(None, tool_calls=[call('{"city": "Bonn"}')]),
            RESULT,
            assistant("It rains"),
        ],
    },
    "two-calls": {
        "tools": TOOLS,
        "messages": [
            user("Rain?"),
            assistant("", tool_calls=[call(BONN), call(KOELN, 2)]),
            RESULT,
            {**RESULT, "tool_call_id": "call00002"},
            assistant("It rains"),
        ],
    },
    "field": {"messages": [user("What is 1?"), assistant("One it is", reasoning_content="Let me think hard")]},
    "tags": {"messages": [user("What is 1?"), thought("One it is", "Let me think hard")]},
    "field-multi": {
        "messages": [
            user("What is 1?"),
            assistant("One it is", reasoning_content="Let me think hard"),
            user("and two?"),
            assistant("Two, of course", reasoning_content="Again I ponder"),
        ]
    },
    "tags-multi": {
        "messages": [
            user("What is 1?"),
            thought("One it is", "Let me think hard"),
            user("and two?"),
            thought("Two, of course", "Again I ponder"),
        ]
    },
}
