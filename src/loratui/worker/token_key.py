"""What the stored tokens of a dataset depend on: they are used again only where all of it is as it was."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from loratui.core.plan import DatasetSection
from loratui.data.found import FoundDataset
from loratui.paths import PACKAGE
from loratui.worker.tokenise import Tokeniser

PROGRAM = ("data", "worker", "core/errors.py")
"""Where the program's part of the tokenising lies: each file counts, so that nobody has to remember a number."""
LIBRARIES = ("transformers", "tokenizers", "jinja2")
HELD_OUT = frozenset({"eval_fraction", "eval_count", "split_seed", "long_text"})
"""Settings of the dataset that only choose among what is stored."""
CLOCK = "strftime_now"
"""What templates call that write the day's date."""


def token_key(
    section: DatasetSection, found: FoundDataset, tokeniser: Tokeniser, *, evaluation: bool, objective: str = "sft"
) -> str:
    """Name of the stored tokens: 32 hexadecimal digits. evaluation: of the rows that the dataset itself sets apart.
    objective: of the plan; preferences are stored as pairs.

    Raises OSError where a file of the dataset is gone.
    """
    document = {
        "data": _data(section, found, evaluation=evaluation),
        "tokenizer": _tokenizer(tokeniser.tokenizer),
        "rendering": {
            "loss_on": tokeniser.loss_on,
            "reasoning": tokeniser.reasoning,
            "calls": tokeniser.calls,
            "stop_ids": sorted(tokeniser.stop_ids),
            "vocabulary": tokeniser.vocabulary,
            "objective": objective,
        },
        "program": _program(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _data(section: DatasetSection, found: FoundDataset, *, evaluation: bool) -> dict[str, Any]:
    files = found.eval_files if evaluation else found.files
    settings = section.model_dump(mode="json", exclude=set(HELD_OUT))
    if "overlap" not in section.leave_out:
        del settings["eval_path"]
    return {
        "fingerprint": found.fingerprint,
        "files": [(str(file.path), file.kind, file.encoding, file.part) for file in files],
        "settings": settings,
        "evaluation": evaluation,
    }


def _tokenizer(tokenizer: Any) -> dict[str, Any]:
    """Everything that decides what a tokenizer and its chat template make of a text."""
    core = tokenizer.backend_tokenizer
    core.no_truncation()  # as they are whenever rows are encoded
    core.no_padding()
    template = tokenizer.chat_template
    return {
        "class": f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}",
        "core": sha256(core.to_str().encode("utf-8", "surrogatepass")).hexdigest(),
        "template": dict(template) if isinstance(template, Mapping) else template,
        "day": str(datetime.date.today()) if CLOCK in str(template) else "",
        "special": tokenizer.special_tokens_map,
        "begins": tokenizer("a", add_special_tokens=True, return_attention_mask=False)["input_ids"],
    }


@cache
def _program() -> str:
    digest = sha256()
    for place in PROGRAM:
        path = PACKAGE / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else (path,):
            digest.update(f"{file.relative_to(PACKAGE)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
