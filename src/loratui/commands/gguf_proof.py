"""The proof of a GGUF file: the run is asked in this process, the file by llama.cpp's tools, and both are compared."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.child_process import run_tool
from loratui.commands.trust import ask_for_load
from loratui.core.errors import LoratuiError, WorkerError
from loratui.export.gguf import find_llama_cpp, gguf_steps
from loratui.export.gguf_proof import GgufProof, missing_for_proof, prove
from loratui.files import write_whole
from loratui.terminal import say
from loratui.workers.target import base_folder, find_target, served

if TYPE_CHECKING:
    from loratui.export.gguf_proof import Reference


def proof_file(gguf: Path) -> Path:
    """Where the figures of a file's proof are kept."""
    return gguf.with_name(f"{gguf.stem}.proof.json")


def proved_words(gguf: Path) -> str:
    """What the proof beside a file says; "" where there is none, or the file was written after it."""
    try:
        if proof_file(gguf).stat().st_mtime_ns < gguf.stat().st_mtime_ns:
            return ""
        return str(json.loads(proof_file(gguf).read_text(encoding="utf-8"))["words"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def prove_file(source: str, gguf: Path, kind: str, *, lora: bool) -> GgufProof | None:
    """Hold the file against the run, and keep the figures beside it. None where that cannot be done here, which is
    said. WorkerError where llama.cpp's tools do not run the file.
    """
    tools = find_llama_cpp()
    if missing := missing_for_proof(tools):
        say(f"It is not proved: {missing}; llama.cpp's build makes them.", err=True)
        return None
    with tempfile.TemporaryDirectory(prefix=".proof-", dir=gguf.parent) as folder:
        try:
            said = _reference(source, Path(folder))
        except (LoratuiError, RuntimeError, OSError) as error:
            say(f"It is not proved: the run could not be asked: {error}", err=True)
            return None
        try:
            if lora:
                base = _base(source, Path(folder))
                proof = prove(base, "f16", said, tools, _tell, lora=gguf)
            else:
                proof = prove(gguf, kind, said, tools, _tell)
        except WorkerError as error:
            raise WorkerError(f"{gguf.name} is there, but not proved: {error.message}", where=error.where) from error
    document = {**asdict(proof), "source": source, "holds": proof.holds, "words": proof.words}
    write_whole(proof_file(gguf), json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    return proof


def _reference(source: str, folder: Path) -> Reference:
    from loratui.worker.gguf_reference import reference

    target = find_target(source)
    ask_for_load(target.load, trusted=False)
    return reference(target, folder)


def _base(source: str, folder: Path) -> Path:
    """The adapter's base as a GGUF file of its own, for as long as the proof takes."""
    made = folder / "base.gguf"
    say("The base is converted for the proof …", err=True)
    for step in gguf_steps(base_folder(served(source)), made, "f16"):
        status, last = run_tool(step.command, lambda text, drawn_over: None)
        if status:
            raise WorkerError(f"the base could not be converted (exit status {status}): {last}", where=step.line)
    return made


def _tell(what: str) -> None:
    say(what, err=True)
