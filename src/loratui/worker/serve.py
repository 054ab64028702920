"""`loratui serve`: runs, adapters and their checkpoints over HTTP, on one base. This process holds the models.

Exit status: 0 ended by a person; 1 it could not be served; 2 wrong usage.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loratui.core.errors import InputError, LoratuiError, WorkerError
from loratui.export.serving import LOOPBACK, can_serve, question
from loratui.terminal import fail
from loratui.worker.loading import load_models, tell
from loratui.worker.serving.offered import offered
from loratui.workers.protocol import Load
from loratui.workers.target import find_target, with_device

if TYPE_CHECKING:
    from loratui.worker.serving.engine import Engine
    from loratui.worker.serving.server import Server

KEY = "LORATUI_API_KEY"
"""The environment variable with the key that clients must show."""


@dataclass(frozen=True)
class ServeRequest:
    """What a person asks. sources: runs, adapters or models, all on one base. most_tokens: of an answer. most_waiting:
    questions that may wait.
    """

    sources: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 8000
    device: str = ""
    batch_rows: int = 16
    most_tokens: int = 2048
    most_waiting: int = 128
    ask: Callable[[Load], None] = lambda load: None
    """Asks whether the code that the model brings may run; raises where it may not."""


def execute(given: ServeRequest) -> int:
    """Serve until somebody ends it; the exit status."""
    try:
        serve(given)
    except LoratuiError as error:
        fail(error.sentence)
        return error.exit_status
    except KeyboardInterrupt:
        pass
    return 0


def serve(given: ServeRequest) -> None:
    """Load, listen and answer, until the process is interrupted. Raises LoratuiError."""
    key = os.environ.get(KEY, "").strip()
    if given.host not in LOOPBACK and not key:
        raise InputError(
            f"at {given.host} others can reach this server, and it has no key.",
            hint=f"Set {KEY} to a secret (openssl rand -hex 24 makes one), or leave --host out and use an SSH tunnel.",
        )
    targets = [find_target(name) for name in given.sources]
    first = with_device(targets[0], given.device) if given.device else targets[0]
    models, sides, later = offered(targets)
    if missing := can_serve():
        raise WorkerError(f"this cannot be served here: {missing}.")
    for target in targets:
        if target.note:
            tell(f"{target.title}: {target.note}")
        given.ask(target.load)
    with _bound(given.host, given.port) as listening:
        loaded = load_models(replace(first.load, sides=sides))
        from loratui.worker.serving.engine import Engine
        from loratui.worker.serving.server import Limits, Server

        engine = Engine(loaded, given.batch_rows, given.most_waiting, later)
        hosts = frozenset(LOOPBACK) if given.host in LOOPBACK else frozenset[str]()
        server = Server(engine, models, Limits(given.most_tokens, key, hosts))
        for one in models:
            tell(f"  {one.name}  ({one.words})")
        name = next((one.name for one in models if one.words != "base"), models[0].name)
        asked = question(name, host=given.host, port=given.port, key=f"${KEY}" if key else "")
        tell(f"Serving at http://{given.host}:{given.port}/v1 (ctrl+c ends it). Ask it with:")
        tell(f"  {asked}")
        _run(server, engine, listening)


def _run(server: Server, engine: Engine, listening: socket.socket) -> None:
    import uvicorn

    engine.begin()
    config = uvicorn.Config(
        server.app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        engine.close()


def _bound(host: str, port: int) -> socket.socket:
    """The address, taken before minutes are spent on loading; nobody is answered yet. InputError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise InputError(
            f"{host}:{port} cannot be listened at: {error.strerror or error}.", hint="Choose another --port or --host."
        ) from None
    return found
