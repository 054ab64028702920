"""A plan's tokenizer with its chat template: what training, inspecting and generating share. Loads no weights."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loratui.core.errors import ModelError, PlanError
from loratui.core.plan import Plan
from loratui.format import first_line
from loratui.models.trust import load_options
from loratui.paths import demo_model_path, without_tilde

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PLAIN = (
    "{{ bos_token or '' }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + "
    "'\n\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token + '\n\n' }}"
    "{% else %}{{ 'User: ' + message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ "
    "'Assistant: ' }}{% endif %}"
)
ALPACA = (
    "{{ bos_token or '' }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + "
    "'\n\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '### Response:\n' + message['content'] + eos_token + '\n\n' }}"
    "{% else %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if "
    "add_generation_prompt %}{{ '### Response:\n' }}{% endif %}"
)
KNOWN_TEMPLATES = {"chatml": CHATML, "plain": PLAIN, "alpaca": ALPACA}
"""`plain` and `alpaca` close an answer with the tokenizer's own end token, so they suit every base model."""


def model_source(plan: Plan, *, weights: bool = True) -> tuple[str, dict[str, Any]]:
    """Where the model is read from, and how: a folder, or an id of the hub with its revision.

    `weights` False: a folder without weights will do. ModelError where there is no such model.
    """
    name = plan.model.id
    if name == "demo":
        folder = demo_model_path()
        if not (folder / "config.json").is_file():
            raise ModelError(
                "the demo model is not in this installation.",
                where=str(folder),
                hint="Build it with scripts/ or install again.",
            )
        return str(folder), {}
    folder = without_tilde(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError("this folder holds no model: config.json is missing.", where=str(folder))
        if weights and not any(folder.glob("*.safetensors")):
            raise ModelError(
                "this folder holds no weights to train (*.safetensors).",
                where=str(folder),
                hint="Only safetensors are read; nothing is unpickled.",
            )
        return str(folder), {}
    if name.startswith(("/", ".", "~")):
        raise ModelError("there is no such folder.", where=name)
    extra: dict[str, Any] = {"revision": plan.model.revision} if plan.model.revision else {}
    return name, extra | hub_options(name, plan.model.revision, weights=weights)


def hub_options(id: str, revision: str = "", *, weights: bool = True) -> dict[str, Any]:
    """`local_files_only` for a model that is whole in the hub's cache: without a network each file would be asked for
    half a minute.
    """
    from loratui.models.cache import find_cached

    found = find_cached(id, revision)
    if found is None or (weights and not found.weights):
        return {}
    options: dict[str, Any] = {"local_files_only": True}
    return options | {"adapter_kwargs": {"local_files_only": True}} if weights else options


def code_options(plan: Plan, source: str) -> dict[str, Any]:
    """What a loader is told of the model's own code. Raises CodeNotAgreedError where nobody agreed to run it."""
    return load_options(source, plan.model.revision, wanted=plan.model.trust_remote_code)


def load_tokenizer(plan: Plan, *, weights: bool = True) -> Any:
    """The tokenizer with the plan's chat template, and a padding token. ModelError or PlanError in one sentence."""
    from transformers import AutoTokenizer

    source, extra = model_source(plan, weights=weights)
    extra.pop("adapter_kwargs", None)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **(extra | code_options(plan, source)))
    except (OSError, ValueError) as error:
        raise ModelError(f"the tokenizer cannot be read: {first_line(error)}", where=plan.model.id) from error
    if plan.model.chat_template:
        tokenizer.chat_template = template_text(plan.model.chat_template)
    tokenizer = apply_plan(tokenizer, plan)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "right"
    return tokenizer


def apply_plan(tokenizer: Any, plan: Plan) -> Any:
    """The tokenizer with the plan's end token, and its template asking for thinking as the plan says. PlanError where
    one of them means nothing for it.
    """
    if plan.model.end_token:
        _end_with(tokenizer, plan.model.end_token)
    if plan.model.thinking != "template":
        tokenizer.chat_template = with_thinking(tokenizer.chat_template, plan.model.thinking)
    return tokenizer


def with_thinking(template: str | None, thinking: str) -> str:
    """A chat template that asks for thinking, or not, unless whoever applies it says otherwise. PlanError where it
    never asks.

    What is saved with the result asks in the same way wherever it is used.
    """
    names = [name for name in THINKING_VARIABLES if isinstance(template, str) and _reads(template, name)]
    if not isinstance(template, str) or not names:
        raise PlanError(
            f"model.thinking = {thinking!r} has no effect: the chat template never asks whether to think.",
            hint="Leave it at template; dataset.reasoning decides about the thinking in the rows.",
        )
    value = "true" if thinking == "on" else "false"
    head = "".join(f"{{% if {name} is not defined %}}{{% set {name} = {value} %}}{{% endif %}}" for name in names)
    return f"{head}{{{{ '' }}}}{template}"


def _end_with(tokenizer: Any, token: str) -> None:
    """Let a token of the vocabulary end generation; PlanError where it is none."""
    number = tokenizer.convert_tokens_to_ids(token)
    if number is None or (number == tokenizer.unk_token_id and token != tokenizer.unk_token):
        raise PlanError(
            f"model.end_token = {token!r} is no token of this tokenizer.",
            hint="Take one that the chat template writes at the end of an answer.",
        )
    tokenizer.eos_token = token


THINKING_VARIABLES = ("enable_thinking", "thinking")
"""What templates ask: the name that most use, and DeepSeek's."""


_HEAD = re.compile(r"(?:{% if \w+ is not defined %}{% set \w+ = (?:true|false) %}{% endif %})+{{ '' }}")


def without_thinking(template: str) -> str:
    """The chat template as it was before `with_thinking`."""
    head = _HEAD.match(template)
    return template[head.end() :] if head else template


def _reads(template: str, name: str) -> bool:
    return (
        re.search(rf"(?<![.\w'\"\[]){name} is (?:not )?(?:defined|true|false)|not {name} is defined", template)
        is not None
    )


def training_twin(template: str | None) -> str:
    """Name of the template that TRL trains with in this one's place; empty where TRL knows none."""
    if not isinstance(template, str):
        return ""
    shipped, text = _shipped_with_trl(), without_thinking(template)
    pairs = [(name, f"{name}_training") for name in shipped if f"{name}_training" in shipped]
    return next((twin for name, twin in pairs if shipped[name].read_text(encoding="utf-8") == text), "")


def template_text(name: str) -> str:
    """A chat template by its file or its name: ours, or one of those that TRL ships (llama3, qwen3, gemma3, …)."""
    if name in KNOWN_TEMPLATES:
        return KNOWN_TEMPLATES[name]
    shipped = _shipped_with_trl()
    if name in shipped:
        return shipped[name].read_text(encoding="utf-8")
    try:
        return without_tilde(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        known = [*KNOWN_TEMPLATES, *(other for other in shipped if not other.endswith("_training"))]
        raise PlanError(
            f"model.chat_template = {name!r} is neither a file nor a known template.",
            hint=f"Known are: {', '.join(known)}.",
        ) from None


def _shipped_with_trl() -> dict[str, Path]:
    spec = find_spec("trl")
    if spec is None or not spec.origin:
        return {}
    return {path.stem: path for path in sorted((Path(spec.origin).parent / "chat_templates").glob("*.jinja"))}
