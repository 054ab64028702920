"""What the states are counted to be, against real bitsandbytes layers, real modules and real optimizers."""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.architecture import Linear
from loratui.core.families import read_config
from loratui.core.memory.formats import formats
from loratui.core.memory.states import (
    CODE_8BIT_BYTES,
    gradients_bytes,
    optimizer_bytes,
    quantised_layer_bytes,
    weights_bytes,
)
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

pytestmark = pytest.mark.worker

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "tie_word_embeddings": False,
    "max_position_embeddings": 256,
}


def _bytes(tensors: Any) -> int:
    seen = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in tensors
        if tensor is not None
    }
    return sum(seen.values())


@pytest.mark.parametrize("shape", [(64, 96), (100, 33), (1024, 352), (128, 128)])
@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_a_four_bit_layer_has_the_bytes_that_are_counted(shape: tuple[int, int], doubled: bool, kind: str) -> None:
    import bitsandbytes as bnb
    import torch

    into, out = shape
    layer = bnb.nn.Linear4bit(
        into, out, bias=False, compute_dtype=torch.bfloat16, compress_statistics=doubled, quant_type=kind
    )
    layer.weight = bnb.nn.Params4bit(
        torch.randn(out, into, dtype=torch.bfloat16), requires_grad=False, compress_statistics=doubled, quant_type=kind
    )
    layer.to("cpu")
    state = layer.weight.quant_state
    tensors = [layer.weight.data, state.absmax, state.code, state.offset]
    if state.state2 is not None:
        tensors += [state.state2.absmax, state.state2.code]
    counted = quantised_layer_bytes(Linear("q_proj", "q_proj", into, out, 1), kind, double_quantization=doubled)
    assert counted + (CODE_8BIT_BYTES if doubled else 0) == _bytes(tensors)


def test_an_eight_bit_layer_has_the_bytes_that_are_counted() -> None:
    import bitsandbytes as bnb
    import torch

    layer = bnb.nn.Linear8bitLt(96, 160, bias=False, has_fp16_weights=False, threshold=6.0)
    layer.weight = bnb.nn.Int8Params(
        torch.randn(160, 96, dtype=torch.float16), requires_grad=False, has_fp16_weights=False
    )
    layer.to("cpu")
    counted = quantised_layer_bytes(Linear("q_proj", "q_proj", 96, 160, 1), "int8", double_quantization=False)
    assert counted == _bytes([layer.weight.data, layer.weight.SCB])


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_weights_and_gradients_of_full_fine_tuning_are_the_modules_own(dtype: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    model = AutoModelForCausalLM.from_config(
        LlamaConfig(**CONFIG), dtype={"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    )
    plan = with_values(Plan(), {"method.kind": "full", "model.dtype": dtype})
    spec, form = read_config(CONFIG), formats(plan)
    real = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    assert weights_bytes(spec, form) == real
    assert gradients_bytes(spec, plan, form) == real


@pytest.mark.parametrize("optimizer", ["adamw_torch_fused", "adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit"])
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_optimizer_states_are_the_optimizers_own(optimizer: str, kind: str) -> None:
    import bitsandbytes as bnb
    import torch
    from bitsandbytes.optim import GlobalOptimManager
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, LlamaConfig

    plan = with_values(Plan(), {"method.kind": kind, "training.optimizer": optimizer, "lora.r": 64})
    model = AutoModelForCausalLM.from_config(LlamaConfig(**CONFIG), dtype=torch.bfloat16)
    if kind == "lora":
        model = get_peft_model(model, LoraConfig(r=64, target_modules="all-linear", task_type="CAUSAL_LM"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    spec, form = read_config(CONFIG), formats(plan)
    counted = optimizer_bytes(spec, plan, form)
    if optimizer == "adamw_torch_fused":
        real = torch.optim.AdamW(trained, fused=True)
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        real.step()
        states = [value for state in real.state.values() for name, value in state.items() if name != "step"]
        assert counted == _bytes(states)
        return
    bits = 8 if "8bit" in optimizer else 32
    real = bnb.optim.AdamW(trained, optim_bits=bits)
    if bits == 8:  # as transformers' trainer registers embeddings
        manager = GlobalOptimManager.get_instance()
        manager.initialize()  # it knows parameters by their address, which tests before this one may have used
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                manager.register_module_override(module, "weight", {"optim_bits": 32})
    real.check_overrides()
    for group_index, group in enumerate(real.param_groups):
        for index, parameter in enumerate(group["params"]):
            real.init_state(group, parameter, group_index, index)
    states = [value for state in real.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    assert counted == _bytes(states)
