"""Merging: the proof holds where it should, refuses where it must, and leaves nothing half-done."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from loratui.commands.merge import command  # noqa: E402
from loratui.core.errors import InputError, ModelError, WorkerError  # noqa: E402
from loratui.core.plan import Plan  # noqa: E402
from loratui.core.plan_text import with_values  # noqa: E402
from loratui.paths import demo_model_path  # noqa: E402
from loratui.runs.base_files import base_files  # noqa: E402
from loratui.runs.fingerprint import plan_values, versions  # noqa: E402
from loratui.runs.start import create_run  # noqa: E402
from loratui.worker import merge as merging  # noqa: E402
from loratui.worker.merge_proof import Proof  # noqa: E402
from loratui.workers.target import find_target  # noqa: E402

pytestmark = pytest.mark.worker


def make_adapter(path: Path, **settings: Any) -> Path:
    """An adapter on the demo model whose B is not zero, so that it changes the answers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(demo_model_path(), dtype=torch.float32)
    usual = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": "all-linear",
        "task_type": "CAUSAL_LM",
        "init_lora_weights": False,
    }
    get_peft_model(base, LoraConfig(**(usual | settings))).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(tmp_path_factory.mktemp("adapter") / "adapter")


def test_the_proof_says_what_its_answers_are_to() -> None:
    """It said "4 prompts" in one place and "7 of 7" in another."""
    four = Proof(4, 193, 1e-5, 1e-5, None, "fp32", answers=7, answers_equal=7)
    assert "7 of 7 whole greedy answers (to those 4 prompts and 3 held-out rows)" in merging.describe(four)
    alone = Proof(4, 193, 1e-5, 1e-5, None, "fp32", answers=4, answers_equal=4)
    assert "4 of 4 whole greedy answers (to those 4 prompts) are" in merging.describe(alone)


def test_a_merge_in_float32_says_what_the_adapter_says(adapter: Path, tmp_path: Path) -> None:
    told: list[str] = []
    target = find_target(str(adapter))
    proof = merging.merge(target, tmp_path / "merged", "fp32", told.append)
    for wanted in (
        "the adapter answers: 1 of 4 prompts",
        "the adapter answers: 4 of 4 prompts",
        "the adapter answers: 1 to 4 of 4 whole answers",
        "the merged model answers: 1 to 4 of 4 whole answers",
    ):
        assert wanted in told, "for most of its time it said nothing"
    kept = json.loads((tmp_path / "merged" / "merge.json").read_text())
    assert kept["seconds"] > 0 and kept["base"] == target.load.base
    assert proof.holds and proof.first_differing_token is None
    assert 0 < proof.relative_difference < 1e-3 and proof.exact_difference is not None and proof.exact_difference < 1e-3
    assert proof.answers == proof.answers_equal == 4 and "4 of 4 whole greedy answers" in merging.describe(proof)
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert (tmp_path / "merged" / "tokenizer.json").is_file()
    assert (tmp_path / "merged" / "tokenizer.model").is_file(), "llama.cpp's converter takes the pieces' scores from it"
    assert not (tmp_path / "merged.part").exists()
    written = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    base = json.loads((demo_model_path() / "generation_config.json").read_text())
    assert base["eos_token_id"] in [
        written["eos_token_id"],
        *([] if isinstance(written["eos_token_id"], int) else written["eos_token_id"]),
    ], "who serves it must know where answers end"


