"""A GGUF file held against the run that it was made of, by llama.cpp's own tools: greedy answers and tokens through its
server, perplexity through llama-perplexity on the logits of the run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui.child_process import run_tool
from loratui.core.errors import WorkerError
from loratui.export.gguf import LlamaCpp
from loratui.export.llama_server import LlamaServer

LEAST_POSITIONS = 100
"""Fewer tell nothing."""
STANDS = re.compile(r"(\d+)\s+([\d.]+|nan|inf) ±.* ([\d.]+|nan) ±\s+\S+ %$")
"""A piece's number, the perplexity until then, and the share of equal tokens in percent."""
PRECISE = ("f32", "f16", "bf16", "q8_0")
"""Formats that hardly round: in llama.cpp's table for Llama 3 8B their perplexity is at most 1.0005 times that of
float16 (tools/perplexity/README.md)."""
PRECISE_RATIO, COARSE_RATIO = 1.05, 2.0
"""Most that the perplexity may be of the run's. That table's coarsest K-quant, Q2_K, has 1.57; a wrong tokenizer, a
wrong scale or the wrong adapter makes many times this."""


@dataclass(frozen=True)
class Reference:
    """What a run says, for a GGUF file to be held against. title: its name."""

    title: str
    texts: Sequence[tuple[str, list[int]]]
    """Texts with their tokens, special ones as they stand in the text."""
    prompts: Sequence[list[int]]
    answers: Sequence[str]
    """The run's greedy answers to the prompts, of at most `answer_tokens` tokens."""
    answer_tokens: int
    context_tokens: int
    logits: Path | None
    """Its logits over pieces of `piece_tokens` tokens, as `llama-perplexity --kl-divergence-base` reads them; None
    where there was not enough text."""
    piece_tokens: int = 0
    perplexities: Sequence[float] = ()
    """The run's own, over the first piece, over the first two, and so on."""
    rows: str = ""
    """What the pieces are made of, in words."""


@dataclass(frozen=True, slots=True)
class GgufProof:
    """How a GGUF file answers beside the run that it was made of. None where it was not measured."""

    kind: str
    texts: int
    texts_equal: int
    """Texts that both cut into the same tokens."""
    answers: int
    answers_equal: int
    """Greedy answers that are the same, character by character."""
    perplexity: float | None = None
    run_perplexity: float | None = None
    same_token: float | None = None
    """Share of the positions at which both find the same token likeliest, 0 to 1."""
    positions: int = 0
    rows: str = ""

    @property
    def holds(self) -> bool:
        """Whether it reads as the run does, and rounding explains the rest."""
        if self.texts_equal < self.texts:
            return False
        if self.perplexity is None or self.run_perplexity is None:
            return self.kind.lower() not in PRECISE or self.answers_equal > 0
        most = PRECISE_RATIO if self.kind.lower() in PRECISE else COARSE_RATIO
        return self.perplexity <= most * self.run_perplexity

    @property
    def words(self) -> str:
        """The proof for a person."""
        found = [f"{self.answers_equal} of {self.answers} greedy answers are the same as the run's"]
        if self.perplexity is not None and self.run_perplexity is not None:
            found.append(
                f"over {self.positions:,} tokens of {self.rows} its perplexity is {self.perplexity:.4g}, the run's "
                f"{self.run_perplexity:.4g}"
            )
        if self.same_token is not None:
            found.append(f"at {100 * self.same_token:.4g} % of them both find the same token likeliest")
        sentence = "; ".join(found) + "."
        if self.texts_equal < self.texts:
            sentence += (
                f" It cuts {self.texts - self.texts_equal} of {self.texts} texts into other tokens than the run: it "
                "cannot answer as the run does."
            )
        return sentence


def missing_for_proof(tools: LlamaCpp) -> str:
    """What is not here of what proves a file; "" where nothing is missing."""
    missing = [
        name for name, path in (("llama-server", tools.server), ("llama-perplexity", tools.perplexity)) if path is None
    ]
    if not missing:
        return ""
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not here"


def prove(
    gguf: Path,
    kind: str,
    reference: Reference,
    tools: LlamaCpp,
    tell: Callable[[str], None],
    *,
    lora: Path | None = None,
) -> GgufProof:
    """Hold a GGUF file (of a base, with the adapter's own as `lora`) against the run. WorkerError where llama.cpp's
    tools do not run it.
    """
    assert tools.server is not None and tools.perplexity is not None
    tell(f"llama.cpp answers {len(reference.prompts)} prompts by {(lora or gguf).name} …")
    context = max(map(len, reference.prompts)) + reference.answer_tokens + 8
    with LlamaServer(tools.server, gguf, context, lora) as server:
        texts_equal = sum(server.tokens(text) == ids for text, ids in reference.texts)
        answers = [server.greedy(ids, reference.answer_tokens) for ids in reference.prompts]
    proof = GgufProof(
        kind,
        len(reference.texts),
        texts_equal,
        len(answers),
        sum(one == other for one, other in zip(answers, reference.answers, strict=True)),
    )
    if reference.logits is None:
        return proof
    tell(
        f"Its perplexity is measured over {looked_at(reference.piece_tokens) * len(reference.perplexities):,} tokens …"
    )
    pieces, perplexity, same_token = _perplexity(tools.perplexity, gguf, reference, lora)
    return GgufProof(
        proof.kind,
        proof.texts,
        proof.texts_equal,
        proof.answers,
        proof.answers_equal,
        perplexity,
        reference.perplexities[pieces - 1],
        same_token,
        pieces * looked_at(reference.piece_tokens),
        reference.rows,
    )


def looked_at(piece_tokens: int) -> int:
    """Tokens of a piece that llama-perplexity looks at: those of its second half, each from all before it."""
    return piece_tokens - 1 - piece_tokens // 2


def _perplexity(tool: str, gguf: Path, reference: Reference, lora: Path | None) -> tuple[int, float, float]:
    """How many pieces were told of, the perplexity over them, and the share of the same tokens.

    The tool tells where it stands after each piece. On a busy machine it ends before its last lines are written
    (its log has a thread of its own), so that the last one that came counts.
    """
    lines: list[str] = []
    size = str(reference.piece_tokens)
    status, last = run_tool(
        (
            *(tool, "-m", str(gguf), *(("--lora", str(lora)) if lora else ()), "-c", size, "-b", size),
            *("--kl-divergence", "--kl-divergence-base", str(reference.logits)),
        ),
        lambda text, drawn_over: lines.append(text),
    )
    told = [match for line in lines if (match := STANDS.match(line))]
    if status or not told or int(told[-1][1]) > len(reference.perplexities):
        raise WorkerError(f"llama-perplexity could not read it (exit status {status}): {last}", where=str(gguf))
    return int(told[-1][1]), float(told[-1][2]), round(float(told[-1][3]) / 100, 6)
