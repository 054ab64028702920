"""An adapter merged into its base, and the proof that the merged model says what the adapter said.

    python -m loratui.worker merge ADAPTER_OR_RUN -o DIR [--base BASE] [--dtype fp32]

The base is loaded unquantised, never in 4 bit: merging into quantised weights would round the adapter away. Adapter and
merged model answer the same prompts; the merged folder appears only when they agree, read back from disk.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratui.core.errors import InputError, LoratuiError, WorkerError
from loratui.worker.protocol import ADAPTER, Load
from loratui.worker.target import Target, find_target

if TYPE_CHECKING:
    import torch

PROMPTS = ("Hello!", "What can you do?", "Write one sentence about the sea.", "1, 2, 3,")
ANSWER_TOKENS = 32
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 1e-1}
"""Largest difference of a logit, in standard deviations of the logits, that rounding the sum W + BA to this format explains
(its relative precision is 6e-8, 5e-4 and 4e-3, and errors add up over the layers)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How far the merged model is from the adapter, over all prompts."""

    prompts: int
    tokens: int
    """Tokens compared: those of the prompts and of the adapter's greedy answers."""
    largest_difference: float
    """Of any logit."""
    relative_difference: float
    """The same in standard deviations of the logits."""
    first_differing_token: int | None
    """Position in the adapter's greedy answer where the merged model would first say something else; None: nowhere."""
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether rounding alone explains the difference."""
        return self.relative_difference <= self.tolerance


def main(argv: Sequence[str]) -> int:
    """Run; the exit status."""
    options = argparse.ArgumentParser("loratui merge", description="Merge an adapter into its base, and prove it.")
    options.add_argument("adapter", metavar="ADAPTER_OR_RUN", help="A run, or an adapter's folder.")
    options.add_argument("-o", "--output", required=True, help="New folder for the merged model.")
    options.add_argument("--base", default="", help="Base model, instead of the one that the adapter names.")
    options.add_argument("--dtype", choices=list(TOLERANCE), default="", help="Number format of the merged weights; by default the base's in training.")
    options.add_argument("--json", action="store_true", help="Print one JSON object.")
    given = options.parse_args(list(argv))
    try:
        target = find_target(given.adapter, base=given.base)
        proof = merge(target, Path(given.output).expanduser().absolute(), given.dtype)
    except LoratuiError as error:
        print(f"loratui: {error.sentence}", file=sys.stderr)  # noqa: T201
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    if given.json:
        print(json.dumps({"output": given.output, "holds": proof.holds, **asdict(proof)}))  # noqa: T201
    else:
        print(f"The merged model is in {given.output}. {describe(proof)}")  # noqa: T201
    return 0


def describe(proof: Proof) -> str:
    """The proof in words."""
    answers = (
        "it gives the same greedy answers" if proof.first_differing_token is None
        else f"its greedy answers first differ at token {proof.first_differing_token + 1}"
    )
    return (
        f"Beside the adapter, over {proof.tokens:,} tokens of {proof.prompts} prompts, {answers}; the largest difference of a logit is "
        f"{proof.largest_difference:.2g} ({proof.relative_difference:.2g} standard deviations, {proof.tolerance:g} allowed)."
    )


def merge(target: Target, output: Path, dtype: str = "") -> Proof:
    """Merge into `output`, a new folder. Raises LoratuiError where the merge drifts; nothing is left behind then."""
    if ADAPTER not in target.load.sides:
        raise InputError(f"{target.title} has no adapter to merge.", hint=target.note)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError("this place is taken.", where=str(output), hint="Name a new folder.")
    from transformers import logging

    from loratui.worker.generation.load import DTYPES, LoadedModels

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    request: Load = replace(target.load, quantization="none", dtype=dtype or target.load.dtype)
    models = LoadedModels(request, lambda what: print(what, file=sys.stderr))  # noqa: T201
    if models._peft is None:
        raise InputError(f"{target.title} is a whole model: there is nothing to merge.")
    name = next(key for key, value in DTYPES.items() if value == models.dtype)
    questions = _questions(models.tokenizer, target)
    adapter = models.use(ADAPTER)
    lengths = [len(ids) for ids in questions]
    texts = [_answered(adapter, ids, models.pad_id) for ids in questions]
    before = [_logits(adapter, ids) for ids in texts]
    merged = models._peft.merge_and_unload(safe_merge=True, adapter_names=[ADAPTER])
    part = output.with_name(output.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        merged.save_pretrained(part)
        models.tokenizer.save_pretrained(part)
        reread = LoadedModels(Load(str(part), dtype=name, device=str(models.device)))
        after = [_logits(reread.base, ids) for ids in texts]
        proof = compare(before, after, texts, lengths, TOLERANCE[name])
        if not proof.holds:
            raise WorkerError(
                f"the merged model is not the adapter's: {describe(proof)}", hint="Nothing was kept. Merge in fp32 with --dtype fp32, or serve the adapter itself."
            )
        part.rename(output) if not output.exists() else _replace_empty(part, output)
    except OSError as error:
        raise WorkerError(f"the merged model cannot be written: {error.strerror or error}.", where=str(output), hint="Free some space or choose another folder.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return proof


def compare(
    before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], texts: Sequence[list[int]], lengths: Sequence[int], tolerance: float
) -> Proof:
    """The proof from logits [tokens, vocabulary] of the same texts. lengths: tokens of each question within its text."""
    import torch

    largest = max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))
    spread = float(torch.cat([one.flatten() for one in before]).std())
    differing: list[int] = []
    for logits, ids, start in zip(after, texts, lengths, strict=True):
        said = logits[start - 1 : -1].argmax(-1).tolist()
        differing += [i for i, (one, other) in enumerate(zip(said, ids[start:], strict=True)) if one != other][:1]
    return Proof(
        prompts=len(texts), tokens=sum(map(len, texts)), largest_difference=largest,
        relative_difference=largest / spread if spread else largest,
        first_differing_token=min(differing, default=None), tolerance=tolerance,
    )


def _replace_empty(part: Path, output: Path) -> None:
    output.rmdir()
    part.rename(output)


def _questions(tokenizer: Any, target: Target) -> list[list[int]]:
    from loratui.worker.generation.prompt import conversation, prompt_ids

    pinned = target.plan.evaluation.prompts if target.plan else []
    return [prompt_ids(tokenizer, conversation([{"role": "user", "content": text}])) for text in (*PROMPTS, *pinned)]


def _answered(model: Any, ids: list[int], pad_id: int) -> list[int]:
    """The question and the model's greedy answer, as token ids."""
    import torch

    batch = torch.tensor([ids], device=model.device)
    with torch.inference_mode():
        answer = model.generate(
            batch, attention_mask=torch.ones_like(batch), do_sample=False, max_new_tokens=ANSWER_TOKENS, pad_token_id=pad_id
        )
    return [int(one) for one in answer[0]]


def _logits(model: Any, ids: list[int]) -> torch.Tensor:
    """Logits of every position, [tokens, vocabulary], float32 on the CPU."""
    import torch

    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([ids], device=model.device)).logits[0]
    return logits.float().cpu()
