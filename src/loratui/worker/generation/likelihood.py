"""How likely a model finds answers that are written already, many at once."""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from loratui.core.errors import InputError
from loratui.data.conversation import Conversation
from loratui.worker.generation.finite import no_numbers
from loratui.worker.generation.load import LoadedModels
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import IGNORED

LOGITS_BYTES = 2**28
"""Most that the logits of one batch may take, in float32."""
LARGEST_BATCH = 16


@dataclass(frozen=True, slots=True)
class Written:
    """A row as token ids; labels as in training: what bears no loss is IGNORED."""

    key: tuple[int, int]
    ids: list[int]
    labels: list[int]


Likelihood = tuple[float, int, int]
"""Negative log-likelihood in nats of the tokens that bear loss, how many they are, and how many were the likeliest."""


def written(tokeniser: Tokeniser, row: Conversation, key: tuple[int, int], context_tokens: int) -> Written:
    """A row as training would read it, whole. InputError where nothing of it bears loss or it exceeds the model's
    context (0: no bound), ModelError where the template refuses it.
    """
    found = tokeniser.one(row)
    if context_tokens and len(found.input_ids) > context_tokens:
        raise InputError(
            f"it has {len(found.input_ids):,} tokens with its answer; this model's context holds {context_tokens:,}."
        )
    if not found.trained_tokens:
        raise InputError("nothing of it bears loss.")
    return Written(key, list(found.input_ids), list(found.labels))


def likelihoods(
    models: LoadedModels, side: str, rows: Sequence[Written], done: Container[tuple[int, int]] = ()
) -> Iterator[dict[tuple[int, int], Likelihood]]:
    """The likelihood of every row by its key, batch by batch, the longest first, but for those that are `done`. Halves
    a batch where the GPU's memory does not suffice.

    The batches are those of a start that was never broken off: what it finds is found, to the last rounding.
    """
    model = models.use(side)
    width = _vocabulary(model)
    waiting = sorted(rows, key=lambda row: -len(row.ids))
    while waiting:
        longest = len(waiting[0].ids)
        size = max(1, min(LARGEST_BATCH, LOGITS_BYTES // (4 * width * longest)))
        batch, waiting = waiting[:size], waiting[size:]
        new = {row.key for row in batch if row.key not in done}
        for found in _batch(models, model, batch) if new else ():
            yield {key: one for key, one in found.items() if key in new}


def _batch(models: LoadedModels, model: Any, batch: list[Written]) -> Iterator[dict[tuple[int, int], Likelihood]]:
    try:
        yield {row.key: found for row, found in zip(batch, _forward(models, model, batch), strict=True)}
        return
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    yield from _batch(models, model, batch[:middle])
    yield from _batch(models, model, batch[middle:])


@torch.inference_mode()
def _forward(models: LoadedModels, model: Any, batch: list[Written]) -> list[Likelihood]:
    width = max(len(row.ids) for row in batch)
    ids = torch.full((len(batch), width), models.pad_id)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    labels = torch.full((len(batch), width), IGNORED)
    for number, row in enumerate(batch):
        ids[number, : len(row.ids)] = torch.tensor(row.ids)
        mask[number, : len(row.ids)] = 1
        labels[number, : len(row.ids)] = torch.tensor(row.labels)
    labels[:, 0] = IGNORED  # the first token is never predicted
    first = int((labels != IGNORED).any(0).nonzero()[0]) - 1
    kept: dict[str, Any] = {"logits_to_keep": width - first} if _can_keep(model) else {}
    logits = model(
        input_ids=ids.to(models.device), attention_mask=mask.to(models.device), use_cache=False, **kept
    ).logits
    logits = logits[:, -(width - first) :][:, :-1]
    wanted = labels[:, first + 1 :].to(logits.device)
    found = []
    for scores, targets in zip(logits, wanted, strict=True):
        places = targets != IGNORED
        scores, targets = scores[places].float(), targets[places]
        if bool(scores.isnan().any()):
            raise no_numbers(model)
        nll = scores.logsumexp(-1) - scores.gather(-1, targets[:, None])[:, 0]
        found.append((float(nll.double().sum()), len(targets), int((scores.argmax(-1) == targets).sum())))
    return found


def _can_keep(model: Any) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _vocabulary(model: Any) -> int:
    return int(getattr(model.get_output_embeddings(), "out_features", 0) or len(model.get_input_embeddings().weight))
