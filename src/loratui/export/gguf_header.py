"""What a GGUF file says that it holds, from its first bytes (ggml's docs/gguf.md)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from loratui.core.errors import InputError

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type's number."""
UINT32, STRING, ARRAY = 4, 8, 9
MOST_TEXT = 2**24
KINDS = {
    **{0: "f32", 1: "f16", 2: "Q4_0", 3: "Q4_1", 7: "q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S"},
    **{12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K"},
    **{19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL"},
    **{26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "bf16"},
}
"""Formats by `general.file_type` (llama_ftype in llama.cpp's include/llama.h)."""


def held_format(path: Path) -> str:
    """The format of a GGUF file's weights; "" where it does not say, or by a number that is not known here.

    InputError where it is no GGUF file.
    """
    another = "Choose another name with -o."
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise InputError("this is no GGUF file.", where=str(path), hint=another)
            _, _, entries = struct.unpack("<IQQ", file.read(20))
            for _ in range(entries):
                key = file.read(_length(file))
                (kind,) = struct.unpack("<I", file.read(4))
                if key == b"general.file_type" and kind == UINT32:
                    return KINDS.get(struct.unpack("<I", file.read(4))[0], "")
                _skip(file, kind)
    except (struct.error, KeyError, ValueError) as error:
        raise InputError("this GGUF file is not whole.", where=str(path), hint=another) from error
    return ""


def _length(file: BinaryIO) -> int:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > MOST_TEXT:
        raise ValueError(length)
    return int(length)


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == STRING:
        file.seek(_length(file), 1)
    elif kind == ARRAY:
        (of,) = struct.unpack("<I", file.read(4))
        for _ in range(_length(file)):
            _skip(file, of)
    else:
        file.seek(SIZES[kind], 1)
