"""Our generation settings as transformers' own, with nothing left to a model's or a library's defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import GenerationConfig

from loratui.core.generation import GenerationSettings


def stop_token_ids(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the tokenizer's own, and those that the model's generation settings name."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    return list(dict.fromkeys(token for token in ids if token is not None))


def generation_config(
    settings: GenerationSettings, *, stop_ids: Sequence[int], pad_id: int, max_new_tokens: int
) -> GenerationConfig:
    """A whole GenerationConfig. Values that are off are given as such: what is None is filled from the model's
    files. Tokens are drawn by `sampling.samplers`, not by `generate`.
    """
    return GenerationConfig(
        do_sample=False,
        repetition_penalty=settings.repetition_penalty,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(stop_ids) or None,
        pad_token_id=pad_id,
        num_beams=1,
        use_cache=True,
    )
