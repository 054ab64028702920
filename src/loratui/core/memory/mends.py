"""The option of another tool that keeps it from making every logit, and the families that it knows.

Read from LLaMA-Factory 2026-08 `model_utils/liger_kernel.py`, Axolotl 2026-07 `integrations/cut_cross_entropy`,
Liger 0.6 `transformers/monkey_patch.py` (which transformers' `use_liger_kernel` calls).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from loratui.core.memory.software import CUT, LIGER, Loss, Software


@dataclass(frozen=True, slots=True)
class Mend:
    """key, value: what is written into the tool's file. needs: the package that must be installed beside the tool."""

    key: str
    value: bool | tuple[str, ...]
    loss: Loss
    needs: str
    families: frozenset[str]

    @property
    def written(self) -> str:
        """The option as it reads in the file."""
        return f"{self.key}: {'true' if self.value is True else ', '.join(self.value) if isinstance(self.value, tuple) else 'false'}"

    def of(self, software: Software) -> Software:
        """The tool with the option on."""
        return replace(software, loss=self.loss)


_LIGER_FAMILIES = frozenset(
    (
        "gemma",
        "gemma2",
        "gemma3_text",
        "glm4",
        "granite",
        "llama",
        "mistral",
        "mixtral",
        "olmo2",
        "phi3",
        "qwen2",
        "qwen3",
        "qwen3_moe",
    )
)
_CUT_FAMILIES = frozenset(
    (
        "arcee",
        "gemma",
        "gemma2",
        "gemma3_text",
        "glm4",
        "gpt_oss",
        "granite",
        "hunyuan_v1_dense",
        "llama",
        "mistral",
        "mixtral",
        "olmo",
        "olmo2",
        "olmo3",
        "phi3",
        "qwen2",
        "qwen3",
        "qwen3_moe",
        "seed_oss",
        "smollm3",
    )
)
MENDS: dict[str, Mend] = {
    "llama-factory": Mend("enable_liger_kernel", True, LIGER, "liger-kernel", _LIGER_FAMILIES),
    "axolotl": Mend(
        "plugins",
        ("axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin",),
        CUT,
        "cut-cross-entropy (Axolotl's fork)",
        _CUT_FAMILIES,
    ),
    "transformers": Mend("use_liger_kernel", True, LIGER, "liger-kernel", _LIGER_FAMILIES),
}
"""By the tool's name; a tool that is not here has no such option or needs none."""
