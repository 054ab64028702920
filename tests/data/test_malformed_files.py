"""Files that are broken in ways that files really are: each ends in a sentence with its place, none in a traceback."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest
from reading import read_whole

from loratui.core.errors import DatasetError
from loratui.data.find import find_dataset

GOOD = '{"prompt": "a", "completion": "b"}\n'
G = GOOD.encode()


def lines(*bad: str | bytes) -> bytes:
    """One good line, the bad ones, one good line."""
    return G + b"".join((b if isinstance(b, bytes) else b.encode()).rstrip(b"\n") + b"\n" for b in bad) + G


# name, bytes, fragment of the sentence, line (None: a fault of the whole file, whose sentence names the file)
BROKEN_ROWS = [
    ("cut.jsonl", lines('{"prompt": "a", "comple'), "not valid JSON: unterminated string", 2),
    ("comma.jsonl", lines('{"prompt": "a", "completion": "b",}'), "not valid JSON", 2),
    ("missing-comma.jsonl", lines('{"prompt": "a" "completion": "b"}'), "',' delimiter", 2),
    ("single-quotes.jsonl", lines("{'prompt': 'a', 'completion': 'b'}"), "double quotes", 2),
    ("python.jsonl", lines('{"prompt": None, "completion": True}'), "expecting value", 2),
    ("unquoted.jsonl", lines('{prompt: "a"}'), "double quotes", 2),
    (
        "two-on-a-line.jsonl",
        lines('{"prompt": "a", "completion": "b"}{"prompt": "c", "completion": "d"}'),
        "extra data",
        2,
    ),
    ("raw-tab.jsonl", lines('{"prompt": "a\tb", "completion": "b"}'), "control character", 2),
    ("raw-nul.jsonl", lines(b'{"prompt": "a\x00b", "completion": "b"}'), "control character", 2),
    ("bad-escape.jsonl", lines('{"prompt": "a\\x", "completion": "b"}'), "escape", 2),
    ("short-unicode-escape.jsonl", lines('{"prompt": "\\u12", "completion": "b"}'), "invalid", 2),
    ("text-line.jsonl", lines("just words"), "expecting value", 2),
    ("html.jsonl", lines("<html><body>404</body></html>"), "expecting value", 2),
    ("latin1.jsonl", lines('{"prompt": "caf\xe9", "completion": "b"}'.encode("latin-1")), "not valid UTF-8", 2),
    ("cut-character.jsonl", lines(b'{"prompt": "\xe4\xb8", "completion": "b"}'), "not valid UTF-8", 2),
    ("surrogate.jsonl", lines('{"prompt": "\\ud83d", "completion": "b"}'), "half of a surrogate pair", 2),
    ("deep.jsonl", lines('{"prompt": ' + "[" * 100_000), "nested too deeply", 2),
    ("huge-number.jsonl", lines('{"prompt": ' + "9" * 5000 + ', "completion": "b"}'), "cannot be read", 2),
    ("number.jsonl", lines("42"), "a number", 2),
    ("null.jsonl", lines("null"), "null", 2),
    ("bare-list.jsonl", lines("[1, 2]"), "a list", 2),
    ("no-completion.jsonl", lines('{"prompt": "a"}'), "no completion", 2),
    ("no-prompt.jsonl", lines('{"completion": "b"}'), "no prompt", 2),
    ("null-completion.jsonl", lines('{"prompt": "a", "completion": null}'), "answer is empty", 2),
    ("empty-completion.jsonl", lines('{"prompt": "a", "completion": "  "}'), "answer is empty", 2),
    ("empty-prompt.jsonl", lines('{"prompt": "", "completion": "b"}'), "prompt is empty", 2),
    ("escape-sequence.jsonl", lines('{"prompt": "\\u001b[31mred", "completion": "b"}'), "control character, U+001B", 2),
    ("bidi.jsonl", lines('{"prompt": "\\u202etxt", "completion": "b"}'), "U+202E (right-to-left override)", 2),
    ("replacement.jsonl", lines('{"prompt": "a\\ufffdb", "completion": "b"}'), "a character was lost", 2),
    ("mojibake.jsonl", lines('{"prompt": "cafÃ©", "completion": "b"}'), "wrong encoding", 2),
    ("placeholder.jsonl", lines('{"prompt": "Dear {{name}}", "completion": "b"}'), "{{name}}", 2),
    ("insert.jsonl", lines('{"prompt": "Hi [INSERT NAME]", "completion": "b"}'), "[INSERT NAME]", 2),
    (
        "picture.jsonl",
        lines('{"prompt": [{"type": "image_url", "image_url": "x"}], "completion": "b"}'),
        "image_url",
        2,
    ),
]
M = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'


def messages(*turns: object) -> bytes:
    return M + json.dumps({"messages": list(turns)}).encode() + b"\n" + M


U, A, S = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "system", "content": "s"}
BROKEN_MESSAGES = [
    ("unknown-role.jsonl", messages(U, {"role": "wizard", "content": "b"}), "unknown role 'wizard'", 2),
    ("no-role.jsonl", messages(U, {"content": "b"}), "no role", 2),
    ("role-number.jsonl", messages(U, {"role": 3, "content": "b"}), "no role", 2),
    ("no-content.jsonl", messages(U, {"role": "assistant"}), "no content", 2),
    ("null-content.jsonl", messages(U, {"role": "assistant", "content": None}), "no content", 2),
    ("empty-answer.jsonl", messages(U, {"role": "assistant", "content": ""}), "answer is empty", 2),
    ("no-answer.jsonl", messages(U), "no answer to learn from", 2),
    ("user-last.jsonl", messages(U, A, U), "last message is from user", 2),
    ("answer-first.jsonl", messages(A, U, A), "begins with an answer", 2),
    ("two-users.jsonl", messages(U, U, A), "messages 1 and 2 are both from user", 2),
    ("two-answers.jsonl", messages(U, A, A), "messages 2 and 3 are both from assistant", 2),
    ("late-system.jsonl", messages(U, S, A), "system message in the middle", 2),
    ("no-messages.jsonl", messages(), "holds no message", 2),
    ("message-text.jsonl", messages(U, "b"), "message 2 of messages is text", 2),
    ("one-empty-of-two.jsonl", messages(U, {"role": "assistant", "content": ""}, U, A), "empty answer", 2),
    ("no-loss.jsonl", messages(U, {**A, "weight": 0}), "no answer of the conversation bears loss", 2),
    ("messages-text.jsonl", M + b'{"messages": "hello"}\n' + M, "was expected to be JSON", 2),
    ("messages-object.jsonl", M + b'{"messages": {"role": "user"}}\n' + M, "an object, and a list", 2),
    ("bad-call.jsonl", messages(U, {"from": "function_call", "value": "{broken"}), "expected to be JSON", 2),
]
T = b"prompt,completion\na,b\n"
TABLES = [
    ("few-cells.csv", T + b"c\nd,e\n", "1 cells, and the header has 2", 3),
    ("many-cells.csv", T + b"c,d,e\n", "3 cells, and the header has 2", 3),
    ("open-quote.csv", T + b'"c,d\ne,f\n', "quote opened on line 3", 3),
    ("stray-quote.csv", T + b'"c"x,d\ne,f\n', "no table row", 3),
    ("latin1.csv", T + "caf\xe9,d\n".encode("latin-1"), "not valid UTF-8", 3),
    ("multi-line.csv", T + b'"c\nc",\n', "answer is empty", 3),
    ("after-multi-line.csv", T + b'"c\nc",d\ne,\n', "answer is empty", 5),
    ("few-cells.tsv", T.replace(b",", b"\t") + b"c\n", "1 cells", 3),
]
A0 = '[\n {"prompt": "a", "completion": "b"},\n'
ARRAY = '[\n {"prompt": "a", "completion": "b"}'
SMALL_PARQUET = b"PAR1" + b"\x00" * 40 + b"PAR1"
WHOLE = [
    ("empty.jsonl", b"", "the file is empty"),
    ("blank.jsonl", b"\n\n  \n", "no rows"),
    ("empty-list.json", b"[]", "no rows"),
    (
        "cut.json",
        (A0 + ' {"prompt": "c", "compl').encode(),
        "line 3: the file ends in the middle of the row that begins on line 3",
    ),
    ("never-closed.json", (ARRAY + "\n").encode(), "a ']' is missing"),
    ("never-closed-comma.json", A0.encode(), "a ']' is missing"),
    ("trailing-comma.json", (A0 + "]").encode(), "line 3: there is a comma after the last row"),
    ("missing-comma.json", (ARRAY + '\n {"prompt": "c"}]').encode(), "line 3: a comma or ']' is missing"),
    ("second-list.json", (ARRAY + "]\n[]").encode(), "line 3: there is more text after"),
    ("bad-row.json", (A0 + " {'prompt': 'c'}\n]").encode(), "line 3: not valid JSON"),
    (
        "bad-literal.json",
        (A0 + ' {"prompt": nul, "completion": "x"}\n]').encode() + b" " * 100,
        "line 3: not valid JSON",
    ),
    ("all-bad.jsonl", b"one\ntwo\nthree\n", "line 1: no row can be read"),
    ("prose.json", b"Once upon a time\nthere was\n", "line 1"),
    ("strange.jsonl", b'{"foo": 1, "bar": 2}\n', "their columns are foo (number), bar (number)"),
    ("two-columns.csv", b"x,y\n1,2\n", "no known shape"),
    ("twice.csv", b"prompt,prompt\na,b\n", "line 1: two columns are called 'prompt'"),
    ("header-only.csv", b"prompt,completion\n", "no rows"),
    ("no-table.parquet", b"not parquet at all", "no whole Parquet file"),
    ("cut.parquet", SMALL_PARQUET, "no whole Parquet file"),
    ("cut.arrow", b"ARROW1\x00\x00", "no whole Arrow file"),
    ("cut.jsonl.gz", gzip.compress(G * 5000)[:-20], "cannot be read to its end"),
    ("damaged.jsonl.gz", gzip.compress(G)[:12] + b"\xff" * 20, "cannot be read"),
    ("cut.jsonl.bz2", bz2.compress(G * 5000)[:-10], "cannot be read to its end"),
    ("cut.jsonl.xz", lzma.compress(G * 5000)[:-10], "cannot be read to its end"),
    ("cut.jsonl.zst", b"\x28\xb5\x2f\xfd\x04\x00\x09\x00\x00", "cannot be read"),
    ("cut.zip", b"PK\x03\x04" + b"\x00" * 30, "no whole zip archive"),
    ("picture.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 64, ".png is no kind of data file"),
    ("model.safetensors", b"\x40\x00\x00\x00\x00\x00\x00\x00{}", "no kind of data file"),
    ("page.html", b"<!DOCTYPE html><html></html>", "no kind of data file"),
]


@pytest.mark.parametrize(
    ("name", "content", "fragment", "line"),
    BROKEN_ROWS + BROKEN_MESSAGES + TABLES,
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_a_broken_row_is_a_problem_with_its_line(tmp_path: Path, name, content, fragment, line):
    path = tmp_path / name
    path.write_bytes(content)
    reading = read_whole(path)
    assert not reading.error
    assert any(fragment in message and place == line for place, _, message in reading.problems), reading.problems
    assert all(
        message.endswith(".") and "\n" not in message and "Traceback" not in message
        for _, _, message in reading.problems
    )
    assert reading.conversations, "the good rows around it are read"


@pytest.mark.parametrize(("name", "content", "fragment"), WHOLE, ids=[case[0] for case in WHOLE])
def test_a_broken_file_is_one_sentence_with_its_place(tmp_path: Path, name, content, fragment):
    path = tmp_path / name
    path.write_bytes(content)
    reading = read_whole(path)
    assert fragment in reading.error
    assert str(path) in reading.error
    assert "\n" not in reading.error


def test_the_corpus_is_large_enough():
    assert len(BROKEN_ROWS) + len(BROKEN_MESSAGES) + len(TABLES) + len(WHOLE) >= 60


@pytest.mark.parametrize("name", ["y" * 300, "/" + "y" * 300, "a/" + "y" * 300])
def test_a_name_that_no_file_system_takes_is_no_dataset(name: str) -> None:
    with pytest.raises(DatasetError):
        find_dataset(name)
