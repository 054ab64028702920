"""When Python looks for garbage: not while the interface starts."""

from __future__ import annotations

import gc

START_SECONDS = 3.0
"""From when on garbage is collected: what was made until then mostly stays."""


def collect_no_garbage() -> None:
    """Start-up makes many objects that stay; looking through them costs a tenth of it."""
    gc.disable()


def collect_garbage_again() -> None:
    """From now on, but for what the start has made: looking through that would hold up a key for many milliseconds."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
