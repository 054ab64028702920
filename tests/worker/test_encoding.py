"""Long texts are encoded in pieces: the same ids and places as in one piece, in a fraction of the memory."""

from __future__ import annotations

import random

import pytest
from tiny_models import make_tokenizer

from loratui.worker import encoding
from loratui.worker.encoding import LongEncoding, in_batches

WORDS = ["the", "of\n", "and", "", "to\n\n", "a", "is\tthat", "gradient", "世界", "—", "it's", "12", "🙂", "<|im_end|>"]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "PIECE_CHARACTERS", 64)


def test_ids_and_places_are_those_of_the_whole() -> None:
    core = make_tokenizer().backend_tokenizer
    draw = random.Random(0)
    for _ in range(30):
        text = " ".join(draw.choices(WORDS, k=400))
        whole, pieces = core.encode(text, add_special_tokens=False), LongEncoding(core, text)
        assert len(pieces) == len(whole.ids)
        assert pieces.ids[: len(pieces)] == whole.ids and pieces.ids[7:30] == whole.ids[7:30]
        for token in draw.sample(range(len(whole.ids)), 30):
            assert pieces.ids[token] == whole.ids[token]
            assert pieces.token_to_chars(token) == whole.token_to_chars(token)
        for place in draw.sample(range(len(text)), 30):
            assert pieces.char_to_token(place) == whole.char_to_token(place)


def test_a_text_without_spaces_is_divided_all_the_same() -> None:
    core = make_tokenizer().backend_tokenizer
    pieces = LongEncoding(core, "x" * 1000)
    assert len(pieces) >= 500 and core.decode(pieces.ids[: len(pieces)]) == "x" * 1000


def test_a_long_row_is_labelled_as_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.data.conversation import Conversation, Message
    from loratui.worker.tokenise import Tokeniser

    row = Conversation(
        (
            Message("user", "why? " * 40),
            Message("assistant", "since so\n" * 50, True),
            Message("user", "and then? " * 9),
            Message("assistant", "nothing more " * 30, True),
        )
    )
    for limit in (0, 150, 5000):
        pieces = Tokeniser(make_tokenizer(), max_length=limit).one(row)
        monkeypatch.setattr(encoding, "PIECE_CHARACTERS", 10**6)
        assert Tokeniser(make_tokenizer(), max_length=limit).one(row) == pieces
        monkeypatch.setattr(encoding, "PIECE_CHARACTERS", 64)


def test_batches_are_bounded_in_rows_and_in_characters() -> None:
    batches = list(in_batches((1000, number) for number in range(1300)))
    assert [len(batch) for batch in batches] == [512, 512, 276]
    batches = list(in_batches((2**18, number) for number in range(5)))
    assert [len(batch) for batch in batches] == [2, 2, 1]
