"""The Python API: one load, then texts, objects, lists, files and streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import make_adapter, make_model

from loratui.core.errors import InputError

pytestmark = pytest.mark.worker


def test_load_once_and_ask_in_every_form(tmp_path: Path) -> None:
    from loratui.api import load

    base = make_model(tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    model = load(adapter, max_tokens=12)
    assert model.sides == ["base", "adapter"]
    text = model.generate("Hello")
    assert isinstance(text, str)
    assert (
        model.generate(["Hello", {"prompt": "Hello"}, {"messages": [{"role": "user", "content": "Hello"}]}])
        == [text] * 3
    )
    given = {"title": "Bridges", "pages": 3}
    assert model.generate(given) == model.generate({"input": given}) == model.generate(json.dumps(given))
    assert model.generate("Hello", side="base") != text
    assert "".join(model.stream("Hello")) == text
    for _ in model.stream("Hello", max_tokens=200):
        break
    (tmp_path / "in.json").write_text(json.dumps([{"input": "Hello"}, {"input": given}]))
    assert model.generate_file(tmp_path / "in.json", tmp_path / "out.json") == 0
    document = json.loads((tmp_path / "out.json").read_text())
    assert [(row["row"], row["input"], row["generated_output"]) for row in document] == [
        (1, "Hello", text),
        (2, given, model.generate(given)),
    ]
    conversation = [{"role": "user", "content": "Hello"}]
    assert model.generate(conversation) == text, "messages are one conversation"
    (tmp_path / "lines.txt").write_text("Hello\n")
    assert model.generate_file(tmp_path / "lines.txt", tmp_path / "lines.json") == 0
    (line,) = json.loads((tmp_path / "lines.json").read_text())
    assert line["generated_output"] == text, "a line of text is asked through the chat template"
    with pytest.raises(InputError, match="there already"):
        model.generate_file(tmp_path / "lines.txt", tmp_path / "lines.json")
    with pytest.raises(InputError, match="Temperature takes a number, 0 to 2"):
        model.generate("Hello", temperature=7)
    with pytest.raises(InputError, match="no side"):
        model.generate("Hello", side="other")
    with pytest.raises(InputError, match="item 2"):
        model.generate(["Hello", ""])


def test_several_files_and_another_format_with_one_load(tmp_path: Path) -> None:
    """As the guide has it: load once, a dict, then files one after the other; the base in 4 bit where one wants it."""
    from loratui.api import load

    base = make_model(tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    model = load(adapter, base=str(base), max_tokens=8)
    for number in range(3):
        source = tmp_path / f"chapter{number}.json"
        source.write_text(json.dumps({"input": {"chapter": number}}))
        assert model.generate_file(source, source.with_name(f"chapter{number}_output.json")) == 0
        (row,) = json.loads((tmp_path / f"chapter{number}_output.json").read_text())
        assert row["input"] == {"chapter": number}
        assert row["generated_output"] == model.generate({"chapter": number})
    with pytest.raises(InputError, match="no quantization q4"):
        load(adapter, quantization="q4")
    assert isinstance(load("demo", quantization="nf4", max_tokens=4).generate("Hello"), str)
