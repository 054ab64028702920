"""A model's folder as GGUF for llama.cpp and Ollama, made by their own tools.

llama.cpp is looked for in $LLAMA_CPP, in folders of that name, and on the PATH. Nothing is fetched or built here.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
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
BY_IMPORTANCE = ("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "IQ4_NL", "IQ4_XS")
"""Formats so small that it matters which weights the rows use: an importance matrix is made for them unasked."""
IMPORTANCE_CHARACTERS, IMPORTANCE_TOKENS = 100_000, 256
"""Text that it is made from at most (some 25,000 tokens), and tokens read at once."""
CONVERTER, LORA_CONVERTER = "convert_hf_to_gguf.py", "convert_lora_to_gguf.py"
CHECK_TEXT = re.compile(r"^\s*chktxt = ('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\s*$", re.MULTILINE)
CHECK_HASH = re.compile(r"chkhsh == \"([0-9a-f]{64})\"")
BETWEEN = {"bfloat16": "bf16", "float32": "f32"}
"""What is written before quantising, by the model's own number format; f16 for others."""
GET_CONVERTER = (
    "git clone https://github.com/ggml-org/llama.cpp, pip install -r llama.cpp/requirements.txt into an environment "
    "at llama.cpp/.venv, "
    "and set LLAMA_CPP to that folder"
)
GET_QUANTISER = (
    "build llama.cpp (cmake -B build && cmake --build build --target llama-quantize llama-imatrix llama-server "
    "llama-perplexity) and set LLAMA_CPP to its folder, or install its package"
)
GET_OLLAMA = "see https://ollama.com/download"


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """llama.cpp's tools as they are here; None where one is not."""

    converter: Path | None
    python: str
    """Python that has the converter's needs: llama.cpp's own environment where it has one."""
    quantiser: str | None
    imatrix: str | None = None
    server: str | None = None
    perplexity: str | None = None


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

    def built(name: str) -> str | None:
        places = [folder / place / name for folder in folders for place in ("build/bin", "bin", ".")]
        return next((str(path) for path in places if path.is_file()), None) or shutil.which(name)

    named_tools = ("llama-quantize", "llama-imatrix", "llama-server", "llama-perplexity")
    return LlamaCpp(converter, python, *map(built, named_tools))


def gguf_steps(
    model: Path, output: Path, kind: str = USUAL, tools: LlamaCpp | None = None, rows: Path | None = None
) -> tuple[Step, ...]:
    """The commands that make `output` of a model's folder. rows: text that an importance matrix is made from before
    quantising; None: none is made. InputError for a kind that neither tool knows.
    """
    found = tools or find_llama_cpp()
    written = WRITTEN.get(kind.lower())
    quantised = quantised_kind(kind)
    if written is None and not quantised:
        raise InputError(f"there is no GGUF format {kind}.", hint=f"Formats are: {', '.join((*WRITTEN, *QUANTISED))}.")
    config = _read(model / "config.json")
    between = BETWEEN.get(str(config.get("dtype") or config.get("torch_dtype") or ""), "f16")
    first = output if written else sixteen_bit_file(output)
    converter = str(found.converter) if found.converter else CONVERTER
    steps = [
        Step(
            f"convert to GGUF in {written or between}",
            (
                found.python if found.converter else "python",
                converter,
                str(model),
                "--outfile",
                str(first),
                "--outtype",
                written or between,
            ),
            "" if found.converter else GET_CONVERTER,
        )
    ]
    if written is None:
        weighed: tuple[str, ...] = ()
        if rows is not None:
            steps.append(_importance_step(first, rows, importance_file(output), found))
            weighed = ("--imatrix", str(importance_file(output)))
        steps.append(
            Step(
                f"quantise to {quantised}",
                (found.quantiser or "llama-quantize", *weighed, str(first), str(output), quantised),
                "" if found.quantiser else GET_QUANTISER,
            )
        )
    return tuple(steps)


def _importance_step(model: Path, rows: Path, output: Path, tools: LlamaCpp) -> Step:
    size = str(IMPORTANCE_TOKENS)
    arguments = ("-m", str(model), "-f", str(rows), "-o", str(output), "-c", size, "-b", size, "--parse-special")
    return Step(
        "see which weights the training rows use",
        (tools.imatrix or "llama-imatrix", *arguments),
        "" if tools.imatrix else GET_QUANTISER,
    )


def quantised_kind(kind: str) -> str:
    """The format as llama-quantize calls it; "" for one that the converter writes, or nobody."""
    if kind.lower() in WRITTEN:
        return ""
    return next((name for name in QUANTISED if name.lower() == kind.lower()), "")


def importance_file(output: Path) -> Path:
    """The file of the importance matrix, between converting and quantising."""
    return output.with_name(f"{output.stem}.imatrix")


def unknown_tokenizer(tokenizer: Path, converter: Path | None) -> str:
    """Why the converter would refuse this tokenizer (a folder), after all the work before it; "" where it knows it, or
    that cannot be told.

    It knows byte-level tokenizers by the hash of a text of its own as token ids; both stand in its source, of newer
    ones in the folder `conversion` beside it.
    """
    document = _read(tokenizer / "tokenizer.json")
    model = document.get("model")
    if converter is None or not isinstance(model, dict) or (tokenizer / "tokenizer.model").is_file():
        return ""
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        return ""  # of other kinds the vocabulary is written as it is
    try:
        files = [converter, *sorted((converter.parent / "conversion").glob("*.py"))]
        source = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    except OSError:
        return ""
    known, text = set(CHECK_HASH.findall(source)), CHECK_TEXT.search(source)
    if not known or text is None:
        return ""
    from tokenizers import Tokenizer

    try:
        ids = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).encode(ast.literal_eval(text[1])).ids
    except Exception:  # noqa: BLE001 - the library's own errors; then the converter says what it thinks of it
        return ""
    if sha256(str(ids).encode()).hexdigest() in known:
        return ""
    return "llama.cpp's converter does not know this model's tokenizer, and would refuse it"


def sixteen_bit_file(output: Path) -> Path:
    """The file between converting and quantising."""
    return output.with_name(f"{output.stem}-whole.gguf")


def lora_step(adapter: Path, base: Path, output: Path, tools: LlamaCpp | None = None) -> Step:
    """The command that makes an adapter alone a GGUF file, which llama.cpp puts on its base (`--lora`)."""
    found = tools or find_llama_cpp()
    converter = found.converter.with_name(LORA_CONVERTER) if found.converter else Path(LORA_CONVERTER)
    missing = "" if found.converter and converter.is_file() else GET_CONVERTER
    python = found.python if found.converter else "python"
    arguments = (str(adapter), "--base", str(base), "--outfile", str(output), "--outtype", "f16")
    return Step("convert the adapter to GGUF", (python, str(converter), *arguments), missing)


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
