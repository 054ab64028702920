"""Libraries' errors reach a person in plain words, and weights that are no numbers are named."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from tiny_models import make_adapter, make_model

from loratui.commands.generate import command
from loratui.core.errors import ModelError
from loratui.core.generation import GenerationSettings
from loratui.worker.plain_words import plain_words
from loratui.worker.training.failure import explain
from loratui.workers.protocol import Ask, Load

pytestmark = pytest.mark.worker
RAW = ("Error:", "weights_only", "miniz", "Traceback", "header", "EOFError", "Pickl", "PytorchStream", "0x")


def whole(path: Path) -> bytes:
    torch.save({"step": torch.ones(400)}, path)
    return path.read_bytes()


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


class Stranger:
    def __reduce__(self) -> Any:
        return print, ("executed",)


def cut(path: Path) -> None:
    path.write_bytes(whole(path)[:-300])


def cut_to_nothing(path: Path) -> None:
    path.write_bytes(b"")


def rubbish(path: Path) -> None:
    path.write_bytes(b"\x80\x02rubbish" * 40)


def flipped(path: Path) -> None:
    data = bytearray(whole(path))
    data[len(data) // 3] ^= 255
    data[-30] ^= 255
    path.write_bytes(bytes(data))


def of_a_stranger(path: Path) -> None:
    torch.save({"step": Stranger()}, path)


@pytest.mark.parametrize("damage", [cut, cut_to_nothing, rubbish, flipped, of_a_stranger])
def test_a_damaged_file_is_named_and_no_raw_word_is_told(damage: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "optimizer.pt"
    damage(path)
    with pytest.raises(Exception) as raised:
        load(path)
    failure = explain(raised.value, "load_model")
    assert failure.message.startswith(f"While loading: {path} is damaged"), failure.message
    assert "resume from the one before it" in failure.message and not any(raw in failure.message for raw in RAW)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xff" * 64, (9).to_bytes(8, "little") + b"{"])
def test_a_damaged_safetensors_file_is_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(Exception) as raised:
        load_file(path)
    message = explain(raised.value, "load_model").message
    assert f"{path} is damaged" in message and not any(raw in message for raw in RAW)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (EOFError(), "is damaged"),
        (ModuleNotFoundError("No module named 'kernels'", name="kernels"), "the package kernels is not installed"),
        (ImportError("cannot import name 'x' from 'y'"), "`loratui doctor`"),
        (
            ImportError("FlashAttention2 has been toggled on, but: the package flash_attn seems to be not installed."),
            "the package flash_attn, which this plan needs, is not installed",
        ),
        (
            ValueError("Target modules {'no_such_layer'} not found in the base model. Please check."),
            "the model has no modules named no_such_layer (lora.targets)",
        ),
        (OSError(errno.EACCES, "Permission denied", "/data/x.safetensors"), "/data/x.safetensors: permission denied."),
        (RuntimeError("CUDA error: device-side assert triggered\nCompile with TORCH_USE"), "beyond the model's vocab"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "the GPU or its driver failed"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "host memory"),
        (RuntimeError("Error(s) in loading state_dict for X:\n\tsize mismatch for a.b"), "another shape"),
        (ValueError("We couldn't connect to 'https://huggingface.co' to load"), "the hub cannot be reached"),
        (RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'"), "cannot compute an operation"),
        (KeyError("a_secret_of_the_library"), "by an error that loratui has no words for (KeyError): its log"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x8 and 7x3)"), "has no words for (RuntimeError)"),
    ],
)
def test_what_is_known_is_said_and_what_is_not_stays_in_the_log(error: Exception, says: str) -> None:
    message = explain(error, "train").message
    assert says in message and "\n" not in message and not any(raw in message for raw in RAW)


def test_the_cause_counts_where_a_library_wraps_it() -> None:
    try:
        try:
            raise EOFError
        except EOFError as inner:
            raise RuntimeError("Failed to load it.") from inner
    except RuntimeError as error:
        found = plain_words(error)
    assert found is not None and "damaged" in found[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and an adapter one of whose tensors holds NaN."""
    folder = tmp_path_factory.mktemp("nan")
    make_model(folder / "base")
    make_adapter(folder / "base", folder / "adapter")
    file = folder / "adapter" / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(name for name in sorted(tensors) if "lora_B" in name)
    tensors[name] = torch.full_like(tensors[name], float("nan"))
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_weights_that_are_no_numbers_are_named_in_chat(folder: Path, temperature: float) -> None:
    from loratui.worker.generation.answer import StopFlags, answer
    from loratui.worker.generation.batch import generate_batch
    from loratui.worker.generation.load import LoadedModels

    models = LoadedModels(Load(str(folder / "base"), {"base": "", "adapter": str(folder / "adapter")}, dtype="fp32"))
    told: list[Any] = []
    settings = GenerationSettings(max_tokens=5, temperature=temperature)
    ask = Ask(1, ["base", "adapter"], [{"role": "user", "content": "Hello"}], settings=settings.model_dump())
    answer(models, ask, told.append, StopFlags())
    (failed,) = [event for event in told if event.event == "failed"]
    assert failed.side == "adapter" and "the weights hold NaN or infinity in " in failed.message
    assert "lora_B" in failed.message and "earlier checkpoint" in failed.hint
    assert [event.side for event in told if event.event == "done"] == ["base"], "the other side answers on"
    with pytest.raises(ModelError, match="the weights hold NaN"):
        generate_batch(models, "adapter", [[1, 2, 3]], settings)


def test_the_command_says_it_and_ends(folder: Path) -> None:
    (folder / "in.jsonl").write_text(json.dumps({"input": "Hello"}) + "\n")
    files = ["--input", str(folder / "in.jsonl"), "--output", str(folder / "out.json")]
    done = CliRunner().invoke(command, ["--adapter", str(folder / "adapter"), *files, "--max-tokens", "5"])
    assert done.exit_code == 2 and "the weights hold NaN or infinity in " in done.stderr
