"""Preference pairs as the trainer takes them: in the stored tokens the chosen side of each lies before the rejected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from loratui.core.plan import Plan
from loratui.worker.length_bias import LengthBias
from loratui.worker.token_table import Ints, TokenTable
from loratui.worker.tokenised import IGNORED
from loratui.worker.training.rows import NOTHING_LEFT, Lost, Reading, Rows, Severity

UNLIKE = "the chat template writes the question otherwise for each of the two answers."


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass
class Pairs(Rows):
    """Pairs of one part. row, end: of the chosen side; the rejected one is the next row of the table.

    prompt: tokens that both sides begin with, before the answers. rejected_end: of the rejected side. Each side is cut
    at the maximum length and ends with its answer's last token: what a template writes after it is not learnt.
    """

    prompt: Ints = field(default_factory=_none)
    rejected_end: Ints = field(default_factory=_none)
    whole_sides: bool = False
    """Each side is handed on with its question and its labels, as ORPO's trainer wants them."""

    @property
    def lengths(self) -> Ints:
        """Tokens of the longer side of each pair: what a batch is padded to."""
        longer: Ints = np.maximum(self.end, self.rejected_end)
        return longer

    @property
    def tokens(self) -> int:
        return int(self.end.sum() + self.rejected_end.sum())

    @property
    def trained(self) -> Ints:
        """Tokens of both answers of each pair."""
        answers: Ints = self.end + self.rejected_end - 2 * self.prompt
        return answers

    def length_bias(self) -> str:
        """How often the longer answer is the chosen one, where length alone says more than chance would; else empty."""
        return LengthBias(
            int((self.end != self.rejected_end).sum()), int((self.end > self.rejected_end).sum())
        ).sentence

    def findings(self, plan: Plan) -> Iterator[tuple[str, Severity, str, dict[str, Any]]]:
        """Length bias."""
        if told := self.length_bias():
            yield "length-bias", "info", told, {}

    def chosen(self, numbers: Any) -> Pairs:
        """Some of the pairs, in the order given; what became of the others is not told."""
        at = np.asarray(numbers, dtype=np.int64)
        return Pairs(
            self.table,
            self.row[at],
            self.start[at],
            self.end[at],
            read=self.read,
            prompt=self.prompt[at],
            rejected_end=self.rejected_end[at],
            whole_sides=self.whole_sides,
        )

    def fingerprint(self) -> str:
        """Equal for the same pairs in the same order, cut at the same places; no token is read for it."""
        digests = self.table.digests
        digest = blake2b(digest_size=16)
        for column in (digests[self.row], digests[self.row + 1], self.prompt, self.end, self.rejected_end):
            digest.update(column.astype("<i8").tobytes())
        return digest.hexdigest()

    def as_dataset(self, *, written: bool = False) -> Any:
        """The pairs as TRL's collator takes them, each batch read when it is asked for. written: is never asked for,
        since pairs are not packed.
        """
        from datasets import Dataset

        columns = {"row": self.row, "prompt": self.prompt, "end": self.end, "rejected_end": self.rejected_end}
        dataset = Dataset.from_dict(columns)
        dataset.set_transform((ReadingSides if self.whole_sides else ReadingPairs)(self.table))
        return dataset


class ReadingPairs(Reading):
    """Turns places in a table into the pairs that lie there, a batch at a time; log-probabilities are handed on."""

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        ids, rows, prompts = self._table.ids, batch["row"], batch["prompt"]
        chosen = [ids(*place).tolist() for place in zip(rows, prompts, batch["end"], strict=True)]
        rejected = [
            ids(row + 1, prompt, end).tolist()
            for row, prompt, end in zip(rows, prompts, batch["rejected_end"], strict=True)
        ]
        more = {name: batch[name] for name in batch if name.endswith("_logps")}
        prompt_ids = [ids(row, 0, prompt).tolist() for row, prompt in zip(rows, prompts, strict=True)]
        return {"prompt_ids": prompt_ids, "chosen_ids": chosen, "rejected_ids": rejected, **more}


class ReadingSides(ReadingPairs):
    """The same for ORPO's trainer: question, and each side whole, with labels where its answer stands."""

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        found = super().__call__(batch)
        prompts = found["prompt_ids"]
        told = {"prompt_input_ids": prompts, "prompt_attention_mask": [[1] * len(one) for one in prompts]}
        for side in ("chosen", "rejected"):
            answers = found[f"{side}_ids"]
            both = list(zip(prompts, answers, strict=True))
            told[f"{side}_input_ids"] = [prompt + answer for prompt, answer in both]
            told[f"{side}_attention_mask"] = [[1] * len(prompt + answer) for prompt, answer in both]
            told[f"{side}_labels"] = [[IGNORED] * len(prompt) + answer for prompt, answer in both]
        return told


def pairs_of(table: TokenTable, part: Ints, max_length: int, *, whole_sides: bool = False) -> tuple[Pairs, list[Lost]]:
    """The pairs with these numbers, cut to the maximum length (0: not), and those that cannot be used."""
    kept: list[tuple[int, int, int, int]] = []
    lost: list[Lost] = []
    cut = 0
    for number in part.tolist():
        row = 2 * number
        refused = next((side for side in (row, row + 1) if table.refused[side]), None)
        if refused is not None:
            lost.append(Lost(row, "template", table.value(refused, "refused")))
            continue
        (first, end), (other_first, other_end) = answer_of(table, row), answer_of(table, row + 1)
        prompt = min(first, other_first)
        if not np.array_equal(table.ids(row, 0, prompt), table.ids(row + 1, 0, prompt)):
            lost.append(Lost(row, "pair-prompt", UNLIKE))
            continue
        limit = max_length or max(end, other_end)
        cut += max(end, other_end) > limit
        if prompt >= min(limit, end, other_end):
            lost.append(Lost(row, "no-answer", NOTHING_LEFT))
            continue
        kept.append((row, prompt, min(end, limit), min(other_end, limit)))
    columns = np.array(kept, dtype=np.int64).reshape(-1, 4).T
    pairs = Pairs(table, columns[0], np.zeros_like(columns[0]), columns[2], prompt=columns[1], rejected_end=columns[3])
    pairs.whole_sides = whole_sides
    pairs.cut = cut
    sides = np.concatenate([columns[0], columns[0] + 1])
    pairs.answers = int(table.answers[sides].sum())
    pairs.answers_unended = pairs.answers - int(table.ended[sides].sum())
    pairs.without_answer = sum(one.kind == "no-answer" for one in lost)
    return pairs, lost


def answer_of(table: TokenTable, row: int) -> tuple[int, int]:
    """Where a row's answer begins and ends (excluded) among its tokens; both 0 where it has none."""
    spans = table.spans[table.span_first[row] : table.span_first[row + 1]]
    return (int(spans[0, 0]), int(spans[-1, 1])) if len(spans) else (0, 0)
