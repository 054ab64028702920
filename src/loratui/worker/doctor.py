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
from collections.abc import Callable
from typing import Any, TextIO

from loratui.core.accelerators import ACCELERATORS, Accelerator
from loratui.core.capabilities import CUDA_126_TORCH
from loratui.format import first_line
from loratui.machine.doctor import Check
from loratui.worker.device_checks import Checks, accelerate_checks, attention_checks, product_checks, quantised_checks
from loratui.worker.processor import processor_checks

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes")


def main(arguments: list[str]) -> int:
    """Run every check and print its lines; a check that breaks is a fault, and the next one goes on."""
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        checks: tuple[Callable[[], Checks], ...] = (
            library_checks,
            torch_checks,
            product_checks,
            processor_checks,
            quantised_checks,
            attention_checks,
            accelerate_checks,
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
        yield Check(
            name=run.__name__.removesuffix("_checks"),
            state="fault",
            meaning=f"{type(error).__name__}: {first_line(error)}",
            mend="`loratui doctor --verbose` shows where it broke.",
        )


def library_checks() -> Checks:
    """Versions of what training needs, against what this package asks for."""
    from packaging.requirements import Requirement

    try:
        needed = {
            Requirement(line).name: Requirement(line).specifier for line in importlib.metadata.requires("loratui") or ()
        }
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
        yield Check(
            name="libraries",
            state="fault",
            meaning=f"Missing: {', '.join(missing)}.",
            mend=f"pip install {' '.join(missing)}",
        )
    if wrong:
        yield Check(
            name="libraries",
            state="warning",
            meaning=f"Other versions than this loratui is made for: {', '.join(wrong)}.",
            mend="pip install --upgrade loratui",
        )
    if not missing and not wrong:
        yield Check(name="libraries", state="ok", meaning=", ".join(found) + ".")


def torch_checks() -> Checks:
    """torch's CUDA build against the driver and the card's architecture."""
    import torch

    driver = os.environ.get("DRIVER_CUDA", "")
    build = torch.version.cuda
    other = OTHERS.get(os.environ.get("GPU_VENDOR", ""))
    if other is not None:
        yield _other_build(torch, other)
        return
    if not driver:
        yield Check(
            name="torch",
            state="ok",
            meaning=f"torch {torch.__version__}, on the CPU with {torch.get_num_threads()} threads.",
        )
        return
    if build is None:
        kind = "for AMD GPUs" if torch.version.hip else "without CUDA"
        yield Check(
            name="torch",
            state="fault",
            meaning=f"torch {torch.__version__} is built {kind}, so the GPU lies idle.",
            mend=mend_for(driver),
        )
        return
    if not torch.cuda.is_available():
        newer = version_tuple(build)[0] > version_tuple(driver)[0]
        why = f"it is built for CUDA {build}, the driver only knows CUDA {driver}" if newer else cuda_fault(torch)
        mend = (
            f"Install a newer driver, or: {mend_for(driver)}"
            if newer
            else "See whether `nvidia-smi` works; in a container, whether it was started with --gpus all; then reboot."
        )
        yield Check(
            name="torch", state="fault", meaning=f"torch {torch.__version__} does not see the GPU: {why}.", mend=mend
        )
        return
    name, capability = torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0)
    architectures = torch.cuda.get_arch_list()
    version = f"{capability[0]}.{capability[1]}"
    if runs_on(architectures, capability):
        yield Check(
            name="torch",
            state="ok",
            meaning=f"torch {torch.__version__}, CUDA {build}, has code for {name} ({version}).",
        )
    else:
        yield Check(
            name="torch",
            state="fault",
            meaning=(
                f"torch {torch.__version__} has no code for {name} (compute capability {version}); it has "
                f"{', '.join(architectures)}."
            ),
            mend=(
                "A newer card needs a newer torch; for an older one (Pascal, Volta) install torch built for CUDA 12.6: "
            )
            + CUDA_126_TORCH,
        )


OTHERS: dict[str, Accelerator] = {name: one for name, one in ACCELERATORS.items() if name != "nvidia"}


def _other_build(torch: Any, accelerator: Accelerator) -> Check:
    """torch against the card of another maker than NVIDIA."""
    seen = {"cuda": torch.cuda, "xpu": torch.xpu, "mps": torch.backends.mps}[accelerator.torch_device].is_available()
    built = bool(torch.version.hip) if accelerator.runtime == "ROCm" else seen
    if seen and built:
        meaning = f"torch {torch.__version__} sees the {accelerator.called} card ({accelerator.runtime})."
        return Check(name="torch", state="ok", meaning=meaning)
    why = "does not see the card" if built else f"is not built for {accelerator.called}'s cards"
    return Check(
        name="torch",
        state="fault",
        meaning=f"torch {torch.__version__} {why} ({accelerator.runtime}), so it lies idle.",
        mend=f"pip install --force-reinstall {accelerator.wheels.removeprefix('pip install ')}"
        if not built
        else "See whether `rocminfo` lists it, and whether this user may read /dev/kfd (groups render and video).",
    )


def cuda_fault(torch: Any) -> str:
    """Why CUDA does not start, in the first line of torch's own words."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return first_line(error, 200)
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
        return (
            f"The driver ends at CUDA {driver}, and no current torch is built for that: install a driver of version "
            "560 or newer."
        )
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
