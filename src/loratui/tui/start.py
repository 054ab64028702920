"""Opening the interface, from the command line: what must be set before Textual is imported."""

from __future__ import annotations

import gc
import os
import sys
from importlib.util import LazyLoader, find_spec, module_from_spec
from typing import Any

from loratui.core.errors import LoratuiError


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
    """Have a module of the standard library executed only once somebody takes something out of it."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is not None and spec.loader is not None:
        spec.loader = LazyLoader(spec.loader)
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


def over_ssh() -> bool:
    """Whether this terminal is at the far end of an SSH connection."""
    return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
