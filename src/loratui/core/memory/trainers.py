"""What trainers do with memory beyond the plan, one profile each, and their options that save it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from loratui.core.liger import KERNELS, PACKAGE

LossKind = Literal["tiled", "odds", "whole", "projected", "chunked", "fused", "cut"]


class Loss(NamedTuple):
    """How the output head meets the loss.

    tiled: tiles of tokens by vocabulary, never the whole (TRL 1.16). odds: every logit of both sides in float32, twice
    those of the chosen one (TRL 1.16's ORPOTrainer). whole: every logit, log-probabilities beside
    them. projected: the head and the loss in so many pieces, whose log-probabilities are all kept. chunked: the head a
    few tokens at a time, run again in the backward pass (TRL 1.0 to 1.15). fused: Liger's kernel, which makes the
    gradient in the forward pass. cut: no logit reaches memory (cut cross entropy).
    """

    kind: LossKind = "tiled"
    wide: bool = True
    """whole: the loss works on a float32 copy."""
    copies: bool = False
    """whole: logits are shifted by a copy in float32 (transformers before 4.45)."""
    held: bool = False
    """whole: the caller's variable holds the logits until the backward pass is over."""
    pieces: int = 1
    """whole and projected: the loss takes the logits in so many pieces, whose results are all kept."""
    saves_logits: bool = False
    """whole: a compiled loss keeps the logits themselves instead of log-probabilities."""
    tokens: int = 256
    """chunked: tokens of one chunk."""
    wide_weight: bool = False
    """chunked: each chunk makes a float32 copy of the head's weight."""
    scored_only: bool = False
    """Only the tokens that bear loss are scored."""


class Software(NamedTuple):
    """A trainer as far as memory is concerned.

    lora_adapter, qlora_adapter: bytes per element of the adapter on a 16-bit and on a quantised base. widens_inputs:
    whether a layer keeps a copy of its input for a float32 adapter under autocast, as PEFT does by itself. autocast:
    None: as the plan's precision asks; False: it computes in the weights' format. wide_rest: what a quantised base
    leaves unquantised is float32 (PEFT's `prepare_model_for_kbit_training`). pins_inputs: bitsandbytes before 0.43.2
    keeps the input of each 4-bit layer where checkpointing cannot free it. reentrant: checkpointing that runs the
    first pass without autograd. offloads: what checkpointing keeps goes to the host. growing_segments: torch's
    allocator with `expandable_segments`, which leaves no holes between segments. unties_head: a tied head is a
    matrix of its own. packs, padding_free, compiles: whether the export carries these over; else rows are padded, and
    blocks plain. liger: whether the plan's Liger kernels are counted; of other tools they are not, since their option
    of that name changes the loss as well (`MENDS`). varlen: whether it has torch_varlen, which is registered by this
    program; others take sdpa, and pad. divides: whether weights that the plan divides among GPUs
    (`hardware.parallelism = fsdp`) are divided there; what is exported is not: each GPU holds a whole copy.
    """

    name: str
    title: str
    loss: Loss = Loss()
    lora_adapter: int = 4
    qlora_adapter: int = 2
    widens_inputs: bool = True
    autocast: bool | None = None
    wide_rest: bool = False
    pins_inputs: bool = False
    reentrant: bool = False
    packs: bool = True
    padding_free: bool = True
    compiles: bool = True
    liger: bool = False
    varlen: bool = False
    divides: bool = True
    offloads: bool = False
    unties_head: bool = False
    growing_segments: bool = False
    foreach: bool | None = None
    """Whether AdamW makes temporary copies of the size of what is trained; None: as the plan's optimizer says."""
    source: str = ""
    """Where this was read."""


WHOLE = Loss("whole")
ODDS = Loss("odds")
LORATUI = Software(
    "loratui",
    "this program",
    Loss("tiled", scored_only=True),
    qlora_adapter=4,
    widens_inputs=False,
    liger=True,
    varlen=True,
    source="trl 1.16 trl/kernels/chunked_logprob.py; adapters as worker/adapter_formats.py holds them",
)
TRL = LORATUI._replace(name="trl", title="TRL", qlora_adapter=2, widens_inputs=True, varlen=False, divides=False)
"""`trl sft` is the trainer that this program drives; it holds the adapters of quantised models in bfloat16."""
TRANSFORMERS = Software(
    "transformers",
    "plain Transformers and PEFT",
    WHOLE,
    qlora_adapter=4,
    packs=False,
    padding_free=False,
    divides=False,
    source="transformers 5.23 loss/loss_utils.py::ForCausalLMLoss; peft 0.21 autocast_adapter_dtype",
)
LLAMA_FACTORY = Software(
    "llama-factory",
    "LLaMA-Factory",
    WHOLE,
    qlora_adapter=4,
    padding_free=False,
    divides=False,
    source="LLaMA-Factory 2026-08: model/adapter.py (trained weights in float32), train/sft/trainer.py (the model's "
    "own "
    "loss), "
    "model/model_utils/checkpointing.py",
)
AXOLOTL = Software(
    "axolotl",
    "Axolotl",
    WHOLE,
    qlora_adapter=4,
    divides=False,
    growing_segments=True,
    source="axolotl 2026-07: loaders/model.py (kbit training's float32 is taken back for norms, embedding and head), "
    "utils/__init__.py (expandable_segments)",
)
UNSLOTH = Software(
    "unsloth",
    "Unsloth",
    Loss("chunked", tokens=1024),
    compiles=False,
    qlora_adapter=4,
    growing_segments=True,
    packs=False,
    padding_free=False,
    divides=False,
    source="unsloth 2026-08: models/llama.py (unsloth_fused_ce_loss: chunks that fit what is free)",
)
MS_SWIFT = TRANSFORMERS._replace(
    name="ms-swift",
    title="ms-swift",
    packs=True,
    padding_free=True,
    divides=True,
    source="ms-swift 2026-08: trainers/ (the model's own loss); docs, Command-line parameters: use_liger_kernel",
)
TORCHTUNE = Software(
    "torchtune",
    "torchtune",
    Loss("whole", held=True, pieces=8),
    compiles=False,
    lora_adapter=2,
    autocast=False,
    source="torchtune 2026-04: modules/loss/ce_chunked_output_loss.py; recipes with dtype bf16; its option: "
    "modules/loss/cross_entropy_loss.py (LinearCrossEntropyLoss: eight pieces of the scored tokens, none made again)",
)
LITGPT = Software(
    "litgpt",
    "LitGPT",
    Loss("whole", wide=False, held=True, pieces=4),
    compiles=False,
    lora_adapter=2,
    autocast=False,
    unties_head=True,
    source=(
        "litgpt 2026-06: finetune/lora.py, utils.py::chunked_cross_entropy, model.py (lm_head beside wte); precision "
        "bf16-true"
    ),
)
LIGER = Loss("fused")
CUT = Loss("cut")
PROJECTED = Loss("projected", pieces=8, scored_only=True)

PROFILES: dict[str, Software] = {
    one.name: one for one in (LORATUI, TRL, TRANSFORMERS, LLAMA_FACTORY, AXOLOTL, UNSLOTH, MS_SWIFT, TORCHTUNE, LITGPT)
}
"""By the names that `--as` and `--to` take."""

_OLD = Loss("whole", copies=True)
PUBLISHED: dict[str, Software] = {
    one.name: one
    for one in (
        Software(
            "peft-bench",
            "PEFT's method comparison",
            Loss("whole", held=True),
            autocast=False,
            source="peft 0.19 method_comparison/MetaMathQA/run.py",
        ),
        LITGPT._replace(
            name="litgpt-2023",
            title="LitGPT 2023",
            pins_inputs=True,
            source="litgpt 8641822, bitsandbytes 0.41.1",
        ),
        LITGPT._replace(
            name="litgpt-2024", title="LitGPT 2024", pins_inputs=True, source="litgpt 0.4, bitsandbytes 0.42"
        ),
        TORCHTUNE._replace(
            name="torchtune-plain",
            title="torchtune before its chunked loss",
            loss=Loss("whole", held=True),
            source="torchtune 0.1: transformer.py (output in float32)",
        ),
        TORCHTUNE._replace(
            name="torchtune-compiled",
            title="torchtune, loss compiled",
            loss=Loss("whole", held=True, pieces=8, saves_logits=True),
        ),
        TORCHTUNE._replace(
            name="torchtune-offloading",
            title="torchtune, loss compiled, activations offloaded",
            offloads=True,
            loss=Loss("whole", held=True, pieces=8, saves_logits=True),
        ),
        Software(
            "qwen-2023",
            "Qwen's finetune.py",
            WHOLE,
            reentrant=True,
            pins_inputs=True,
            source="Qwen finetune.py; peft 0.5: adapters in float32",
        ),
        Software(
            "fsdp-qlora",
            "AnswerDotAI's train.py",
            Loss("whole", copies=True, held=True),
            lora_adapter=2,
            autocast=False,
            pins_inputs=True,
            reentrant=True,
            source="fsdp_qlora train.py (output held over backward), transformers 4.37, bitsandbytes 0.43.0",
        ),
        AXOLOTL._replace(name="axolotl-cut", title="Axolotl with cut cross entropy", loss=CUT, divides=True),
        Software(
            "trl-notebook",
            "TRL with Liger and activation offloading",
            LIGER,
            qlora_adapter=4,
            wide_rest=True,
            offloads=True,
            source=(
                "trl 0.24 trainer/sft_trainer.py (prepare_model_for_kbit_training: 12.07 GiB of Qwen3-14B before the "
                "first step say so, too)"
            ),
        ),
        Software("trl-chunked", "TRL 1.x", Loss("chunked", scored_only=True), source="trl 1.12 trainer/sft_trainer.py"),
        Software(
            "fms",
            "TRL 0.13",
            _OLD,
            qlora_adapter=4,
            wide_rest=True,
            source="trl 0.13 (calls prepare_model_for_kbit_training), transformers 4.48",
        ),
        Software(
            "fms-half",
            "TRL 0.13 without kbit training's float32",
            _OLD,
            qlora_adapter=4,
            source="fms-acceleration accelerated-peft",
        ),
        Software(
            "fms-liger",
            "TRL 0.11 with Liger",
            LIGER,
            qlora_adapter=4,
            source="fms-acceleration attention-and-distributed-packing, foak with Liger",
        ),
        MS_SWIFT._replace(name="ms-swift-liger", title="ms-swift with Liger", loss=LIGER),
    )
}
"""What published runs used, beside the profiles above: `benchmarks/published_memory.py` compares with them."""


class Mend(NamedTuple):
    """key, value: what is written into the tool's file. needs: the package that must be installed beside the tool;
    empty where the tool brings it."""

    key: str
    value: bool | tuple[str, ...]
    loss: Loss
    needs: str
    families: frozenset[str]

    @property
    def written(self) -> str:
        """The option as it reads in the file."""
        return (
            f"{self.key}: "
            f"{'true' if self.value is True else ', '.join(self.value) if isinstance(self.value, tuple) else 'false'}"
        )

    def of(self, software: Software) -> Software:
        """The tool with the option on."""
        return software._replace(loss=self.loss)


_LIGER_FAMILIES = frozenset(KERNELS) - {"gpt_oss", "hunyuan_v1_dense", "ministral", "olmo3", "smollm3"}
"""Families whose loss Liger's option fuses in the tools below; those that Liger learnt last are not counted on."""
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
    "llama-factory": Mend("enable_liger_kernel", True, LIGER, PACKAGE, _LIGER_FAMILIES),
    "axolotl": Mend(
        "plugins",
        ("axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin",),
        CUT,
        "cut-cross-entropy (Axolotl's fork)",
        _CUT_FAMILIES,
    ),
    "transformers": Mend("use_liger_kernel", True, LIGER, PACKAGE, _LIGER_FAMILIES),
    "ms-swift": Mend("use_liger_kernel", True, LIGER, PACKAGE, _LIGER_FAMILIES),
    "torchtune": Mend(
        "loss._component_",
        ("torchtune.modules.loss.LinearCrossEntropyLoss",),
        PROJECTED,
        "",
        frozenset(("gemma", "llama", "mistral", "phi3", "qwen2", "qwen3")),
    ),
}
"""By the tool's name; a tool that is not here has no such option or needs none."""