def test_a_base_that_is_another_now_is_told_beside_the_proof(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The merge onto it held, and said "proved": what it had never been trained on stood nowhere."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    base = shutil.copytree(demo_model_path(), tmp_path / "base")
    run = create_run(with_values(Plan(), {"model.id": str(base), "model.dtype": "fp32"}), name="wren")
    document = {"plan": plan_values(run.plan()), "base": base_files(run.plan()), "versions": versions()}
    run.fingerprint_path.write_text(json.dumps(document))
    shutil.copytree(adapter, run.adapter_path)
    weights = load_file(base / "model.safetensors")
    save_file({name: one * 1.01 for name, one in weights.items()}, base / "model.safetensors", {"format": "pt"})
    changed = find_target("wren").base_changed
    assert "model.safetensors was written on" in changed
    given = merging.MergeRequest("wren", str(run.merged_path), as_json=True, device="cpu")
    assert merging.execute(given) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["holds"] and document["base_changed"] == changed and changed in said.err
    assert json.loads((run.merged_path / "merge.json").read_text())["base_changed"] == changed
    assert f"▲ {changed}" in (run.merged_path / "README.md").read_text()


def test_a_merge_that_drifts_is_not_kept(adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "ROUNDING_SHARE", 0.01)
    with pytest.raises(WorkerError, match="not the adapter's"):
        merging.merge(find_target(str(adapter)), tmp_path / "merged", "bf16")
    assert list(tmp_path.iterdir()) == []


def test_a_sum_with_the_wrong_scale_is_found_out(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundredth too much is far below what bf16 rounds, and is found all the same: the sum is checked in float32."""
    from loratui.worker.generation.load import LoadedModels

    right = LoadedModels.merge

    def wrong(models: LoadedModels, side: str) -> Any:
        for module in models.base.modules():
            if isinstance(getattr(module, "scaling", None), dict):
                module.scaling[side] *= 1.01
        return right(models, side)

    monkeypatch.setattr(LoadedModels, "merge", wrong)
    with pytest.raises(WorkerError, match="not the adapter's"):
        merging.merge(find_target(str(adapter)), tmp_path / "merged", "bf16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_merge_in_sixteen_bits_is_rounded_once_and_holds(adapter: Path, tmp_path: Path, dtype: str) -> None:
    proof = merging.merge(find_target(str(adapter)), tmp_path / "merged", dtype)
    assert proof.holds and proof.dtype == dtype and proof.exact_difference is not None and proof.exact_difference < 1e-3
    assert proof.error is not None and 0 < proof.error <= proof.tolerance
    kept = load_file(tmp_path / "merged" / "model.safetensors")
    assert {str(one.dtype) for one in kept.values()} == {f"torch.{'bfloat16' if dtype == 'bf16' else 'float16'}"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"use_dora": True}, ""),
        ({"modules_to_save": ["lm_head"]}, ""),
        ({"target_modules": ["q_proj", "lm_head"]}, "one matrix as embedding and as head"),
        ({"lora_bias": True}, "cannot be merged: "),
    ],
    ids=["dora", "a whole layer", "a tied layer", "what PEFT cannot merge"],
)
def test_other_kinds_of_adapters_are_merged_or_refused_in_a_sentence(
    tmp_path: Path, settings: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_adapter(tmp_path / "adapter", **settings)
    status = merging.execute(merging.MergeRequest(str(tmp_path / "adapter"), str(tmp_path / "merged"), dtype="fp32"))
    said = capsys.readouterr().err.splitlines()[-1]
    assert status == (1 if words else 0) and words in said and "Traceback" not in said
    assert (tmp_path / "merged").exists() != bool(words) and not (tmp_path / "merged.part").exists()


def test_memory_that_does_not_suffice_is_a_sentence(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("loratui.worker.merge_answers.ask", full)
    assert merging.execute(merging.MergeRequest(str(adapter), str(tmp_path / "merged"))) == 1
    assert "memory is full" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_where_float32_has_no_room_it_says_so(adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_room_for_float32", lambda models: "")
    proof = merging.merge(find_target(str(adapter)), tmp_path / "merged", "bf16")
    assert proof.holds and proof.exact_difference is None and "not enough memory" in merging.describe(proof)


def test_a_model_without_an_adapter_and_a_taken_place_are_refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no adapter"):
        merging.merge(find_target("demo"), tmp_path / "merged")
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="taken"):
        merging.merge(find_target(str(adapter)), tmp_path / "merged")


def test_a_base_that_is_quantised_itself_is_never_merged_into(adapter: Path, tmp_path: Path) -> None:
    base = shutil.copytree(demo_model_path(), tmp_path / "base-4bit")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}})
    )
    with pytest.raises(InputError, match=r"quantised \(bitsandbytes\).*--base"):
        merging.merge(find_target(str(adapter), base=str(base)), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_a_quantised_trainings_adapter_goes_onto_that_base_dequantised(
    adapter: Path, tmp_path: Path, kind: str
) -> None:
    """The merged model computes with the values of the training's base, and the adapter."""
    from safetensors.torch import load_file

    from loratui.worker.generation.load import LoadedModels

    target = find_target(str(adapter))
    target = dataclasses.replace(target, load=dataclasses.replace(target.load, quantization=kind, dtype="fp32"))
    said: list[str] = []
    proofs = {
        onto: merging.merge(target, tmp_path / (onto or "merged"), tell=said.append, onto=onto)
        for onto in ("", "unquantised")
    }
    proof, lossy = proofs[""], proofs["unquantised"]
    assert proof.holds and proof.trained_on == kind and proof.onto == "dequantised" and proof.relative_difference < 1e-3
    assert lossy.holds and lossy.onto == "unquantised" and lossy.answers == proof.answers == 4
    assert lossy.quantised_difference is not None and proof.quantised_difference is not None
    assert proof.answers_equal >= lossy.answers_equal
    assert kind == "int8" or proof.quantised_difference < lossy.quantised_difference / 2
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert "quantization_config" not in config and config["dtype"] == "float32"
    words = merging.describe(proof)
    assert f"in {kind}, and the merge is onto that base, dequantised: {proof.answers_equal} of 4" in words
    assert "onto the unquantised one" in merging.describe(lossy) and any(kind in one for one in said)
    assert json.loads((tmp_path / "merged" / "merge.json").read_text())["onto"] == "dequantised"
    trained = LoadedModels(target.load)
    name = "model.layers.1.mlp.down_proj"
    layer = trained.use("adapter").get_submodule(name)
    with torch.no_grad():
        given = torch.randn(5, layer.in_features)
        layer.train()  # as training computes: some CPUs round more where nothing is trained
        wanted = layer(given)
        merged = given @ load_file(tmp_path / "merged" / "model.safetensors")[f"{name}.weight"].T
        other = given @ load_file(tmp_path / "unquantised" / "model.safetensors")[f"{name}.weight"].T
    apart, lossy_apart = (float((one - wanted).abs().max()) for one in (merged, other))
    assert apart < (1e-4 if kind == "nf4" else 0.5 * lossy_apart + 0.02) and apart < lossy_apart


def test_a_base_that_was_not_quantised_cannot_be_dequantised(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not trained on a quantised base"):
        merging.merge(find_target(str(adapter)), tmp_path / "merged", onto="dequantised")


def test_a_quantised_base_that_cannot_be_loaded_is_said_with_the_other_way(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.worker.generation import load as loading

    right = loading.load_base

    def refuse(*arguments: Any, **options: Any) -> Any:
        if options["quantization"] is not None:
            raise ImportError("bitsandbytes is not here")
        return right(*arguments, **options)

    monkeypatch.setattr(loading, "load_base", refuse)
    target = find_target(str(adapter))
    target = dataclasses.replace(target, load=dataclasses.replace(target.load, quantization="nf4", dtype="fp32"))
    with pytest.raises(WorkerError, match=r"nf4 base of the training cannot be loaded here.*--onto unquantised"):
        merging.merge(target, tmp_path / "merged")
    proof = merging.merge(target, tmp_path / "merged", onto="unquantised")
    assert proof.holds and proof.answers == 0 and "It was not compared with it." in merging.describe(proof)


def test_an_adapter_alone_is_merged_in_the_format_that_its_base_is_kept_in(adapter: Path, tmp_path: Path) -> None:
    base = shutil.copytree(demo_model_path(), tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    config.pop("torch_dtype", None)
    (base / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    proof = merging.merge(find_target(str(adapter), base=str(base)), tmp_path / "merged")
    assert proof.dtype == "bf16" and proof.holds
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["dtype"] == "bfloat16"


def test_the_command_prints_its_proof_as_json(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        command.main([str(adapter), "-o", str(tmp_path / "merged"), "--dtype", "fp32", "--json"], standalone_mode=False)
        == 0
    )
    said = capsys.readouterr()
    printed = json.loads(said.out)
    assert (
        printed["holds"] is True
        and printed["output"] == str(tmp_path / "merged")
        and printed["first_differing_token"] is None
    )
    assert "comparing" in said.err
    assert command.main(["no-such-run", "-o", str(tmp_path / "other")], standalone_mode=False) != 0


def test_a_base_whose_error_has_no_words_is_one_sentence_too(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise ValueError

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refuse)
    with pytest.raises(ModelError, match=r"config\.json cannot be read: ValueError"):
        merging.merge(find_target(str(adapter)), tmp_path / "merged")


def test_a_base_that_is_gone_is_one_sentence(adapter: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(adapter, tmp_path / "adapter")
    with pytest.raises(Exception, match="gone"):
        target = find_target(str(moved), base=str(tmp_path / "gone"))
        merging.merge(dataclasses.replace(target), tmp_path / "merged")
