"""GGUF and Ollama by their own tools: stand-ins that keep what they were asked, and the commands where there are
none.
"""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loratui.commands.gguf import command
from loratui.core.errors import InputError, LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.export.gguf import find_llama_cpp, gguf_steps, modelfile, stop_tokens, unknown_tokenizer
from loratui.runs.start import create_run

CONVERTER = """
import json, pathlib, sys
model, arguments = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
assert (pathlib.Path(model) / "config.json").is_file()
pathlib.Path(arguments["--outfile"]).write_text("GGUF " + arguments["--outtype"])
"""
QUANTISER = '#!/bin/sh\n(cat "$1"; echo " $3") > "$2"\n'
OLLAMA = '#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\n'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "merged"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
    added = [{"id": 2, "content": "<|end|>"}, {"id": 3, "content": "<|user|>"}, {"id": 7, "content": '<"stop">'}]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    return folder


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "llama.cpp"
    (folder / "build" / "bin").mkdir(parents=True)
    (folder / "convert_hf_to_gguf.py").write_text(CONVERTER)
    for path, text in ((folder / "build" / "bin" / "llama-quantize", QUANTISER), (folder / "ollama", OLLAMA)):
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv("LLAMA_CPP", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def gguf(*arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, LoratuiError):
        raise result.exception
    return result


def test_converted_quantised_and_given_to_ollama(model: Path, tools: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "mine.gguf"
    output.parent.mkdir()
    result = gguf(str(model), "-o", str(output), "--ollama", "mine", "--json")
    assert result.exit_code == 0, result.output
    assert output.read_text().split() == ["GGUF", "f16", "Q4_K_M"]
    assert sorted(path.name for path in output.parent.iterdir()) == ["mine.Modelfile", "mine.gguf"], (
        "the 16-bit file between is gone"
    )
    assert (tools / "asked").read_text().split() == ["create", "mine", "-f", str(output.with_name("mine.Modelfile"))]
    described = output.with_name("mine.Modelfile").read_text()
    assert (
        described.startswith(f"FROM {output}\n")
        and 'PARAMETER stop "<|end|>"' in described
        and r'PARAMETER stop "<\"stop\">"' in described
    )
    with pytest.raises(InputError, match="there already"):
        gguf(str(model), "-o", str(output))


def test_formats_that_the_converter_writes_need_no_quantiser(model: Path, tools: Path, tmp_path: Path) -> None:
    (tools / "build" / "bin" / "llama-quantize").unlink()
    assert gguf(str(model), "-o", str(tmp_path / "x.gguf"), "--format", "bf16").exit_code == 0
    assert (tmp_path / "x.gguf").read_text() == "GGUF bf16"


def test_what_is_quantised_is_written_in_the_models_own_format_before(model: Path, tools: Path, tmp_path: Path) -> None:
    (model / "config.json").write_text('{"dtype": "bfloat16"}')
    assert gguf(str(model), "-o", str(tmp_path / "x.gguf")).exit_code == 0
    assert (tmp_path / "x.gguf").read_text().split() == ["GGUF", "bf16", "Q4_K_M"]
    (model / "config.json").write_text('{"torch_dtype": "float32"}')
    assert gguf_steps(model, tmp_path / "y.gguf", "Q4_0")[0].command[-1] == "f32"


def test_a_tokenizer_that_the_converter_does_not_know_is_a_sentence_before_the_work(
    model: Path, tools: Path, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(model / "tokenizer.json"))
    converter = tools / "convert_hf_to_gguf.py"
    text = "Hello \n\n'' 3333"
    knows = f"        chktxt = {text!r}\n        if chkhsh == \"{{}}\":\n            res = 'x'\n"
    known = sha256(str(tokenizer.encode(text).ids).encode()).hexdigest()
    begun = tools / "begun"
    body = "if False:\n    if True:\n{}" + f"open({str(begun)!r}, 'w')\n" + CONVERTER
    converter.write_text(body.format(knows.format("0" * 64)))
    with pytest.raises(LoratuiError, match="does not know this model's tokenizer"):
        gguf(str(model), "-o", str(tmp_path / "x.gguf"))
    assert not begun.exists(), "nothing was begun"
    converter.write_text(body.format(knows.format(known)))
    assert gguf(str(model), "-o", str(tmp_path / "x.gguf"), "--format", "f16").exit_code == 0 and begun.exists()


def test_low_formats_are_made_by_what_the_training_rows_use(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--imatrix` weighs by rows of a run; without one, or without the tool, nothing is claimed."""
    monkeypatch.setattr("loratui.worker.gguf_reference.training_text", lambda target, most: "rows of the run")
    monkeypatch.setattr("loratui.commands.whole_model.whole_model", lambda source: (tmp_path / "base", "run"))
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    rows = tmp_path / "data.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n')
    run = create_run(with_values(Plan(), {"model.id": str(base), "dataset.path": str(rows)}), output=tmp_path / "run")
    (run.path / "adapter").mkdir()
    (run.path / "adapter" / "adapter_config.json").write_text('{"r": 4}')
    quantiser = '#!/bin/sh\n(echo "$1 $(cat "$2") $5") > "$4"\n'
    (tools / "build" / "bin" / "llama-quantize").write_text(quantiser)
    imatrix = tools / "build" / "bin" / "llama-imatrix"
    imatrix.write_text('#!/bin/sh\ncat "$4" > "$6"\n')
    imatrix.chmod(0o755)
    (tmp_path / "out").mkdir()
    for number, options in enumerate((["--format", "Q3_K_M"], ["--format", "Q4_K_M", "--imatrix"])):
        output = tmp_path / "out" / f"{number}.gguf"
        assert gguf(str(run.path), "-o", str(output), *options).exit_code == 0
        assert output.read_text().split() == ["--imatrix", "rows", "of", "the", "run", options[1]]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.gguf", "1.gguf"], "nothing between is left"
    imatrix.unlink()
    (tools / "build" / "bin" / "llama-quantize").write_text(QUANTISER)
    told = gguf(str(run.path), "-o", str(tmp_path / "out" / "2.gguf"), "--format", "Q3_K_M")
    assert "llama-imatrix is not here: Q3_K_M is made without" in told.output
    with pytest.raises(LoratuiError, match="nothing was made: to see which weights the training rows use"):
        gguf(str(run.path), "-o", str(tmp_path / "out" / "3.gguf"), "--imatrix")
    with pytest.raises(InputError, match="f16 is not quantised"):
        gguf(str(run.path), "-o", str(tmp_path / "out" / "3.gguf"), "--format", "f16", "--imatrix")
    with pytest.raises(InputError, match="--imatrix takes a run"):
        gguf(str(base), "-o", str(tmp_path / "out" / "3.gguf"), "--imatrix")


def test_a_converter_in_several_files_is_read_whole(tmp_path: Path) -> None:
    """Since 2026 the hashes that llama.cpp knows stand in conversion/base.py."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    converter, parts = tmp_path / "convert_hf_to_gguf.py", tmp_path / "conversion"
    parts.mkdir()
    converter.write_text("from conversion import base\n")
    known = sha256(str(tokenizer.encode("ab").ids).encode()).hexdigest()
    source = "if True:\n    chktxt = 'ab'\n    if chkhsh == \"{}\":\n        res = 'x'\n"
    (parts / "base.py").write_text(source.format("0" * 64))
    assert "does not know" in unknown_tokenizer(tmp_path, converter)
    (parts / "base.py").write_text(source.format(known))
    assert unknown_tokenizer(tmp_path, converter) == ""


def test_an_adapter_alone(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tools / "convert_lora_to_gguf.py").write_text(
        "import pathlib, sys\nout = sys.argv[sys.argv.index('--outfile') + 1]\n"
        "pathlib.Path(out).write_text(' '.join(sys.argv[1:4]))\n"
    )
    adapter, base = tmp_path / "adapter", tmp_path / "base"
    for folder, name, text in (
        (adapter, "adapter_config.json", json.dumps({"base_model_name_or_path": str(base), "r": 4})),
        (base, "config.json", "{}"),
    ):
        folder.mkdir()
        (folder / name).write_text(text)
    result = gguf(str(adapter), "--lora", "-o", str(tmp_path / "x.gguf"))
    assert result.exit_code == 0 and "--lora" in result.output, result.output
    assert (tmp_path / "x.gguf").read_text() == f"{adapter} --base {base}"
    monkeypatch.chdir(tmp_path)
    assert gguf(str(adapter), "--lora").exit_code == 0 and (tmp_path / "adapter-lora-f16.gguf").is_file()
    with pytest.raises(InputError, match="--lora takes a run with an adapter"):
        gguf(str(base), "--lora")


def test_a_persons_file_that_has_the_name_of_the_one_between_stays(model: Path, tools: Path, tmp_path: Path) -> None:
    mine = tmp_path / "x-whole.gguf"
    mine.write_text("mine")
    assert gguf(str(model), "--format", "f16", "-o", str(tmp_path / "x.gguf")).exit_code == 0
    (tmp_path / "x.gguf").unlink()
    with pytest.raises(InputError, match="there already"):
        gguf(str(model), "--format", "Q4_K_M", "-o", str(tmp_path / "x.gguf"))
    assert mine.read_text() == "mine"


def test_a_tool_that_fails_is_a_sentence(model: Path, tools: Path, tmp_path: Path) -> None:
    (tools / "convert_hf_to_gguf.py").write_text("raise SystemExit(3)")
    with pytest.raises(LoratuiError, match=r"exit status 3"):
        gguf(str(model), "-o", str(tmp_path / "x.gguf"))
    assert not (tmp_path / "x.gguf").exists()


def test_without_the_tools_the_exact_commands(model: Path, no_tools: None) -> None:
    printed = gguf(str(model), "--print", "--ollama", "mine").output.splitlines()
    assert printed[0].startswith(f"python convert_hf_to_gguf.py {model} --outfile ") and printed[0].endswith(
        "-whole.gguf --outtype f16"
    )
    assert (
        printed[1].startswith("llama-quantize ")
        and printed[1].endswith("merged-Q4_K_M.gguf Q4_K_M")
        and printed[2].startswith("ollama create mine -f ")
    )
    with pytest.raises(LoratuiError, match=r"nothing was made.*LLAMA_CPP.*ollama\.com"):
        gguf(str(model), "--ollama", "mine")
    told = json.loads(gguf(str(model), "--print", "--json").output)
    assert len(told["commands"]) == 2 and len(told["missing"]) == 2


def test_llama_cpps_own_environment_is_used(tools: Path) -> None:
    assert find_llama_cpp().python == sys.executable
    python = tools / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert find_llama_cpp().python == str(python)


def test_unknown_formats(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Q99.*Q4_K_M"):
        gguf_steps(tmp_path, tmp_path / "x.gguf", "Q99")
    assert gguf_steps(tmp_path, tmp_path / "x.gguf", "q5_k_m")[-1].command[-1] == "Q5_K_M"


def test_a_model_that_does_not_say_where_answers_end(tmp_path: Path) -> None:
    assert stop_tokens(tmp_path) == ()
    assert "PARAMETER" not in modelfile(tmp_path / "x.gguf", ())
