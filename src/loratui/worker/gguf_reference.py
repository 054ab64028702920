"""What a run says, as llama.cpp's tools can be held against it: greedy answers, tokens, and logits in the form of
`llama-perplexity --kl-divergence-base` (tools/perplexity/perplexity.cpp); and the rows for an importance matrix.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratui.core.errors import LoratuiError
from loratui.export.gguf_proof import LEAST_POSITIONS, Reference, looked_at
from loratui.worker.loading import load_models
from loratui.workers.protocol import ADAPTER, BASE
from loratui.workers.questions import Question, held_out_questions, training_questions
from loratui.workers.target import Target

if TYPE_CHECKING:
    import numpy as np
    import torch

    from loratui.worker.generation.load import LoadedModels

PIECE_TOKENS, MOST_PIECES, MOST_BYTES = 512, 8, 2**28
"""Of a piece, llama-perplexity looks at the second half. The file of logits has two bytes for every token of the
vocabulary at each position."""
ROWS, TEXTS = 200, 16
LOWEST_LOGIT = 16.0
"""Below the largest one: what is less likely is written as this."""


def reference(target: Target, folder: Path) -> Reference:
    """Load the run, ask it, and write its logits into `folder`. Raises LoratuiError."""
    from loratui.worker.generation.prompt import render
    from loratui.worker.merge_answers import WHOLE_ANSWER, answers_of, proof_questions

    models = load_models(target.load, target.title)
    side = ADAPTER if ADAPTER in target.load.sides else BASE
    asked = [render(models.tokenizer, one) for one in proof_questions(models.tokenizer, target)]
    prompts = [ids for _, ids in asked]
    answers = answers_of(models, side, prompts)
    texts = [_as_it_stands(models.tokenizer, text) for text, _ in asked[:TEXTS]]
    rows, words = _rows(models, target)
    pieces = _pieces(rows, models)
    logits = folder / "run.logits" if pieces else None
    perplexities = _write_logits(models, side, pieces, logits) if logits is not None else []
    return Reference(
        target.title,
        texts,
        prompts,
        answers,
        WHOLE_ANSWER.max_tokens,
        models.context_tokens,
        logits,
        len(pieces[0]) if pieces else 0,
        perplexities,
        words,
    )


def training_text(target: Target, most_characters: int) -> str:
    """The rows that a run learnt, as the model read them, one after the other; "" for what is no run. LoratuiError
    where they cannot be read any more.
    """
    from loratui.worker.evaluating import tokeniser_of
    from loratui.worker.tokenizer import load_tokenizer

    if target.plan is None:
        return ""
    tokeniser = tokeniser_of(load_tokenizer(target.plan), target.plan)
    texts: list[str] = []
    for one in training_questions(target.plan):
        if one.whole is None or most_characters <= 0:
            continue
        try:
            texts.append(tokeniser.render(one.whole).text)
        except LoratuiError:  # training refused it, too
            continue
        most_characters -= len(texts[-1])
    return "".join(texts)


def _as_it_stands(tokenizer: Any, text: str) -> tuple[str, list[int]]:
    return text, [int(one) for one in tokenizer(text, add_special_tokens=False)["input_ids"]]


def _rows(models: LoadedModels, target: Target) -> tuple[list[list[int]], str]:
    """Rows as training reads them, those held out where there are enough; and what they are called."""
    from loratui.worker.evaluating import tokeniser_of
    from loratui.worker.generation.likelihood import written

    if target.plan is None:
        return [], ""
    tokeniser = tokeniser_of(models.tokenizer, target.plan, models.stop_ids)

    def read(questions: Sequence[Question] | Iterator[Question]) -> Iterator[list[int]]:
        for one in questions:
            if one.whole is None:
                continue
            try:
                yield written(tokeniser, one.whole, (one.index, 0), models.context_tokens).ids
            except LoratuiError:  # training refuses it, too
                continue

    try:
        for words, questions in (
            ("its held-out rows", lambda plan: held_out_questions(plan, ROWS)),
            ("its training rows", training_questions),
        ):
            found = list(islice(read(questions(target.plan)), ROWS))
            if sum(map(len, found)) > 4 * LEAST_POSITIONS:
                return found, words
    except (LoratuiError, OSError):  # its data is gone: the answers alone are compared
        pass
    return [], ""


def _pieces(rows: Sequence[Sequence[int]], models: LoadedModels) -> list[list[int]]:
    """The rows end to end, in pieces of one length."""
    from loratui.worker.saved_tokenizer import added_around

    stream = [one for row in rows for one in row]
    size = min(PIECE_TOKENS, models.context_tokens or PIECE_TOKENS, len(stream))
    positions = looked_at(size)
    if positions <= 0:
        return []
    vocabulary = int(models.base.config.get_text_config().vocab_size)
    count = max(1, min(MOST_PIECES, len(stream) // size, MOST_BYTES // (2 * positions * vocabulary)))
    if count * positions < LEAST_POSITIONS:
        return []
    pieces = [stream[start * size : (start + 1) * size] for start in range(count)]
    if added_around(models.tokenizer).get("add_bos_token"):  # llama-perplexity begins every piece so
        pieces = [[models.tokenizer.bos_token_id, *piece[1:]] for piece in pieces]
    return pieces


def _write_logits(models: LoadedModels, side: str, pieces: Sequence[Sequence[int]], path: Path) -> list[float]:
    """The file, and the run's own perplexity after each piece."""
    import numpy as np

    from loratui.worker.merge_answers import logits_of

    model, size = models.use(side), len(pieces[0])
    first, nats, found = size // 2, [], []
    with path.open("wb") as file:
        for number, piece in enumerate(pieces):
            logits = logits_of(model, list(piece))[first : size - 1]
            if not number:
                file.write(b"_logits_" + struct.pack("<Iii", size, logits.shape[-1], len(pieces)))
                file.write(np.array(pieces, dtype=np.int32).tobytes())
            file.write(_packed(logits).tobytes())
            wanted = logits.log_softmax(-1)[range(len(logits)), list(piece[first + 1 :])]
            nats += [-float(one) for one in wanted]
            found.append(math.exp(sum(nats) / len(nats)))
    return found


def _packed(logits: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Logits of some positions in 16 bits each, after a scale and the least log-probability in float32."""
    import numpy as np

    count, vocabulary = logits.shape
    largest = logits.max(-1, keepdim=True).values
    least = logits.min(-1, keepdim=True).values.maximum(largest - LOWEST_LOGIT)
    scale = (largest - least) / 65535
    out = np.zeros((count, 2 * ((vocabulary + 1) // 2) + 4), dtype=np.uint16)
    head = np.concatenate([scale.numpy(), (least - logits.logsumexp(-1, keepdim=True)).numpy()], axis=1)
    out[:, :4] = head.astype("<f4").view(np.uint16)
    whole = ((logits - least) / scale.clamp_min(1e-30)).round().clamp(0, 65535)
    out[:, 4 : 4 + vocabulary] = whole.numpy().astype(np.uint16)
    return out
