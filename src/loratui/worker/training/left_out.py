"""The run's record of the rows that it does not train on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from loratui.data.sieve import LeftOut
from loratui.files import write_whole
from loratui.runs.directory import Run


def write_left_out(run: Run, rows: Sequence[LeftOut]) -> None:
    """Write `left_out.jsonl`: one object a row (index, line, file, kind, message); an empty file where every row is used.

    Raises OSError where the disk is full.
    """
    write_whole(run.left_out_path, "".join(json.dumps(asdict(row)) + "\n" for row in rows))
