"""A random Llama of a few thousand parameters with a tokenizer and a chat template: real training in seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' "
    "}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tiny_model(
    folder: Path, *, vocabulary: int = 300, hidden: int = 32, layers: int = 2, template: str = TEMPLATE
) -> Path:
    """Make the model's folder and return it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{one} and {two} is" for one in range(20) for two in range(20)], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = template
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            eos_token_id=fast.eos_token_id,
            bos_token_id=None,
            pad_token_id=fast.pad_token_id,
            tie_word_embeddings=True,
        )
    )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def write_rows(path: Path, count: int = 48, seed: int = 0) -> Path:
    """Sums as prompt and completion, one JSON object a line."""
    draw = random.Random(seed)
    with path.open("w") as file:
        for _ in range(count):
            one, two = draw.randrange(50), draw.randrange(50)
            file.write(
                json.dumps({"prompt": f"{one} and {two} is" + " and" * draw.randrange(6), "completion": str(one + two)})
                + "\n"
            )
    return path


def write_contrary_rows(path: Path, count: int = 24, seed: int = 1) -> Path:
    """The same questions, answered in letters: what is learnt of sums is wrong there, and beyond any doubt."""
    draw = random.Random(seed)
    with path.open("w") as file:
        for _ in range(count):
            prompt = f"{draw.randrange(50)} and {draw.randrange(50)} is" + " and" * draw.randrange(6)
            file.write(json.dumps({"prompt": prompt, "completion": "".join(draw.choices("abcdef", k=3))}) + "\n")
    return path
