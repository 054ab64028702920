"""What a model is made of: its shape, its parts with their parameters, and its layers, where there is room for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from loratui.format import count, one_line
from loratui.tui.common.filter_list import columns
from loratui.tui.common.meter import at_least_seen

if TYPE_CHECKING:
    from loratui.core.architecture import ModelSpec

KINDS = {"attention": "attention", "mlp": "MLP", "router": "routers", "expert": "experts"}
BAR = 20
LEAST_LINES = 6


def anatomy_lines(spec: ModelSpec, width: int, height: int) -> list[Content]:
    """At most `height` lines of `width` columns; none where there is hardly any room."""
    if height < LEAST_LINES:
        return []
    total = spec.total_parameters or 1
    lines = [Content(""), Content("made of").stylize("$text-muted"), Content(one_line(_shape(spec), width))]
    for name, parameters in _parts(spec):
        share = parameters / total
        cells = max(4, min(BAR, width - 40))
        filled = at_least_seen(share, cells)
        bar = Content(filled).stylize("$accent")
        told = f"{share:.0%}" if share >= 0.005 else "<1%"
        lines.append(columns(width, name, (bar, cells), (count(parameters), 7), (told, 5)))
    lines += [Content(""), Content("its layers").stylize("$text-muted")]
    for linear in sorted(spec.linears, key=lambda one: -one.parameters):
        shape = f"{linear.in_features:,} → {linear.out_features:,}"
        figures = ((shape, 17), (f"× {linear.count:,}", 8), (count(linear.parameters), 7))
        lines.append(columns(width, one_line(linear.name, 40), *figures))
    return lines[:height]


def _shape(spec: ModelSpec) -> str:
    heads = f"{spec.heads} heads of {spec.head_dim}"
    if spec.kv_heads != spec.heads:
        heads += f", {spec.kv_heads} for keys and values"
    window = f" · looks {spec.sliding_window:,} tokens back" if spec.sliding_window else ""
    return f"{heads}{window} · MLP of {spec.intermediate_size:,}"


def _parts(spec: ModelSpec) -> list[tuple[str, int]]:
    """Parameters by what they are for, the most first."""
    embedding = "embedding, also the output head" if spec.tied_embeddings else "embedding"
    parts = {embedding: spec.embedding_parameters, "output head": spec.head_parameters, "norms": spec.norm_parameters}
    for linear in spec.linears:
        name = KINDS[linear.kind]
        parts[name] = parts.get(name, 0) + linear.parameters
    return sorted(((name, number) for name, number in parts.items() if number), key=lambda one: -one[1])
