"""Whatever bytes a file holds, reading it ends in rows, problems or one sentence: never another exception."""

from __future__ import annotations

import bz2
import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import read_whole

ROWS = [
    {"messages": [{"role": "user", "content": "é世 1"}, {"role": "assistant", "content": "x"}], "n": n}
    for n in range(6)
]
PAIRS = [{"prompt": f"a{n}", "completion": 'b\nc, "d"'} for n in range(6)]
JSONL = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()
SEEDS = {
    "a.jsonl": JSONL,
    "b.json": json.dumps(PAIRS, indent=1).encode(),
    "c.json": json.dumps({"data": PAIRS}).encode(),
    "d.csv": b"prompt,completion\n" + b"".join(b'a,"b,\nc"\n' for _ in range(6)),
    "e.jsonl.gz": gzip.compress(JSONL),
    "f.jsonl.bz2": bz2.compress(JSONL),
    "g.txt": b"one\ntwo\n",
    "h.tsv": b"question\tanswer\na\tb\n",
    "i": JSONL,
    "j.zip": b"PK\x03\x04" + JSONL,
}


def tables() -> dict[str, bytes]:
    import io

    import pyarrow as pa
    import pyarrow.parquet as parquet

    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(ROWS), sink)
    return {"k.parquet": sink.getvalue(), "l.zst": bytes(pa.compress(JSONL, codec="zstd", asbytes=True))}


@pytest.mark.parametrize("name", [*SEEDS, "k.parquet", "l.zst"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4), st.integers(0, 6)), min_size=1, max_size=4),
    cut=st.integers(0, 10**6),
)
def test_damaged_files_never_raise_anything_else(name: str, edits, cut):
    content = bytearray({**SEEDS, **tables()}[name])
    for at, new, removed in edits:
        position = at % (len(content) + 1)
        content[position : position + removed] = new
    if cut % 3 == 0:
        del content[cut % (len(content) + 1) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(bytes(content))
        reading = read_whole(path)
    assert reading.error or reading.problems or reading.conversations
    assert "\n" not in reading.error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "prompt", "messages", "type", "text", "function"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    good=st.sampled_from(["prompt-completion", "messages", "instruction", "tokens", "text", "preference"]),
    row=st.dictionaries(
        st.sampled_from(
            [
                "prompt",
                "completion",
                "messages",
                "instruction",
                "input",
                "output",
                "input_ids",
                "labels",
                "text",
                "chosen",
                "rejected",
                "system",
                "tools",
                "history",
            ]
        ),
        JSON,
        max_size=5,
    ),
)
def test_any_row_is_a_conversation_or_a_problem(good: str, row: dict):
    from loratui.data.check import check
    from loratui.data.column_names import PARTS
    from loratui.data.conversation import Conversation
    from loratui.data.convert import to_conversation
    from loratui.data.recognise import Recognition
    from loratui.data.row import RowError

    recognition = Recognition(good, {part: part for part in PARTS[good]}, "")
    try:
        conversation = to_conversation(row, recognition)
    except RowError as error:
        assert error.kind and error.message.endswith(".")
        return
    assert isinstance(conversation, Conversation) and conversation.identity
    list(check(conversation))
