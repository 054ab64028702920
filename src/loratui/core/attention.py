"""Values of `model.attention`: kernels that ship with torch, those of packages, and those of the hub."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

HUB_KERNEL = r"^kernels-community/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._-]+)?$"
"""A kernel of the hub, as transformers 5.23 takes it (`integrations/hub_kernels.py`), with a branch, tag or commit. Of
other people's repositories none is taken: they are programs, and transformers refuses them as well."""

Attention = (
    Literal["sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention", "torch_varlen"]
    | Annotated[str, Field(pattern=HUB_KERNEL, description="a kernel of the hub (kernels-community/flash-attn3)")]
)
TORCH_VARLEN: Final = "torch_varlen"
"""torch's own attention over rows of unlike length (`torch.nn.attention.varlen`): no package, and no mask. It is flash
attention 2's kernel in torch's build, with a name that neither transformers nor `is_flash` takes for the package's."""
FLASH_KERNELS = ("flash_attention_3", "flash_attention_2")
"""Those of packages that keep rows apart without a mask, the fastest first."""


def is_of_hub(attention: str) -> bool:
    """Whether a kernel is fetched from the hub."""
    return "/" in attention


def is_flash(attention: str) -> bool:
    """Whether it is a flash attention: it takes no mask, and rows that lie end to end stay apart. transformers tells
    them by their names (`utils/generic.py`, `is_flash_attention_requested`).
    """
    return "flash" in attention


def keeps_rows_apart(attention: str) -> bool:
    """Whether it keeps rows that lie end to end apart by where each begins, without a mask."""
    return is_flash(attention) or attention == TORCH_VARLEN


def flash_version(attention: str) -> int:
    """2 or 3, as its name says; 0 where it does not, or is no flash attention."""
    if not is_flash(attention):
        return 0
    name = attention.partition("@")[0].replace("_", "-")
    return next((number for number in (2, 3) if name.endswith((f"attn{number}", f"attention-{number}"))), 0)


def needs_gpu(attention: str) -> bool:
    """Whether it runs on GPUs only: flex_attention, too, is compiled for them."""
    return attention not in ("sdpa", "eager")
