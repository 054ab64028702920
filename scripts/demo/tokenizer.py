"""The demo's tokenizer: BPE that never joins a word to the blank before it, with a ChatML template.

It is trained on bytes and kept in SentencePiece's form, which llama.cpp's converter takes from anyone: a byte-level one
it only knows by the hash of a published tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from .conversations import Turn, draw_conversation
from .pools import COLOURS, DAYS, FIRST_NAMES, ITEMS, LAST_NAMES
from .sentencepiece import BLANK, model_file, pieces_of

PAD, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY_SIZE = 1280
CONVERSATIONS_READ = 20_000
CONTEXT_TOKENS = 2048

# A word is the same token in a sentence and inside a JSON string, because the blank or the quotation mark before it
# is a token of its own: a small model then copies words without having to learn two spellings of each.
WORDS_DIGITS_AND_THE_REST = r"\p{L}+|\p{N}|[^\p{L}\p{N}\n]+|\n"

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}
{%- else %}
{{- message['content'] + '<|im_end|>' }}
{%- endif %}
{{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


def _texts(seed: int) -> Iterable[str]:
    rng = Random(seed)
    for _ in range(CONVERSATIONS_READ):
        for role, text in draw_conversation(rng):
            yield f"{role}\n{text}"
    # Each word of the pools often enough to become one token.
    for _ in range(200):
        yield " ".join([*FIRST_NAMES, *LAST_NAMES, *ITEMS, *COLOURS, *DAYS])


def make_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer on the base model's schooling."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS_DIGITS_AND_THE_REST), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(seed), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=in_sentencepiece_form(bpe),
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=[TURN_START],
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        add_prefix_space=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def in_sentencepiece_form(bpe: Tokenizer) -> Tokenizer:
    """The same tokens under the same numbers: letters for their bytes, a sign for the blank, and byte pieces for what
    is no letter of it. No token joins words, so that the merges find the same without cutting into words first.
    """
    learnt = json.loads(bpe.to_str())["model"]
    pieces = pieces_of(learnt["vocab"], [PAD, TURN_START, TURN_END])
    named = {old: pieces[number] for old, number in learnt["vocab"].items()}
    merges = [(named[one], named[other]) for one, other in learnt["merges"]]
    new = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, merges, byte_fallback=True))
    new.add_special_tokens([PAD, TURN_START, TURN_END])
    new.normalizer = normalizers.Replace(" ", BLANK)
    new.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS_DIGITS_AND_THE_REST), "isolated")
    new.decoder = decoders.Sequence([decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()])
    return new


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write it as transformers does, and as SentencePiece does beside it."""
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["add_bos_token"] = False  # transformers leaves it out; llama.cpp would put a token before every text
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    (folder / "tokenizer.model").write_bytes(model_file(pieces, [PAD, TURN_START, TURN_END]))


def encode_conversations(
    tokenizer: PreTrainedTokenizerFast, conversations: list[list[Turn]]
) -> list[tuple[list[int], list[bool]]]:
    """Per conversation its token ids as the chat template makes them, and which of them the assistant says."""
    encode = tokenizer.backend_tokenizer.encode_batch
    spoken = [(role, text) for turns in conversations for role, text in turns]
    heads = {
        role: list(encode([f"{TURN_START}{role}\n"], add_special_tokens=False)[0].ids)
        for role in {role for role, _ in spoken}
    }
    (end_of_line,) = encode(["\n"], add_special_tokens=False)[0].ids
    bodies = iter(encode([text + TURN_END for _, text in spoken], add_special_tokens=False))
    rows = []
    for turns in conversations:
        ids: list[int] = []
        said: list[bool] = []
        for role, _ in turns:
            body = next(bodies).ids
            ids += [*heads[role], *body, end_of_line]
            said += [False] * len(heads[role]) + [role == "assistant"] * len(body) + [False]
        rows.append((ids, said))
    return rows
