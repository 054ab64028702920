"""`loratui gguf`: a run's result as one GGUF file, and for Ollama, by the tools that make them; or their exact
commands. What is made is held against the run before it is called its result.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loratui.core.errors import InputError, LoratuiError, WorkerError
from loratui.paths import without_tilde
from loratui.terminal import say, say_json

if TYPE_CHECKING:
    from loratui.export.serving import Served
    from loratui.export.steps import Step


@dataclass(frozen=True)
class Asked:
    """What a person asks. imatrix: weigh the weights by the training rows; None: where the format is that small."""

    source: str
    kind: str
    ollama: str
    lora: bool
    imatrix: bool | None
    prove: bool
    as_json: bool


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
@click.option("--ollama", default="", metavar="NAME", help="Also give it to Ollama under this name.")
@click.option("--lora", is_flag=True, help="The adapter alone, for llama.cpp's --lora on a GGUF file of its base.")
@click.option(
    "--imatrix/--no-imatrix",
    default=None,
    help="Quantise by what the training rows use (llama-imatrix); by default for formats below 4 bits and IQ4.",
)
@click.option("--no-proof", is_flag=True, help="Do not hold the file against the run.")
@click.option("--print", "only_print", is_flag=True, help="Only print the commands.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    source: str,
    output: Path | None,
    kind: str,
    ollama: str,
    lora: bool,
    imatrix: bool | None,
    no_proof: bool,
    only_print: bool,
    as_json: bool,
) -> None:
    """Make a GGUF file with llama.cpp's tools; where they are not installed, print the commands.

    An adapter is merged into its base first (RUN/merged, with its proof); of a run without a result its newest
    checkpoint. Whether the converter knows the tokenizer is looked at before that. At the end the file is asked what
    the run was asked: answers, tokens and perplexity are in NAME.proof.json, and exit status 1 says that it is not the
    run's. A file that is there already is never written over; where it has no proof yet, it is proved.
    """
    from loratui.commands.whole_model import whole_model
    from loratui.export.gguf import find_llama_cpp, importance_file, sixteen_bit_file, unknown_tokenizer
    from loratui.workers.target import served

    given = Asked(source, kind, ollama, lora, imatrix, not no_proof, as_json)
    what = served(source)
    target = without_tilde(output or f"{what.name}-{'lora-f16' if lora else kind}.gguf").absolute()
    model = Path(what.merged)
    if lora:
        if not what.adapter or ollama or imatrix:
            raise InputError("--lora takes a run with an adapter, and neither --ollama nor --imatrix.")
        if what.quantization != "none":
            say("The adapter was trained on a quantised base: on a GGUF base it answers a little otherwise.", err=True)
    if target.exists() and not only_print:
        _require_unproved(given, target)
        say(f"{target} is there already, without a proof: it is held against {what.name}.", err=True)
        _prove_and_tell(given, whole_model(source)[0] if ollama else model, target, "stays as it is")
        return
    rows = _rows_file(given, target)
    steps = _steps(given, what, model, target, rows)
    missing = [step for step in steps if step.missing]
    if only_print or missing:
        _print(source, model, steps, as_json, merged=bool(what.adapter) and not lora)
        if only_print:
            return
        raise WorkerError(
            "nothing was made: " + "; ".join(f"to {step.words}, {step.missing}" for step in missing) + "."
        )
    between = [file for file in (sixteen_bit_file(target), rows, rows and importance_file(target)) if file is not None]
    between = [file for file in between if any(str(file) in step.command for step in steps)]
    if there := next((file for file in between if file.exists()), None):
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
    _make(given, what, model, target, between)


def _make(given: Asked, what: Served, model: Path, target: Path, between: list[Path]) -> None:
    """Merge where that is needed, run the steps, prove what came of them, and say so."""
    from loratui.commands.whole_model import whole_model

    rows = next((file for file in between if file.suffix == ".txt"), None)
    try:
        if rows is not None:
            _write_rows(given.source, rows)
        if not given.lora:
            model, _ = whole_model(given.source)
        steps = _steps(given, what, model, target, rows)  # what lies between depends on the model's own format
        _run([step for step in steps if not given.ollama or step is not steps[-1]])
    finally:
        for file in between:  # ours alone: they were not there before
            file.unlink(missing_ok=True)
    _prove_and_tell(given, model, target, "is written")


def _require_unproved(given: Asked, target: Path) -> None:
    """InputError where there is nothing to be done with a file that is there: it is another's, or proved."""
    from loratui.commands.gguf_proof import proof_file, proved_words
    from loratui.export.gguf import find_llama_cpp
    from loratui.export.gguf_header import held_format
    from loratui.export.gguf_proof import missing_for_proof

    found, another = "this file is there already", "Choose another name with -o"
    if not given.prove:
        raise InputError(f"{found}.", where=str(target), hint=f"{another}; without --no-proof it would be proved.")
    if words := proved_words(target):
        raise InputError(
            f"{found}, with its proof: {words}",
            where=str(target),
            hint=f"{another}. Without {proof_file(target).name} it would be proved anew.",
        )
    if missing := missing_for_proof(find_llama_cpp()):
        raise InputError(f"{found}, and cannot be proved: {missing}.", where=str(target), hint=f"{another}.")
    held = held_format(target)
    if held and not given.lora and held.lower() != given.kind.lower():
        raise InputError(
            f"{found}, and holds {held} instead of {given.kind}.",
            where=str(target),
            hint=f"{another}, or prove it with --format {held}.",
        )


