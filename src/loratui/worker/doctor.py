"""The checks of the installation that need torch, each a real piece of work on the device that a training would use.

`python -m loratui.worker doctor`: one JSON object a line on standard output ({"name", "state", "meaning", "mend"});
what the libraries print goes to standard error. DRIVER_CUDA in the environment is the newest CUDA of the driver
("13.0"), empty where there is none.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from loratui.core.capabilities import CUDA_126_TORCH, capabilities
from loratui.machine.checks import Check

SIZE = 512
"""Width of the products that are tried."""
TOLERANCE = 0.02
"""Relative error of a 16-bit product against the same one in float32: bf16 keeps 8 bits, so about 0.4 % a number."""
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes")

Checks = Iterator[Check]


def main(arguments: list[str]) -> int:
    """Run every check and print its lines; a check that breaks is a fault, and the next one goes on."""
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        checks: tuple[Callable[[], Checks], ...] = (
            library_checks, torch_checks, product_checks, quantised_checks, attention_checks, accelerate_checks,
        )
        for run in checks:
            write(guarded(run), output)
    return 0


def write(checks: Checks, output: TextIO) -> None:
    """One JSON line a check, at once."""
    for check in checks:
        output.write(json.dumps(check.model_dump(), ensure_ascii=False) + "\n")
        output.flush()


def guarded(run: Callable[[], Checks]) -> Checks:
    """The checks of a function; what it raises becomes a fault."""
    try:
        yield from run()
    except Exception as error:  # noqa: BLE001  whatever a library raises here is the finding
        import traceback

        traceback.print_exc()
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        yield Check(
            name=run.__name__.removesuffix("_checks"), state="fault", meaning=f"{type(error).__name__}: {first[:300]}",
            mend="`loratui doctor --verbose` shows where it broke.",
        )


def library_checks() -> Checks:
    """Versions of what training needs, against what this package asks for."""
    from packaging.requirements import Requirement

    try:
        needed = {Requirement(line).name: Requirement(line).specifier for line in importlib.metadata.requires("loratui") or ()}
    except importlib.metadata.PackageNotFoundError:
        needed = {}
    found, missing, wrong = [], [], []
    for name in LIBRARIES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        found.append(f"{name} {version}")
        if name in needed and not needed[name].contains(version.partition("+")[0], prereleases=True):
            wrong.append(f"{name} {version} (needs {needed[name]})")
    if missing:
        yield Check(name="libraries", state="fault", meaning=f"Missing: {', '.join(missing)}.", mend=f"pip install {' '.join(missing)}")
    if wrong:
        yield Check(name="libraries", state="warning", meaning=f"Other versions than this loratui is made for: {', '.join(wrong)}.", mend="pip install --upgrade loratui")
    if not missing and not wrong:
        yield Check(name="libraries", state="ok", meaning=", ".join(found) + ".")


def torch_checks() -> Checks:
    """torch's CUDA build against the driver and the card's architecture."""
    import torch

    driver = os.environ.get("DRIVER_CUDA", "")
    build = torch.version.cuda
    if not driver:
        yield Check(name="torch", state="ok", meaning=f"torch {torch.__version__}, on the CPU with {torch.get_num_threads()} threads.")
        return
    if build is None:
        kind = "for AMD GPUs" if torch.version.hip else "without CUDA"
        yield Check(
            name="torch", state="fault", meaning=f"torch {torch.__version__} is built {kind}, so the GPU lies idle.",
            mend=mend_for(driver),
        )
        return
    if not torch.cuda.is_available():
        newer = version_tuple(build)[0] > version_tuple(driver)[0]
        why = f"it is built for CUDA {build}, the driver only knows CUDA {driver}" if newer else cuda_fault(torch)
        mend = (
            f"Install a newer driver, or: {mend_for(driver)}" if newer
            else "See whether `nvidia-smi` works; in a container, whether it was started with --gpus all; then reboot."
        )
        yield Check(name="torch", state="fault", meaning=f"torch {torch.__version__} does not see the GPU: {why}.", mend=mend)
        return
    name, capability = torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0)
    architectures = torch.cuda.get_arch_list()
    version = f"{capability[0]}.{capability[1]}"
    if runs_on(architectures, capability):
        yield Check(name="torch", state="ok", meaning=f"torch {torch.__version__}, CUDA {build}, has code for {name} ({version}).")
    else:
        yield Check(
            name="torch", state="fault",
            meaning=f"torch {torch.__version__} has no code for {name} (compute capability {version}); it has {', '.join(architectures)}.",
            mend="A newer card needs a newer torch; for an older one (Pascal, Volta) install torch built for CUDA 12.6: "
            + CUDA_126_TORCH,
        )


def cuda_fault(torch: Any) -> str:
    """Why CUDA does not start, in the first line of torch's own words."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0][:200]
    return "CUDA starts but shows no device"


