"""What a merge is proved by: logits of every position, and whole greedy answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from loratui.core.errors import LoratuiError
from loratui.core.generation import GenerationSettings
from loratui.data.conversation import Conversation
from loratui.worker.generation.batch import generate_batch
from loratui.worker.generation.finite import no_numbers
from loratui.worker.generation.load import LoadedModels
from loratui.worker.generation.prompt import asked, conversation, prompt_ids
from loratui.workers.protocol import ADAPTER
from loratui.workers.questions import held_out_questions
from loratui.workers.target import Target

PROMPTS = ("Hello!", "What can you do?", "Write one sentence about the sea.", "1, 2, 3,")
ANSWER_TOKENS = 32
HELD_OUT_ROWS = 16
"""Rows of the run's own, beside the prompts, whose whole answers are compared."""
WHOLE_ANSWER = GenerationSettings(max_tokens=64)
BATCH_ROWS = 8


@dataclass(frozen=True)
class Asked:
    """Prompts with the adapter's greedy answers as token ids, how many of each are the prompt, and the adapter's
    logits.
    """

    texts: list[list[int]]
    lengths: list[int]
    logits: list[torch.Tensor]


def ask(models: LoadedModels, target: Target, tell: Callable[[str], None] = lambda what: None) -> Asked:
    """The adapter's answers and logits. tell: hears which answer comes. ModelError where they are no numbers."""
    questions = [prompt_ids(models.tokenizer, one) for one in _conversations(target)]
    adapter = models.use(ADAPTER)
    texts = []
    for number, ids in enumerate(questions, start=1):
        tell(f"{number} of {len(questions)} prompts")
        texts.append(_answered(adapter, ids, models.pad_id))
    logits = [logits_of(adapter, ids) for ids in texts]
    if any(bool(one.isnan().any()) for one in logits):
        raise no_numbers(adapter)
    return Asked(texts, [len(ids) for ids in questions], logits)


def proof_prompts(tokenizer: Any, target: Target) -> list[list[int]]:
    """The same as token ids."""
    return [prompt_ids(tokenizer, one) for one in proof_questions(tokenizer, target)]


def proof_questions(tokenizer: Any, target: Target) -> list[Conversation]:
    """The prompts whose whole answers are compared: ours, the pinned ones, and rows that the run held out."""
    found = _conversations(target)
    try:
        rows = held_out_questions(target.plan, HELD_OUT_ROWS) if target.plan is not None else []
        return found + [asked(tokenizer, one) for one in rows]
    except (LoratuiError, OSError):  # its data is gone: the prompts alone prove it
        return found


def answers_of(
    models: LoadedModels, side: str, prompts: list[list[int]], tell: Callable[[str], None] = lambda what: None
) -> list[str]:
    """Greedy answers. tell: hears which of them come."""
    texts: list[str] = []
    for start in range(0, len(prompts), BATCH_ROWS):
        batch = prompts[start : start + BATCH_ROWS]
        tell(f"{start + 1} to {start + len(batch)} of {len(prompts)} whole answers")
        texts += [one.text for one in generate_batch(models, side, batch, WHOLE_ANSWER)]
    return texts


def _conversations(target: Target) -> list[Conversation]:
    pinned = target.plan.evaluation.prompts if target.plan else []
    return [conversation([{"role": "user", "content": text}]) for text in (*PROMPTS, *pinned)]


def _answered(model: Any, ids: list[int], pad_id: int) -> list[int]:
    """The question and the model's greedy answer, as token ids."""
    batch = torch.tensor([ids], device=model.device)
    with torch.inference_mode():
        answer = model.generate(
            batch,
            attention_mask=torch.ones_like(batch),
            do_sample=False,
            max_new_tokens=ANSWER_TOKENS,
            pad_token_id=pad_id,
        )
    return [int(one) for one in answer[0]]


def logits_of(model: Any, ids: list[int]) -> torch.Tensor:
    """Logits of every position, [tokens, vocabulary], float32 on the CPU."""
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([ids], device=model.device)).logits[0]
    return logits.float().cpu()
