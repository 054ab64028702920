"""A zip archive of several files, unpacked once beside loratui's other state, to be read as a folder."""

from __future__ import annotations

import shutil
import zipfile
from hashlib import sha256
from pathlib import Path

from loratui.core.errors import DatasetError
from loratui.data.open_file import DECOMPRESSION_ERRORS, compression, data_kind
from loratui.format import size
from loratui.paths import state_home

LEFT_FREE_BYTES = 2 * 2**30
"""So much of the disk stays free."""


def members(path: Path) -> list[zipfile.ZipInfo]:
    """The files of a zip archive; empty where the file is none. DatasetError where the archive is damaged."""
    if compression(path) != "zip" or data_kind(path) in ("parquet", "arrow"):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DatasetError(
            "this is no whole zip archive.", where=str(path), hint="Download or pack it again."
        ) from error
    return [info for info in infos if not info.is_dir() and not info.filename.startswith("__MACOSX/")]


def unpacked(path: Path) -> Path:
    """The folder that holds the archive's files; unpacked now where it is not there yet.

    Raises DatasetError where the archive is damaged or locked, or the disk too full.
    """
    state = path.stat()
    name = sha256(f"{path.absolute()}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()[:16]
    folder = state_home() / "archives" / name / path.name.removesuffix(".zip")
    if folder.is_dir():
        return folder
    wanted = members(path)
    needed = sum(info.file_size for info in wanted)
    unfinished = folder.parent / f".{folder.name}.new"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if needed > free - LEFT_FREE_BYTES:
            raise DatasetError(
                f"unpacked it takes {size(needed)}, and the disk has {size(free)} free.",
                where=str(path),
                hint="Free some space, or unpack it elsewhere and give the folder.",
            )
        shutil.rmtree(unfinished, ignore_errors=True)
        with zipfile.ZipFile(path) as archive:
            for info in wanted:
                archive.extract(info, unfinished)
        unfinished.rename(folder)
    except (RuntimeError, NotImplementedError, *DECOMPRESSION_ERRORS) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise DatasetError(
            f"the archive cannot be unpacked: {error}.", where=str(path), hint="Unpack it by hand and give the folder."
        ) from error
    return folder
