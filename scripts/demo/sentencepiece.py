"""A BPE vocabulary in SentencePiece's form: names of its tokens, and the file `tokenizer.model` (its protocol buffer,
google/sentencepiece, src/sentencepiece_model.proto), which converters read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

BLANK = "\u2581"
"""What SentencePiece writes for a blank."""
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
BPE = 2


def byte_piece(byte: int) -> str:
    """The name of a byte that is no character."""
    return f"<0x{byte:02X}>"


def pieces_of(vocabulary: Mapping[str, int], special: Sequence[str]) -> list[str]:
    """A byte-level vocabulary's tokens by number, under SentencePiece's names. ValueError for one that holds a part of
    a character beside other bytes, which has no name there.
    """
    bytes_of = _bytes_of_letters()
    found = sorted(vocabulary, key=vocabulary.__getitem__)
    return [token if token in special else _piece(bytes(bytes_of[letter] for letter in token)) for token in found]


def _piece(token: bytes) -> str:
    if token.isascii() and token != b"\0":  # nor is that one a letter there
        return token.decode("ascii").replace(" ", BLANK)
    if len(token) > 1:
        raise ValueError(f"{token!r} is no ASCII text and no single byte.")
    return byte_piece(token[0])


def _bytes_of_letters() -> dict[str, int]:
    """The letters by which byte-level BPE writes the 256 bytes: printable ones of Latin-1 for themselves, the others
    by those from U+0100 on, in their order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def model_file(pieces: Sequence[str], special: Sequence[str]) -> bytes:
    """`tokenizer.model`. The first of the special ones stands for the unknown, which the format wants named.

    It wants all 256 bytes, too: those of ASCII, which are letters of the vocabulary and never needed, stand behind it.
    """
    missing = [name for name in map(byte_piece, range(256)) if name not in pieces]
    document = b""
    for number, piece in enumerate([*pieces, *missing]):
        kind = UNKNOWN if piece == special[0] else CONTROL if piece in special else NORMAL
        if piece.startswith("<0x") and len(piece) == 6:
            kind = BYTE
        score = 0.0 if kind != NORMAL else float(len(special) - number)
        document += _field(1, _field(1, piece.encode()) + _float(2, score) + _number(3, kind))
    count = len(pieces) + len(missing)
    trainer = _number(3, BPE) + _number(4, count) + _number(35, 1) + _number(40, 0) + _field(45, special[0].encode())
    trainer += b"".join(_number(key, -1) for key in (41, 42, 43))  # no begin, end or padding of its own
    normalizer = _field(1, b"identity") + _number(3, 0) + _number(4, 0) + _number(5, 1)
    return document + _field(2, trainer) + _field(3, normalizer)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(key: int, value: int) -> bytes:
    return _varint(key << 3) + _varint(value)


def _float(key: int, value: float) -> bytes:
    return _varint(key << 3 | 5) + struct.pack("<f", value)


def _field(key: int, value: bytes) -> bytes:
    return _varint(key << 3 | 2) + _varint(len(value)) + value
