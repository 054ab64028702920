"""Many questions at once: padded on the left, so that every answer begins where its prompt ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from loratui.core.errors import InputError
from loratui.core.generation import GenerationSettings
from loratui.worker.generation.finite import finite_numbers
from loratui.worker.generation.load import LoadedModels
from loratui.worker.generation.settings import generation_config
from loratui.workers.protocol import StopReason


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer of a batch."""

    text: str
    tokens: int
    """Tokens of the answer, its stop token included."""
    reason: StopReason


def generate_batch(
    models: LoadedModels, side: str, prompts: Sequence[Sequence[int]], settings: GenerationSettings
) -> list[Generated]:
    """Answer all prompts (token ids) in one go, in their order. Halves the batch where the GPU's memory does not
    suffice.

    Raises InputError where a prompt leaves no room for an answer; ask `room` first.
    """
    if not prompts:
        return []
    limit = min(room(models, prompt, settings) for prompt in prompts)
    try:
        return _generate(models, side, prompts, settings, limit)
    except torch.OutOfMemoryError:
        if len(prompts) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(prompts) // 2
    return [
        *generate_batch(models, side, prompts[:middle], settings),
        *generate_batch(models, side, prompts[middle:], settings),
    ]


def room(models: LoadedModels, prompt: Sequence[int], settings: GenerationSettings) -> int:
    """Tokens that an answer may have; InputError where the prompt alone fills the model's context."""
    if not models.context_tokens:
        return settings.max_tokens
    left = models.context_tokens - len(prompt)
    if left < 1:
        raise InputError(
            f"the prompt has {len(prompt):,} tokens; this model's context holds {models.context_tokens:,}."
        )
    return min(left, settings.max_tokens)


def _generate(
    models: LoadedModels, side: str, prompts: Sequence[Sequence[int]], settings: GenerationSettings, limit: int
) -> list[Generated]:
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), models.pad_id)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    model = models.use(side)
    if not settings.greedy:
        torch.manual_seed(settings.seed)
    whole = model.generate(
        inputs=ids.to(models.device),
        attention_mask=mask.to(models.device),
        logits_processor=finite_numbers(model),
        generation_config=generation_config(
            settings, stop_ids=models.stop_ids, pad_id=models.pad_id, max_new_tokens=limit
        ),
    )
    return [_answer(models, row, limit, settings) for row in whole[:, width:].tolist()]


def _answer(models: LoadedModels, ids: list[int], limit: int, settings: GenerationSettings) -> Generated:
    """The answer up to its first stop token: a row that ends early is padded until the last one ends."""
    stops = set(models.stop_ids)
    end = next((place for place, token in enumerate(ids) if token in stops), None)
    answer = ids if end is None else ids[: end + 1]
    text = models.tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    reason: StopReason = (
        "stop token" if end is not None else "length" if limit == settings.max_tokens else "context full"
    )
    return Generated(str(text), len(answer), reason)
