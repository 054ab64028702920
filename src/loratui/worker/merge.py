"""An adapter merged into its base, and the proof that the merged model says what the adapter said.

The sum is never quantised: that would round the adapter away. An adapter that was trained on a quantised base learnt to
make up for its rounding, so it is added to that base as it was, dequantised, unless somebody asks for the unquantised
one. The sum is made in float32 and rounded once. Adapter and merged model answer the same prompts; the merged folder
appears only when they agree, read back from disk.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratui.core.errors import InputError, LoratuiError, ModelError, WorkerError
from loratui.files import write_whole
from loratui.format import first_line
from loratui.paths import without_tilde
from loratui.runs.directory import MERGE_NOTE
from loratui.runs.merges import measured_merge
from loratui.runs.model_card import CARD, model_card
from loratui.runs.result import seal_result, step_of_result, unproven
from loratui.terminal import fail, say, say_json
from loratui.worker.merge_proof import (
    DEQUANTISED,
    EXACT_TOLERANCE,
    ROUNDING_SHARE,
    UNCHECKED_TOLERANCE,
    UNQUANTISED,
    Proof,
    compare,
    describe,
    first_differing,
)
from loratui.worker.quiet import quiet_libraries
from loratui.workers.code import code_options
from loratui.workers.command import Merged
from loratui.workers.protocol import ADAPTER, BASE, Load
from loratui.workers.target import Target, find_target, with_device

if TYPE_CHECKING:
    import torch

    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.merge_answers import Asked

TIED = (
    "This model uses one matrix as embedding and as head; an adapter on one of them changes both when it is merged. "
    "Serve the adapter itself, or train without embed_tokens and lm_head."
)
FLOAT32_MARGIN = 1.25
"""Memory for float32 weights is asked for with this much room around it."""


@dataclass(frozen=True)
class MergeRequest:
    """What a person asks: adapter (a run, or an adapter's folder) into a new folder. onto: dequantised or unquantised.
    "" leaves a choice to the adapter and the machine.
    """

    adapter: str
    output: str
    base: str = ""
    dtype: str = ""
    device: str = ""
    as_json: bool = False
    onto: str = ""
    ask: Callable[[Load], None] = lambda load: None
    """Asks whether the code that the model brings may run; raises where it may not."""


def execute(given: MergeRequest) -> int:
    """Merge, print the proof, and return the exit status."""
    try:
        target = find_target(given.adapter, base=given.base)
        if target.note:
            say(target.note, err=True)
        if target.run is not None and target.result is not None and (words := unproven(target.result)):
            say(words, err=True)
        given.ask(target.load)
        if given.device:
            target = with_device(target, given.device)
        proof = merge(
            target,
            without_tilde(given.output).absolute(),
            given.dtype,
            lambda what: say(what[0].upper() + what[1:] + " …", err=True),
            onto=given.onto,
        )
    except LoratuiError as error:
        fail(error.sentence)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except (MemoryError, RuntimeError) as error:
        from loratui.worker.generation.load import explain

        fail(f"{explain(error)[0]} Nothing was kept. With --device cpu it needs no GPU.")
        return 1
    if given.as_json:
        made = Merged(str(without_tilde(given.output).absolute()), proof.holds, describe(proof), target.base_changed)
        say_json({**asdict(made), **asdict(proof)}, indent=None)
    else:
        say(f"The merged model is in {given.output}. {_proved(proof, target)}")
    return 0


def merge(
    target: Target, output: Path, dtype: str = "", tell: Callable[[str], None] = lambda what: None, *, onto: str = ""
) -> Proof:
    """Merge into `output`, a new folder. Raises LoratuiError where the merge drifts; nothing is left behind then.

    dtype: bf16, fp16 or fp32; by default the one that the base was trained with, else the one it is kept in.
    onto: the base as it was in training (dequantised), or as it is kept (unquantised); by default as in training.
    """
    if ADAPTER not in target.load.sides:
        raise InputError(f"{target.title} has no adapter to merge.", hint=target.note)
    if not (Path(target.load.sides[ADAPTER]) / "adapter_config.json").is_file():
        raise InputError(f"{target.title} is a whole model: there is nothing to merge.")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError("this place is taken.", where=str(output), hint="Name a new folder.")
    quantised = target.load.quantization != "none"
    if onto == DEQUANTISED and not quantised:
        raise InputError(f"{target.title} was not trained on a quantised base.", hint="Leave --onto out.")
    onto = onto or (DEQUANTISED if quantised else UNQUANTISED)
    began = time.monotonic()
    tell("starting PyTorch")
    from transformers import logging

    from loratui.worker.base_model import DTYPES
    from loratui.worker.dequantised import as_in_training
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.merge_answers import answers_of, ask, logits_of, proof_prompts
    from loratui.worker.saved_tokenizer import save_tokenizer

    quiet_libraries()
    logging.set_verbosity_error()  # the proof says what the weights are worth
    kept = _format_of(target.load)
    request = replace(target.load, quantization="none", dtype=dtype or target.load.dtype or kept)
    trained = _trained(target, onto, tell) if quantised else None
    models = LoadedModels(request, tell)
    if onto == DEQUANTISED:
        as_in_training(models, trained)
    name = next(key for key, value in DTYPES.items() if value == models.dtype)
    tell("the adapter answers the prompts")
    prompts = proof_prompts(models.tokenizer, target)
    asked = ask(models, target, lambda which: tell(f"the adapter answers: {which}"))
    reference = (
        [] if quantised else answers_of(models, ADAPTER, prompts, lambda which: tell(f"the adapter answers: {which}"))
    )
    generation, tied = (
        _generation_config(models, request),
        bool(getattr(models.base.config.get_text_config(), "tie_word_embeddings", False)),
    )
    formats = {key.replace(".base_layer.", "."): value.dtype for key, value in models.base.named_parameters()}
    device = str(models.device)
    exact: list[torch.Tensor] | None = asked.logits if name == "fp32" else None
    if name != "fp32" and (place := _room_for_float32(models)):
        tell("the same in float32, for the sum and for the proof")
        del models
        _free_memory()
        models = LoadedModels(replace(request, dtype="fp32", device=place))
        if onto == DEQUANTISED:
            as_in_training(models, trained)
        adapter = models.use(ADAPTER)
        exact = [logits_of(adapter, ids) for ids in asked.texts]
    seen: list[torch.Tensor] = []
    if trained is not None:  # only now: on some CPUs its first answer rearranges its weights
        tell(f"the adapter answers on the {target.load.quantization} base")
        on_its_base = f"the adapter answers on the {target.load.quantization} base"
        reference = answers_of(trained, ADAPTER, prompts, lambda which: tell(f"{on_its_base}: {which}"))
        seen = [logits_of(trained.use(ADAPTER), ids) for ids in asked.texts]
    del trained
    tell("adding the adapter into the weights")
    merged = models.merge(ADAPTER)
    wrong = compare(exact, [logits_of(merged, ids) for ids in asked.texts])[1] if exact is not None else None
    part = output.with_name(output.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        tell(f"writing {output.name}")
        for key, parameter in merged.named_parameters():
            parameter.data = parameter.data.to(
                formats.get(key, DTYPES[name])
            )  # some layers stay in float32, as they were loaded
        merged.config.dtype, merged.generation_config = DTYPES[name], generation
        merged.save_pretrained(part)
        save_tokenizer(models.tokenizer, part, request.base, request.revision)
        del merged, models  # the merged model is read back: two of them need not be in memory
        _free_memory()
        tell("reading it back, and comparing")
        reread = LoadedModels(
            Load(
                str(part),
                dtype=name,
                device=device,
                attention=request.attention,
                trust_remote_code=request.trust_remote_code,
                code_of=request.base,
                code_revision=request.revision,
            )
        )
        after = [logits_of(reread.base, ids) for ids in asked.texts]
        answers = (
            answers_of(reread, BASE, prompts, lambda which: tell(f"the merged model answers: {which}"))
            if reference
            else []
        )
        del reread
        _free_memory()
        proof = _prove(asked, exact, after, wrong, name)
        if not proof.holds:
            raise WorkerError(
                f"the merged model is not the adapter's: {describe(proof)}",
                hint="Nothing was kept. "
                + (
                    TIED
                    if wrong is not None and wrong > EXACT_TOLERANCE and tied
                    else "Merge in fp32 with --dtype fp32, or serve the adapter itself."
                    if name != "fp32"
                    else "Serve the adapter itself."
                ),
            )
        proof = replace(
            proof,
            onto=onto,
            answers=len(answers),
            answers_equal=sum(one == other for one, other in zip(reference, answers, strict=bool(answers))),
            trained_on=target.load.quantization if quantised else "",
            quantised_difference=compare(seen, after)[1] if seen else None,
        )
        if target.run is not None:
            write_whole(part / CARD, model_card(target.run, merged=_proved(proof, target)))
        took = measured_merge(target.load.base, target.load.quantization, time.monotonic() - began)
        note = {**asdict(proof), **took, "base_changed": target.base_changed}
        write_whole(part / MERGE_NOTE, json.dumps(note, indent=2) + "\n")
        seal_result(part, step_of_result(Path(target.load.sides[ADAPTER])))
        part.rename(output) if not output.exists() else _replace_empty(part, output)
    except OSError as error:
        raise WorkerError(
            f"the merged model cannot be written: {error.strerror or error}.",
            where=str(output),
            hint="Free some space or choose another folder.",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return proof


def _proved(proof: Proof, target: Target) -> str:
    """The proof in words, and what it cannot prove: that the base is the one of the training."""
    return " ".join(filter(None, (describe(proof), target.base_changed and f"▲ {target.base_changed}")))


def _trained(target: Target, onto: str, tell: Callable[[str], None]) -> LoadedModels | None:
    """The adapter on the base that it was trained on; None where that cannot be loaded and is not needed. WorkerError
    where it is.
    """
    from loratui.worker.generation.load import LoadedModels

    kind = target.load.quantization
    tell(f"reading the {kind} base of the training")
    try:
        return LoadedModels(target.load)
    except (LoratuiError, RuntimeError, ImportError, ValueError) as error:
        words = f"the {kind} base of the training cannot be loaded here: {first_line(error)}"
        if onto == DEQUANTISED:
            raise WorkerError(words, hint="--onto unquantised merges without it, and may answer otherwise.") from error
        tell(f"{words}; so it is not compared")
        return None


def _prove(
    asked: Asked, exact: list[torch.Tensor] | None, after: list[torch.Tensor], wrong: float | None, name: str
) -> Proof:
    """exact: the adapter's logits in float32. wrong: how far the sum is from them before it was rounded."""
    largest, relative = compare(asked.logits, after)
    error = compare(exact, after)[1] if exact is not None else None
    noise = compare(exact, asked.logits)[1] if exact is not None else 0.0
    tolerance = UNCHECKED_TOLERANCE[name] if error is None else max(EXACT_TOLERANCE, ROUNDING_SHARE * noise)
    return Proof(
        prompts=len(asked.texts),
        tokens=sum(map(len, asked.texts)),
        largest_difference=largest,
        relative_difference=relative,
        first_differing_token=first_differing(after, asked.texts, asked.lengths),
        dtype=name,
        exact_difference=wrong,
        error=error,
        tolerance=tolerance,
    )


def _generation_config(models: LoadedModels, load: Load) -> Any:
    """The base's own settings for generation, with every token that ends an answer: without it, who serves the merged
    model would hear it talk on."""
    from transformers import GenerationConfig

    from loratui.worker.tokenizer import hub_options

    options: dict[str, Any] = ({"revision": load.revision} if load.revision else {}) | hub_options(
        load.base, load.revision
    )
    try:
        found = GenerationConfig.from_pretrained(load.base, **options)
        found.eos_token_id, found.pad_token_id = models.stop_ids, models.pad_id
        found.validate(strict=True)
    except (OSError, ValueError):  # the base has none, or one that transformers refuses to write
        return GenerationConfig(eos_token_id=models.stop_ids, pad_token_id=models.pad_id)
    return found


def _room_for_float32(models: LoadedModels) -> str:
    """Where the weights fit in float32 once those in memory are gone: its GPU, the CPU, or "" for nowhere."""
    import psutil
    import torch

    count = sum(parameter.numel() for parameter in models.base.parameters())
    needed_bytes = int(4 * count * FLOAT32_MARGIN)
    held_bytes = sum(parameter.numel() * parameter.element_size() for parameter in models.base.parameters())
    if models.device.type == "cuda" and torch.cuda.mem_get_info(models.device)[0] + held_bytes >= needed_bytes:
        return str(models.device)
    spare_bytes = psutil.virtual_memory().available + (held_bytes if models.device.type == "cpu" else 0)
    return "cpu" if spare_bytes >= needed_bytes else ""


def _format_of(load: Load) -> str:
    """Number format in which the base's weights are kept ("" where its config does not say).

    InputError for a base that is quantised itself: the sum would be rounded to its few bits, and the adapter with it.
    """
    from transformers import AutoConfig

    from loratui.worker.tokenizer import hub_options

    try:
        config = AutoConfig.from_pretrained(
            load.base,
            **(
                ({"revision": load.revision} if load.revision else {})
                | hub_options(load.base, load.revision)
                | code_options(load, load.base, load.revision)
            ),
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the base model's config.json cannot be read: {first_line(error)}", where=load.base) from None
    quantised = getattr(config, "quantization_config", None)
    if quantised:
        method = (
            quantised.get("quant_method", "") if isinstance(quantised, dict) else getattr(quantised, "quant_method", "")
        )
        raise InputError(
            (
                f"this base is itself quantised ({getattr(method, 'value', method) or 'as its config.json says'}): "
                "merging would round the adapter away."
            ),
            where=load.base,
            hint="Give the unquantised original with --base.",
        )
    return {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}.get(str(config.dtype).removeprefix("torch."), "")


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _replace_empty(part: Path, output: Path) -> None:
    output.rmdir()
    part.rename(output)
