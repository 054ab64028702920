"""Which of a dataset's stored rows are held out: found once, then kept beside them.

It takes a hash of every row, and with a million rows as long as all else that a resume does before its first step.
"""

from __future__ import annotations

import json
import logging
from hashlib import sha256
from pathlib import Path

import numpy as np

from loratui.core.plan import DatasetSection
from loratui.data.split import RowKeys, split_rows
from loratui.files import write_whole
from loratui.worker.token_store import Stored
from loratui.worker.token_table import Ints

log = logging.getLogger("loratui")
DECIDES = ("split_by", "eval_fraction", "eval_count")
"""Settings of the dataset that a split follows from, beside the seed and the rows: those name the store's folder."""
DIGEST_BYTES = sha256().digest_size


def held_out_rows(stored: Stored, section: DatasetSection, seed: int, *, sides: int = 1) -> Ints:
    """Positions of the rows that a plan holds out, ascending. sides: how many stored rows make one: 2 for pairs."""
    path = _place(stored, section, seed, sides)
    if path is not None and (kept := _kept(path, len(stored.table) // sides)) is not None:
        return kept
    keys = RowKeys.of(stored.table.identities[::sides], stored.table.leaders[::sides].tolist())
    found = np.array(split_rows(section, keys, seed).evaluation, dtype=np.int64)
    if path is not None:
        _keep(path, found)
    return found


def _place(stored: Stored, section: DatasetSection, seed: int, sides: int) -> Path | None:
    if stored.folder is None:
        return None
    decides = [seed, sides, *(getattr(section, name) for name in DECIDES)]
    return stored.folder / f"held-out-{sha256(json.dumps(decides).encode()).hexdigest()[:16]}"


def _kept(path: Path, rows: int) -> Ints | None:
    """What stands in the file; None where there is none, or it is not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, positions = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if sha256(positions).digest() != digest or len(positions) % 8:
        log.warning("%s is damaged: the rows to hold out are found anew", path)
        return None
    found = np.frombuffer(positions, dtype="<i8").astype(np.int64)
    return found if not len(found) or found[-1] < rows else None


def _keep(path: Path, positions: Ints) -> None:
    content = positions.astype("<i8").tobytes()
    try:
        write_whole(path, sha256(content).digest() + content)
    except OSError as error:  # it is found anew the next time
        log.warning("%s could not be written: %s", path, error)
