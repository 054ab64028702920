"""What is known of a dataset that was found: its files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from loratui.data.encodings import UTF8

DatasetKind = Literal["demo", "file", "folder", "hub"]


class DataFile(NamedTuple):
    """One file with rows. kind: json, jsonl, csv, tsv, parquet, arrow or txt. part: key of a JSON document below which
    the rows stand; empty: they are found. modified_ns: when it was last changed; 0 where nobody looks. encoding: of its
    text.
    """

    path: Path
    kind: str
    size_bytes: int
    modified_ns: int = 0
    encoding: str = UTF8
    part: str = ""


@dataclass(frozen=True)
class FoundDataset:
    """Where a dataset's rows lie.

    path: as the person named it. name: short, for screens. files: rows to train on, in order. eval_files: rows that the
    dataset itself sets apart. note: what was decided on the way, e.g. which files of a folder were taken.
    """

    path: str
    name: str
    kind: DatasetKind
    files: tuple[DataFile, ...]
    eval_files: tuple[DataFile, ...] = ()
    note: str = ""

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of the training files on disk."""
        return sum(file.size_bytes for file in self.files)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when a file does: paths, sizes and times of change."""
        parts = [f"{f.path}\0{f.size_bytes}\0{f.path.stat().st_mtime_ns}" for f in (*self.files, *self.eval_files)]
        return sha256("\n".join(parts).encode()).hexdigest()
