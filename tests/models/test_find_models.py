"""Models are found where they are; where they are not, one sentence says the true reason."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hub_standin import set_hub
from loratui.core.errors import ModelError
from loratui.data.find import find_dataset
from loratui.models.catalogue import entries
from loratui.models.find import find_model, list_models
from loratui.models.name import resolved_name
from loratui.paths import demo_model_path

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}


def make(folder: Path, *, weights: bool = True, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(LLAMA))
    (folder / "tokenizer.json").write_text("{}")
    if weights:
        (folder / "model.safetensors").write_bytes(b"\0" * 1000)
    for name, text in files.items():
        (folder / name.replace("_dot_", ".")).write_text(text)
    return folder


def sentence(id: str, **options) -> str:
    with pytest.raises(ModelError) as raised:
        find_model(id, **options)
    assert "\n" not in raised.value.sentence
    return raised.value.sentence


def test_a_folder_with_config_alone_is_enough_to_plan(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    found = find_model(str(tmp_path))
    assert (found.kind, found.weights, found.spec.layers) == ("folder", False, 2)
    assert "enough for planning" in found.note


def test_a_whole_folder(tmp_path: Path):
    make(tmp_path, README_dot_md="---\nlicense: mit\n---\n", chat_template_dot_jinja="x")
    found = find_model(str(tmp_path))
    assert (found.weights, found.size_bytes, found.licence, found.has_chat_template, found.note) == (
        True,
        1000,
        "mit",
        True,
        "",
    )


def test_a_template_in_the_tokenizers_settings_counts(tmp_path: Path):
    assert not find_model(str(make(tmp_path))).has_chat_template
    make(tmp_path, tokenizer_config_dot_json='{"chat_template": "x"}')
    assert find_model(str(tmp_path)).has_chat_template


def test_missing_shards_are_named(tmp_path: Path):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    make(
        tmp_path,
        weights=False,
        **{"model_dot_safetensors_dot_index_dot_json": json.dumps(index), "model-1_dot_safetensors": "xxxxxxxxxx"},
    )
    found = find_model(str(tmp_path))
    assert not found.weights and "1 of 2 weight files are missing" in found.note


def test_pickled_weights_are_not_opened(tmp_path: Path):
    make(tmp_path, weights=False, pytorch_model_dot_bin="x")
    found = find_model(str(tmp_path))
    assert not found.weights and "pickled" in found.note


@pytest.mark.parametrize(
    ("files", "fragment"),
    [
        ({}, "it is empty"),
        ({"notes.txt": ""}, "config.json is missing, it holds notes.txt"),
        ({"adapter_config.json": "{}"}, "an adapter, not a model"),
        ({"m.gguf": ""}, "GGUF"),
        ({"params.json": "{}"}, "original checkpoints"),
        ({"config.json": "{broken"}, "config.json, line 1: this is no valid JSON"),
        ({"config.json": "[]"}, "holds no object"),
        ({"config.json": "{}"}, "no model_type"),
        (
            {"config.json": '{"model_type": "bert", "architectures": ["BertForMaskedLM"]}'},
            "not a causal language model",
        ),
        ({"config.json": "\xff\xfe"}, "config.json"),
    ],
)
def test_a_folder_that_is_no_model_says_what_is_missing(tmp_path: Path, files, fragment):
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="latin-1")
    assert fragment in sentence(str(tmp_path))


def test_paths_that_lead_nowhere(tmp_path: Path):
    make(tmp_path / "my-model")
    assert "Did you mean my-model?" in sentence(str(tmp_path / "my-modle"))
    assert "There is no folder" in sentence("/no/such/folder/x")
    (tmp_path / "file").write_text("x")
    assert "a model is a folder" in sentence(str(tmp_path / "file"))
    assert "no model was named" in sentence(" ")


def cached(root: Path, id: str, **options) -> Path:
    repo = root / f"models--{id.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    return make(repo / "snapshots" / "abc", **options)


def test_the_hubs_cache_is_read_without_the_network(tmp_path: Path, monkeypatch):
    set_hub(monkeypatch, HF_HUB_CACHE=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    cached(tmp_path, "me/tiny")
    cached(tmp_path, "me/half", weights=False)
    (cached(tmp_path, "me/picture") / "config.json").write_text(
        '{"model_type": "clip", "architectures": ["CLIPModel"]}'
    )
    (tmp_path / "models--me--broken" / "snapshots" / "x").mkdir(parents=True)
    found = find_model("me/tiny")
    assert (found.kind, found.weights, found.id) == ("cache", True, "me/tiny")
    assert [model.id for model in list_models() if model.kind == "cache"] == ["me/half", "me/tiny"]
    assert find_model("me/tiny", revision="abc").weights


def test_the_cache_follows_hf_home(tmp_path: Path, monkeypatch):
    set_hub(monkeypatch, HF_HOME=str(tmp_path))
    cached(tmp_path / "hub", "me/tiny")
    assert find_model("me/tiny").kind == "cache"


def test_every_entry_of_the_catalogue_has_the_parameters_it_claims():
    rows = {
        row["id"]: row
        for row in json.loads(
            (Path(sys.modules["loratui.models.catalogue"].__file__).parent / "catalogue.json").read_text()
        )["models"]
    }
    assert len(rows) >= 100
    for entry in entries():
        assert entry.spec.total_parameters == rows[entry.id]["parameters"], entry.id
        assert entry.licence, entry.id


@pytest.mark.parametrize(
    ("id", "parameters"),
    [
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("openai/gpt-oss-20b", 20_914_757_184),
    ],
)
def test_the_catalogue_plans_without_the_hub(tmp_path: Path, monkeypatch, id, parameters):
    set_hub(monkeypatch, HF_HUB_CACHE=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    found = find_model(id)
    assert (found.kind, found.spec.total_parameters) == ("catalogue", parameters)
    assert found.gated == id.startswith("meta")
    assert ("gated" in found.note) == id.startswith("meta")


def test_neither_here_nor_known(tmp_path: Path, monkeypatch):
    set_hub(monkeypatch, HF_HUB_CACHE=str(tmp_path))
    assert "neither on this machine nor in the catalogue" in sentence("no/such-model", online=False)
    set_hub(monkeypatch, HF_HUB_CACHE=str(tmp_path), HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in sentence("no/such-model")
    set_hub(monkeypatch, HF_HUB_CACHE=str(tmp_path), HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    assert "the hub cannot be reached" in sentence("no/such-model")


@pytest.mark.skipif(not (demo_model_path() / "config.json").is_file(), reason="the demo model is not built")
def test_the_demo():
    found = find_model("demo")
    assert (found.kind, found.weights, found.has_chat_template) == ("demo", True, True)
    assert list_models()[0].id == "demo"


@pytest.mark.skipif(not (demo_model_path() / "config.json").is_file(), reason="the demo model is not built")
def test_demo_is_the_built_in_one_beside_a_run_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Training loads the built-in one; what is planned beside `--output demo` must be the same."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "events.jsonl").write_text('{"type": "started", "time": 1}\n')
    monkeypatch.chdir(tmp_path)
    assert find_model("demo").kind == "demo"
    assert find_dataset("demo").kind == "demo"
    assert find_dataset("./demo").kind == "folder"


def test_finding_models_is_light():
    import subprocess

    code = (
        "import sys; from loratui.models.find import list_models; list_models(); print([m for m in ('torch', "
        "'transformers', 'huggingface_hub.utils', 'httpx', 'httpx2') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_file_is_no_model_and_only_a_models_folder_is_advised(tmp_path: Path) -> None:
    """ "Give /tmp." was said of any file in it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "rows.jsonl").write_text("{}")
    with pytest.raises(ModelError) as refused:
        find_model(str(tmp_path / "model" / "config.json"))
    assert f"Give its folder: {tmp_path / 'model'}" in refused.value.sentence
    with pytest.raises(ModelError) as refused:
        find_model(str(tmp_path / "rows.jsonl"))
    assert f"{tmp_path}." not in refused.value.sentence and "hub id" in refused.value.sentence


@pytest.mark.parametrize("name", ["y" * 300, "/" + "y" * 300, "a/" + "y" * 300, "/nowhere/" + "y" * 5000])
def test_a_name_that_no_file_system_takes_is_no_model(name: str) -> None:
    """A path that was pasted twice ended the program: "File name too long"."""
    with pytest.raises(ModelError):
        find_model(name, online=False)
    assert resolved_name(name) == name
