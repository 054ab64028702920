"""What the chosen device offers a training, in words: its formats, its kernels, what of its memory a plan may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from loratui.core.attention import TORCH_VARLEN
from loratui.format import one_line
from loratui.tui.common.text import labelled

if TYPE_CHECKING:
    from loratui.core.accelerators import Feature
    from loratui.core.hardware import Device, Host

FORMATS = ("bf16", "fp16", "tf32", "fp8", "fp4")
SUPPORT = {"yes": ("✓", "$success"), "slow": ("▲", "$warning"), "no": ("✗", "$text-muted")}
KERNELS: tuple[tuple[Feature, str], ...] = (
    ("nf4", "4-bit base"),
    ("int8", "8-bit base"),
    ("8bit", "8-bit optimizer"),
    ("paged", "paged optimizer"),
)
PACKAGES = ("flash_attention_2", TORCH_VARLEN, "liger")
"""Kernels that the packages here bring, beside sdpa, which is torch's own."""
SHOWN_REASONS = 3
"""Lines for what does not work, at most."""


def offer_lines(device: Device, host: Host | None, width: int) -> Content:
    """What training on this device can use. host: the computer around it, whose processor it may be."""
    from loratui.tui.machine.device_card import budget_words

    steady = device.kind == "gpu" and not device.simulated  # a host's memory never rests; a planned card tells its own
    rows = [("memory", Content(budget_words(device)))] if steady else []
    rows += _speed(device)
    rows += _processor(device, host) if device.kind == "cpu" else _card(device)
    lines = [labelled(label, words, width, 2) for label, words in rows]
    return Content("\n").join(lines)


def _speed(device: Device) -> list[tuple[str, Content]]:
    words = []
    if device.peak_flops:
        words.append(f"{device.peak_flops / 1e12:,.3g} TFLOPS in its best format")
    if device.memory_bandwidth_bytes_per_second:
        words.append(f"its memory {device.memory_bandwidth_bytes_per_second / 1e9:,.0f} GB/s")
    return [("speed", Content(" · ".join(words)))] if words else []


def _card(device: Device) -> list[tuple[str, Content]]:
    from loratui.core.accelerators import ACCELERATORS, best_format, lack
    from loratui.core.capabilities import architecture_name, capabilities

    marks: list[tuple[str, str]] = []
    works = {feature: "no" if lack(device.vendor, feature) else "yes" for feature, _ in KERNELS}
    if device.vendor != "nvidia":
        marks = [(best_format(device.vendor, device.architecture), "yes")]
    elif device.compute_capability is not None:
        able = capabilities(device.compute_capability)
        marks = [(name, getattr(able, name)) for name in FORMATS]
        works |= {"nf4": able.nf4, "int8": able.int8}
    rows = [("formats", _marked(marks))] if marks else []
    if device.vendor == "nvidia" and device.compute_capability is not None:
        number = ".".join(map(str, device.compute_capability))
        words = f"{architecture_name(device.compute_capability)}, compute capability {number}"
        rows.insert(0, ("chip", Content(words)))
    if device.vendor == "nvidia" and device.compute_capability is None:  # the driver does not say what it is
        return rows
    rows.append(("weights", _marked([(words, works[feature]) for feature, words in KERNELS])))
    if not device.simulated:  # what is installed there is not known
        rows.append(("kernels", _marked([("sdpa", "yes"), *((name, _installed(device, name)) for name in PACKAGES)])))
    lacks = ACCELERATORS[device.vendor].lacks
    reasons = [f"{words}: {lacks[feature]}" for feature, words in KERNELS if feature in lacks]
    rows += [("", Content(one_line(words)).stylize("$text-muted")) for words in reasons[:SHOWN_REASONS]]
    return rows


def _installed(device: Device, kernels: str) -> str:
    there = device.liger if kernels == "liger" else kernels in device.attention_kernels
    return "yes" if there else "no"


def _processor(device: Device, host: Host | None) -> list[tuple[str, Content]]:
    from loratui.core.processor_formats import INSTRUCTIONS

    features = host.cpu_features if host is not None else ()
    told = [name for name in features if name not in INSTRUCTIONS]
    if device.bf16_instructions:
        told.append(device.bf16_instructions)
    rows = [("sets", Content(one_line(f"of instructions: {', '.join(told) or 'none that is told'}", 120)))]
    if device.bf16_gains:
        gains = " · ".join(f"{gain:.2g} × at width {width:,}" for width, gain in device.bf16_gains)
        rows.append(("bf16", Content(f"as fast as float32: {gains}")))
    else:
        why = "was not measured yet" if device.bf16_instructions else "has no instructions of its own here"
        rows.append(("formats", Content(f"float32; bfloat16 {why}")))
    clock = f" up to {host.cpu_clock_mhz / 1000:.1f} GHz" if host is not None and host.cpu_clock_mhz else ""
    if host is not None:
        many = f"{host.cpu_count} core{'s' if host.cpu_count != 1 else ''}{clock}"
        limited = f", limited by the {one_line(host.cpu_limited_by, 60)}" if host.cpu_limited_by else ""
        rows.append(("cores", Content(many + limited)))
    return rows


def _marked(parts: list[tuple[str, str]]) -> Content:
    pieces: list[Content] = []
    for words, support in parts:
        glyph, color = SUPPORT[support]
        emulated = " (emulated)" if support == "slow" else ""
        shade = "$text-muted" if support == "no" else "$foreground"
        pieces.append(Content.assemble((f"{glyph} ", color), (words + emulated, shade)))
    return Content("  ").join(pieces)
