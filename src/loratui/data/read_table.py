"""Read rows from CSV, TSV, Parquet, Arrow and plain text files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loratui.core.errors import DatasetError
from loratui.data.bounds import ROW_LIMIT_BYTES, TableLines, TooLong, too_large
from loratui.data.encodings import UTF8
from loratui.data.open_file import DECOMPRESSION_ERRORS, open_bytes, unpacking_error
from loratui.data.read_json import Found
from loratui.data.row import Problem
from loratui.format import first_line

BATCH_ROWS = 1024
BATCH_BYTES = 8 * 2**20
REFUSED_GROUP = 8
"""A group of Parquet rows whose mean size is so many times the limit is not read at all: single rows cannot be told
apart before.
"""
csv.field_size_limit(ROW_LIMIT_BYTES)


def _text(path: Path, given: str) -> io.TextIOWrapper:
    try:
        with open_bytes(path) as stream:
            start = stream.read(2)
    except DECOMPRESSION_ERRORS as error:
        raise unpacking_error(path, error) from error
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig" if given == UTF8 else given
    return io.TextIOWrapper(
        open_bytes(path), encoding, errors="replace" if encoding == "utf-16" else "surrogateescape", newline=""
    )


def read_tsv(path: Path, encoding: str = UTF8) -> Iterator[Found]:
    """Rows of a table whose cells are divided by tabs."""
    return read_csv(path, encoding, "\t")


def read_csv(path: Path, encoding: str = UTF8, delimiter: str = "") -> Iterator[Found]:
    """Rows of a table with a header line; `delimiter` "" finds it out from the header."""
    with _text(path, encoding) as text:
        try:
            yield from _read_csv(text, path, delimiter)
        except DECOMPRESSION_ERRORS as error:
            raise unpacking_error(path, error) from error


def _read_csv(text: io.TextIOWrapper, path: Path, delimiter: str) -> Iterator[Found]:
    head = ""
    while not head.strip():
        head = text.readline(ROW_LIMIT_BYTES)
        if not head:
            return
    text.seek(0)
    delimiter = delimiter or max(",;\t|", key=lambda sign: _outside_quotes(head, sign))
    lines = TableLines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    while True:
        begin = lines.lines + 1
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except TooLong as error:
            if not header:
                raise DatasetError(
                    f"its header has {error.size / 2**20:,.0f} MiB.",
                    where=f"{path}, line {begin}",
                    hint="Is it a table? Give each row a line of its own.",
                ) from None
            yield begin, None, too_large("the row", error.size)
            continue
        except csv.Error as error:
            if "unexpected end" in str(error):
                yield (
                    begin,
                    None,
                    Problem(
                        "csv",
                        f"a quote opened on line {begin} is never closed, so the rest of the file cannot be read.",
                        begin,
                        blocking=True,
                    ),
                )
                return
            yield begin, None, Problem("csv", f"the line is no table row: {error}.", begin, blocking=True)
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            twice = next((name for name in header if name and header.count(name) > 1), "")
            if twice:
                raise DatasetError(
                    f"two columns are called {twice!r}.", where=f"{path}, line {begin}", hint="Rename one of them."
                )
            continue
        line = begin
        if len(cells) != len(header):
            message = f"the row has {len(cells)} cells, and the header has {len(header)} columns."
            yield line, None, Problem("csv", message, line, blocking=True)
            continue
        yield line, {name: cell for name, cell in zip(header, cells, strict=True) if name or cell}, None


def _outside_quotes(line: str, sign: str) -> int:
    return sum(part.count(sign) for part in line.split('"')[::2])


def read_parquet(path: Path) -> Iterator[Found]:
    """Rows of a Parquet file; they have no lines."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path, buffer_size=2**20) as file:
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                row_bytes = group.total_byte_size // max(1, group.num_rows)
                if row_bytes > REFUSED_GROUP * ROW_LIMIT_BYTES:
                    yield from ((None, None, too_large("the row", row_bytes)) for _ in range(group.num_rows))
                    continue
                batch_rows = min(BATCH_ROWS, max(1, BATCH_BYTES // max(1, row_bytes)))
                for batch in file.iter_batches(batch_size=batch_rows, row_groups=[number]):
                    yield from _rows_of(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _no_table(path, "Parquet", error) from error


def read_arrow(path: Path) -> Iterator[Found]:
    """Rows of an Arrow file, as the datasets library saves them."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            try:
                reader: Any = pa.ipc.open_stream(source)
                batches: Iterator[Any] = iter(reader)
            except pa.ArrowInvalid:
                whole = pa.ipc.open_file(source)
                batches = (whole.get_batch(number) for number in range(whole.num_record_batches))
            for batch in batches:
                yield from _rows_of(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _no_table(path, "Arrow", error) from error


def _rows_of(batch: Any) -> Iterator[Found]:
    """The rows of a batch, as few at a time as their size asks for; of one beyond the limit its size."""
    if batch.num_rows == 1 and batch.nbytes > ROW_LIMIT_BYTES:
        yield None, None, too_large("the row", batch.nbytes)
    elif batch.num_rows > 1 and batch.nbytes > BATCH_BYTES:
        half = batch.num_rows // 2
        yield from _rows_of(batch.slice(0, half))
        yield from _rows_of(batch.slice(half))
    else:
        yield from ((None, value, None) for value in batch.to_pylist())


def _no_table(path: Path, name: str, error: Exception) -> DatasetError:
    reason = first_line(error).rstrip(".")
    return DatasetError(f"this is no whole {name} file: {reason}.", where=str(path), hint="Download or write it again.")


def read_text(path: Path, encoding: str = UTF8) -> Iterator[Found]:
    """Lines of a plain text file, each a row with one column, `text`."""
    with _text(path, encoding) as text:
        try:
            for number, line in enumerate(_text_lines(text), 1):
                if isinstance(line, int):
                    yield number, None, too_large("the line", line)
                elif line.strip():
                    yield number, {"text": line.rstrip("\r\n")}, None
        except DECOMPRESSION_ERRORS as error:
            raise unpacking_error(path, error) from error


def _text_lines(text: io.TextIOWrapper) -> Iterator[str | int]:
    """The lines of a text; of one beyond the limit its size in characters."""
    lines = TableLines(text, quoted=False)
    while True:
        lines.begin()
        try:
            yield next(lines)
        except StopIteration:
            return
        except TooLong as error:
            yield error.size
