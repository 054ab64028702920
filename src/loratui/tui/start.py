"""Opening the interface, from the command line: what must be set before Textual is imported."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from types import ModuleType
from typing import Any

from loratui.core.errors import LoratuiError

_IMPORTING = Lock()


def open_interface(**options: Any) -> int:
    """Open the wizard (or one of its screens) and return its exit status."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LoratuiError(
            "the wizard needs a terminal to draw on.", hint="Use a command instead: `loratui --help` lists them."
        )
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # looking for them reads every installed package's metadata
    os.environ.setdefault("TEXTUAL_FPS", "15" if over_ssh() else "60")
    import_when_used("importlib.metadata")  # pydantic imports it for its plugins
    gc.disable()  # start-up makes many objects that stay; looking through them costs a tenth of it
    from loratui.tui.app import LoratuiApp

    app = LoratuiApp(**options)
    app.run()
    return app.return_code or 0


def import_when_used(name: str) -> None:
    """Have a module of the standard library executed only once somebody takes something out of it, whichever threads
    do so at once (the library's own `LazyLoader` hands out half a module to the second of them before Python 3.12).
    """
    spec = find_spec(name) if name not in sys.modules else None
    if spec is not None:
        stand_in = _WhenUsed(name)
        stand_in.__spec__ = spec
        sys.modules[name] = stand_in
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, stand_in)


class _WhenUsed(ModuleType):
    """Stands for a module until something is taken out of it."""

    def __getattr__(self, attribute: str) -> Any:
        name = self.__name__
        with _IMPORTING:
            if sys.modules.get(name) is self:
                del sys.modules[name]
        return getattr(import_module(name), attribute)


def over_ssh() -> bool:
    """Whether this terminal is at the far end of an SSH connection."""
    return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
