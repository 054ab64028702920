"""Amounts of memory as people write them."""

from __future__ import annotations

import re

from loratui.core.errors import MachineError

UNITS = {
    "": 1,
    "b": 1,
    "k": 2**10,
    "kb": 10**3,
    "kib": 2**10,
    "m": 2**20,
    "mb": 10**6,
    "mib": 2**20,
    "g": 2**30,
    "gb": 10**9,
    "gib": 2**30,
    "t": 2**40,
    "tb": 10**12,
    "tib": 2**40,
}
_SIZE = re.compile(r"\s*([0-9]+(?:[.,][0-9]+)?)\s*([A-Za-z]*)\s*")


class SizeError(MachineError):
    """A size that cannot be read."""

    code = "size"
    exit_status = 2


def parse_memory_size(text: str) -> int:
    """Bytes of a size such as `16GiB` (2^30), `24GB` (10^9), `24G` (as GiB) or `800MiB`; SizeError otherwise."""
    match = _SIZE.fullmatch(text)
    unit = match[2].lower() if match else ""
    if match is None or unit not in UNITS:
        raise SizeError(f"{text!r} is no amount of memory.", hint="Write it like 16GiB, 24GB or 800MiB.")
    size = int(float(match[1].replace(",", ".")) * UNITS[unit])
    if size < 2**20:
        raise SizeError(f"{text!r} is less than a mebibyte.", hint="Give the unit too, like 16GiB or 24GB.")
    return size
