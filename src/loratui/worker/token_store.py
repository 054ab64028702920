"""Where the tokens of datasets are kept between processes: one folder a dataset and tokenizer, in the folder of caches.

A folder is written under another name and renamed once it is whole, and carries a manifest by which damage is noticed.
Whoever reads one holds a lock on it; the oldest that nobody holds make room for new ones.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import shutil
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from loratui.data.row_filter import LeftOut
from loratui.files import make_folder, read_object, write_whole
from loratui.paths import tokens_home
from loratui.runs.manifest import MANIFEST, difference, read_manifest, write_manifest
from loratui.worker.token_table import TokenTable, TokenWriter

log = logging.getLogger("loratui")
TABLE = "rows.arrow"
FACTS = "facts.json"
IN_USE = "in-use"
"""The file that whoever works with a folder holds a lock on."""
LIMIT_BYTES = 20 * 2**30
LIMIT_OF_DISK = 0.25
"""Share of the disk's free room, the store's own included, that the store may take."""
RESERVE_BYTES = 2**28
"""Room that must be left on the disk beside what is written, so that a run's own files have it."""
WAIT_SECONDS = 0.2
YOUNG_SECONDS = 60.0
"""A folder that was begun so lately may not be locked yet."""
OLD_SECONDS = 7 * 86_400.0
"""Nobody tokenises for so long: who still holds such a lock only finds that another makes the same tokens."""
LARGEST_FACTS = 1 << 30
KEY = re.compile("[0-9a-f]{32}")
"""A folder's name, as `token_key` makes it."""

Say = Callable[[str], None]


@dataclass
class Stored:
    """The tokens of one dataset.

    near: whether `leader` names rows that are almost equal, too; where not, only equal ones. form: how the rows are
    read. left_out: rows that have no tokens because of what they are, or because the plan leaves them out. folder:
    where they lie; None: in memory alone. What else follows from them may be kept there, too, with its own proof.
    """

    table: TokenTable
    near: bool
    form: str
    files: list[str]
    left_out: list[LeftOut]
    folder: Path | None = None


class Claim:
    """Tokens that are being written: rows are taken by `writer`, and `publish` gives them their place.

    Where the store cannot be written they stay in memory, and `why` says why.
    """

    def __init__(self, key: str, needed_bytes: int, why: str = "") -> None:
        self.key, self.why = key, why
        self._folder: Path | None = None
        self._held: IO[bytes] | None = None
        self._memory: pa.BufferOutputStream | None = None
        if not why:
            try:
                self._open(needed_bytes)
                return
            except OSError as error:
                self.why = error.strerror or str(error)
                self.abandon()
        self._memory = pa.BufferOutputStream()
        self.writer = TokenWriter(self._memory)

    def _open(self, needed_bytes: int) -> None:
        self._folder, self._held = _begun(self.key, needed_bytes)
        self.writer = TokenWriter(self._folder / TABLE)

    def publish(self, *, near: bool, form: str, left_out: list[LeftOut]) -> Stored:
        """Close the rows and give them their place. Raises OSError where the disk is full."""
        self.writer.close()
        files = self.writer.files
        if self._memory is not None:
            return Stored(TokenTable(self._memory.getvalue()), near, form, files, left_out)
        assert self._folder is not None
        facts: dict[str, Any] = {"near": near, "form": form, "files": files}
        facts["left_out"] = [asdict(one) for one in left_out]
        write_whole(self._folder / FACTS, json.dumps(facts) + "\n")
        write_manifest(self._folder, 0, without=(IN_USE,), digest="xxh3_128")
        target = tokens_home() / self.key
        with suppress(OSError):
            self._folder.rename(target)  # where another process was first, its folder stays
            self._folder = target
        here = self._folder == target
        table = TokenTable(self._folder / TABLE, self._held)
        stored = Stored(table, near, form, files, left_out, target if here else None)
        if not here:
            shutil.rmtree(self._folder, ignore_errors=True)  # what is mapped stays readable
        self._folder = self._held = None
        return stored

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._folder is not None:
            with suppress(AttributeError, OSError):
                self.writer.abandon()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._held is not None:
            self._held.close()
            self._held = None


class Scratch:
    """A folder for files that nobody needs after this object is gone. Raises OSError where there is no room."""

    def __init__(self, needed_bytes: int) -> None:
        self.path, held = _begun("packing", needed_bytes)
        self._remove = weakref.finalize(self, _clear, self.path, held)


def _begun(name: str, needed_bytes: int) -> tuple[Path, IO[bytes]]:
    """A fresh folder that no other process removes while the file is open."""
    place = tokens_home()
    make_folder(place)
    free = shutil.disk_usage(place).free
    if free < needed_bytes + RESERVE_BYTES:
        raise OSError(errno.ENOSPC, f"the disk has only {free / 2**30:.1f} GiB free")
    folder = place / f".{name}-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(mode=0o700)
    held = (folder / IN_USE).open("wb")
    _lock(held, fcntl.LOCK_SH)
    return folder, held


