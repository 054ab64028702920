"""The rows of a mix as they stand in its files, drawn as its training draws them; no tokenizer is needed for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loratui.core.mix import Part, parts_of
from loratui.core.plan import Plan
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.draw import Usable, draw
from loratui.data.find import find_evaluation, find_planned
from loratui.data.found import FoundDataset
from loratui.data.preferences import require_answer
from loratui.data.read import read_rows, require_rows, sample_rows
from loratui.data.recognise import SAMPLE_ROWS, recognise
from loratui.data.recognition import Recognition
from loratui.data.row import Row, RowError
from loratui.data.row_filter import LeftOut, RowFilter, filter_rows
from loratui.data.split import keys_for


@dataclass(frozen=True)
class PartRows:
    """A part, how it is read, and which of its rows are taken.

    first: number of its first row among those of all parts. train: how often each row is drawn, by its number in the
    part. held_out: numbers of rows. apart: the part itself sets rows apart to evaluate on, and these are held out.
    unusable: rows that could not be read as the part says.
    """

    part: Part
    found: FoundDataset
    reading: Recognition
    first: int
    train: Mapping[int, int]
    held_out: Mapping[int, int]
    apart: bool
    unusable: int

    def trained_rows(self) -> Iterator[Row]:
        """The rows of an epoch, each once."""
        return self._rows(self.train)

    def held_out_rows(self) -> Iterator[Row]:
        """The rows held out."""
        if self.apart:
            return read_rows(self.found, evaluation=True, unfold=self.reading.unfold)
        return self._rows(self.held_out)

    def held_out_count(self) -> int:
        """How many rows are held out."""
        return sum(1 for _ in self.held_out_rows()) if self.apart else len(self.held_out)

    def _rows(self, wanted: Mapping[int, int]) -> Iterator[Row]:
        return (row for row in read_rows(self.found, unfold=self.reading.unfold) if row.index in wanted)


@dataclass
class _Read:
    part: Part
    found: FoundDataset
    reading: Recognition
    count: int = 0
    numbers: list[int] = field(default_factory=list)
    identities: list[bytes] = field(default_factory=list)
    leaders: list[int] = field(default_factory=list)
    unusable: int = 0


def read_parts(plan: Plan) -> list[PartRows]:
    """Each part with what is drawn of it. Reads every row once. Raises DatasetError where a part cannot be read."""
    section = plan.dataset
    read = [_read(part, apart=bool(section.eval_path)) for part in parts_of(plan)]
    elsewhere = _identities(plan, find_evaluation(section), own=False) if section.eval_path else []
    usable = []
    for number, one in enumerate(read):
        own = bool(one.found.eval_files) and not section.eval_path
        held = _identities(one.part.plan, one.found, own=True) if own else [] if number else elsewhere
        apart = own or bool(section.eval_path)
        usable.append(Usable(one.part.weight, one.part.cap, one.identities, one.leaders, apart, held))
    found, first = [], 0
    for one, taken in zip(read, draw(section, plan.split_seed, usable), strict=True):
        found.append(
            PartRows(
                one.part,
                one.found,
                one.reading,
                first,
                Counter(one.numbers[at] for at in taken.train.tolist()),
                dict.fromkeys((one.numbers[at] for at in taken.held_out.tolist()), 1),
                bool(one.found.eval_files) and not section.eval_path,
                one.unusable,
            )
        )
        first += one.count
    return found


def reading_of(plan: Plan, found: FoundDataset, *, evaluation: bool = False) -> Recognition:
    """How a dataset's rows are read for what the plan learns. Raises DatasetError."""
    head = sample_rows(found, SAMPLE_ROWS, evaluation=evaluation)
    require_rows(found, head)
    recognition = recognise(head, plan.dataset.format, plan.dataset.columns, where=found.path)
    return require_answer(recognition, plan.dataset, where=found.path, objective=plan.training.objective)


def _read(part: Part, *, apart: bool) -> _Read:
    found = find_planned(part.section)
    one = _Read(part, found, reading_of(part.plan, found))
    keys = keys_for(part.section, apart=apart or bool(found.eval_files))
    rows = read_rows(found, unfold=one.reading.unfold)
    for row, filtered in filter_rows(RowFilter(part.section, found), rows, one.reading):
        one.count += 1
        if isinstance(filtered, LeftOut):
            one.unusable += filtered.kind not in ("by-hand", *part.section.leave_out)
            continue
        one.numbers.append(row.index)
        keys.add(filtered)
    one.identities, one.leaders = keys.identities, keys.leaders
    return one


def _identities(plan: Plan, found: FoundDataset, *, own: bool) -> list[bytes]:
    return [row.identity for row in conversations(plan, found, own=own)]


def conversations(plan: Plan, found: FoundDataset, *, own: bool) -> Iterator[Conversation]:
    """The rows of an evaluation file, or of the part that a dataset itself sets apart (`own`); those that can be
    read.
    """
    reading = reading_of(plan, found, evaluation=own)
    for row in read_rows(found, evaluation=own, unfold=reading.unfold):
        try:
            yield to_conversation(row, reading)
        except RowError:  # whoever evaluates on it says so
            continue
