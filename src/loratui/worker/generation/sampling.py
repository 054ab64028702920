"""Drawing tokens with a source of chance for each row, so that an answer depends on neither its batch nor the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from loratui.core.generation import GenerationSettings

ROW_STRIDE = 1_000_003
"""Rows' seeds lie so far apart that the seeds of samples and of neighbouring rows never meet."""


def seed_of(settings: GenerationSettings, row: int = 0, sample: int = 0) -> int:
    """The seed of one answer. row: its number in the file, from 0. sample: which of several answers to it."""
    return settings.seed + ROW_STRIDE * row + sample


def samplers(settings: GenerationSettings, seeds: Sequence[int], device: Any) -> LogitsProcessorList:
    """Processors of a batch after which the largest score is the drawn token; empty where nothing is drawn.

    seeds: one for each row of the batch. Adding Gumbel noise and taking the largest draws exactly from the softmax
    (Gumbel 1954; Maddison et al. 2014, 1411.0030). `generate` is then asked without sampling.
    """
    if settings.greedy:
        return LogitsProcessorList()
    steps: list[LogitsProcessor] = [TemperatureLogitsWarper(settings.temperature)]
    if settings.top_k:
        steps.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        steps.append(TopPLogitsWarper(settings.top_p))
    if settings.min_p:
        steps.append(MinPLogitsWarper(settings.min_p))
    return LogitsProcessorList([*steps, _Noise(seeds, device)])


class _Noise(LogitsProcessor):
    def __init__(self, seeds: Sequence[int], device: Any) -> None:
        self._chance = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        noise = torch.stack(
            [
                torch.empty_like(row, dtype=torch.float32).exponential_(generator=chance)
                for row, chance in zip(scores, self._chance, strict=True)
            ]
        )
        drawn: torch.FloatTensor = scores.float() - noise.log()  # type: ignore[assignment]
        return drawn
