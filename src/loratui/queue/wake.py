"""Whoever starts loratui on this machine sees to it that what waits is watched."""

from __future__ import annotations

import os
import sys

from loratui.child_process import start_detached
from loratui.core.errors import LoratuiError
from loratui.experiments.directory import open_here
from loratui.files import open_own
from loratui.queue.lock import take_watch
from loratui.runs.waiting import queue_path, read_queue


def wake() -> bool:
    """Start a watcher where runs wait, or an experiment goes on, and none is there; whether one was started. Where that
    cannot be done nothing is said: `loratui queue` says it.
    """
    try:
        if all(one.held for one in read_queue()) and not open_here():
            return False
        lock = take_watch()
        if lock is None:
            return False
        lock.close()
        log = open_own(queue_path().with_name("queue.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            start_detached([sys.executable, "-m", "loratui.queue"], log)
        finally:
            os.close(log)
    except (LoratuiError, OSError):
        return False
    return True


def watched() -> bool:
    """Whether a watcher is there."""
    try:
        lock = take_watch()
    except OSError:
        return False
    if lock is None:
        return True
    lock.close()
    return False