def _prove_and_tell(given: Asked, model: Path, target: Path, state: str) -> None:
    """Hold the file against the run, give it to Ollama where that is asked, and say what is so."""
    from loratui.commands.gguf_proof import proof_file, prove_file
    from loratui.export.gguf import ollama_step
    from loratui.workers.command import GgufFile

    made = GgufFile(str(target), target.stat().st_size, given.ollama or None)
    proof = prove_file(given.source, target, given.kind, lora=given.lora) if given.prove else None
    if proof is not None:
        made = replace(made, holds=proof.holds, proof=proof.words)
        if not proof.holds:
            raise WorkerError(
                f"the file does not answer as the run does: {proof.words}",
                where=str(target),
                hint=f"It is kept, and its figures are in {proof_file(target).name}; do not ship it as the run.",
            )
    if given.ollama:
        _give_to_ollama(model, target, ollama_step(given.ollama, _described(target)))
    if given.as_json:
        say_json(asdict(made) | ({"figures": asdict(proof)} if proof is not None else {}))
        return
    asked = f"llama-cli -m {f'BASE.gguf --lora {target}' if given.lora else target}"
    asked = f"ollama run {given.ollama}" if given.ollama else asked
    say(" ".join(part for part in (f"{target} {state}.", made.proof, f"Ask it with: {asked}") if part))


def _steps(given: Asked, what: Served, model: Path, target: Path, rows: Path | None) -> list[Step]:
    from loratui.export.gguf import gguf_steps, lora_step, ollama_step
    from loratui.workers.target import base_folder

    if given.lora:
        return [lora_step(Path(what.adapter), base_folder(what), target)]
    given_on = [ollama_step(given.ollama, _described(target))] if given.ollama else []
    return [*gguf_steps(model, target, given.kind, rows=rows), *given_on]


def _rows_file(given: Asked, target: Path) -> Path | None:
    """Where the rows are written from which an importance matrix is made; None where none is. InputError where one was
    asked for and cannot be.
    """
    from loratui.export.gguf import BY_IMPORTANCE, find_llama_cpp, quantised_kind
    from loratui.workers.target import find_target

    kind = quantised_kind(given.kind)
    if given.imatrix and not kind:
        raise InputError(f"--imatrix is for what llama-quantize makes, and {given.kind} is not quantised by it.")
    if given.lora or given.imatrix is False or not (given.imatrix or kind in BY_IMPORTANCE):
        return None
    if find_target(given.source).plan is None:
        if given.imatrix:
            raise InputError("--imatrix takes a run: its training rows say which weights matter.")
        return None
    if not given.imatrix and find_llama_cpp().imatrix is None:
        say(f"llama-imatrix is not here: {kind} is made without knowing which weights the rows use.", err=True)
        return None
    return target.with_name(f"{target.stem}-rows.txt")


def _write_rows(source: str, file: Path) -> None:
    from loratui.export.gguf import IMPORTANCE_CHARACTERS
    from loratui.worker.gguf_reference import training_text
    from loratui.workers.target import find_target

    try:
        text = training_text(find_target(source), IMPORTANCE_CHARACTERS)
    except (LoratuiError, OSError) as error:
        raise WorkerError(
            f"the training rows cannot be read for the importance matrix: {error}", hint="--no-imatrix does without."
        ) from error
    file.write_text(text, encoding="utf-8")


def _run(steps: list[Step]) -> None:
    from loratui.child_process import run_tool
    from loratui.commands.whole_model import tool_line

    for step in steps:
        say(f"{step.words[0].upper()}{step.words[1:]} …\n  {step.line}", err=True)
        status, last = run_tool(step.command, tool_line)
        if status:
            said = f"it said last: {last}" if last else "it said nothing."
            raise WorkerError(f"the tool failed (exit status {status}); {said}", where=step.line)


def _give_to_ollama(model: Path, target: Path, step: Step) -> None:
    from loratui.export.gguf import modelfile, stop_tokens

    _described(target).write_text(modelfile(target, stop_tokens(model)), encoding="utf-8")
    _run([step])


def _described(target: Path) -> Path:
    return target.with_name(f"{target.stem}.Modelfile")


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
