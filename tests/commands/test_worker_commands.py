"""`merge` and `generate` are commands like the others: help, usage and errors come from one place, and torch waits."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from loratui.commands.tree import loratui
from loratui.core.generation import GenerationSettings, range_of

OPTIONS = {
    "merge": {"-o, --output", "--base", "--dtype", "--device", "--json"},
    "generate": {
        "--adapter",
        "--input",
        "--output",
        "--base",
        "--base-only",
        "--quantization",
        "--device",
        "--batch-size",
        "--again",
        "--preset",
    }
    | {f"--{name.replace('_', '-')}" for name in GenerationSettings.model_fields},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_is_clicks_and_names_every_option(name: str, flag: str) -> None:
    result = CliRunner().invoke(loratui, [name, flag], prog_name="loratui")
    assert result.exit_code == 0 and result.output.startswith(f"Usage: loratui {name} [OPTIONS]")
    for option in OPTIONS[name]:
        assert f"  {option}" in result.output, option


def test_the_settings_are_described_by_their_schema() -> None:
    words = " ".join(CliRunner().invoke(loratui, ["generate", "--help"]).output.split())
    for name, field in GenerationSettings.model_fields.items():
        assert f"{field.description} ({range_of(name)})" in words


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["merge"], "Missing argument 'ADAPTER_OR_RUN'"),
        (["merge", "x"], "Missing option '-o' / '--output'"),
        (["merge", "x", "-o", "y", "--dtype", "fp8"], "'fp8' is not one of"),
        (["generate", "--adapter", "x"], "Name RUN (or --adapter) and FILE (or --input) once each"),
        (["generate", "--adapter", "x", "--input", "y", "--batch-size", "0"], "0 is not in the range"),
        (["generate", "--nonsense"], "No such option"),
        (["generate", "--adapter", "x", "--input", "y", "--top-k", "many"], "Top-k takes a whole number"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(arguments: list[str], says: str) -> None:
    done = subprocess.run([sys.executable, "-m", "loratui", *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_their_modules_import_no_torch() -> None:
    code = (
        "import sys, loratui.commands.merge, loratui.commands.generate, loratui.worker.merge, "
        "loratui.worker.generate; print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )
