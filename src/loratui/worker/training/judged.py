"""Answers with a label that says whether they are wanted, as KTO's trainer takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loratui.core.plan import Plan
from loratui.core.preferences import fair_weight, imbalance
from loratui.worker.token_table import Ints, TokenTable
from loratui.worker.training.pairs import answer_of
from loratui.worker.training.rows import NOTHING_LEFT, Lost, Reading, Rows, Severity


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass
class Judged(Rows):
    """Judged answers of one part, in the order in which they are trained on.

    prompt: tokens before the answer. whole: where the answer ends before it is cut. label: 1 where such answers are
    wanted, else 0. block: rows within which each answer is also read after the question of the next one, from which
    KTO's KL is estimated; 0: it is not. limit: tokens after which a row is cut; 0: none.
    """

    prompt: Ints = field(default_factory=_none)
    whole: Ints = field(default_factory=_none)
    label: Ints = field(default_factory=_none)
    block: int = 0
    limit: int = 0

    @property
    def trained(self) -> Ints:
        """Tokens of each answer."""
        answers: Ints = self.end - self.prompt
        return answers

    @property
    def exemplary(self) -> NDArray[np.bool_]:
        """Of each answer, whether it is wanted."""
        return np.asarray(self.label == 1)

    @property
    def desirable_share(self) -> float:
        """Share of the answers that are wanted."""
        return float(self.label.mean()) if len(self.label) else 0.0

    def imbalance(self, desirable: float, undesirable: float) -> str:
        """As `core.preferences.imbalance`, of these answers."""
        wanted = int(self.label.sum())
        return imbalance(wanted, len(self) - wanted, desirable, undesirable)

    def findings(self, plan: Plan) -> Iterator[tuple[str, Severity, str, dict[str, Any]]]:
        """Imbalance of the two kinds."""
        if told := self.imbalance(plan.preference.desirable_weight, plan.preference.undesirable_weight):
            wanted = int(self.label.sum())
            mend = dict([fair_weight(wanted, len(self) - wanted)]) if 0 < wanted < len(self) else {}
            yield "imbalance", "warning", told, mend

    def chosen(self, numbers: Any) -> Judged:
        """Some of the answers, in the order given; what became of the others is not told."""
        at = np.asarray(numbers, dtype=np.int64)
        return Judged(
            self.table,
            self.row[at],
            self.start[at],
            self.end[at],
            read=self.read,
            prompt=self.prompt[at],
            whole=self.whole[at],
            label=self.label[at],
            block=self.block,
            limit=self.limit,
        )

    def fingerprint(self) -> str:
        """Equal for the same answers in the same order, cut at the same places; no token is read for it."""
        digest = blake2b(digest_size=16)
        for column in (self.table.digests[self.row], self.prompt, self.end, self.label):
            digest.update(column.astype("<i8").tobytes())
        return digest.hexdigest()

    def as_dataset(self, *, written: bool = False) -> Any:
        """The answers as TRL's collator takes them, each batch read when it is asked for. written: is never asked for,
        since they are not packed.
        """
        from datasets import Dataset

        columns = {"row": self.row, "prompt": self.prompt, "end": self.end, "label": self.label.astype(bool)}
        if self.block:
            before = before_in_block(len(self), self.block)
            columns |= {"kl_row": self.row[before], "kl_first": self.prompt[before], "kl_end": self.whole[before]}
        dataset = Dataset.from_dict(columns)
        dataset.set_transform(ReadingJudged(self.table, self.limit))
        return dataset


def before_in_block(rows: int, block: int) -> Ints:
    """Of each row the one before it in its block; of a block's first row the block's last: as TRL 1.16 pairs them."""
    at = np.arange(rows)
    first = at - at % block
    last = np.minimum(first + block, rows) - 1
    return np.where(at == first, last, at - 1)


class ReadingJudged(Reading):
    """Turns places in a table into the answers that lie there, a batch at a time; log-probabilities are handed on."""

    def __init__(self, table: TokenTable, limit: int) -> None:
        super().__init__(table)
        self._limit = limit

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        ids, prompts = self._table.ids, batch["prompt"]
        rows = list(zip(batch["row"], prompts, strict=True))
        found: dict[str, list[Any]] = {
            "prompt_ids": [ids(row, 0, prompt).tolist() for row, prompt in rows],
            "completion_ids": [
                ids(row, prompt, end).tolist() for (row, prompt), end in zip(rows, batch["end"], strict=True)
            ],
            "label": batch["label"],
        }
        if "kl_row" in batch:
            places = zip(batch["kl_row"], batch["kl_first"], batch["kl_end"], prompts, strict=True)
            found["KL_completion_ids"] = [
                ids(row, first, min(end, first + self._limit - prompt) if self._limit else end).tolist()
                for row, first, end, prompt in places
            ]
        return found | {name: batch[name] for name in batch if name.endswith("_logps")}


def judged_of(
    table: TokenTable, part: Ints, max_length: int, *, sides: int, block: int, seed: int, shuffled: bool
) -> tuple[Judged, list[Lost]]:
    """The judged answers of the rows with these numbers, cut to the maximum length (0: not), and those that cannot be
    used. sides: 2 where the rows are pairs, each side of which is an answer. shuffled: in the order that `datasets`
    gives them with this seed: TRL takes them in the order in which they lie, since the KL needs its blocks.
    """
    kept: list[tuple[int, int, int, int]] = []
    lost: list[Lost] = []
    cut = 0
    rows = (part[:, None] * sides + np.arange(sides)).reshape(-1)
    if shuffled:
        rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    for row in rows.tolist():
        if table.refused[row]:
            lost.append(Lost(row, "template", table.value(row, "refused")))
            continue
        first, end = answer_of(table, row)
        limit = max_length or end
        cut += end > limit
        if first >= min(limit, end):
            lost.append(Lost(row, "no-answer", NOTHING_LEFT))
            continue
        kept.append((row, first, min(end, limit), end))
    columns = np.array(kept, dtype=np.int64).reshape(-1, 4).T
    label = table.desirable[columns[0]].astype(np.int64)
    judged = Judged(
        table,
        columns[0],
        np.zeros_like(columns[0]),
        columns[2],
        prompt=columns[1],
        whole=columns[3],
        label=label,
        block=block,
        limit=max_length,
    )
    judged.cut = cut
    judged.answers = int(table.answers[columns[0]].sum())
    judged.answers_unended = judged.answers - int(table.ended[columns[0]].sum())
    judged.without_answer = sum(one.kind == "no-answer" for one in lost)
    return judged, lost
