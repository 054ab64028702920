"""A tokenizer beside its weights, with what other tools read of it and transformers leaves out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from loratui.core.plan import Plan
from loratui.files import read_object, write_whole
from loratui.worker.tokenizer import model_source

SENTENCEPIECE, SETTINGS = "tokenizer.model", "tokenizer_config.json"


def save_tokenizer(tokenizer: Any, folder: Path, source: str, revision: str = "") -> None:
    """Write a tokenizer into a folder. source: the model that it comes from, a folder or an id of the hub.

    llama.cpp's converter takes the scores of a SentencePiece vocabulary from `tokenizer.model` alone (without it, it
    joins letters in another order), and puts a token before every text of such a model unless it is told that this
    tokenizer does not.
    """
    tokenizer.save_pretrained(folder)
    settings = _known_to_transformers_4(read_object(folder / SETTINGS))
    if (found := sentencepiece_file(source, revision)) is not None:
        shutil.copyfile(found, folder / SENTENCEPIECE)
        settings |= added_around(tokenizer)
    write_whole(folder / SETTINGS, json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def _known_to_transformers_4(settings: dict[str, Any]) -> dict[str, Any]:
    """The same under the names that transformers 4 knows and 5 still reads: llama.cpp's converter asks for 4.57."""
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(settings.get("extra_special_tokens"), list):
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
    return settings


def save_planned_tokenizer(tokenizer: Any, folder: Path, plan: Plan) -> None:
    """The same for a plan's model."""
    save_tokenizer(tokenizer, folder, model_source(plan)[0], plan.model.revision)


def sentencepiece_file(source: str, revision: str = "") -> Path | None:
    """The `tokenizer.model` of a model's folder, or of an id as the hub's cache has it."""
    from transformers.utils.hub import cached_file

    if Path(source).is_dir():
        file = Path(source) / SENTENCEPIECE
        return file if file.is_file() else None
    try:
        found = cached_file(
            source,
            SENTENCEPIECE,
            revision=revision or None,
            local_files_only=True,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except (OSError, ValueError):  # no such id: whoever needs the model says so
        return None
    return Path(found) if found else None


def added_around(tokenizer: Any) -> dict[str, bool]:
    """Whether the tokenizer puts its begin and end tokens around a text; empty where it puts something else there."""
    ids, bare = (list(tokenizer("a", add_special_tokens=special)["input_ids"]) for special in (True, False))
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    begins = begin is not None and ids != bare and ids[:1] == [begin]
    ends = end is not None and ids != bare and ids[-1:] == [end]
    if ids != [begin] * begins + bare + [end] * ends:
        return {}
    return {"add_bos_token": begins, "add_eos_token": ends}
