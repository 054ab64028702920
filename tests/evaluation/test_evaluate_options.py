"""An option of `loratui evaluate` that would have no effect is refused, not passed over."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from loratui.commands.evaluate import command


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--shots", "5"], "--shots goes with --tasks alone."),
        (["--right", "answer"], "--right goes with --choices alone."),
        (["--judge-model", "large"], "--judge-model goes with --judge alone."),
    ],
)
def test_an_option_without_the_one_it_belongs_to_is_refused(given: list[str], words: str) -> None:
    result = CliRunner().invoke(command, ["some-run", *given])
    assert result.exit_code == 2 and words in result.output
