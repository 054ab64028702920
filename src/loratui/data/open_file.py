"""Open a data file whatever it is compressed with, as bytes; and what a file's name says of it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, cast

from loratui.core.errors import DatasetError
from loratui.data.encodings import UTF8

COMPRESSED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstandard", ".zip": "zip"}
KINDS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".txt": "txt",
}
MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"PK\x03\x04", "zip"),
)

DECOMPRESSION_ERRORS = (EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)


def data_kind(path: Path) -> str:
    """What the name says a file is: json, jsonl, csv, tsv, parquet, arrow, txt; "" where it says nothing."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
        return KINDS.get(suffixes[-1] if suffixes else "", "unknown")
    return KINDS.get(suffixes[-1] if suffixes else "", "")


def compression(path: Path) -> str:
    """The compression a file's first bytes show; "" for none."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error.strerror or error}.", where=str(path)) from error
    return next((name for magic, name in MAGIC if start.startswith(magic)), "")


def open_bytes(path: Path) -> IO[bytes]:
    """A readable stream of the file's decompressed bytes; DatasetError where it cannot be opened."""
    kind = compression(path)
    try:
        if kind == "gzip":
            return cast("IO[bytes]", gzip.open(path, "rb"))
        if kind == "bzip2":
            return cast("IO[bytes]", bz2.open(path, "rb"))
        if kind == "xz":
            return cast("IO[bytes]", lzma.open(path, "rb"))
        if kind == "zstandard":
            return _open_zstandard(path)
        if kind == "zip" and data_kind(path) not in ("parquet", "arrow"):
            return _open_zip(path)
        return path.open("rb")
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error.strerror or error}.", where=str(path)) from error


class Encoded(io.RawIOBase):
    """A text as UTF-8 bytes."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self._text.read(2**16).encode("utf-8", "surrogateescape")
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def open_utf8(path: Path, encoding: str) -> IO[bytes]:
    """As `open_bytes`, brought to UTF-8 from another encoding; bytes that it does not know stay as they are."""
    stream = open_bytes(path)
    if encoding == UTF8:
        return stream
    return io.BufferedReader(Encoded(io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="")))


def _open_zstandard(path: Path) -> IO[bytes]:
    import pyarrow as pa

    stream: Any = pa.input_stream(str(path), compression="zstd")
    return io.BufferedReader(cast("io.RawIOBase", _Raw(stream)))


class _Raw(io.RawIOBase):
    """pyarrow's stream as one of the standard library's, so that lines can be read from it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _open_zip(path: Path) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DatasetError(
            "this is no whole zip archive.", where=str(path), hint="Download or pack it again."
        ) from error
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(names) != 1:
        raise DatasetError(
            f"the archive holds {len(names)} files, and one was expected.",
            where=str(path),
            hint="Unpack it and give the folder.",
        )
    try:
        return archive.open(names[0])
    except (RuntimeError, NotImplementedError) as error:
        raise DatasetError(
            f"the archive cannot be unpacked: {error}.", where=str(path), hint="Unpack it by hand."
        ) from error


def unpacking_error(path: Path, error: BaseException) -> DatasetError:
    """The sentence for a compressed file that breaks off or is damaged."""
    return DatasetError(
        f"the file cannot be read to its end: {error}.", where=str(path), hint="Download or pack it again."
    )
