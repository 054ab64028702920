"""What libraries print beside our own words, where this process speaks to a person."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def quiet_libraries() -> None:
    """Leave out progress bars, and notes for programmers: kernels that are not installed, options that get new names.

    What transformers warns of (weights that are missing, say) is still printed. Before anything is loaded.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    for library in ("transformers", "peft", "torch"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=library)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Nothing is warned of meanwhile, neither by `warnings` nor in a log; afterwards as before."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