def _clear(folder: Path, held: IO[bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    held.close()


def find(key: str, say: Say, *, near: bool) -> Stored | None:
    """The tokens of this name; None where they are not there, are damaged (which is said, and they are removed), or do
    not tell rows that are almost equal and these are wanted (`near`).
    """
    folder = tokens_home() / key
    held = None
    try:
        held = (folder / IN_USE).open("rb")
        _lock(held, fcntl.LOCK_SH)
        if not (folder / IN_USE).exists():  # it was removed while this process waited for the lock
            held.close()
            return None
        manifest = read_manifest(folder)
        reason = f"its {MANIFEST} cannot be read" if manifest is None else difference(folder, manifest)
        if not reason:
            facts = read_object(folder / FACTS, limit_bytes=LARGEST_FACTS)
            if near and not facts["near"]:
                held.close()
                _remove(folder)
                return None
            left_out = [LeftOut(**one) for one in facts["left_out"]]
            table = TokenTable(folder / TABLE, held)
            stored = Stored(table, facts["near"], facts["form"], facts["files"], left_out, folder)
            os.utime(folder)
            return stored
    except (FileNotFoundError, NotADirectoryError):
        if held is not None:
            held.close()
        if not folder.exists():
            return None
        reason = "a file of it is missing"
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error)
    if held is not None:
        held.close()
    say(f"The stored tokens of this dataset are damaged ({reason}): they are removed, and its rows tokenised anew.")
    _remove(folder)
    return None


def read_ahead(names: Sequence[str]) -> Future[None]:
    """Begin to compare stored tokens with their manifests, in a thread, while other things are loaded: `find` does not
    read again what was read so lately. What is wrong with them is for `find` to say.
    """

    def compare() -> None:
        for name in names:
            folder = tokens_home() / name
            manifest = read_manifest(folder) if KEY.fullmatch(name) else None
            if manifest is not None:
                difference(folder, manifest)

    reader = ThreadPoolExecutor(1, thread_name_prefix="tokens-ahead")
    future = reader.submit(compare)
    reader.shutdown(wait=False)
    return future


@contextmanager
def one_at_a_time(key: str) -> Iterator[None]:
    """Of several processes that want the same tokens one makes them, and the others wait for it."""
    try:
        make_folder(tokens_home())
        lock = (tokens_home() / f"{key}.lock").open("wb")
    except OSError:  # no store: everybody for himself
        yield
        return
    with lock:
        waited = False
        while _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB) is False:
            if not waited:
                log.info("another process is tokenising the same rows: waiting for it")
                waited = True
            time.sleep(WAIT_SECONDS)
        yield


def make_room(say: Say) -> None:
    """Remove what killed processes left behind, and the tokens that were not used for longest where there are too many.

    Those that a process works with stay. Nothing here ends a run: what cannot be removed stays, with a word in the log.
    """
    place = tokens_home()
    try:
        found = [one for one in place.iterdir() if one.is_dir() and not one.is_symlink()]
        kept = sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.stat().st_mtime)
        sizes = {one: sum(file.stat().st_size for file in one.iterdir()) for one in kept}
        limit = min(LIMIT_BYTES, LIMIT_OF_DISK * (shutil.disk_usage(place).free + sum(sizes.values())))
    except OSError as error:
        log.warning("the store of tokens could not be looked through: %s", error)
        return
    for lock in place.glob("*.lock"):
        with suppress(OSError):  # somebody else was first
            if time.time() - lock.stat().st_mtime > OLD_SECONDS:
                lock.unlink()
    for folder in found:
        with suppress(OSError):
            if folder.name.startswith(".") and time.time() - folder.stat().st_mtime > YOUNG_SECONDS:
                _remove(folder)
    for folder in kept:
        if sum(sizes.values()) <= limit:
            break
        unused = time.strftime("%Y-%m-%d", time.localtime(folder.stat().st_mtime))
        if _remove(folder):
            size = sizes.pop(folder)
            say(f"Stored tokens that were last used on {unused} were removed to make room ({size / 2**20:,.0f} MiB).")


def _remove(folder: Path) -> bool:
    """Remove a folder that nobody works with; whether it is gone."""
    try:
        with (folder / IN_USE).open("rb") as held:
            if not _lock(held, fcntl.LOCK_EX | fcntl.LOCK_NB):
                return False
            shutil.rmtree(folder)
    except FileNotFoundError:
        shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        log.warning("%s could not be removed: %s", folder, error)
    return not folder.exists()


def _lock(file: IO[Any], how: int) -> bool | None:
    """Lock a file; False where another process holds it, None on a disk that knows no locks."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        log.debug("no lock on %s: %s", file.name, error)
        return None
    return True