def version_tuple(version: str) -> tuple[int, int]:
    """`12.8` as (12, 8)."""
    major, _, minor = version.partition(".")
    return int(major), int(minor.partition(".")[0] or 0)


def mend_for(driver: str) -> str:
    """How to get a torch that a driver runs: any build of its own major version of CUDA, or of one before (CUDA's
    compatibility guide). Since torch 2.8 there are builds for CUDA 12.6 and newer only."""
    major, _ = version_tuple(driver)
    if major < 12:
        return f"The driver ends at CUDA {driver}, and no current torch is built for that: install a driver of version 560 or newer."
    wheel = "cu130" if major >= 13 else "cu126"
    return f"pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/{wheel}"


def runs_on(architectures: list[str], capability: tuple[int, int]) -> bool:
    """Whether compiled code runs on a card: sm_ of the same major and no higher minor version, or compute_ (PTX, which
    the driver compiles) of any lower version. An a or f suffix ties code to one version or family."""
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        suffix = digits[-1:] if digits[-1:] in "af" else ""
        number = digits.removesuffix(suffix)
        if not number.isdigit():
            continue
        built = (int(number) // 10, int(number) % 10)
        if suffix == "a":
            if built == capability:
                return True
        elif kind == "sm" or suffix == "f":
            if built[0] == capability[0] and built[1] <= capability[1]:
                return True
        elif built <= capability:
            return True
    return False


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
    can = capabilities(torch.cuda.get_device_capability(0)) if device.type == "cuda" else None
    for word, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        error = float((left.to(dtype) @ right.to(dtype)).float().sub(truth).norm() / truth.norm())
        if not error < TOLERANCE:
            yield Check(
                name=word, state="fault", meaning=f"A {word} product is wrong: its relative error is {error:.3g}.",
                mend="The card or its driver is faulty, or torch does not fit it: try another version.",
            )
            continue
        meaning = f"A {SIZE} × {SIZE} product is right (relative error {error:.1e})"
        if can is None:
            yield Check(name=word, state="ok", meaning=f"{meaning} on the CPU.")
            continue
        rate = measured_rate(torch, dtype)
        support = can.bf16 if word == "bf16" else can.fp16
        mend = f"This card has no {word} of its own and emulates it. Train in {can.best_precision}." if support == "slow" else ""
        yield Check(name=word, state="note" if support == "slow" else "ok", meaning=f"{meaning}; {rate / 1e12:.0f} TFLOP/s.", mend=mend)


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
    layer = bnb.nn.Linear4bit(SIZE, SIZE, bias=False, compute_dtype=dtype, quant_type="nf4", compress_statistics=True).to(device)
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
            name="bitsandbytes", state="ok",
            meaning=f"A 4-bit layer is right forward ({forward:.0e}) and backward ({backward:.0e}) on the {device_word(device)}.",
        )
    else:
        yield Check(
            name="bitsandbytes", state="warning", meaning=f"A 4-bit layer is wrong: relative errors {forward:.3g} forward, {backward:.3g} backward.",
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
            name="8-bit AdamW", state="ok" if right else "warning",
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
        ("flash", SDPBackend.FLASH_ATTENTION), ("memory-efficient", SDPBackend.EFFICIENT_ATTENTION),
        ("cuDNN", SDPBackend.CUDNN_ATTENTION), ("plain", SDPBackend.MATH),
    )
    for word, backend in backends:
        try:
            with sdpa_kernel(backend):
                scaled_dot_product_attention(query, query, query, is_causal=True).sum().backward()
            works.append(word)
        except RuntimeError:  # this backend has no kernel for the device
            refused.append(word)
    packages = [name for name in ("flash_attn", "flash_attn_interface", "xformers", "kernels") if importlib.util.find_spec(name)]
    meaning = f"sdpa runs by {', '.join(works)} kernels" + (f"; {', '.join(packages)} installed." if packages else ".")
    fused = {"flash", "memory-efficient", "cuDNN"} & set(works)
    if not works:
        yield Check(name="attention", state="fault", meaning="No attention kernel runs here.", mend="Reinstall torch.")
    elif device.type == "cuda" and not fused:
        yield Check(
            name="attention", state="warning", meaning=meaning,
            mend="Only the plain kernel runs: memory grows with the square of the length. Keep training.max_length short.",
        )
    else:
        yield Check(name="attention", state="ok", meaning=meaning)


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
        yield Check(name="accelerate", state="ok", meaning=f"A step through accelerate works on the {device_word(expected)}.")
    else:
        yield Check(
            name="accelerate", state="warning", meaning=f"accelerate chose {accelerator.device}, not {expected}.",
            mend="Look at `accelerate env`, and at variables that begin with ACCELERATE_.",
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
