"""What a maximum length costs in memory and time."""

from __future__ import annotations

from loratui.core.dataset import DataFacts
from loratui.core.length_prices import LengthPrice, length_prices
from loratui.core.plan import Plan
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model


def test_longer_lengths_cost_no_less() -> None:
    data = DataFacts(1000, tuple(range(100, 4000, 10)))
    prices = length_prices(find_model("Qwen/Qwen2.5-7B").spec, Plan(), data, find_gpu("T4").device(), [256, 1024, 4096])
    assert all(isinstance(price, LengthPrice) and price.high_seconds for price in prices)
    memory = [price.memory_bytes for price in prices]
    assert memory == sorted(memory) and memory[0] < memory[-1]
    assert [price.low_seconds for price in prices] == sorted(price.low_seconds or 0 for price in prices)
    assert not prices[-1].fits
