"""The plan's rows as token ids and labels, split into those that train and those held out."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from loratui.core.dataset import DataFacts
from loratui.core.errors import DatasetError, ModelError
from loratui.core.plan import DatasetSection, Plan
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.find import find_evaluation, find_planned
from loratui.data.found import FoundDataset
from loratui.data.preferences import require_answer
from loratui.data.read import read_rows, require_rows, sample_rows
from loratui.data.recognise import recognise
from loratui.data.row import Row
from loratui.data.row_filter import LeftOut, RowFilter, filter_rows
from loratui.data.split import RowKeys, keys_for, split_rows
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import IGNORED, BeyondVocabulary, Tokenised

log = logging.getLogger("loratui")
RECOGNISED_ROWS = 200
LOGGED_ROWS = 20
"""How many unusable rows are named one by one in the worker's log."""


@dataclass
class Rows:
    """Rows of one part, and what became of those that were read."""

    ids: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    """What was asked in each row, for people; kept for the held-out rows only."""
    keep_questions: bool = False
    read: int = 0
    unusable: int = 0
    cut: int = 0
    without_answer: int = 0
    answers: int = 0
    answers_unended: int = 0
    """Answers that do not end in a token at which generation stops."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.ids))

    @property
    def trained_tokens(self) -> int:
        return sum(sum(label != IGNORED for label in labels[1:]) for labels in self.labels)

    @property
    def longest(self) -> int:
        return max(map(len, self.ids), default=0)

    def take(self, row: Tokenised, question: str = "") -> bool:
        """Count a row and keep it; False where nothing of it would be learnt."""
        self.cut += row.cut
        self.answers += row.answers
        self.answers_unended += row.answers - row.answers_ended
        if row.trained_tokens == 0:
            self.without_answer += 1
            return False
        self.ids.append(row.input_ids)
        self.labels.append(row.labels)
        if self.keep_questions:
            self.questions.append(question)
        return True

    def fingerprint(self) -> str:
        """Equal for the same tokens and labels in the same order."""
        digest = blake2b(digest_size=16)
        for ids, labels in zip(self.ids, self.labels, strict=True):
            digest.update(repr((ids, labels)).encode())
        return digest.hexdigest()

    def as_dataset(self) -> Any:
        """The rows as the trainer takes them."""
        from datasets import Dataset

        return Dataset.from_dict({"input_ids": self.ids, "labels": self.labels})


@dataclass
class Prepared:
    """Both parts, ready for the trainer."""

    train: Rows
    held_out: Rows
    plain: bool = False
    """The rows are plain text: prompts go to the model as they are."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Every row that is neither trained on nor held out, with the reason."""

    @property
    def facts(self) -> DataFacts:
        """Lengths and counts, as the calculation wants them."""
        lengths = tuple(sorted(map(len, self.train.ids)))
        return DataFacts(
            len(lengths),
            lengths,
            trained_share=self.train.trained_tokens / max(1, self.train.tokens),
            eval_examples=len(self.held_out),
        )


def prepare(
    plan: Plan, tokeniser: Tokeniser, *, progress: Callable[[int, int], None] = lambda rows, of: None
) -> Prepared:
    """Read, recognise, split and tokenise the plan's dataset.

    `progress` is told how many rows are done, and of how many. Raises DatasetError when there is no row to train on,
    ModelError when the chat template refuses them all.
    """
    dataset = plan.dataset
    found = find_planned(dataset)
    rows = _Reader(plan, found, tokeniser, progress)
    reader: _Reader | None = None
    apart = bool(dataset.eval_path or found.eval_files)
    numbers, keys = rows.usable(RowFilter(dataset, found), keys_for(dataset, apart=apart))
    if apart:
        evaluation = find_evaluation(dataset) if dataset.eval_path else found
        reader = _Reader(plan, evaluation, tokeniser, progress, evaluation=not dataset.eval_path, held_out=True)
        asked, _ = reader.usable(RowFilter(DatasetSection(), evaluation), keys_for(dataset, apart=True))
        held = reader.tokenise(set(asked))[0]
        train = rows.tokenise(set(numbers))[0]
        held.read, held.unusable = reader.read, held.unusable + reader.unusable
    else:
        split = split_rows(dataset, keys, plan.training.seed)
        train, held = rows.tokenise({numbers[at] for at in split.train}, {numbers[at] for at in split.evaluation})
    train.read, train.unusable = rows.read, train.unusable + rows.unusable
    if not len(train):
        raise rows.why_empty(train)
    left_out = [*rows.left_out, *(reader.left_out if reader is not None else ())]
    return Prepared(train, held, rows.recognition.format in ("text", "tokens"), left_out)


