"""`loratui chat --plain` is a conversation: streamed, gone on from, taken back, saved, and stopped answer by answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_models import make_adapter, make_model

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    return make_adapter(make_model(folder / "base", context=40_000), folder / "adapter")


def chat(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "loratui", "chat", *arguments]


def test_a_conversation_goes_on_from_its_answers_and_is_saved(adapter: Path, tmp_path: Path) -> None:
    saved, again = tmp_path / "said.jsonl", tmp_path / "again.jsonl"
    lines = [
        "/system Be brief.",
        "Hello",
        "And now?",
        "//slash",
        "/undo",
        f"/save {saved}",
        f"/save {saved}",
        "/settings max_tokens=3",
        "/nonsense",
        "/reset",
        "Hello",
        f"/save {again}",
        "/quit",
        "never asked",
    ]
    ended = subprocess.run(
        chat(str(adapter), "--plain", "-s", "max_tokens=6"),
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    first, second = [json.loads(line) for line in saved.read_text().splitlines()]
    assert (first["side"], second["side"]) == ("base", "adapter")
    for row in (first, second):
        roles = [one["role"] for one in row["messages"]]
        assert roles == ["system", "user", "assistant", "user", "assistant"], "the third question was taken back"
    assert first["messages"][2] != second["messages"][2], "each side goes on from its own answers"
    assert "it is there already" in ended.stderr and "there is no command /nonsense" in ended.stderr
    assert f"Saved in {saved}: 2 questions and their answers." in ended.stderr
    assert f"Saved in {again}: one question and its answers." in ended.stderr
    shorter = [json.loads(line) for line in again.read_text().splitlines()]
    assert [len(row["messages"]) for row in shorter] == [3, 3]
    assert len(shorter[0]["messages"][2]["content"]) < len(first["messages"][2]["content"])
    assert first["messages"][2]["content"] in ended.stdout and "never asked" not in ended.stdout


def test_what_was_said_before_is_part_of_the_question(adapter: Path, tmp_path: Path) -> None:
    """The second answer is the model's to the whole conversation, not to its last line alone."""
    from loratui.api import load

    saved = tmp_path / "said.jsonl"
    subprocess.run(
        chat(str(adapter), "--plain", "--side", "adapter", "-s", "max_tokens=6", "--system", "Be brief."),
        input=f"Hello\nAnd now?\n/save {saved}\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    messages = json.loads(saved.read_text())["messages"]
    model = load(adapter, max_tokens=6)
    assert messages[-1]["content"] == model.generate({"messages": messages[:-1]}).strip()
    assert messages[-1]["content"] != model.generate("And now?").strip()


def test_an_interrupt_stops_the_answer_and_the_next_is_given(adapter: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        chat(str(adapter), "--plain", "--side", "adapter", "-s", "max_tokens=20000"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"Hello\n")
    process.stdin.flush()
    assert process.stdout.read(1), "it is streamed"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    saved = tmp_path / "said.jsonl"
    _, error = process.communicate(f"/settings max_tokens=5\nAgain\n/save {saved}\n".encode(), timeout=280)
    assert process.returncode == 0 and b"(stopped)" in error, error
    first, second = [one["content"] for one in json.loads(saved.read_text())["messages"] if one["role"] == "assistant"]
    assert first and second and len(second) < len(first)


def test_an_empty_prompt_is_no_success(adapter: Path) -> None:
    ended = subprocess.run(chat(str(adapter), "-q", ""), capture_output=True, text=True, timeout=280)
    assert ended.returncode == 2 and "the prompt is empty" in ended.stderr
