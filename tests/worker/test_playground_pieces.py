"""Tokens become the same text piece by piece as all at once."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from loratui.core.errors import WorkerError
from loratui.worker.generation.answer import PieceDecoder
from loratui.workers import protocol


def decode_bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


@given(st.text(max_size=60), st.integers(1, 4))
def test_pieces_add_up_to_the_whole_text(text: str, width: int) -> None:
    ids = list(text.encode())
    decoder = PieceDecoder(decode_bytes)
    pieces = [decoder.push(ids[start : start + width]) for start in range(0, len(ids), width)] + [decoder.end()]
    assert "".join(pieces) == text


def test_no_piece_shows_half_a_character() -> None:
    decoder = PieceDecoder(decode_bytes)
    pieces = [decoder.push([byte]) for byte in "a🦆b".encode()]
    assert pieces == ["a", "", "", "", "🦆", "b"]


def test_a_half_character_at_the_end_is_shown_as_such() -> None:
    decoder = PieceDecoder(decode_bytes)
    assert decoder.push(list("é".encode()[:1])) == ""
    assert decoder.end() == "�"


def test_spaces_that_show_only_beside_a_neighbour_are_kept() -> None:
    words = ["▁Hello", "▁big", "▁world"]

    def decode(ids: Sequence[int]) -> str:  # as SentencePiece does: the first word's space is dropped
        return "".join(words[number] for number in ids).replace("▁", " ").removeprefix(" ")

    decoder = PieceDecoder(decode)
    assert "".join([decoder.push([number]) for number in range(3)] + [decoder.end()]) == "Hello big world"


@given(st.text(), st.text(), st.integers(0, 10**6))
def test_messages_come_back_as_they_went(text: str, side: str, number: int) -> None:
    piece = protocol.Piece(number, side, text)
    line = protocol.encode(piece)
    assert line.count(b"\n") == 1
    assert protocol.decode_event(line) == piece
    ask = protocol.Ask(number, [side], [{"role": "user", "content": text}], "", {"temperature": 0.5})
    assert protocol.decode_request(protocol.encode(ask)) == ask
    assert ask.generation.temperature == 0.5


def test_unknown_fields_are_passed_over_and_nonsense_is_named() -> None:
    assert protocol.decode_event(b'{"event": "loading", "what": "x", "later": 1}\n') == protocol.Loading("x")
    for line in (b"hello\n", b'{"event": "dance"}\n', b'{"event": "piece"}\n', b"[]\n"):
        try:
            protocol.decode_event(line)
        except WorkerError as error:
            assert "no message" in error.message
        else:
            raise AssertionError(line)
