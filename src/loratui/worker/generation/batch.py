"""Many questions at once: padded on the left, so that every answer begins where its prompt ends."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from loratui.core.errors import InputError
from loratui.core.generation import GenerationSettings
from loratui.worker.generation.finite import finite_numbers
from loratui.worker.generation.load import LoadedModels
from loratui.worker.generation.sampling import samplers, seed_of
from loratui.worker.generation.settings import generation_config
from loratui.workers.protocol import StopReason


class StoppedError(Exception):
    """A person stopped a batch: it has no answers."""


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer of a batch."""

    text: str
    tokens: int
    """Tokens of the answer, its stop token included."""
    reason: StopReason


def generate_batch(
    models: LoadedModels,
    side: str,
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    seeds: Sequence[int] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Generated]:
    """Answer all prompts (token ids) in one go, in their order. Halves the batch where the GPU's memory does not
    suffice.

    seeds: one for each prompt, from which its tokens are drawn; by default by its place. stopped: asked at each token.

    Raises InputError where a prompt leaves no room for an answer; ask `room` first. Raises StoppedError.
    """
    if not prompts:
        return []
    seeds = [seed_of(settings, place) for place in range(len(prompts))] if seeds is None else seeds
    rooms = [room(models, prompt, settings) for prompt in prompts]
    if len(set(rooms)) > 1:  # a long prompt must not shorten its neighbours' answers
        found: dict[int, Generated] = {}
        for limit in sorted(set(rooms)):
            places = [place for place, one in enumerate(rooms) if one == limit]
            answers = generate_batch(
                models,
                side,
                [prompts[place] for place in places],
                settings,
                [seeds[place] for place in places],
                stopped,
            )
            found.update(zip(places, answers, strict=True))
        return [found[place] for place in range(len(prompts))]
    try:
        return _generate(models, side, prompts, settings, rooms[0], seeds, stopped)
    except torch.OutOfMemoryError:
        if len(prompts) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(prompts) // 2
    return [
        *generate_batch(models, side, prompts[:middle], settings, seeds[:middle], stopped),
        *generate_batch(models, side, prompts[middle:], settings, seeds[middle:], stopped),
    ]


def answer_many(
    models: LoadedModels,
    side: str,
    ready: Sequence[tuple[tuple[int, int], list[int]]],
    settings: GenerationSettings,
    batch_rows: int,
    done: Container[tuple[int, int]],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[dict[tuple[int, int], Generated]]:
    """Answer prompts by row and sample, batch by batch in their order, but for those that are `done`.

    The batches are those of a start that was never broken off, so that its answers are given, to the last rounding.
    StoppedError once `stopped` says so.
    """
    for start in range(0, len(ready), batch_rows):
        batch = ready[start : start + batch_rows]
        new = {key for key, _ in batch if key not in done}
        if not new:
            continue
        seeds = [seed_of(settings, row, sample) for (row, sample), _ in batch]
        answers = generate_batch(models, side, [ids for _, ids in batch], settings, seeds, stopped)
        yield {key: answer for (key, _), answer in zip(batch, answers, strict=True) if key in new}


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
    models: LoadedModels,
    side: str,
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    limit: int,
    seeds: Sequence[int],
    stopped: Callable[[], bool],
) -> list[Generated]:
    model = models.use(side)
    asked = padded(models, prompts)
    with torch.inference_mode():
        whole = model.generate(
            **asked,
            generation_config=generation_config(
                settings, stop_ids=models.stop_ids, pad_id=models.pad_id, max_new_tokens=limit
            ),
            logits_processor=LogitsProcessorList([*finite_numbers(model), *samplers(settings, seeds, models.device)]),
            stopping_criteria=StoppingCriteriaList([_Stopped(stopped)]),
        )
    width = asked["inputs"].shape[1]
    return [_answer(models, row, limit, settings) for row in whole[:, width:].tolist()]


def padded(models: LoadedModels, prompts: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """Prompts as `generate` takes them, on the models' device: padded on the left."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), models.pad_id)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return {"inputs": ids.to(models.device), "attention_mask": mask.to(models.device)}


class _Stopped(StoppingCriteria):
    """Breaks a batch off, whatever it has of its answers."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        if self._stopped():
            raise StoppedError
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)  # type: ignore[return-value]


def _answer(models: LoadedModels, ids: list[int], limit: int, settings: GenerationSettings) -> Generated:
    """The answer up to its first stop token: a row that ends early is padded until the last one ends."""
    stops = set(models.stop_ids)
    end = next((place for place, token in enumerate(ids) if token in stops), None)
    answer = ids if end is None else ids[: end + 1]
    reason: StopReason = (
        "stop token" if end is not None else "length" if limit == settings.max_tokens else "context full"
    )
    return Generated(models.text(answer), len(answer), reason)
