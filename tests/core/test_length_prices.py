"""What a maximum length costs in memory and time."""

from __future__ import annotations

from loratui.core.dataset import DataFacts
from loratui.core.length_prices import LengthPrice, length_prices
from loratui.core.memory.fit import changed
from loratui.core.plan import Plan
from loratui.core.schedule import make_schedule
from loratui.core.time import predict
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


def test_a_length_takes_as_long_as_the_plan_with_it_is_said_to_take() -> None:
    """Only steps, evaluations and saves were counted, whatever runs here had measured: Review said another time."""
    data, spec, device = DataFacts(1000, (100, 300, 700)), find_model("Qwen/Qwen2.5-7B").spec, find_gpu("T4").device()
    for length in (256, 700):
        plan = changed(Plan(), training__max_length=length)
        (price,) = length_prices(spec, plan, data, device, [length])
        time = predict(spec, plan, data, device, make_schedule(plan, data, device.count))
        assert time is not None and (price.low_seconds, price.high_seconds) == time.whole_seconds
