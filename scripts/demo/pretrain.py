"""The demo's base model, and its schooling on the conversations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .conversations import draw_conversation
from .tokenizer import CONTEXT_TOKENS, encode_conversations

BLOCK_TOKENS = 256
BLOCKS_PER_STEP = 16
MUON_LEARNING_RATE = 1e-2
ADAMW_LEARNING_RATE = 4e-3
WARMUP_STEPS = 50
USER_LOSS_WEIGHT = 0.1
"""What users say is mostly drawn at random: the model should not spend its strength on guessing it."""


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A Llama of about a million parameters, not yet trained."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=32,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )


def _blocks(tokenizer: PreTrainedTokenizerFast, rng: Random) -> Iterator[tuple[list[int], list[float]]]:
    """Endless blocks of whole conversations, each followed by the next; the last of a block is cut."""
    ids: list[int] = []
    weights: list[float] = []
    while True:
        for row, said in encode_conversations(tokenizer, [draw_conversation(rng) for _ in range(200)]):
            ids += row
            weights += [1.0 if mine else USER_LOSS_WEIGHT for mine in said]
            if len(ids) >= BLOCK_TOKENS:
                yield ids[:BLOCK_TOKENS], weights[:BLOCK_TOKENS]
                ids, weights = [], []


def _loss(model: LlamaForCausalLM, ids: Tensor, weights: Tensor) -> Tensor:
    logits = model(input_ids=ids).logits[:, :-1]
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (each * weights[:, 1:].flatten()).sum() / weights[:, 1:].sum()


def _learning_rate_share(step: int, total_steps: int) -> float:
    """Share of the peak at a step counted from 0: up, level, and down in the last two fifths."""
    falling = 0.4 * total_steps
    return max(0.01, min(1.0, (step + 1) / WARMUP_STEPS, (total_steps - step) / falling))


def _optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, which halves the steps that AdamW needs here; AdamW for embeddings and norms."""
    matrices = [w for name, w in model.named_parameters() if w.ndim == 2 and "embed" not in name]
    others = [w for name, w in model.named_parameters() if w.ndim < 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=MUON_LEARNING_RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(others, lr=ADAMW_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [muon, adamw]


def school(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, steps: int, seed: int) -> None:
    """Train all weights of `model` for `steps` optimizer steps, printing the loss now and then.

    Products are taken in bfloat16, which recent processors do about twice as fast; the weights stay float32.
    """
    optimizers = _optimizers(model)
    peaks = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    blocks = _blocks(tokenizer, Random(seed + 1))
    losses: list[float] = []
    model.train()
    started = time.monotonic()
    for step in range(steps):
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * _learning_rate_share(step, steps)
        batch = [next(blocks) for _ in range(BLOCKS_PER_STEP)]
        ids = torch.tensor([block[0] for block in batch])
        weights = torch.tensor([block[1] for block in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = _loss(model, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            mean = sum(losses[-50:]) / 50
            print(f"step {step + 1:5d}  mean loss {mean:.4f}  {time.monotonic() - started:.0f} s", flush=True)
    model.eval()
