"""Liger's kernels: which model takes which, where they are proposed, what they spare, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loratui.core.dataset import uniform
from loratui.core.hardware import Device
from loratui.core.liger import KERNELS, SWITCHES, fused, liger_config, verdict, why_no_liger
from loratui.core.measured import LIGER_GAIN, Measurement, learned_speed
from loratui.core.memory.traits import TRAITS
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.models.find import find_model

GIB = 2**30
CARD = Device(
    name="A100", memory_total_bytes=80 * GIB, memory_free_bytes=79 * GIB, compute_capability=(8, 0), peak_flops=312e12,
    liger=True,
)  # fmt: skip
CPU = Device(
    name="CPU", kind="cpu", memory_total_bytes=64 * GIB, memory_free_bytes=60 * GIB, peak_flops=1e12, liger=True
)
FEW, MANY = uniform(1_000, 200), uniform(200_000, 900)


def proposed(
    device: Device = CARD, rows: Any = FEW, model: str = "Qwen/Qwen3-4B", measured: Any = (), **by_hand: Any
) -> Proposal:
    situation = Situation(find_model(model, online=False).spec, rows, device, measurements=measured)
    return propose(situation, by_hand={key.replace("__", "."): value for key, value in by_hand.items()})


def test_where_it_is_installed_a_run_too_short_to_compile_takes_ligers_kernels() -> None:
    short, long = proposed(), proposed(rows=MANY)
    assert short.plan.training.liger and not short.plan.training.compile
    assert "dropped where they do not compute the same" in short.why("training.liger")
    assert long.plan.training.compile and not long.plan.training.liger
    assert "the blocks are compiled" in long.why("training.liger")


def test_who_asks_for_one_of_the_two_by_hand_is_not_given_the_other() -> None:
    asked = proposed(rows=MANY, training__liger=True)
    assert asked.plan.training.liger and not asked.plan.training.compile
    assert "Liger's kernels are asked for" in asked.why("training.compile")
    assert not proposed(training__compile=True).plan.training.liger


@pytest.mark.parametrize(
    ("device", "model", "by_hand", "because"),
    [
        (CPU, "Qwen/Qwen3-0.6B", {}, "written for NVIDIA's cards first"),
        (replace(CARD, vendor="amd", architecture="gfx942"), "Qwen/Qwen3-4B", {}, "written for NVIDIA's cards first"),
        (replace(CARD, liger=False), "Qwen/Qwen3-4B", {}, "liger-kernel is not installed here"),
        (replace(CARD, compute_capability=(6, 1)), "Qwen/Qwen3-4B", {}, "compute capability 7.0"),
        (replace(CARD, count=2), "Qwen/Qwen3-4B", {}, "one device only"),
        (CARD, "google/gemma-3-4b-it", {}, "not used here for models of the kind gemma3"),
        (CARD, "Qwen/Qwen3-4B", {"training__objective": "dpo"}, "a preference is the difference"),
    ],
)
def test_where_it_is_not_proposed_the_reason_says_why(
    device: Device, model: str, by_hand: dict[str, Any], because: str
) -> None:
    found = proposed(device, model=model, **by_hand)
    assert found.plan.training.liger is False and because in found.why("training.liger")


def test_every_switch_is_written_out_and_the_loss_is_never_asked_for() -> None:
    assert set(KERNELS) <= set(TRAITS)
    for family in (*KERNELS, "gpt2"):
        config = liger_config(family)
        assert tuple(config) == SWITCHES and {name for name in config if config[name]} == set(KERNELS.get(family, ()))
        assert not config["cross_entropy"] and not config["fused_linear_cross_entropy"]
    plan = with_values(Plan(), {"training.liger": True})
    assert fused(plan, "qwen3") == {"rope", "norm", "head_norm", "gate"}
    assert fused(plan, "glm4") == {"norm", "gate"} and fused(plan, "gpt2") == fused(Plan(), "qwen3") == frozenset()


@pytest.mark.parametrize("model", ["Qwen/Qwen3-4B", "meta-llama/Llama-3.1-8B", "microsoft/Phi-3.5-mini-instruct"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_less_is_kept_where_its_kernels_compute(model: str, checkpointing: bool, kind: str) -> None:
    """Without checkpointing a block keeps its input instead of a float32 copy, and no product of an activation."""
    settings: dict[str, Any] = {
        "method__kind": kind, "training__checkpointing": checkpointing, "training__batch_size": 4,
        "training__compile": False,
    }  # fmt: skip
    plain = proposed(model=model, training__liger=False, **settings).memory
    liger = proposed(model=model, training__liger=True, **settings).memory
    passing = [one.parts["activations"] + one.parts["logits"] for one in (plain, liger)]
    assert passing[1] < passing[0]
    assert passing[1] < 0.8 * passing[0] or checkpointing or kind == "full"
    for part in ("weights", "adapter", "gradients", "optimizer"):
        assert liger.parts[part] == plain.parts[part]


def test_what_it_spares_of_a_block_is_what_its_kernels_no_longer_keep() -> None:
    """One block of Llama with LoRA, 16 bit, by hand. Transformers' norms keep a float32 copy of what Liger's keep as
    it is (it is the residual stream, which is there once more as the sum), and its gate keeps the activated half.
    """
    from loratui.core.dataset import DataFacts
    from loratui.core.memory.estimate import estimate, largest_training_batch
    from loratui.core.memory.formats import formats
    from loratui.core.memory.step import _pass

    spec = find_model("meta-llama/Llama-3.1-8B", online=False).spec
    plan = with_values(Plan(), {"model.dtype": "bf16", "training.precision": "bf16", "training.liger": True})
    data: DataFacts = FEW
    batch = largest_training_batch(plan, data)

    def kept(form: Any) -> int:
        one = _pass(spec, plan, form, batch, accumulates=False)
        run, source = one.start()
        one.block(run, source, 0)
        return run.tape.walk(source).kept + run.tape.walk(source).source_kept

    plain = formats(plan)
    spared = kept(plain) - kept(plain._replace(fused=fused(plan, "llama")))
    tokens, hidden, wide = batch.tokens, spec.hidden_size, spec.intermediate_size
    copies = 2 * tokens * hidden * 4
    inputs = 2 * tokens * hidden * 2
    activated = tokens * wide * 2
    assert spared == copies - inputs + activated
    assert estimate(spec, plan, data, CARD).total_bytes > 0


def test_other_tools_are_not_said_to_need_less() -> None:
    from loratui.core.memory.estimate import estimate
    from loratui.core.memory.trainers import LLAMA_FACTORY, TRL

    spec = find_model("Qwen/Qwen3-4B", online=False).spec
    values = {"training.batch_size": 4, "training.checkpointing": False}
    plain, asked = with_values(Plan(), values), with_values(Plan(), values | {"training.liger": True})
    there = [estimate(spec, plan, FEW, CARD, LLAMA_FACTORY).total_bytes for plan in (plain, asked)]
    trl = [estimate(spec, plan, FEW, CARD, TRL).total_bytes for plan in (plain, asked)]
    assert there[0] == there[1] and trl[1] < trl[0]


def test_the_time_has_a_modest_gain_at_best() -> None:
    plain, liger = (proposed(training__compile=False, training__liger=value).time for value in (False, True))
    assert plain is not None and liger is not None
    assert liger.high_seconds_per_step == plain.high_seconds_per_step
    assert plain.low_seconds_per_step / LIGER_GAIN <= liger.low_seconds_per_step < plain.low_seconds_per_step


def test_a_run_without_it_says_only_what_its_kernels_do_at_least() -> None:
    def speed(*, measured: bool, planned: bool) -> Any:
        run = Measurement(
            run="r", time=1.0, device="A100", method="lora", family="qwen3", model="m", flops_per_step=1e15,
            seconds_per_step=10.0, steps=9, liger=measured,
        )  # fmt: skip
        return learned_speed(
            [run], device="A100", devices=1, method="lora", model="m", family="qwen3", checkpointing=False,
            flops_per_pass=1e15, liger=planned,
        )  # fmt: skip

    alike, above = speed(measured=True, planned=True), speed(measured=False, planned=True)
    below = speed(measured=True, planned=False)
    assert above.low_flops_per_second == alike.low_flops_per_second == below.low_flops_per_second * LIGER_GAIN
    assert above.high_flops_per_second == alike.high_flops_per_second * LIGER_GAIN


def test_what_cannot_be_together_is_said() -> None:
    several = with_values(Plan(), {"training.liger": True, "hardware.devices": [0, 1]})
    assert why_no_liger(several).startswith("training.liger = true is for one device")
    both = with_values(Plan(), {"training.liger": True, "training.compile": True})
    assert "do the same work" in why_no_liger(both) and not why_no_liger(Plan())


def test_the_rehearsal_says_which_kernels_end_the_run_sooner() -> None:
    plain = with_values(Plan(), {"training.accumulation": 4})
    asked, compiling = (with_values(plain, {f"training.{key}": True}) for key in ("liger", "compile"))
    found = {"plain_seconds": 0.2, "liger_seconds": 0.15, "refused": ""}
    message, fix = verdict(plain, found, {}) or ("", {})
    assert "150 ms with Liger's kernels and 200 ms without" in message and fix == {"training.liger": True}
    assert verdict(asked, found, {}) is None and verdict(plain, found | {"liger_seconds": 0.195}, {}) is None
    message, fix = verdict(asked, found | {"plain_seconds": 0.12}, {}) or ("", {})
    assert "120 ms without" in message and fix == {"training.liger": False}
    assert verdict(plain, {}, {}) is None and verdict(plain, found | {"refused": "they fail here"}, {}) is None
    compiled = {"seconds": 60.0, "compiled_seconds": 0.1, "steps": 100, "refused": ""}
    message, fix = verdict(compiling, found, compiled) or ("", {})  # 60 s against 100 s
    assert "1 min 00 s to compile" in message and fix == {"training.compile": False, "training.liger": True}
    assert verdict(compiling, found, compiled | {"steps": 1_000}) is None, "600 s against 460 s"
    assert verdict(compiling, found, compiled | {"refused": "no compiler"}) == verdict(plain, found, {})
