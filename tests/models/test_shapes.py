"""What a worker read of a class: kept by the config's hash, used from then on, and the wait for it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from loratui.core.errors import ModelError
from loratui.core.families import read_config
from loratui.models import shapes
from loratui.models.find import find_model, with_exact_shape
from waiting import is_gone, wait_for

CONFIG = {
    "model_type": "cohere",
    "architectures": ["CohereForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 300,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
EXACT = replace(read_config({**CONFIG, "model_type": "llama"}), family="cohere", norm_parameters=7, traced=True)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(CONFIG))
    return place


def stand_in(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A worker that answers at once."""
    monkeypatch.setattr(shapes, "command", lambda: [sys.executable, "-c", script])


def answering(calls: Path) -> str:
    found = json.dumps({"spec": asdict(EXACT)})
    asked = "import sys, json; json.loads(sys.stdin.readline())['config']"
    return f"{asked}; open({str(calls)!r}, 'a').write('x'); print({found!r})"


def test_the_hash_is_of_what_decides_the_shape() -> None:
    assert shapes.config_hash(CONFIG) == shapes.config_hash(
        {"_name_or_path": "elsewhere", "transformers_version": "4.0", **dict(reversed(CONFIG.items()))}
    )
    assert shapes.config_hash(CONFIG) != shapes.config_hash({**CONFIG, "num_hidden_layers": 3})


def test_a_shape_survives_the_file() -> None:
    assert shapes.spec_from_json(json.loads(json.dumps(shapes.spec_to_json(EXACT))), "a") == replace(EXACT, id="a")


def test_a_guess_is_replaced_once_and_for_all(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, answering(tmp_path / "calls"))
    said: list[str] = []
    guess = find_model(str(folder))
    assert not guess.spec.known and guess.spec.norm_parameters != 7

    exact = with_exact_shape(guess, said.append)
    assert exact.spec == replace(EXACT, id=str(folder))
    assert said == ["The family cohere is new here: reading its real class once, in a few seconds."]
    assert find_model(str(folder)).spec == exact.spec
    assert with_exact_shape(find_model(str(folder)), said.append).spec.traced
    assert (tmp_path / "calls").read_text() == "x" and len(said) == 1


def test_what_failed_is_said_and_not_tried_again_with_the_same_libraries(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch,
        (
            f"import sys; open({str(tmp_path / 'calls')!r}, 'a').write('x'); print('a warning', file=sys.stderr); "
            'print(\'{"refused": "there is no class for it."}\')'
        ),
    )
    said: list[str] = []
    for _ in range(2):
        found = with_exact_shape(find_model(str(folder)), said.append)
        assert not found.spec.known
    assert (
        said[1].startswith("The class could not be read, so parameters and memory stay a guess")
        and "there is no class for it." in said[1]
    )
    assert said[2] == said[1] and (tmp_path / "calls").read_text() == "x"
    monkeypatch.setattr(shapes, "libraries", lambda: "transformers 99")
    assert not shapes.refusal(CONFIG)


@pytest.mark.parametrize("script", ["print('no json')", "print('{}')", "import os; os.kill(os.getpid(), 9)"])
def test_a_worker_that_says_nothing_sensible_is_one_sentence(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, script)
    with pytest.raises(ModelError):
        shapes.learn(CONFIG, "m")
    assert shapes.recall(CONFIG) is None


def test_a_file_of_another_form_is_no_shape() -> None:
    path = shapes.remember(CONFIG, {"spec": {"id": 3}})
    assert not shapes.spec_of(CONFIG).known
    path.write_text("torn {")
    assert not shapes.spec_of(CONFIG).known


def test_cancelling_the_wait_ends_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "pid"
    code = f"import os, time, pathlib; pathlib.Path({str(mark)!r}).write_text(str(os.getpid()) + '.'); time.sleep(600)"
    stand_in(monkeypatch, code)

    async def give_up() -> int:
        task = asyncio.create_task(shapes.learn_meanwhile(CONFIG))
        while not (mark.exists() and mark.read_text().endswith(".")):
            await asyncio.sleep(0.02)
        worker = int(mark.read_text()[:-1])
        assert not is_gone(worker)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return worker

    worker = asyncio.run(give_up())
    wait_for(lambda: is_gone(worker), "the worker's end")


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_embd": 64, "n_layer": 2, "n_head": 4},
        {"d_model": 64, "n_layers": 2, "n_heads": 4},
        {"n_embed": 64, "num_layers": 2, "num_heads": 4},
    ],
)
def test_other_names_of_the_sizes_are_guessed(sizes: dict[str, Any]) -> None:
    spec = read_config({"model_type": "stranger", "architectures": ["StrangerForCausalLM"], "vocab_size": 300, **sizes})
    assert (spec.hidden_size, spec.layers, spec.heads, spec.intermediate_size, spec.known) == (64, 2, 4, 256, False)
