"""What is told of a defect of our own: one sentence, with its traceback in a file."""

from __future__ import annotations

import os
import traceback

from loratui.files import make_folder, open_own
from loratui.paths import state_home


def defect_sentence(error: Exception, otherwise: str = "") -> str:
    """Write the traceback to the log of defects; the sentence that names both. otherwise: what may be done where it
    cannot be written.
    """
    log = state_home() / "crash.log"
    try:
        make_folder(log.parent)
        with os.fdopen(open_own(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        place = f"Its traceback is in {log}."
    except OSError as fault:
        place = f"Its traceback could not be written ({fault}){otherwise and '; '}{otherwise}."
    return f"defect of loratui: {type(error).__name__}: {error}. {place}"
