"""The code that what is to be loaded brings: of the base, and of the folders that answer on it. No torch."""

from __future__ import annotations

from typing import Any

from loratui.models.trust import CodeNotAgreedError, RemoteCode, load_options, remote_code
from loratui.workers.protocol import Load


def code_options(load: Load, source: str, revision: str = "") -> dict[str, Any]:
    """What `from_pretrained` is told of a source's own code: the base, or a folder whose code may be a copy of the
    base's. CodeNotAgreedError where nobody agreed to run it.
    """
    base, base_revision = (load.code_of, load.code_revision) if load.code_of else (load.base, load.revision)
    return load_options(source, revision, wanted=load.trust_remote_code, base=base, base_revision=base_revision)


def unanswered(load: Load) -> RemoteCode | None:
    """The first code of it that nobody agreed to yet; None where there is nothing to ask."""
    for source, revision in ((load.base, load.revision), *((side, "") for side in load.sides.values() if side)):
        try:
            code_options(load, source, revision)
        except CodeNotAgreedError:
            return remote_code(source, revision)
    return None
