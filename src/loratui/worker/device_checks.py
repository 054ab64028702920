"""Checks of the installation that are real work on the device a training would use: products, kernels, processes."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import time
from collections.abc import Iterator
from typing import Any

from loratui.core.capabilities import capabilities
from loratui.machine.doctor import Check

SIZE = 512
"""Width of the products that are tried."""


TOLERANCE = 0.02
"""Relative error of a 16-bit product against the same one in float32: bf16 keeps 8 bits, so about 0.4 % a number."""


Checks = Iterator[Check]


def device_of_training() -> Any:
    """The device that a training would use."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def product_checks() -> Checks:
    """One real matrix product in bf16 and in fp16, against float32."""
    import torch

    device = device_of_training()
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(SIZE, SIZE, generator=generator).to(device)
    right = torch.randn(SIZE, SIZE, generator=generator).to(device)
    truth = left @ right
    nvidia = device.type == "cuda" and not torch.version.hip
    can = capabilities(torch.cuda.get_device_capability(0)) if nvidia else None
    for word, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        error = float((left.to(dtype) @ right.to(dtype)).float().sub(truth).norm() / truth.norm())
        if not error < TOLERANCE:
            yield Check(
                name=word,
                state="fault",
                meaning=f"A {word} product is wrong: its relative error is {error:.3g}.",
                mend="The card or its driver is faulty, or torch does not fit it: try another version.",
            )
            continue
        meaning = f"A {SIZE} × {SIZE} product is right (relative error {error:.1e})"
        if can is None:
            yield Check(name=word, state="ok", meaning=f"{meaning} on the {device_word(device)}.")
            continue
        rate = measured_rate(torch, dtype)
        support = can.bf16 if word == "bf16" else can.fp16
        mend = (
            f"This card has no {word} of its own and emulates it. Train in {can.best_precision}."
            if support == "slow"
            else ""
        )
        yield Check(
            name=word,
            state="note" if support == "slow" else "ok",
            meaning=f"{meaning}; {rate / 1e12:.0f} TFLOP/s.",
            mend=mend,
        )


def measured_rate(torch: Any, dtype: Any, size: int = 4096, times: int = 5) -> float:
    """Floating point operations a second of products of this width: a glance, no benchmark."""
    left = torch.randn(size, size, device="cuda", dtype=dtype)
    right = torch.randn(size, size, device="cuda", dtype=dtype)
    left @ right
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        left @ right
    torch.cuda.synchronize()
    return 2 * size**3 * times / (time.perf_counter() - began)


def quantised_checks() -> Checks:
    """One real 4-bit layer, forward and backward, against its own dequantised weight; then one step of 8-bit AdamW."""
    import torch

    device = device_of_training()
    bnb: Any = importlib.import_module("bitsandbytes")
    dtype = torch.float32
    if device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.get_device_capability(0) >= (8, 0) else torch.float16
    layer = bnb.nn.Linear4bit(
        SIZE, SIZE, bias=False, compute_dtype=dtype, quant_type="nf4", compress_statistics=True
    ).to(device)
    weight = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype)
    inputs = torch.randn(64, SIZE, device=device, dtype=dtype, requires_grad=True)
    outputs = layer(inputs)
    outputs.sum().backward()
    truth = inputs.detach().float() @ weight.float().T
    slope = weight.float().sum(dim=0).expand_as(inputs)
    forward = float((outputs.detach().float() - truth).norm() / truth.norm())
    assert inputs.grad is not None
    backward = float((inputs.grad.float() - slope).norm() / slope.norm())
    if forward < TOLERANCE and backward < TOLERANCE:
        yield Check(
            name="bitsandbytes",
            state="ok",
            meaning=(
                f"A 4-bit layer is right forward ({forward:.0e}) and backward ({backward:.0e}) on the "
                f"{device_word(device)}."
            ),
        )
    else:
        yield Check(
            name="bitsandbytes",
            state="warning",
            meaning=f"A 4-bit layer is wrong: relative errors {forward:.3g} forward, {backward:.3g} backward.",
            mend="QLoRA will not work; LoRA and full fine-tuning will. Try: pip install --upgrade bitsandbytes",
        )
    if device.type == "cuda":
        numbers = torch.nn.Parameter(torch.ones(4096, device=device))
        optimizer = bnb.optim.AdamW8bit([numbers], lr=0.1)
        numbers.sum().backward()
        optimizer.step()
        moved = float(1 - numbers.detach().mean())
        right = 0.05 < moved < 0.2
        yield Check(
            name="8-bit AdamW",
            state="ok" if right else "warning",
            meaning="One step is right." if right else f"One step moved by {moved:.3g} instead of 0.1.",
            mend="" if right else "Choose adamw_torch_fused as the optimizer.",
        )


