"""Faults of the world around a training worker, put in place before anything of it is imported.

On the PYTHONPATH of a worker, with what is to happen as JSON in WORLD_FAULT; `faulty.py` does it once the trainer is
there.
"""

import importlib.abc
import importlib.util
import os
import sys

AFTER = "loratui.worker.training.session"


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the module be loaded as ever, and then the faults into it."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name != AFTER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):  # type: ignore[no-untyped-def]
            load(module)
            import faulty

            faulty.put(module)

        spec.loader.exec_module = exec_module
        return spec


if os.environ.get("WORLD_FAULT"):
    if AFTER in sys.modules:  # a fork of a process that has it already
        import faulty

        faulty.put(sys.modules[AFTER])
    else:
        sys.meta_path.insert(0, _Finder())
