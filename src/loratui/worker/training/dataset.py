"""The plan's rows as token ids and labels, split into those that train and those held out.

A dataset is tokenised once: `stored_rows` takes it out of the store of tokens, or goes through its rows and puts them
there. What a plan holds out, cuts and leaves out is decided on what is stored.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loratui.core.dataset import DataFacts
from loratui.core.errors import DatasetError
from loratui.core.mix import parts_of
from loratui.core.plan import DatasetSection, Plan
from loratui.core.preferences import estimates_kl, is_preference, learns_judged
from loratui.data.conversation import Conversation
from loratui.data.find import find_evaluation, find_planned
from loratui.data.found import FoundDataset
from loratui.data.preferences import require_answer
from loratui.data.read import read_rows, require_rows, sample_rows
from loratui.data.recognise import SAMPLE_ROWS, recognise
from loratui.data.row import Row
from loratui.data.row_filter import LeftOut, RowFilter, filter_rows
from loratui.data.split import RowKeys, keys_for
from loratui.worker.token_key import token_key
from loratui.worker.token_store import Claim, Say, Stored, find, make_room, one_at_a_time
from loratui.worker.token_table import Ints, TokenTable
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import BeyondVocabulary
from loratui.worker.training.held_out_rows import held_out_rows
from loratui.worker.training.judged import Judged, judged_of
from loratui.worker.training.mix import ALIKE, EVALUATION_FILE, Mixed, Source
from loratui.worker.training.pairs import pairs_of
from loratui.worker.training.rows import NOTHING_LEFT, Lost, Rows, pieces

log = logging.getLogger("loratui")
LOGGED_ROWS = 20
"""How many unusable rows are named one by one in the worker's log."""
PROGRESS_ROWS = 1000

Progress = Callable[[int, bool], None]


@dataclass
class Prepared:
    """Both parts, ready for the trainer."""

    train: Rows
    held_out: Rows
    plain: bool = False
    """The rows are plain text: prompts go to the model as they are."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Every row that is neither trained on nor held out, with the reason."""
    tokens: list[str] = field(default_factory=list)
    """Names of the stored tokens that the rows lie in."""
    mix: Mixed | None = None
    """Whose rows are whose, where the plan has several parts."""

    @property
    def facts(self) -> DataFacts:
        """Lengths and counts, as the calculation wants them."""
        lengths = tuple(np.sort(self.train.lengths).tolist())
        return DataFacts(
            len(lengths),
            lengths,
            trained_share=self.train.trained_tokens / max(1, self.train.tokens),
            eval_examples=len(self.held_out),
            desirable_share=self.train.desirable_share if isinstance(self.train, Judged) else None,
        )

    def held_out_rows(self) -> list[int]:
        """Of each sequence held out the number of its row, from 0 in their order; pieces of one row share it."""
        numbers: dict[int, int] = {}
        return [numbers.setdefault(row, len(numbers)) for row in self.held_out.row.tolist()]

    def held_out_parts(self) -> tuple[tuple[str, ...], list[int]]:
        """Names of the parts, and of each row held out the number of its part; nothing where the plan is no mix."""
        return (self.mix.names, self.mix.of_rows(self.held_out.row).tolist()) if self.mix is not None else ((), [])


