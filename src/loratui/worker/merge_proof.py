"""The proof of a merge: adapter and merged model on the same prompts, how far apart they are, and how far they may
be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEQUANTISED, UNQUANTISED = "dequantised", "unquantised"
"""What an adapter may be merged onto: the base as its training saw it, or as it is kept."""
EXACT_TOLERANCE = 1e-3
"""Largest difference of a logit, in standard deviations of the logits, between adapter and sum in float32. Its rounding
makes about 1e-5; a wrong scale, a forgotten layer or the wrong adapter makes many times this."""
ROUNDING_SHARE = 2.0
"""How much further from the float32 answer the merged model may be than the adapter is when served in the same format:
both round, the one its activations, the other its weights too."""
UNCHECKED_TOLERANCE = {"fp32": 1e-3, "fp16": 6e-2, "bf16": 0.5}
"""Where the memory does not suffice for float32, so that nothing better is known: what rounding makes in this format
(the demo's adapter: 0.015 and 0.14), three to four times over for deeper models."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How far the merged model is from the adapter, over all prompts. Both answer in `dtype`."""

    prompts: int
    tokens: int
    """Tokens compared: those of the prompts and of the adapter's greedy answers."""
    largest_difference: float
    """Of any logit."""
    relative_difference: float
    """The same in standard deviations of the logits."""
    first_differing_token: int | None
    """Position in the adapter's greedy answer where the merged model would first say something else; None: nowhere."""
    dtype: str
    """Number format of the merged weights."""
    exact_difference: float | None = None
    """Of adapter and sum in float32, in standard deviations: whether the sum itself is right. None where it could not
    be checked.
    """
    error: float | None = None
    """Of the merged model in `dtype` from the adapter in float32, in standard deviations."""
    tolerance: float = 0.0
    """What `error` (or, unchecked, `relative_difference`) may be."""
    trained_on: str = ""
    """Format of the quantised base that the adapter was trained on; empty where it was not quantised."""
    quantised_difference: float | None = None
    """Largest difference of a logit between the adapter on that base and the merged model, in standard deviations.
    None where it was not compared."""
    onto: str = UNQUANTISED
    answers: int = 0
    """Whole greedy answers of the merged model that were compared with those of the adapter as it was trained."""
    answers_equal: int = 0

    @property
    def holds(self) -> bool:
        """Whether the sum is right, and rounding alone explains the rest."""
        exact = self.exact_difference is None or self.exact_difference <= EXACT_TOLERANCE
        return exact and (self.relative_difference if self.error is None else self.error) <= self.tolerance


def compare(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> tuple[float, float]:
    """Largest difference of a logit, and the same in standard deviations of `before`. [tokens, vocabulary] each."""
    import torch

    largest = max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))
    spread = float(torch.cat([one.flatten() for one in before]).std())
    return largest, largest / spread if spread else largest


def first_differing(after: Sequence[torch.Tensor], texts: Sequence[list[int]], lengths: Sequence[int]) -> int | None:
    """Earliest position in the greedy answers where these logits would choose another token. lengths: tokens of each
    prompt.
    """
    differing: list[int] = []
    for logits, ids, start in zip(after, texts, lengths, strict=True):
        said = logits[start - 1 : -1].argmax(-1).tolist()
        differing += [i for i, (one, other) in enumerate(zip(said, ids[start:], strict=True)) if one != other][:1]
    return min(differing, default=None)


def describe(proof: Proof) -> str:
    """The proof in words."""
    answers = (
        "it gives the same greedy answers"
        if proof.first_differing_token is None
        else f"its greedy answers first differ at token {proof.first_differing_token + 1}"
    )
    sentences = [
        f"Beside the adapter in {proof.dtype}, over {proof.tokens:,} tokens of {proof.prompts} prompts, {answers}; "
        "the largest difference of "
        f"a logit is {proof.largest_difference:.2g} ({proof.relative_difference:.2g} standard deviations)."
    ]
    if proof.exact_difference is not None and proof.error is not None:
        sentences.append(
            f"In float32 the sum is off by {proof.exact_difference:.1g} ({EXACT_TOLERANCE:g} allowed)"
            + (
                "."
                if proof.dtype == "fp32"
                else (
                    f"; rounded to {proof.dtype} it is {proof.error:.2g} from the adapter in float32 "
                    f"({proof.tolerance:.2g} allowed)."
                )
            )
        )
    else:
        sentences.append(
            f"There was not enough memory to check it in float32; {proof.tolerance:g} standard deviations are "
            f"allowed in {proof.dtype}."
        )
    rows = proof.answers - proof.prompts
    asked = f"those {proof.prompts} prompts" + (f" and {rows} held-out row{'s' * (rows > 1)}" if rows > 0 else "")
    equal = f"{proof.answers_equal} of {proof.answers} whole greedy answers (to {asked}) are the same"
    if not proof.trained_on:
        return " ".join([*sentences, *([f"{equal} as the adapter's."] if proof.answers else [])])
    apart = (
        f" (a logit differs by up to {proof.quantised_difference:.2g} standard deviations)"
        if proof.quantised_difference is not None
        else ""
    )
    beside = f"{equal} as the adapter's on it{apart}." if proof.answers else "It was not compared with it."
    if proof.onto == DEQUANTISED:
        held = f"The training saw the base in {proof.trained_on}, and the merge is onto that base, dequantised:"
    else:
        held = (
            f"The training saw the base in {proof.trained_on}, the merge is onto the unquantised one, so that its "
            "answers can differ:"
        )
    return " ".join([*sentences, f"{held} {beside}"])
