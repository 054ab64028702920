"""`loratui gguf`: a run's result as one GGUF file, and for Ollama, by the tools that make them; or their exact
commands.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loratui.core.errors import InputError, WorkerError
from loratui.paths import without_tilde
from loratui.terminal import say, say_json

if TYPE_CHECKING:
    from loratui.export.steps import Step


@click.command("gguf")
@click.argument("source", metavar="RUN_OR_FOLDER")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write; by default NAME-FORMAT.gguf here, of --lora NAME-lora-f16.gguf.",
)
@click.option(
    "--format",
    "kind",
    default="Q4_K_M",
    show_default=True,
    help="f32, f16, bf16, q8_0, or what llama-quantize makes: Q4_K_M, Q5_K_M, Q6_K, …",
)
@click.option("--ollama", metavar="NAME", help="Also give it to Ollama under this name.")
@click.option("--lora", is_flag=True, help="The adapter alone, for llama.cpp's --lora on a GGUF file of its base.")
@click.option("--print", "only_print", is_flag=True, help="Only print the commands.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    source: str, output: Path | None, kind: str, ollama: str | None, lora: bool, only_print: bool, as_json: bool
) -> None:
    """Make a GGUF file with llama.cpp's tools; where they are not installed, print the commands.

    An adapter is merged into its base first (RUN/merged, with its proof); of a run without a result its newest
    checkpoint. Whether the converter knows the tokenizer is looked at before that.
    """
    from loratui.child_process import run_tool
    from loratui.commands.whole_model import tool_line, whole_model
    from loratui.export.gguf import (
        find_llama_cpp,
        gguf_steps,
        lora_step,
        modelfile,
        ollama_step,
        sixteen_bit_file,
        stop_tokens,
        unknown_tokenizer,
    )
    from loratui.workers.command import GgufFile
    from loratui.workers.target import served

    what = served(source)
    target = without_tilde(output or f"{what.name}-{'lora-f16' if lora else kind}.gguf").absolute()
    described = target.with_name(f"{target.stem}.Modelfile")
    model = Path(what.merged)
    given_on = [ollama_step(ollama, described)] if ollama else []
    steps = [*gguf_steps(model, target, kind), *given_on]
    if lora:
        if not what.adapter or ollama:
            raise InputError("--lora takes a run with an adapter, and no --ollama.")
        if what.quantization != "none":
            say("The adapter was trained on a quantised base: on a GGUF base it answers a little otherwise.", err=True)
        steps = [lora_step(Path(what.adapter), Path(what.base), target)]
    missing = [step for step in steps if step.missing]
    if only_print or missing:
        _print(source, model, steps, as_json, merged=bool(what.adapter) and not lora)
        if only_print:
            return
        raise WorkerError(
            "nothing was made: " + "; ".join(f"to {step.words}, {step.missing}" for step in missing) + "."
        )
    between = sixteen_bit_file(target)
    made = [target, *([between] if any(str(between) in step.command for step in steps) else [])]
    if there := next((file for file in made if file.exists()), None):
        raise InputError("this file is there already.", where=str(there), hint="Choose another name with -o.")
    tokenizer = next(
        (place for place in map(Path, (what.adapter, what.merged, what.base)) if (place / "tokenizer.json").is_file()),
        Path(what.merged),
    )
    if not lora and (unknown := unknown_tokenizer(tokenizer, find_llama_cpp().converter)):
        raise WorkerError(
            f"nothing was made: {unknown}.",
            where=str(tokenizer),
            hint="A newer llama.cpp may know it; `loratui serve` and vLLM need no GGUF.",
        )
    if not lora:
        model, _ = whole_model(source)
        steps = [*gguf_steps(model, target, kind), *given_on]  # what lies between depends on the model's own format
    try:
        for step in steps:
            if ollama and step is steps[-1]:
                described.write_text(modelfile(target, stop_tokens(model)), encoding="utf-8")
            say(f"{step.words[0].upper()}{step.words[1:]} …\n  {step.line}", err=True)
            status, last = run_tool(step.command, tool_line)
            if status:
                said = f"it said last: {last}" if last else "it said nothing."
                raise WorkerError(f"the tool failed (exit status {status}); {said}", where=step.line)
    finally:
        if between in made:  # ours alone: it was not there before
            between.unlink(missing_ok=True)
    if as_json:
        say_json(asdict(GgufFile(str(target), target.stat().st_size, ollama)))
    else:
        say(
            f"{target} is written."
            + (
                f" Ask it with: ollama run {ollama}"
                if ollama
                else f" Ask it with: llama-cli -m {f'BASE.gguf --lora {target}' if lora else target}"
            )
        )


def _print(source: str, model: Path, steps: list[Step], as_json: bool, *, merged: bool) -> None:
    """The commands, the merge before them where there is one."""
    from loratui.commands.whole_model import merge_line

    first = [merge_line(source, str(model))] if merged and not (model / "config.json").is_file() else []
    if as_json:
        say_json(
            {
                "commands": [*first, *(step.line for step in steps)],
                "missing": [step.missing for step in steps if step.missing],
            }
        )
        return
    for line in (*first, *(step.line for step in steps)):
        say(line)