def prepare(
    plan: Plan,
    tokeniser: Tokeniser,
    *,
    progress: Progress = lambda rows, reused: None,
    say: Say = log.info,
) -> Prepared:
    """Read, recognise, split and tokenise the plan's dataset, or take out of the store what was tokenised before.

    `progress` is told how many rows are done, and whether they were tokenised before; `say` what is wrong with the
    store. Raises DatasetError when there is no row to train on.
    """
    dataset = plan.dataset
    if dataset.parts:
        return _prepare_mix(plan, tokeniser, progress, say)
    found = find_planned(dataset)
    apart = bool(dataset.eval_path or found.eval_files)
    own = other = stored_rows(
        plan, found, tokeniser, near=keys_for(dataset, apart=apart).near, progress=progress, say=say
    )
    parts = _Parts(plan, tokeniser.max_length)
    if apart:
        evaluation = find_evaluation(dataset) if dataset.eval_path else found
        other = stored_rows(
            plan, evaluation, tokeniser, held_out=True, evaluation=not dataset.eval_path, progress=progress, say=say
        )
        (train,) = parts.of(own, found, None)
        (held,) = parts.of(other, evaluation, None, evaluated=True)
    else:
        sides = parts.sides(own)
        held_out = held_out_rows(own, dataset, plan.split_seed, sides=sides)
        train, held = parts.of(own, found, (np.delete(np.arange(len(own.table) // sides), held_out), held_out))
    if not len(train):
        raise _why_empty(train, found, parts.first_error, tokeniser.max_length)
    names = {one.folder.name for one in (own, other) if one.folder is not None}
    return Prepared(train, held, own.form in ("text", "tokens"), parts.left_out, sorted(names))


def _prepare_mix(plan: Plan, tokeniser: Tokeniser, progress: Progress, say: Say) -> Prepared:
    """Each part as a dataset of its own, its rows as they are drawn, and all of them as one table."""
    section, chosen = plan.dataset, parts_of(plan)
    sources: list[Source] = []
    held: list[Source] = []
    before = 0
    for number, part in enumerate(chosen):
        found = find_planned(part.section)
        apart = bool(section.eval_path or found.eval_files)
        told = _counted_on(progress, before)
        own = tokeniser.arranging(part.section)
        near = keys_for(part.section, apart=apart).near
        stored = stored_rows(part.plan, found, own, near=near, progress=told, say=say)
        sources.append(Source(number, stored, found.path, part.section.divides(stored.form)))
        before += len(stored.table)
        if found.eval_files and not section.eval_path:
            other = stored_rows(part.plan, found, own, held_out=True, evaluation=True, progress=told, say=say)
            held.append(Source(number, other, found.path, part.section.divides(other.form)))
    names = tuple(part.name for part in chosen)
    if section.eval_path:
        evaluation = find_evaluation(section)
        told = _counted_on(progress, before)
        other = stored_rows(plan, evaluation, tokeniser, held_out=True, progress=told, say=say)
        held.append(Source(len(names), other, evaluation.path, section.divides(other.form)))
        names += (EVALUATION_FILE,)
    reader = _Parts(plan, tokeniser.max_length)
    sides = {reader.sides(source.stored) for source in (*sources, *held)}
    if len(sides) > 1:
        raise DatasetError("of the parts some are pairs and some are not.", where="dataset.parts", hint=ALIKE)
    mix = Mixed.of(plan, chosen, names, sources, held, sides=sides.pop())
    reader.divided_rows = mix.divided
    stored = mix.stored
    stored.left_out = [one for source in (*sources, *held) for one in source.stored.left_out]
    train, held_out = reader.of(stored, None, (mix.train, mix.held_out))
    mix.require_rows(train, reader.first_error)
    folders = {one.stored.folder.name for one in (*sources, *held) if one.stored.folder is not None}
    plain = all(source.stored.form in ("text", "tokens") for source in sources)
    return Prepared(train, held_out, plain, reader.left_out, sorted(folders), mix)


def _counted_on(progress: Progress, before: int) -> Progress:
    return lambda rows, reused: progress(before + rows, reused)


def stored_rows(
    plan: Plan,
    found: FoundDataset,
    tokeniser: Tokeniser,
    *,
    near: bool = False,
    held_out: bool = False,
    evaluation: bool = False,
    progress: Progress,
    say: Say,
) -> Stored:
    """All rows of a dataset as tokens, uncut: out of the store, else tokenised now and put there.

    near: rows that are almost equal are told. held_out: they are only evaluated on, and the plan leaves none of them
    out. evaluation: they are the part that the dataset itself sets apart.
    """
    section = plan.dataset.model_copy(update={"exclude": [], "leave_out": []}) if held_out else plan.dataset
    key = token_key(section, found, tokeniser, evaluation=evaluation, objective=plan.training.objective)
    with one_at_a_time(key):
        stored = find(key, say, near=near)
        if stored is not None:
            progress(len(stored.table), True)
            return stored
        reader = _Reader(plan, section, found, tokeniser, progress, evaluation=evaluation)
        claim = Claim(key, found.size_bytes)
        try:
            stored = reader.tokenise(claim, near=near)
        except OSError as error:
            claim.abandon()
            claim = Claim(key, 0, why=error.strerror or str(error))
            stored = reader.tokenise(claim, near=near)
        except BaseException:
            claim.abandon()
            raise
    if claim.why:
        say(f"The tokens of this dataset are not stored ({claim.why}): they stay in memory, and are made anew.")
    else:
        make_room(say)
    return stored


class _Reader:
    """Goes once through the rows of a dataset."""

    def __init__(
        self,
        plan: Plan,
        section: DatasetSection,
        found: FoundDataset,
        tokeniser: Tokeniser,
        progress: Progress,
        *,
        evaluation: bool,
    ) -> None:
        self.section, self.found, self.tokeniser = section, found, tokeniser
        self.progress, self.evaluation = progress, evaluation
        sample = sample_rows(found, SAMPLE_ROWS, evaluation=evaluation)
        require_rows(found, sample)
        recognition = recognise(sample, plan.dataset.format, plan.dataset.columns, where=found.path)
        self.recognition = require_answer(
            recognition, plan.dataset, where=found.path, objective=plan.training.objective
        )

    def tokenise(self, claim: Claim, *, near: bool) -> Stored:
        """Every row that can be used into the claim; the others with the reason."""
        left_out: list[LeftOut] = []
        keys = RowKeys(near=near)
        waiting: deque[tuple[Row, Conversation, int]] = deque()
        usable = self._usable(left_out, keys, waiting)
        for done, tokenised in enumerate(self.tokeniser.many(usable, whole=True), 1):
            row, conversation, position = waiting.popleft()
            if isinstance(tokenised, BeyondVocabulary):
                place = _place(self.found.path, row.index, row.line)
                raise DatasetError(tokenised.message, where=place, hint=tokenised.hint)
            claim.writer.add(row, conversation, tokenised, keys.identities[position], keys.leaders[position])
            if done % PROGRESS_ROWS == 0:
                self.progress(position + 1, False)
        return claim.publish(near=near, form=self.recognition.format, left_out=left_out)

    def _usable(
        self, left_out: list[LeftOut], keys: RowKeys, waiting: deque[tuple[Row, Conversation, int]]
    ) -> Iterator[Conversation]:
        rows = read_rows(self.found, evaluation=self.evaluation, unfold=self.recognition.unfold)
        for row, filtered in filter_rows(RowFilter(self.section, self.found), rows, self.recognition):
            if isinstance(filtered, LeftOut):
                left_out.append(filtered)
                continue
            position = len(keys)
            keys.add(filtered)
            for side in filtered.sides:
                waiting.append((Row(row.index, row.line, None, None, row.file), side, position))
                yield side


class _Parts:
    """Takes parts out of stored rows, cut, and keeps why the others are not used."""

    def __init__(self, plan: Plan, max_length: int) -> None:
        self.max_length = max_length
        self.plan, self.section = plan, plan.dataset
        self.wanted = frozenset(("by-hand", *plan.dataset.leave_out))
        """Kinds of rows that a person left out; the others cannot be used."""
        self.left_out: list[LeftOut] = []
        self.first_error = ""
        self.divided_rows: NDArray[np.bool_] | None = None
        """Of a mix: for each row of the table whether it is divided into pieces."""
        self._named = 0

    def sides(self, stored: Stored) -> int:
        """How many stored rows make one of the dataset: 2 where both sides of pairs are learnt from."""
        return 2 if is_preference(self.plan) and stored.form == "preference" else 1

    def of(
        self, stored: Stored, found: FoundDataset | None, parts: Sequence[Ints] | None, *, evaluated: bool = False
    ) -> list[Rows]:
        """One `Rows` for each part, which names its rows by position; None: one of all rows. The first one counts the
        rows that could not be read. evaluated: all of it is held out. A row that is drawn several times counts once
        where it cannot be used.
        """
        table = stored.table
        sides = self.sides(stored)
        count = len(table) // sides
        positions = [np.arange(count)] if parts is None else parts
        divided = self.max_length > 0 and (self.section.divides(stored.form) or self.divided_rows is not None)
        unusable = 0
        for one in stored.left_out:
            unusable += one.kind not in self.wanted
            self._leave_out(one, found)
        results: list[Rows] = []
        lost: list[Lost] = []
        for number, part in enumerate(positions):
            if learns_judged(self.plan):
                shuffled = not evaluated and number == 0
                rows, missing = self._judged(table, part, sides, shuffled=shuffled)
            elif is_preference(self.plan):
                sides_whole = self.plan.training.objective == "orpo"
                rows, missing = pairs_of(table, part, self.max_length, whole_sides=sides_whole)
            else:
                rows, missing = self._part(table, part, divided=divided)
            results.append(rows)
            missing = list(dict.fromkeys(missing))
            rows.unusable = sum(one.kind != "no-answer" for one in missing)
            lost += missing
        results[0].read = count + unusable
        results[0].unusable += unusable
        for one_lost in sorted(lost):
            at = one_lost.row
            place = int(table.value(at, "index")), table.value(at, "line"), stored.files[table.value(at, "file")]
            left = LeftOut(*place, one_lost.kind, one_lost.message)
            if one_lost.kind == "no-answer":
                self.left_out.append(left)
            else:
                self._leave_out(left, found)
        return results

    def _judged(self, table: TokenTable, part: Ints, sides: int, *, shuffled: bool) -> tuple[Rows, list[Lost]]:
        training = self.plan.training
        block = 0
        if estimates_kl(self.plan):  # the figures of held-out rows must not depend on batches: all of them are one
            block = training.batch_size if shuffled else sides * len(part)
        seed = training.seed
        return judged_of(table, part, self.max_length, sides=sides, block=block, seed=seed, shuffled=shuffled)

    def _part(self, table: TokenTable, part: Ints, *, divided: bool) -> tuple[Rows, list[Lost]]:
        """Its sequences, and the rows that the template refuses or that have nothing left to learn from. divided: rows
        that are longer than a sequence become several.
        """
        refused = table.refused[part]
        usable = part[~refused] if refused.any() else part
        lengths = table.lengths[usable]
        ends = np.minimum(lengths, self.max_length) if self.max_length else lengths
        rows = Rows(table, usable, np.zeros_like(usable), ends)
        if divided and self.divided_rows is not None:
            mask = self.divided_rows[usable]
            rows, ends = pieces(table, usable, self.max_length, mask), np.where(mask, lengths, ends)
        elif divided:
            rows, ends = pieces(table, usable, self.max_length), lengths
        learnt = rows.trained > 0
        kept = rows if learnt.all() else rows.chosen(np.flatnonzero(learnt))
        kept.cut = int((lengths > ends).sum())
        kept.answers = int(table.answers[usable].sum())
        kept.answers_unended = kept.answers - int(table.ended[usable].sum())
        kept.without_answer = int((~learnt).sum())
        lost = [Lost(int(at), "template", table.value(int(at), "refused")) for at in part[refused]]
        return kept, lost + [Lost(int(at), "no-answer", NOTHING_LEFT) for at in rows.row[~learnt]]

    def _leave_out(self, row: LeftOut, found: FoundDataset | None) -> None:
        """Keep why a row is not used; the first ones that could not be used stand in the log, too."""
        self.left_out.append(row)
        if row.kind in self.wanted:
            return
        place = _place(found.path if found is not None else row.file, row.index, row.line)
        self.first_error = self.first_error or f"{place}: {row.message}"
        self._named += 1
        if self._named <= LOGGED_ROWS:
            log.warning("left out: %s: %s", place, row.message)


def _place(path: str, index: int, line: int | None) -> str:
    return f"{path}, line {line}" if line is not None else f"{path}, row {index + 1}"


def _why_empty(rows: Rows, found: FoundDataset, first_error: str, max_length: int) -> DatasetError:
    if rows.without_answer:
        return DatasetError(
            f"of {rows.read} rows none has a token left to learn from within {max_length} tokens.",
            where=found.path,
            hint="Raise training.max_length.",
        )
    return DatasetError(
        "there is no row to train on.",
        where=found.path,
        hint=f"The first fault: {first_error}" if first_error else "",
    )