def device_word(device: Any) -> str:
    """`GPU` or `CPU`."""
    return "GPU" if device.type == "cuda" else "CPU"


def attention_checks() -> Checks:
    """Which attention kernels run here."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    device = device_of_training()
    dtype = torch.float32
    if device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.get_device_capability(0) >= (8, 0) else torch.float16
    query = torch.randn(1, 4, 64, 64, device=device, dtype=dtype, requires_grad=True)
    works, refused = [], []
    backends = (
        ("flash", SDPBackend.FLASH_ATTENTION),
        ("memory-efficient", SDPBackend.EFFICIENT_ATTENTION),
        ("cuDNN", SDPBackend.CUDNN_ATTENTION),
        ("plain", SDPBackend.MATH),
    )
    for word, backend in backends:
        try:
            with sdpa_kernel(backend):
                scaled_dot_product_attention(query, query, query, is_causal=True).sum().backward()
            works.append(word)
        except RuntimeError:  # this backend has no kernel for the device
            refused.append(word)
    packages = [
        name for name in ("flash_attn", "flash_attn_interface", "xformers", "kernels") if importlib.util.find_spec(name)
    ]
    meaning = f"sdpa runs by {', '.join(works)} kernels" + (f"; {', '.join(packages)} installed." if packages else ".")
    if device.type == "cuda":
        meaning += f" torch_varlen {'runs' if varlen_works(dtype) else 'does not run here'}."
    fused = {"flash", "memory-efficient", "cuDNN"} & set(works)
    if not works:
        yield Check(name="attention", state="fault", meaning="No attention kernel runs here.", mend="Reinstall torch.")
    elif device.type == "cuda" and not fused:
        yield Check(
            name="attention",
            state="warning",
            meaning=meaning,
            mend=(
                "Only the plain kernel runs: memory grows with the square of the length. Keep training.max_length "
                "short."
            ),
        )
    else:
        yield Check(name="attention", state="ok", meaning=meaning)


def varlen_works(dtype: Any) -> bool:
    """Whether torch's own attention over rows of unlike length runs on the card, forward and backward."""
    import torch

    from loratui.worker.varlen_attention import is_there, varlen_attention

    if not is_there():
        return False
    query, key = (torch.randn(1, heads, 64, 64, device="cuda", dtype=dtype, requires_grad=True) for heads in (4, 2))
    starts = torch.tensor([0, 24, 64], dtype=torch.int32, device="cuda")
    rows: dict[str, Any] = {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts, "max_length_q": 40, "max_length_k": 40}
    try:
        varlen_attention(torch.nn.Linear(1, 1), query, key, key, None, **rows)[0].sum().backward()
    except (RuntimeError, NotImplementedError):  # no kernel of it for this card
        return False
    return query.grad is not None and bool(query.grad.isfinite().all())


def accelerate_checks() -> Checks:
    """Whether accelerate starts and chooses the same device."""
    import torch
    from accelerate import Accelerator

    expected = device_of_training()
    accelerator = Accelerator(cpu=expected.type == "cpu")
    parameter = torch.nn.Linear(4, 1)
    model, optimizer = accelerator.prepare(parameter, torch.optim.AdamW(parameter.parameters(), lr=0.1))
    loss = model(torch.ones(2, 4, device=accelerator.device)).sum()
    accelerator.backward(loss)
    optimizer.step()
    if accelerator.device.type == expected.type:
        yield Check(
            name="accelerate", state="ok", meaning=f"A step through accelerate works on the {device_word(expected)}."
        )
    else:
        yield Check(
            name="accelerate",
            state="warning",
            meaning=f"accelerate chose {accelerator.device}, not {expected}.",
            mend="Look at `accelerate env`, and at variables that begin with ACCELERATE_.",
        )
