"""Answers generated during the training: to pinned prompts, and to a few held-out rows whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from loratui.core.plan import Plan
from loratui.core.time_around import (
    ANSWERED_ROWS,
    LONGEST_ANSWER_TOKENS,
    LONGEST_ANSWERING_SECONDS,
    answered_together,
    longest_answer,
)
from loratui.data.conversation import Conversation, Message
from loratui.evaluation.scoring import exact_match, rouge
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import IGNORED
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.journal import Journal
from loratui.worker.training.rows import Rows

SHOWN_ROWS = 2


@dataclass(frozen=True)
class Question:
    """A prompt as token ids, and the written answer where there is one."""

    ids: list[int]
    prompt: str
    expected: str = ""


class _Asked(StoppingCriteria):
    """Ends the answers once somebody asks for it."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self.asked = asked

    def __call__(self, input_ids: torch.Tensor, scores: Any, **options: Any) -> Any:
        return torch.full((len(input_ids),), self.asked(), dtype=torch.bool, device=input_ids.device)


@dataclass
class Answering:
    """Asks the model at each evaluation; what it says becomes `sample` events and figures of the `eval` event."""

    plan: Plan
    journal: Journal
    tokeniser: Tokeniser
    model: Any
    accelerator: Any
    pinned: list[Question] = field(default_factory=list)
    compared: list[Question] = field(default_factory=list)
    longest_answer_tokens: int = 32
    together: bool = False
    """Whether several processes answer together, each with its share of the weights: then no clock of one may end
    it.
    """
    asked_to_stop: Callable[[], bool] = lambda: False

    @classmethod
    def of(cls, plan: Plan, journal: Journal, tokeniser: Tokeniser, trainer: Any, prepared: Prepared) -> Answering:
        """Choose the rows and render the prompts."""
        compared = questions_of(prepared.held_out, tokeniser, ANSWERED_ROWS)
        longest = max((len(tokeniser.tokenizer(question.expected)["input_ids"]) for question in compared), default=64)
        answering = cls(
            plan,
            journal,
            tokeniser,
            trainer.accelerator.unwrap_model(trainer.model),
            trainer.accelerator,
            compared=compared,
            longest_answer_tokens=longest_answer(longest),
            together=trainer.is_fsdp_enabled,
        )
        for prompt in plan.evaluation.prompts:
            row = Conversation(text=prompt) if prepared.plain else Conversation((Message("user", prompt),))
            text = tokeniser.prompt_text(row)
            answering.pinned.append(
                Question(tokeniser.tokenizer(text, add_special_tokens=prepared.plain)["input_ids"], prompt)
            )
        return answering

    def ask(self, step: int) -> dict[str, Any] | None:
        """Answer everything; the figures that go into the `eval` event. None, and nothing told, where a stop broke it
        off.
        """
        pinned = self._answers(self.pinned, LONGEST_ANSWER_TOKENS)
        answers = self._answers(self.compared, self.longest_answer_tokens)
        if pinned is None or answers is None:
            return None
        for question, answer in zip(self.pinned, pinned, strict=True):
            self.journal.emit("sample", step=step, prompt=question.prompt, answer=answer)
        if not self.compared:
            return {}
        for question, answer in list(zip(self.compared, answers, strict=True))[:SHOWN_ROWS]:
            self.journal.emit(
                "sample", step=step, prompt=question.prompt, answer=answer, expected=question.expected, pinned=False
            )
        expected = [question.expected for question in self.compared]
        return {
            "exact_match": fmean(map(exact_match, answers, expected)),
            "rouge_l": fmean(rouge("rougeL", *pair) for pair in zip(answers, expected, strict=True)),
            "generated": len(answers),
        }

    @torch.no_grad()
    def _answers(self, questions: Sequence[Question], longest_tokens: int) -> list[str] | None:
        """Greedy answers in batches; None where a stop broke them off, which no process does alone that answers
        together with others.
        """
        tokenizer = self.tokeniser.tokenizer
        self.model.eval()
        settings = GenerationConfig(
            max_new_tokens=longest_tokens,
            do_sample=False,
            num_beams=1,
            use_cache=True,
            eos_token_id=sorted(self.tokeniser.stop_ids),
            pad_token_id=tokenizer.pad_token_id,
            max_time=None if self.together else LONGEST_ANSWERING_SECONDS,
        )
        stops = None if self.together else StoppingCriteriaList([_Asked(self.asked_to_stop)])
        size = answered_together(self.plan)
        found: list[str] = []
        for start in range(0, len(questions), size):
            batch = [question.ids for question in questions[start : start + size]]
            width = max(map(len, batch))
            ids = torch.tensor(
                [[tokenizer.pad_token_id] * (width - len(row)) + row for row in batch], device=self.model.device
            )
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=self.model.device)
            with self.accelerator.autocast():
                output = self.model.generate(
                    input_ids=ids, attention_mask=mask, generation_config=settings, stopping_criteria=stops
                )
            if stops is not None and self.asked_to_stop():
                return None
            found += tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        return found


def questions_of(rows: Rows, tokeniser: Tokeniser, count: int) -> list[Question]:
    """Held-out rows, evenly spread, whose last answer is whole and as it should be: what comes before it, and the
    answer.
    """
    found = []
    usable = []
    for number in np.flatnonzero((rows.start == 0) & rows.exemplary).tolist():  # a later piece asks nothing
        ids, labels = rows.ids(number), rows.labels(number)
        last = max(at for at, label in enumerate(labels) if label != IGNORED)
        first = last
        while first > 0 and labels[first - 1] != IGNORED:
            first -= 1
        if first > 0 and ids[last] in tokeniser.stop_ids:  # plain text has no question, and a cut answer no end
            usable.append((number, first, last))
    step = max(1, len(usable) // count)
    for number, first, last in usable[::step][:count]:
        ids = rows.ids(number)
        answer = tokeniser.tokenizer.decode(ids[first : last + 1], skip_special_tokens=True)
        found.append(Question(ids[:first], rows.question(number), answer))
    return found
