"""torch's own attention over rows of unlike length: it learns what sdpa learns on padded rows, whatever the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from varlen_kernel import on_a_processor

from loratui.core.attention import TORCH_VARLEN
from loratui.worker import varlen_attention
from loratui.worker.varlen_attention import is_there, register, segments_of

pytestmark = [pytest.mark.worker, pytest.mark.skipif(not is_there(), reason="torch has it from 2.11 on")]
LENGTHS = (9, 1, 17, 5)
SHARED: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 64,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 4},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 16},  # groups of queries, norms of heads, a width of its own
    "mistral": {"num_key_value_heads": 2, "sliding_window": 6},
    "granite": {"num_key_value_heads": 2, "attention_multiplier": 0.4},  # a scale of its own
}


def built(family: str) -> Any:
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    register()
    torch.manual_seed(0)
    config = CONFIG_MAPPING[family](**SHARED | MODELS[family])
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")


def rows() -> list[dict[str, list[int]]]:
    torch.manual_seed(1)
    made = []
    for length in LENGTHS:
        ids = torch.randint(0, 64, (length,)).tolist()
        made.append({"input_ids": ids, "labels": [-100] * (length // 3) + ids[length // 3 :]})
    return made


def learnt(model: Any, attention: str, *, padding_free: bool) -> tuple[float, dict[str, torch.Tensor]]:
    model.set_attn_implementation(attention)
    model.zero_grad(set_to_none=True)
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=padding_free)(rows())
    loss = model(**batch, use_cache=False).loss
    loss.backward()
    return float(loss), {name: one.grad.clone() for name, one in model.named_parameters()}


@pytest.mark.parametrize("family", list(MODELS))
@pytest.mark.parametrize("padding_free", [True, False])
def test_it_learns_what_sdpa_learns_on_padded_rows(family: str, padding_free: bool) -> None:
    """Losses and every gradient, in float32: of rows end to end, and of padded ones, which it takes apart."""
    model = built(family)
    wanted, gradients = learnt(model, "sdpa", padding_free=False)
    with on_a_processor() as calls:
        loss, own = learnt(model, TORCH_VARLEN, padding_free=padding_free)
    assert loss == pytest.approx(wanted, rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-4, atol=1e-7, msg=lambda text, at=name: f"{at}: {text}")
    assert calls.rows == [[0, 9, 10, 27, 32]] * 2 and calls.backward == 2
    assert set(calls.windows) == ({5} if family == "mistral" else {-1})


def test_no_mask_is_made_and_rows_are_told_apart_once_for_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collator's figures go to the kernel as they are; without them the first layer finds where rows begin."""
    model, seen = built("llama"), []
    model.set_attn_implementation(TORCH_VARLEN)
    monkeypatch.setattr(varlen_attention, "segments_of", lambda places: seen.append(places) or segments_of(places))
    for layer in model.model.layers:
        layer.self_attn.register_forward_pre_hook(
            lambda module, given, named: seen.append(named["attention_mask"]), with_kwargs=True
        )
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(rows())
    with on_a_processor() as calls:
        told = model(**batch, use_cache=False).loss
        assert seen == [None, None]
        seen.clear()
        found = model(
            **{name: batch[name] for name in ("input_ids", "labels", "position_ids")}, use_cache=False
        ).loss  # fmt: skip
    assert len(seen) == 3 and sum(one is not None for one in seen) == 1
    assert calls.rows == [[0, 9, 10, 27, 32]] * 4 and torch.equal(told, found)


def test_answers_are_generated_alike() -> None:
    """Prompts of unlike length, padded on the left, with a cache of keys and values."""
    model = built("qwen3").eval()
    prompts = torch.tensor([[0, 0, 7, 8, 9], [11, 12, 13, 14, 15]])
    mask = (prompts > 0).long()

    def answers(attention: str) -> torch.Tensor:
        model.set_attn_implementation(attention)
        return model.generate(prompts, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=0)

    wanted = answers("sdpa")
    with on_a_processor() as calls:
        assert torch.equal(answers(TORCH_VARLEN), wanted)
    assert len(calls.rows) == 16


def test_what_the_kernel_does_not_compute_is_refused_and_not_left_out() -> None:
    from transformers import AutoModelForCausalLM, Gemma2Config

    register()
    config = Gemma2Config(**SHARED | {"num_key_value_heads": 2, "head_dim": 8})
    model = AutoModelForCausalLM.from_config(config, attn_implementation=TORCH_VARLEN)
    with pytest.raises(NotImplementedError, match="a cap on attention scores"):
        model(torch.tensor([[1, 2, 3]]))
    dropping = built("llama").train()
    dropping.config.attention_dropout = 0.1
    dropping.set_attn_implementation(TORCH_VARLEN)
    for layer in dropping.model.layers:
        layer.self_attn.attention_dropout = 0.1
    with pytest.raises(NotImplementedError, match="dropout within attention"):
        dropping(torch.tensor([[1, 2, 3]]))


def test_where_rows_begin_follows_from_their_positions() -> None:
    starts, longest = segments_of(torch.tensor([[0, 1, 2, 0, 0, 1, 2, 3]]))
    assert starts.tolist() == [0, 3, 4, 8] and starts.dtype == torch.int32 and longest == 4
    assert segments_of(torch.tensor([[4, 5, 6]])).starts.tolist() == [0, 3], "a row that goes on from a cache is one"


def test_the_real_function_takes_what_it_is_given() -> None:
    """torch's own function, operator and autograd on tensors without contents, as on a card in bfloat16."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    register()
    module = torch.nn.Module()
    with FakeTensorMode():

        def states(heads: int) -> torch.Tensor:
            return torch.empty(1, heads, 32, 64, dtype=torch.bfloat16, requires_grad=True)  # fmt: skip

        q, k, v = states(8), states(2), states(2)
        starts = torch.empty(5, dtype=torch.int32)
        out, _ = varlen_attention.varlen_attention(
            module, q, k, v, None, scaling=0.1, sliding_window=8, cu_seq_lens_q=starts, cu_seq_lens_k=starts,
            max_length_q=17, max_length_k=17,
        )  # fmt: skip
        out.sum().backward()
        assert out.shape == (1, 32, 8, 64) and out.dtype == torch.bfloat16
        assert [one.grad.shape for one in (q, k, v)] == [one.shape for one in (q, k, v)]  # type: ignore[union-attr]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
@pytest.mark.parametrize("family", list(MODELS))
def test_on_a_card_the_kernel_learns_what_sdpa_learns(family: str) -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("its kernel needs compute capability 8.0")
    model = built(family).cuda().to(torch.bfloat16)

    def on_card(attention: str, padding_free: bool) -> tuple[float, torch.Tensor]:
        model.set_attn_implementation(attention)
        model.zero_grad(set_to_none=True)
        batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=padding_free)(rows())
        moved = {name: one.cuda() if isinstance(one, torch.Tensor) else one for name, one in batch.items()}
        loss = model(**moved, use_cache=False).loss
        loss.backward()
        return float(loss), torch.cat([one.grad.float().flatten() for one in model.parameters()])

    wanted, gradients = on_card("sdpa", False)
    loss, own = on_card(TORCH_VARLEN, True)
    assert loss == pytest.approx(wanted, rel=1e-2)
    assert float((own - gradients).norm() / gradients.norm()) < 5e-2
