"""Models asked for an evaluation: their answers, batch by batch, and how likely they find what is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from loratui.core.errors import LoratuiError
from loratui.core.generation import GenerationSettings
from loratui.core.plan import Plan
from loratui.data.conversation import Conversation, Message
from loratui.evaluation.records import Key, Needs, Records
from loratui.evaluation.scoring import Given, Item
from loratui.worker.generation.progress import Progress
from loratui.worker.loading import load_models, tell
from loratui.workers.evaluation_rows import EvaluationRows
from loratui.workers.protocol import ADAPTER, BASE, Load
from loratui.workers.questions import Question
from loratui.workers.target import Target

if TYPE_CHECKING:
    from loratui.worker.generation.likelihood import Likelihood, Written
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.tokenise import Tokeniser


@dataclass(frozen=True)
class Asking:
    """How rows are asked. raw: lines of plain text as they are, without the chat template. system: for rows without a
    system message.
    """

    settings: GenerationSettings
    batch_rows: int
    raw: bool = False
    system: str = ""


@dataclass(frozen=True)
class Held:
    """Models that are loaded already, for an evaluation by whoever holds them. load: how they were loaded.

    sides: who is asked; the last one is judged. tell: told a side, its rows that are answered, and how many it is
    asked. stopped: asked at each token; StoppedError ends the evaluation then, and what was answered is kept.
    """

    models: LoadedModels
    load: Load
    sides: Sequence[str]
    tell: Callable[[str, int, int], None]
    stopped: Callable[[], bool]
    written: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """When the weights of each side were written that are held."""


def ask_models(
    target: Target,
    sides: Mapping[str, Records],
    rows: EvaluationRows,
    needs: Needs,
    asking: Asking,
    held: Held | None = None,
) -> None:
    """Load what these sides of one target need, once, and ask them what is left. Raises LoratuiError."""
    if not sides:
        return
    if held is None:
        wanted = {name: path for name, path in target.load.sides.items() if name in (BASE, *sides)}
        models = load_models(replace(target.load, sides=wanted), target.title)
    else:
        models = held.models
    work = _Work(models, target, rows, needs, asking, held)
    for side, records in sides.items():
        records.begin()
        try:
            work.ask(side, records)
        finally:
            records.close()


class _Work:
    """One loaded target, and the rows that it is asked."""

    def __init__(
        self,
        models: LoadedModels,
        target: Target,
        rows: EvaluationRows,
        needs: Needs,
        asking: Asking,
        held: Held | None,
    ) -> None:
        self._models, self._target, self._rows, self._needs, self._asking = models, target, rows, needs, asking
        self._held = held
        self._tokeniser = tokeniser_of(models.tokenizer, target.plan, models.stop_ids)

    def ask(self, side: str, records: Records) -> None:
        """All that is left of one side."""
        name = self._target.title if side == ADAPTER else side
        prompts, written = self._read(records)
        self._answer(name, side, records, prompts)
        done = {one.key for one in written if self._is_scored(records, one.key)}
        if len(done) < len(written):
            tell(f"{name}: the likelihood of {len(written) - len(done):,} written answers …")
            self._score(side, records, written, done)

    def _read(self, records: Records) -> tuple[list[tuple[Key, list[int]]], list[Written]]:
        """Prompts, and what is written, as token ids; a row that cannot be read is refused."""
        from loratui.worker.generation.batch import room
        from loratui.worker.generation.prompt import prompt_ids
        from loratui.worker.tokenise import Tokeniser

        asking = Tokeniser(self._models.tokenizer)
        ready: list[tuple[int, Key, list[int]]] = []
        scored: list[Written] = []
        for question, item in zip(self._rows.questions, self._rows.items, strict=True):
            try:
                whole = self._written(question, item)
                if self._needs.answers:
                    ids = prompt_ids(self._models.tokenizer, self._asked(question), asking)
                    room(self._models, ids, self._asking.settings)
                    expected = len(item.expected.encode())
                    ready += [(expected, (item.row, sample), ids) for sample in range(self._needs.answers)]
                scored += whole
            except LoratuiError as error:
                if item.row not in records.problems:
                    records.refuse(item.row, error.sentence)
        # like answers end together, and the longest come first, so that a full memory is met at once
        ready.sort(key=lambda one: (-one[0], -len(one[2])))
        return [(key, ids) for _, key, ids in ready], scored

    def _answer(self, name: str, side: str, records: Records, prompts: Sequence[tuple[Key, list[int]]]) -> None:
        from loratui.worker.generation.batch import answer_many

        left = sum(key not in records.answers for key, _ in prompts)
        progress = Progress(left, samples=self._needs.answers or 1, what=name)
        asking, held = self._asking, self._held
        stopped = held.stopped if held is not None else lambda: False
        if held is not None and left:
            held.tell(side, len(records.answers), len(prompts))  # what is kept counts, before the first batch
        for found in answer_many(
            self._models, side, prompts, asking.settings, asking.batch_rows, records.answers, stopped
        ):
            records.add_answers({key: Given(one.text, one.reason, one.tokens) for key, one in found.items()})
            if held is not None:
                held.tell(side, len(records.answers), len(prompts))
            progress.add(
                len(found),
                sum(one.tokens for one in found.values()),
                sum(one.reason != "stop token" for one in found.values()),
            )
        progress.end()

    def _score(self, side: str, records: Records, written: Sequence[Written], done: set[Key]) -> None:
        from loratui.worker.generation.batch import StoppedError
        from loratui.worker.generation.likelihood import likelihoods

        choices = {item.row: len(item.choices) for item in self._rows.items}
        chosen: dict[int, dict[int, Likelihood]] = {}
        for batch in likelihoods(self._models, side, written, done):
            if self._held is not None and self._held.stopped():
                raise StoppedError
            records.add_likelihoods({row: one for (row, choice), one in batch.items() if choice < 0})
            for (row, choice), one in batch.items():
                if choice < 0:
                    continue
                chosen.setdefault(row, {})[choice] = one
                if len(chosen[row]) == choices[row]:
                    records.add_choices({row: [-chosen[row][number][0] for number in range(choices[row])]})

    def _is_scored(self, records: Records, key: tuple[int, int]) -> bool:
        row, choice = key
        return row in records.likelihoods if choice < 0 else row in records.choices

    def _asked(self, question: Question) -> Conversation:
        from loratui.worker.generation.prompt import asked

        return asked(self._models.tokenizer, question, raw=self._asking.raw, system=self._asking.system)

    def _written(self, question: Question, item: Item) -> list[Written]:
        """The row's written answer, and its choices as answers: keyed by row and choice, -1 for the written one."""
        from loratui.worker.generation.likelihood import written

        found, context = [], self._models.context_tokens
        if self._needs.likelihood and question.whole is not None:
            whole = self._with_system(question.whole)
            found.append(written(self._tokeniser, whole, (item.row, -1), context))
        if self._needs.choices:
            conversation = self._asked(question)
            for number, text in enumerate(item.choices):
                answered = conversation._replace(messages=(*conversation.messages, Message("assistant", text, True)))
                found.append(written(self._tokeniser, answered, (item.row, number), context))
        return found

    def _with_system(self, row: Conversation) -> Conversation:
        system = self._asking.system
        if not system or not row.messages or row.messages[0].role == "system":
            return row
        return row._replace(messages=(Message("system", system), *row.messages))


def tokeniser_of(tokenizer: Any, plan: Plan | None, stop_ids: Iterable[int] = ()) -> Tokeniser:
    """As the run trained; for what is no run, answers bear loss."""
    from loratui.worker.tokenise import Tokeniser

    options: dict[str, Any] = {"stop_ids": stop_ids}
    if plan is not None:
        options |= {
            "loss_on": plan.training.loss_on,
            "reasoning": plan.dataset.reasoning,
            "calls": plan.dataset.calls,
        }
    return Tokeniser(tokenizer, **options)
