"""What planning needs of a dataset within a fraction of a second: counts, and lengths guessed from characters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from loratui.core.dataset import DataFacts, held_out_rows
from loratui.core.plan import DatasetSection
from loratui.data import cells
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.find import find_evaluation
from loratui.data.found import DataFile, FoundDataset
from loratui.data.open_file import compression, open_bytes
from loratui.data.read import holds_all, read_rows, require_rows, sample_rows
from loratui.data.recognise import SAMPLE_ROWS, recognise
from loratui.data.recognition import Recognition
from loratui.data.row import Row, RowError, place_of

SAMPLE_LIMIT_ROWS = 1_000
COUNT_LIMIT_BYTES = 2**30
BYTES_PER_TOKEN = 4
"""UTF-8 bytes: about four characters of English, about 1.3 of Chinese or Japanese."""
TEMPLATE_TOKENS = 5
"""Tokens that a chat template adds a message."""

_cache: dict[tuple[str, str], DataFacts] = {}


def quick_facts(
    found: FoundDataset,
    section: DatasetSection | None = None,
    recognition: Recognition | None = None,
    head: list[Row] | None = None,
) -> DataFacts:
    """Facts of the training part, from at most 1,000 rows and their characters (`exact=False`); remembered per file
    state. recognition: how the rows are read, where that was found out already; of pairs the longer side counts, and
    where each side is a row of its own, both do. head: the first rows (`first_rows`), where they were read already.

    DatasetError where the rows cannot be read or have no known shape.
    """
    section = section or DatasetSection(path=found.path)
    read = recognition is not None and (recognition.pairs, recognition.judged)
    key = (found.fingerprint, f"{section!r} {read}")
    if key not in _cache:
        _cache[key] = _facts(found, section, recognition, first_rows(found) if head is None else head)
    return _cache[key]


def first_rows(found: FoundDataset) -> list[Row]:
    """The rows by which a dataset is understood and counted. DatasetError where none can be read."""
    head = sample_rows(found, SAMPLE_ROWS)
    require_rows(found, head)
    return head


def _facts(found: FoundDataset, section: DatasetSection, recognition: Recognition | None, head: list[Row]) -> DataFacts:
    recognition = recognition or recognise(head, section.format, section.columns, where=found.path)
    total = count_rows(found, head, recognition.unfold)
    left_out = set(section.exclude)
    lengths: list[int] = []
    characters = trained = 0
    sampled = 0
    problem = ""
    apart = recognition.pairs and recognition.judged
    wanted = judged = 0
    for row in _sample(found, total, recognition.unfold):
        sampled += 1
        if row.index in left_out:
            continue
        try:
            conversation = to_conversation(row, recognition)
        except RowError as error:
            problem = problem or problem_words(row, error)
            continue
        guesses = []
        for side in conversation.sides:
            texts = tuple(side.texts)
            guesses.append(_tokens_of(side, texts))
            judged += side.desirable is not None
            wanted += bool(side.desirable)
            characters += sum(map(len, texts))
            trained += side.trained_characters
        lengths += guesses if apart else [max(guesses)]
    each = 2 if apart else 1
    used = len(lengths) // each
    usable = (
        round((total - len(left_out)) * used / max(1, sampled - len(left_out))) if len(left_out) < sampled else used
    )
    held = held_out(found, section, usable, recognition.unfold)
    inside = held if not (section.eval_path or found.eval_files) else 0
    return DataFacts(
        examples=max(1, each * (usable - inside)),
        lengths=tuple(sorted(lengths)) or (1,),
        exact=False,
        trained_share=trained / characters if characters and trained else 1.0,
        eval_examples=each * held,
        eval_taken=inside > 0,
        rows=total,
        unusable=max(0, total - len(left_out) - usable) if problem else 0,
        problem=problem,
        divided=section.divides(recognition.format),
        desirable_share=wanted / judged if judged and recognition.judged else None,
        sides=each,
    )


def problem_words(row: Row, error: RowError) -> str:
    """`line 3: the answer is empty.`"""
    return f"{place_of(row.index, row.line)}: {error}"


def held_out(found: FoundDataset, section: DatasetSection, usable: int, unfold: str = "") -> int:
    """Rows that will be evaluated on: from the evaluation file, the dataset's own part, or a share of its rows. unfold:
    as in `read_rows`.
    """
    if section.eval_path:
        other = find_evaluation(section)
        return count_rows(other, sample_rows(other, SAMPLE_ROWS), unfold)
    if found.eval_files:
        own = FoundDataset(found.path, found.name, found.kind, found.eval_files)
        return count_rows(own, sample_rows(own, SAMPLE_ROWS), unfold)
    return held_out_rows(usable, section.eval_fraction, section.eval_count)


def guessed_tokens(conversation: Conversation) -> int:
    """Tokens of a row, guessed from its UTF-8 bytes and its messages; exact for token rows."""
    return _tokens_of(conversation, tuple(conversation.texts))


def _tokens_of(conversation: Conversation, texts: Sequence[str]) -> int:
    """As `guessed_tokens`; texts: all that the row says."""
    if conversation.tokens:
        return len(conversation.tokens)
    size_bytes = sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts)
    return max(1, math.ceil(size_bytes / BYTES_PER_TOKEN) + TEMPLATE_TOKENS * len(conversation.messages))


def count_rows(found: FoundDataset, head: list[Row], unfold: str = "") -> int:
    """Rows of the training files: counted where that is cheap, else guessed from the size of the first rows. unfold: as
    in `read_rows`; the first rows tell how many examples a row holds.
    """
    examples = sum(sum(1 for _ in cells.unfold(row.value, unfold)) if row.value is not None else 1 for row in head)
    if holds_all(head, SAMPLE_ROWS):
        return examples
    return round(sum(_count(file, found) for file in found.files) * examples / len(head))


def _count(file: DataFile, found: FoundDataset) -> int:
    if file.kind == "parquet":
        import pyarrow.parquet as parquet

        return int(parquet.read_metadata(file.path).num_rows)
    plain = file.kind in ("jsonl", "txt") and not file.part and not compression(file.path)
    if plain and file.size_bytes < COUNT_LIMIT_BYTES:
        with open_bytes(file.path) as stream:
            count = 0
            while piece := stream.read(2**20):
                count += piece.count(b"\n")
                last = piece[-1:]
            return count + (last != b"\n")
    alone = FoundDataset(found.path, found.name, found.kind, (file,))
    if file.size_bytes < 16 * 2**20 and not compression(file.path):
        return sum(1 for _ in read_rows(alone))
    head = sample_rows(alone, SAMPLE_LIMIT_ROWS)
    if holds_all(head, SAMPLE_LIMIT_ROWS):
        return len(head)
    row_bytes = sum(len(str(row.value).encode("utf-8", "replace")) for row in head if row.value) / len(head)
    unpacked = file.size_bytes * (4 if compression(file.path) else 1)
    return max(len(head), round(unpacked / max(1.0, row_bytes)))


def _sample(found: FoundDataset, total: int, unfold: str) -> Iterator[Row]:
    """Every n-th row where rows are cheap to pass over, the first rows where they are not."""
    step = max(1, total // SAMPLE_LIMIT_ROWS) if found.size_bytes < 64 * 2**20 else 1
    taken = 0
    for row in read_rows(found, unfold=unfold):
        if row.index % step:
            continue
        yield row
        taken += 1
        if taken >= SAMPLE_LIMIT_ROWS:
            return
