"""bitsandbytes layers on fake tensors: real classes, storages of the real sizes, and what the CUDA kernels allocate."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from loratui.core.plan import Plan
from loratui.worker.base_model import DTYPES, planned_quantization


def quantise(model: Any, plan: Plan) -> None:
    """Replace the layers that transformers replaces, as `from_pretrained` with a BitsAndBytesConfig does."""
    from torch._subclasses.fake_tensor import unset_fake_temporarily
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import get_keys_to_not_convert

    eight = plan.method.quantization == "int8"
    config = planned_quantization(plan)
    biases = {name: parameter for name, parameter in model.named_parameters() if name.endswith(".bias")}
    with unset_fake_temporarily():  # the new layers are made on the meta device, which is cheap without fakes too
        replace_with_bnb_linear(
            model, modules_to_not_convert=get_keys_to_not_convert(model), quantization_config=config
        )
    fill(model, biases, eight, plan)
    model.is_loaded_in_8bit = eight
    model.is_loaded_in_4bit = not eight
    model.is_quantized = True


def fill(model: Any, biases: dict[str, Any], eight: bool, plan: Plan) -> None:
    """Give the new layers fake storages: packed weights, scales and code tables."""
    bnb: Any = import_module("bitsandbytes")
    nested = torch.empty(256)
    module: Any
    for name, module in model.named_modules():
        if not isinstance(module, bnb.nn.Linear4bit | bnb.nn.Linear8bitLt):
            continue
        out_features, in_features = module.out_features, module.in_features
        if module.bias is not None:
            module.bias = torch.nn.Parameter(biases[f"{name}.bias"].detach(), requires_grad=False)
        if eight:
            weight = torch.empty(out_features, in_features, dtype=torch.int8)
            module.weight = torch.nn.Parameter(weight, requires_grad=False)
            module.weight.CB, module.weight.SCB = None, None
            module.state.CB, module.state.SCB = weight, torch.empty(out_features)
            continue
        elements = out_features * in_features
        blocks = -(-elements // 64)
        doubled = plan.method.double_quantization
        state = bnb.functional.QuantState(
            absmax=torch.empty(blocks, dtype=torch.uint8 if doubled else torch.float32),
            shape=torch.Size((out_features, in_features)),
            code=torch.empty(16),
            blocksize=64,
            quant_type=plan.method.quantization,
            dtype=DTYPES[plan.model.dtype],
            offset=torch.empty(()) if doubled else None,
            state2=bnb.functional.QuantState(
                absmax=torch.empty(-(-blocks // 256)), code=nested, blocksize=256, dtype=torch.float32
            )
            if doubled
            else None,
        )
        weight = torch.nn.Parameter(torch.empty((elements + 1) // 2, 1, dtype=torch.uint8), requires_grad=False)
        weight.quant_state = state  # type: ignore[attr-defined]
        weight.bnb_quantized = True  # type: ignore[attr-defined]
        weight.quant_type = plan.method.quantization  # type: ignore[attr-defined]
        weight.compress_statistics = doubled  # type: ignore[attr-defined]
        module.weight = weight
        module.support_avx512bf16_for_cpu = (
            False  # else an evaluation packs the weights anew for this machine's processor
        )


def quantised_storages(model: Any) -> list[Any]:
    """Tensors that quantised layers hold beside their parameters."""
    found: list[Any] = []
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:
            found += [state.absmax, state.code, state.offset]
            if state.state2 is not None:
                found += [state.state2.absmax, state.state2.code]
        eight = getattr(module, "state", None)
        if eight is not None and getattr(eight, "SCB", None) is not None:
            found += [eight.CB, eight.SCB]
    return [item for item in found if item is not None]


def kernels() -> dict[Any, Any]:
    """Stand-ins that allocate what the CUDA kernels of bitsandbytes 0.50 allocate (`backends/cuda/ops.py`)."""
    import_module("bitsandbytes")  # registers its operations
    ops = torch.ops.bitsandbytes

    def gemm_4bit(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        a, shape = args[0], args[2]
        dequantised = a.new_empty(shape[0], shape[1])
        out = a.new_empty(*a.shape[:-1], shape[0])
        del dequantised
        return out

    def mixed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        a, ca, cb = args[0], args[1], args[2]
        products = ca.new_empty(*ca.shape[:-1], cb.shape[0], dtype=torch.int32)
        half = products.new_empty(products.shape, dtype=torch.float16)
        del products
        out = half if a.dtype == torch.float16 else half.to(a.dtype)
        return out, a.new_empty(0)

    def vector(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        a = args[0]
        rows = a.new_empty(a.shape, dtype=torch.int8)
        return rows, a.new_empty(a.numel() // a.shape[-1], dtype=torch.float32), None

    return {
        ops.gemm_4bit.default: gemm_4bit,
        ops.int8_mixed_scaled_mm.default: mixed,
        ops.int8_vectorwise_quant.default: vector,
    }
