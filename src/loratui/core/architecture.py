"""What a model is made of: its linear layers and how many parameters that is."""

from __future__ import annotations

from typing import Literal

from loratui.core.dataclass import dataclass

LinearKind = Literal["attention", "mlp", "router", "expert"]


@dataclass(frozen=True, slots=True)
class Linear:
    """All linear layers of a model that share a name and a shape, e.g. the q_proj of every block.

    in_features, out_features: widths of one layer. count: how many of them the model has. stored: "linear" (nn.Linear),
    "conv1d" (GPT-2's transposed linear), "expert" (a slice of a 3-D parameter of experts), "parameter" (a bare
    parameter of a module of its own, such as a router). Only the first two take an adapter under "all-linear", and
    bitsandbytes quantises only the first.
    """

    name: str
    path: str
    """Path within the model with `{}` for the block's number, e.g. `model.layers.{}.self_attn.q_proj`."""
    in_features: int
    out_features: int
    count: int
    bias: bool = False
    kind: LinearKind = "attention"
    stored: Literal["linear", "conv1d", "expert", "parameter"] = "linear"
    refused: bool = False
    """Whether PEFT refuses it an adapter, or gives its name to other layers too (a worker tried)."""

    @property
    def parameters(self) -> int:
        """Weights and biases of all `count` layers."""
        return self.count * (self.in_features * self.out_features + (self.out_features if self.bias else 0))


def activation_kind(*, full: bool, checkpointing: bool) -> str:
    """The name of a way to train, as far as it decides what activations are held."""
    return f"{'full' if full else 'adapter'}{', checkpointed' if checkpointing else ''}"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The shape of a causal language model, as its config.json describes it."""

    id: str
    family: str
    """`model_type` of the config, e.g. "qwen3"."""
    architecture: str
    """Class name, e.g. "Qwen3ForCausalLM"."""
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    max_positions: int
    tied_embeddings: bool
    linears: tuple[Linear, ...]
    """Every linear layer except the output head; routers and experts included."""
    embedding_parameters: int
    """Token (and learned position) embeddings."""
    head_parameters: int
    """Output head; 0 where it is tied to the embedding."""
    norm_parameters: int
    """Norm weights and biases, and every small parameter that is no linear layer (attention sinks, gates)."""
    experts: int = 0
    experts_per_token: int = 0
    sliding_window: int = 0
    stored_quantization: str = ""
    """How the files are quantised already, e.g. "mxfp4" or "gptq"; empty where they are not."""
    known: bool = True
    """False where the family is not known and the shape is a guess until a worker has traced it."""
    sdpa: bool = True
    """False where a worker found that the class refuses torch's fused attention."""
    traced: bool = False
    """True where a worker read the shape from the real class: the counts are exact, though no formula knows the
    family.
    """
    activation_ratios: tuple[tuple[str, float], ...] = ()
    """Where the family's block is not modelled: what a traced step holds for its activations over what Llama's block of
    these layers would; by `activation_kind`, for a row of 1,024 tokens in bfloat16."""

    def activation_ratio(self, *, full: bool, checkpointing: bool) -> float:
        """Share (1: the same) of the formula's bytes that the activations of this class take; 1 where it was not
        traced.
        """
        return dict(self.activation_ratios).get(activation_kind(full=full, checkpointing=checkpointing), 1.0)

    @property
    def total_parameters(self) -> int:
        """All parameters; a tied head is counted once."""
        return (
            sum(linear.parameters for linear in self.linears)
            + self.embedding_parameters
            + self.head_parameters
            + self.norm_parameters
        )
