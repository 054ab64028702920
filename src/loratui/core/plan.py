"""The document that decides a training: every key, its meaning, its bounds.

This schema is the one source of help texts, bounds, choices and units for the command line, the wizard and the
documentation. No key is optional in a written plan: "", 0 or [] says "none" out loud; no library decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from loratui.core.attention import Attention
from loratui.core.cluster_section import ClusterSection
from loratui.core.dataset_section import DatasetSection as DatasetSection
from loratui.core.dataset_section import LeftOutKind as LeftOutKind
from loratui.core.document import Document
from loratui.core.preference_refusals import why_not_learnt
from loratui.core.preference_section import Objective, PreferenceSection

PLAN_VERSION: Literal[1] = 1

Share = Annotated[float, Field(ge=0.0, le=1.0)]
MethodKind = Literal["full", "lora", "qlora"]
Precision = Literal["bf16", "fp16", "fp32"]
Optimizer = Literal["adamw_torch_fused", "adamw_torch", "adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit"]
Scheduler = Literal["cosine", "linear", "constant", "cosine_with_restarts"]
Parallelism = Literal["ddp", "fsdp", "hybrid"]


class ModelSection(Document):
    """Which model is trained, and how its weights are held and its attention runs."""

    id: str = Field("demo", min_length=1, title="Model", description="Hub id, local folder, or `demo`.")
    revision: str = Field("", title="Revision", description="Branch, tag or commit of the hub id; empty: the newest.")
    chat_template: str = Field(
        "", title="Chat template", description="A .jinja file or the name of a known template; empty: the model's own."
    )
    end_token: str = Field(
        "",
        title="End token",
        description="Token of the vocabulary that ends an answer, for base models; empty: the tokenizer's own.",
    )
    thinking: Literal["template", "on", "off"] = Field(
        "template",
        title="Thinking",
        description="Whether the template asks for thinking, in training and afterwards; off masks its empty thoughts.",
    )
    dtype: Precision = Field(
        "bf16", title="Weights", description="Number format in which the base model's weights are held."
    )
    attention: Attention = Field(
        "sdpa",
        title="Attention",
        description="Attention kernel: torch's own (sdpa, torch_varlen), a package's, or one of the hub.",
    )
    trust_remote_code: bool = Field(
        False,
        title="Trust remote code",
        description="Run Python code from the model's repository. Asked per model and revision.",
    )


class MethodSection(Document):
    """Full fine-tuning, LoRA or QLoRA, and the format of a frozen base."""

    kind: MethodKind = Field(
        "lora", title="Method", description="Train all weights, an adapter, or an adapter on a quantised base."
    )
    quantization: Literal["none", "nf4", "fp4", "int8"] = Field(
        "none", title="Quantisation", description="Format of the frozen base's linear layers."
    )
    double_quantization: bool = Field(
        False,
        title="Double quantisation",
        description="Quantise the 4-bit blocks' scales too: saves 0.4 bits a weight.",
    )
    compute_dtype: Precision = Field(
        "bf16", title="Compute dtype", description="Number format of products with quantised weights."
    )

    @model_validator(mode="after")
    def _kinds_agree(self) -> MethodSection:
        if self.kind == "qlora" and self.quantization == "none":
            raise ValueError('method.kind = "qlora" needs method.quantization = nf4, fp4 or int8')
        if self.kind != "qlora" and self.quantization != "none":
            raise ValueError(f'method.quantization = "{self.quantization}" needs method.kind = "qlora"')
        return self


class LoraSection(Document):
    """The adapter: rank, scale, dropout, layers, and an existing one to go on from."""

    r: int = Field(16, ge=1, le=1024, title="Rank", description="Inner width of each adapter: its capacity.")
    alpha: float = Field(
        32,
        gt=0,
        le=4096,
        title="Alpha",
        description="Scales the adapter's output by alpha / r (by alpha / sqrt(r) for rslora).",
    )
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, title="Dropout", description="Share of an adapter's inputs zeroed at random while training."
    )
    targets: Literal["all-linear"] | list[str] = Field(
        "all-linear", title="Target modules", description="`all-linear`, or names of the layers that get an adapter."
    )
    variant: Literal["lora", "rslora", "dora"] = Field(
        "lora", title="Variant", description="Plain LoRA, rank-stabilised scaling, or weight-decomposed."
    )
    adapter: str = Field(
        "", title="Continue from", description="Folder of an existing adapter to train further; empty: a new one."
    )


class TrainingSection(Document):
    """The run: batches in rows, lengths in tokens, duration in epochs or steps, rate, optimizer, precision."""

    objective: Objective = Field(
        "sft",
        title="Objective",
        description="Learn answers (sft), which of two is preferred (dpo, orpo), or which are wanted by a label (kto).",
    )
    precision: Precision = Field(
        "bf16", title="Precision", description="Number format of the forward and backward pass."
    )
    batch_size: int = Field(1, ge=1, le=4096, title="Batch size", description="Rows per device and forward pass.")
    accumulation: int = Field(8, ge=1, le=4096, title="Accumulation", description="Forward passes per optimizer step.")
    max_length: int = Field(
        1024, ge=8, le=1_048_576, title="Maximum length", description="Tokens after which a row is cut."
    )
    packing: bool = Field(
        False, title="Packing", description="Join short rows into full sequences; no token is wasted on padding."
    )
    padding_free: bool = Field(
        False, title="Padding-free", description="Concatenate a batch's rows instead of padding them."
    )
    group_by_length: bool = Field(
        False, title="Group by length", description="Fill a batch with rows of like length, so that little is padded."
    )
    loss_on: Literal["answers", "all"] = Field(
        "answers", title="Loss on", description="Learn from the answers only, or from every token."
    )
    epochs: float = Field(3.0, gt=0, le=1000, title="Epochs", description="Passes over the training rows.")
    max_steps: int = Field(
        0, ge=0, title="Maximum steps", description="Stop after so many optimizer steps; 0: by epochs."
    )
    learning_rate: float = Field(
        2e-4, gt=0, le=1, title="Learning rate", description="Peak step size of the optimizer."
    )
    scheduler: Scheduler = Field(
        "cosine", title="Schedule", description="How the learning rate falls after the warm-up."
    )
    min_lr_ratio: Share = Field(
        0.1, title="Minimum rate", description="Cosine ends at this share of the peak learning rate."
    )
    warmup_steps: int = Field(
        0, ge=0, title="Warm-up", description="Optimizer steps over which the learning rate rises to its peak."
    )
    optimizer: Optimizer = Field(
        "adamw_torch_fused", title="Optimizer", description="AdamW, and where its states live."
    )
    weight_decay: Share = Field(0.0, title="Weight decay", description="Pull of the trained weights towards 0.")
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.9, title="Beta 1", description="AdamW's memory of the gradient."
    )
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.999, title="Beta 2", description="AdamW's memory of the squared gradient."
    )
    epsilon: float = Field(1e-8, gt=0, le=1e-2, title="Epsilon", description="Keeps AdamW from dividing by zero.")
    max_grad_norm: float = Field(
        1.0, ge=0, title="Gradient clip", description="Gradients longer than this are shortened to it; 0: never."
    )
    checkpointing: bool = Field(
        False,
        title="Checkpointing",
        description="Recompute activations in the backward pass: less memory, about a third slower.",
    )
    compile: bool = Field(
        False,
        title="Compile",
        description="Compile the model's blocks before the first step: minutes at the start, faster steps.",
    )
    liger: bool = Field(
        False,
        title="Liger kernels",
        description="Compute norms, rotary positions and gated products by liger-kernel: faster, and less is kept.",
    )
    seed: int = Field(
        42, ge=0, le=2**32 - 1, title="Seed", description="Makes initial adapter, data order and dropout repeatable."
    )


class EvaluationSection(Document):
    """When the held-out rows are evaluated (in optimizer steps), and when the run stops early."""

    every_steps: int = Field(
        0, ge=0, title="Evaluate every", description="Optimizer steps between evaluations; 0: never."
    )
    batch_size: int = Field(
        1, ge=1, le=4096, title="Evaluation batch", description="Rows per device and forward pass of an evaluation."
    )
    patience: int = Field(
        0,
        ge=0,
        title="Patience",
        description="Stop after so many evaluations without a better loss, if it is no chance; 0: never.",
    )
    prompts: list[str] = Field(
        default_factory=list, title="Pinned prompts", description="Prompts answered at each evaluation."
    )


class SavingSection(Document):
    """When checkpoints are written (in optimizer steps), and how many are kept."""

    every_steps: int = Field(
        0, ge=0, title="Save every", description="Optimizer steps between checkpoints; 0: only at the end."
    )
    keep: int = Field(2, ge=1, le=1000, title="Keep", description="Newest checkpoints kept on disk.")


class HardwareSection(Document):
    """What the run trains on, or is planned for."""

    devices: list[int] = Field(
        default_factory=list,
        title="GPUs",
        description="Numbers of the GPUs that train; empty: the first free one, or the CPU.",
    )
    gpu: str = Field(
        "", title="Planned GPU", description="Name of a GPU of the catalogue, when planning for another machine."
    )
    cpu: bool = Field(False, title="On the CPU", description="Train on the CPU although the machine has a GPU.")
    parallelism: Parallelism = Field(
        "ddp",
        title="Several GPUs",
        description="Each GPU holds the whole model (ddp) or a share (fsdp); hybrid: shares in a node, copies across.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> HardwareSection:
        if self.cpu and (self.devices or self.gpu):
            other = f"hardware.devices = {self.devices}" if self.devices else f'hardware.gpu = "{self.gpu}"'
            raise ValueError(f"hardware.cpu = true and {other} exclude each other")
        return self


class Plan(Document):
    """Everything that decides a training."""

    version: Literal[1] = PLAN_VERSION
    model: ModelSection = Field(default_factory=lambda: ModelSection())
    dataset: DatasetSection = Field(default_factory=lambda: DatasetSection())
    method: MethodSection = Field(default_factory=lambda: MethodSection())
    lora: LoraSection = Field(default_factory=lambda: LoraSection())
    training: TrainingSection = Field(default_factory=lambda: TrainingSection())
    preference: PreferenceSection = Field(default_factory=lambda: PreferenceSection())
    evaluation: EvaluationSection = Field(default_factory=lambda: EvaluationSection())
    saving: SavingSection = Field(default_factory=lambda: SavingSection())
    hardware: HardwareSection = Field(default_factory=lambda: HardwareSection())
    cluster: ClusterSection = Field(default_factory=lambda: ClusterSection())

    @model_validator(mode="after")
    def _one_chooses_the_gpus(self) -> Plan:
        if self.cluster.engine and self.hardware.devices:
            raise ValueError(
                f'cluster.engine = "{self.cluster.engine}" and hardware.devices = {self.hardware.devices} exclude each '
                "other: the scheduler chooses the GPUs (cluster.gpus_per_node says how many)"
            )
        return self

    @model_validator(mode="after")
    def _preferences_can_be_learnt(self) -> Plan:
        if reason := why_not_learnt(self.get, self.processes) if self.training.objective != "sft" else "":
            raise ValueError(reason)
        return self

    def get(self, key: str) -> Any:
        """The value at a dotted key, e.g. `lora.r`."""
        section, _, name = key.partition(".")
        value = getattr(getattr(self, section), name)
        return [part.model_dump() for part in value] if key == "dataset.parts" else value

    @property
    def processes(self) -> int:
        """Processes that train together: one for each GPU, or one on a CPU."""
        if self.cluster.engine:
            return self.cluster.nodes * max(1, self.cluster.gpus_per_node)
        return max(1, len(self.hardware.devices))

    @property
    def sides(self) -> int:
        """Sequences that the model reads of each row: both sides of a preference pair, else one."""
        return 2 if self.training.objective in ("dpo", "orpo") else 1

    @property
    def split_seed(self) -> int:
        """The seed that says which rows are held out."""
        return self.dataset.split_seed or self.training.seed

    @property
    def effective_batch_size(self) -> int:
        """Rows per optimizer step over all devices."""
        return self.training.batch_size * self.training.accumulation * self.processes


def plain_plan(**sections: Mapping[str, Any]) -> Plan:
    """A plan of defaults alone but for these sections' values, as `Plan()`: its sections are checked with it, so none
    builds checks of its own.
    """
    return Plan.model_validate({name: sections.get(name, {}) for name in Plan.model_fields if name != "version"})
