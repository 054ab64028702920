"""Which rows a plan leaves out, and why: those named by number, and those with a kind of fault that the plan names.

Training, inspecting, asking held-out rows and exporting all ask here, so that they mean the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from loratui.core.plan import DatasetSection
from loratui.data.check import check
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.find import find_evaluation
from loratui.data.found import FoundDataset
from loratui.data.near_duplicates import GROUPED_SHARE, LEAST_SHARE, NearDuplicates, said
from loratui.data.read import read_rows, sample_rows
from loratui.data.recognise import SAMPLE_ROWS, Recognition, recognise
from loratui.data.row import Row, RowError, place_of


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not trained on. index: its number in the dataset, from 0. line: of its file, from 1; None without
    lines.
    """

    index: int
    line: int | None
    file: str
    kind: str
    """`by-hand`, a kind of the plan's `dataset.leave_out`, or why it cannot be used."""
    message: str


class RowFilter:
    """Asked of the training rows one after the other, in the dataset's order."""

    def __init__(self, section: DatasetSection, found: FoundDataset) -> None:
        """Raises DatasetError where rows of the evaluation part are to be left out and it cannot be read."""
        self._by_hand = frozenset(section.exclude)
        self._kinds = frozenset(section.leave_out)
        self._held_out = held_out_identities(section, found) if "overlap" in self._kinds else frozenset()
        self._first: dict[bytes, str] = {}
        self._old = section.split_by == "order"
        """It is a run's of before: what was left out then is left out."""
        self._said = _contents if self._old else said
        self._near = NearDuplicates(characters=4000) if self._old else NearDuplicates(GROUPED_SHARE)
        self._near_places: list[str] = []

    def by_hand(self, row: Row) -> LeftOut | None:
        """Whether the plan names the row by its number; asked before the row is understood."""
        return left_out(row, "by-hand", "the plan leaves it out.") if row.index in self._by_hand else None

    def fault(self, row: Row, conversation: Conversation) -> LeftOut | None:
        """The first fault of a row that the plan leaves out; None where the row is used."""
        if not self._kinds:
            return None
        for kind, message in check(conversation):
            if kind in self._kinds:
                return left_out(row, kind, message)
        if conversation.identity in self._held_out:
            return left_out(row, "overlap", "the evaluation part has the same row.")
        return self._copy(row, conversation)

    def _copy(self, row: Row, conversation: Conversation) -> LeftOut | None:
        here = place_of(row.index, row.line)
        if "duplicate" in self._kinds or not self._old:
            first = self._first.setdefault(conversation.identity, here)
            if first != here and "duplicate" not in self._kinds:
                return None  # a copy, which is to stay
            if first != here:
                return left_out(row, "duplicate", f"the row says the same as {first}.")
        if "near-duplicate" in self._kinds:
            near = self._near.add(self._said(conversation))
            self._near_places.append(here)
            if near is not None and near[1] >= LEAST_SHARE:
                return left_out(
                    row,
                    "near-duplicate",
                    f"the row says almost the same as {self._near_places[near[0]]} ({near[1]:.0%} alike).",
                )
        return None


def filter_rows(
    row_filter: RowFilter, rows: Iterator[Row], recognition: Recognition
) -> Iterator[tuple[Row, Conversation | LeftOut]]:
    """Every row with what it teaches, or why it is left out."""
    for row in rows:
        left = row_filter.by_hand(row)
        if left is None:
            try:
                conversation = to_conversation(row, recognition)
            except RowError as error:
                yield row, left_out(row, error.kind, error.message)
                continue
            left = row_filter.fault(row, conversation)
        yield row, left or conversation


def held_out_identities(section: DatasetSection, found: FoundDataset) -> AbstractSet[bytes]:
    """Identities of the rows of an evaluation file or part; empty where rows are held out of the training rows."""
    if not (section.eval_path or found.eval_files):
        return frozenset()
    other = find_evaluation(section) if section.eval_path else found
    own = not section.eval_path
    head = sample_rows(other, SAMPLE_ROWS, evaluation=own)
    recognition = recognise(head, section.format, section.columns, where=other.path)
    identities = set()
    for row in read_rows(other, evaluation=own, unfold=recognition.unfold):
        try:
            identities.add(to_conversation(row, recognition).identity)
        except RowError:  # whoever evaluates on it says so
            continue
    return identities


def _contents(conversation: Conversation) -> str:
    """What runs of before compared: every message, and no tool calls."""
    return "\n".join([conversation.text, *(message.content for message in conversation.messages)])


def left_out(row: Row, kind: str, message: str) -> LeftOut:
    """A row of this dataset that is not used, and why."""
    return LeftOut(row.index, row.line, row.file, kind, message)
