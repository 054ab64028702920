"""A model's folder as GGUF for llama.cpp and Ollama, made by their own tools.

llama.cpp is looked for in $LLAMA_CPP, in folders of that name, and on the PATH. Nothing is fetched or built here.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.core.errors import InputError
from loratui.export.steps import Step
from loratui.paths import without_tilde

WRITTEN = {"f32": "f32", "f16": "f16", "bf16": "bf16", "q8_0": "q8_0"}
"""Formats that the converter itself writes."""
QUANTISED = (
    "Q2_K",
    "Q3_K_S",
    "Q3_K_M",
    "Q3_K_L",
    "Q4_0",
    "Q4_K_S",
    "Q4_K_M",
    "Q5_0",
    "Q5_K_S",
    "Q5_K_M",
    "Q6_K",
    "Q8_0",
    "IQ4_NL",
    "IQ4_XS",
)
"""Formats that `llama-quantize` makes of a 16-bit file."""
USUAL = "Q4_K_M"
CONVERTER = "convert_hf_to_gguf.py"
GET_CONVERTER = (
    "git clone https://github.com/ggml-org/llama.cpp, pip install -r llama.cpp/requirements.txt into an environment "
    "at llama.cpp/.venv, "
    "and set LLAMA_CPP to that folder"
)
GET_QUANTISER = (
    "build llama.cpp (cmake -B build && cmake --build build --target llama-quantize) and set LLAMA_CPP to its folder, "
    "or install its package"
)
GET_OLLAMA = "see https://ollama.com/download"


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """llama.cpp's tools as they are here; None where one is not."""

    converter: Path | None
    python: str
    """Python that has the converter's needs: llama.cpp's own environment where it has one."""
    quantiser: str | None


def find_llama_cpp() -> LlamaCpp:
    """The tools that are installed."""
    named = os.environ.get("LLAMA_CPP", "")
    folders = (
        [without_tilde(named)]
        if named
        else [Path.home() / "llama.cpp", Path("/opt/llama.cpp"), Path("llama.cpp").absolute()]
    )
    on_path = shutil.which(CONVERTER)
    converter = next(
        (folder / CONVERTER for folder in folders if (folder / CONVERTER).is_file()), Path(on_path) if on_path else None
    )
    python = sys.executable
    if converter is not None:
        python = next(
            (str(path) for name in (".venv", "venv") if (path := converter.parent / name / "bin" / "python").is_file()),
            python,
        )
    built = [folder / place / "llama-quantize" for folder in folders for place in ("build/bin", "bin", ".")]
    quantiser = next((str(path) for path in built if path.is_file()), None) or shutil.which("llama-quantize")
    return LlamaCpp(converter, python, quantiser)


def gguf_steps(model: Path, output: Path, kind: str = USUAL, tools: LlamaCpp | None = None) -> tuple[Step, ...]:
    """The commands that make `output` of a model's folder. InputError for a kind that neither tool knows."""
    found = tools or find_llama_cpp()
    written = WRITTEN.get(kind.lower())
    quantised = next((name for name in QUANTISED if name.lower() == kind.lower()), None)
    if written is None and quantised is None:
        raise InputError(f"there is no GGUF format {kind}.", hint=f"Formats are: {', '.join((*WRITTEN, *QUANTISED))}.")
    first = output if written else sixteen_bit_file(output)
    converter = str(found.converter) if found.converter else CONVERTER
    steps = [
        Step(
            f"convert to GGUF in {written or '16 bit'}",
            (
                found.python if found.converter else "python",
                converter,
                str(model),
                "--outfile",
                str(first),
                "--outtype",
                written or "f16",
            ),
            "" if found.converter else GET_CONVERTER,
        )
    ]
    if written is None and quantised is not None:
        steps.append(
            Step(
                f"quantise to {quantised}",
                (found.quantiser or "llama-quantize", str(first), str(output), quantised),
                "" if found.quantiser else GET_QUANTISER,
            )
        )
    return tuple(steps)


def sixteen_bit_file(output: Path) -> Path:
    """The file between converting and quantising."""
    return output.with_name(f"{output.stem}-f16.gguf")


def ollama_step(name: str, modelfile: Path) -> Step:
    """The command that gives a GGUF file to Ollama."""
    ollama = shutil.which("ollama")
    return Step(
        f"give it to Ollama as {name}",
        (ollama or "ollama", "create", name, "-f", str(modelfile)),
        "" if ollama else GET_OLLAMA,
    )


def modelfile(gguf: Path, stops: Sequence[str]) -> str:
    """Ollama's description of a GGUF file. stops: tokens that end an answer."""
    lines = [
        f"FROM {gguf}",
        (
            "# Ollama reads the chat template from the file where it knows it by sight. If it answers as if it had "
            "not understood who"
        ),
        "# speaks, write a TEMPLATE here; the model's own is chat_template.jinja beside the merged weights.",
        *(f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops),
    ]
    return "\n".join(lines) + "\n"


def stop_tokens(model: Path) -> tuple[str, ...]:
    """The tokens that end an answer, as text, from a model folder's own files; empty where they do not say."""
    numbers = _read(model / "generation_config.json").get("eos_token_id")
    wanted = set(numbers if isinstance(numbers, list) else [numbers])
    added = _read(model / "tokenizer.json").get("added_tokens")
    known = added if isinstance(added, list) else []
    return tuple(
        str(one["content"]) for one in known if isinstance(one, dict) and one.get("id") in wanted and one.get("content")
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
