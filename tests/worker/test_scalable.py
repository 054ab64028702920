"""float16 with loss scaling needs trained weights in float32."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.worker


def test_trained_weights_are_float32_and_frozen_ones_stay() -> None:
    import torch

    from loratui.worker.adapter_formats import hold_wide

    model = torch.nn.ModuleList(
        [torch.nn.Linear(4, 4, dtype=dtype) for dtype in (torch.bfloat16, torch.float16, torch.float32)]
    )
    frozen = torch.nn.Linear(4, 4, dtype=torch.float16).requires_grad_(False)
    model.append(frozen)
    hold_wide(model)
    assert {parameter.dtype for parameter in model.parameters() if parameter.requires_grad} == {torch.float32}
    assert frozen.weight.dtype == torch.float16
