"""Merging: the proof holds where it should, refuses where it must, and leaves nothing half-done."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from loratui.core.errors import InputError, WorkerError  # noqa: E402
from loratui.resources import demo_model_path  # noqa: E402
from loratui.worker import merge as merging  # noqa: E402
from loratui.worker.target import find_target  # noqa: E402

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter on the demo model whose B is not zero, so that it changes the answers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(demo_model_path(), dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False))
    path = tmp_path_factory.mktemp("adapter") / "adapter"
    model.save_pretrained(path)
    return path


def test_a_merge_in_float32_says_what_the_adapter_says(adapter: Path, tmp_path: Path) -> None:
    proof = merging.merge(find_target(str(adapter)), tmp_path / "merged", "fp32")
    assert proof.holds and proof.first_differing_token is None
    assert 0 < proof.relative_difference < 1e-3
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert (tmp_path / "merged" / "tokenizer.json").is_file()
    assert not (tmp_path / "merged.part").exists()


def test_a_merge_that_drifts_is_not_kept(adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(merging.TOLERANCE, "bf16", 1e-4)
    with pytest.raises(WorkerError, match="not the adapter's"):
        merging.merge(find_target(str(adapter)), tmp_path / "merged", "bf16")
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_an_adapter_and_a_taken_place_are_refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no adapter"):
        merging.merge(find_target("demo"), tmp_path / "merged")
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="taken"):
        merging.merge(find_target(str(adapter)), tmp_path / "merged")


def test_a_base_that_is_gone_is_one_sentence(adapter: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(adapter, tmp_path / "adapter")
    with pytest.raises(Exception, match="gone"):
        target = find_target(str(moved), base=str(tmp_path / "gone"))
        merging.merge(dataclasses.replace(target), tmp_path / "merged")