class _Reader:
    def __init__(
        self,
        plan: Plan,
        found: FoundDataset,
        tokeniser: Tokeniser,
        progress: Callable[[int, int], None],
        *,
        evaluation: bool = False,
        held_out: bool = False,
    ) -> None:
        self.found, self.tokeniser, self.progress, self.evaluation, self.held_out = (
            found,
            tokeniser,
            progress,
            evaluation,
            held_out,
        )
        sample = sample_rows(found, RECOGNISED_ROWS, evaluation=evaluation)
        require_rows(found, sample)
        self.recognition = recognise(sample, plan.dataset.format, plan.dataset.columns, where=found.path)
        require_answer(self.recognition, plan.dataset, where=found.path)
        self.first_error = ""
        self.read = 0
        self.unusable = 0
        self._named = 0
        self.left_out: list[LeftOut] = []
        self.wanted = frozenset(("by-hand", *plan.dataset.leave_out))
        """Kinds of rows that a person left out; the others cannot be used."""

    def _rows(self) -> Iterator[Row]:
        return read_rows(self.found, evaluation=self.evaluation, unfold=self.recognition.unfold)

    def usable(self, row_filter: RowFilter, keys: RowKeys) -> tuple[list[int], RowKeys]:
        """Numbers and keys of the rows that can be trained on; the others are counted, kept and named in the log."""
        found: list[int] = []
        for row, filtered in filter_rows(row_filter, self._rows(), self.recognition):
            self.read += not isinstance(filtered, LeftOut) or filtered.kind not in self.wanted
            if isinstance(filtered, LeftOut):
                self._leave_out(filtered)
            else:
                found.append(row.index)
                keys.add(filtered)
        return found, keys

    def tokenise(self, *parts: set[int]) -> tuple[Rows, ...]:
        """One `Rows` for each set of row numbers, in the dataset's order; the second set is held out."""
        results = tuple(Rows(keep_questions=self.held_out or number > 0) for number, _ in enumerate(parts))
        waiting: deque[tuple[Rows, Row, str]] = deque()
        of = sum(map(len, parts))
        for done, row in enumerate(self.tokeniser.many(self._conversations(parts, results, waiting)), 1):
            target, read, question = waiting.popleft()
            if isinstance(row, BeyondVocabulary):
                raise DatasetError(row.message, where=self._place(read.index, read.line), hint=row.hint)
            if isinstance(row, ModelError):
                target.unusable += 1
                self._leave_out(LeftOut(read.index, read.line, read.file, "template", row.message), counted=False)
            elif not target.take(row, question):
                self.left_out.append(
                    LeftOut(
                        read.index,
                        read.line,
                        read.file,
                        "no-answer",
                        "no token of it that bears loss is left within the maximum length.",
                    )
                )
            if done % 1000 == 0:
                self.progress(done, of)
        return results

    def _conversations(
        self, parts: tuple[set[int], ...], results: tuple[Rows, ...], waiting: deque[tuple[Rows, Row, str]]
    ) -> Iterator[Conversation]:
        for row in self._rows():
            for part, result in zip(parts, results, strict=True):
                if row.index in part:
                    conversation = to_conversation(row, self.recognition)
                    asked = conversation.prompt[-1].content if result.keep_questions and conversation.prompt else ""
                    waiting.append((result, row, asked))
                    yield conversation

    def _leave_out(self, row: LeftOut, *, counted: bool = True) -> None:
        """Keep why a row is not used; the first ones that could not be used stand in the log, too."""
        self.left_out.append(row)
        if row.kind in self.wanted:
            return
        self.unusable += counted
        place = self._place(row.index, row.line)
        self.first_error = self.first_error or f"{place}: {row.message}"
        self._named += 1
        if self._named <= LOGGED_ROWS:
            log.warning("left out: %s: %s", place, row.message)

    def _place(self, index: int, line: int | None) -> str:
        return f"{self.found.path}, line {line}" if line is not None else f"{self.found.path}, row {index + 1}"

    def why_empty(self, rows: Rows) -> DatasetError:
        if rows.without_answer:
            return DatasetError(
                f"of {rows.read} rows none has a token left to learn from within {self.tokeniser.max_length} tokens.",
                where=self.found.path,
                hint="Raise training.max_length.",
            )
        return DatasetError(
            "there is no row to train on.",
            where=self.found.path,
            hint=f"The first fault: {self.first_error}" if self.first_error else "",
        )
