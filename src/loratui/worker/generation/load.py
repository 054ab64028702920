"""A base model held once, with adapters that are switched on and off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, GenerationConfig

from loratui.core.attention import TORCH_VARLEN, needs_gpu
from loratui.core.errors import InputError, LoratuiError, ModelError, WorkerError
from loratui.format import first_line
from loratui.runs.result import require_undamaged
from loratui.worker.base_model import DTYPES, load_base, quantization_config
from loratui.worker.generation.settings import stop_token_ids
from loratui.worker.plain_words import plain_words, unknown_words
from loratui.worker.tokenizer import hub_options, template_text
from loratui.workers.code import code_options
from loratui.workers.protocol import BASE, Load

_CPU_FLOAT32_LIMIT_BYTES = 4 * 2**30
"""Larger models stay in bfloat16 on a CPU: float32 is faster there but takes twice the memory."""


class LoadedModels:
    """The models of a playground: one base, adapters on it, and whole models beside it."""

    def __init__(self, request: Load, tell: Callable[[str], None] = lambda what: None) -> None:
        started = time.perf_counter()
        for path in filter(None, request.sides.values()):
            require_undamaged(Path(path))  # before minutes are spent on the base
        self.device = _device(request.device)
        self._request = request
        self.dtype = _dtype(request.dtype, self.device, Path(request.base))
        self.attention = request.attention
        if request.attention == TORCH_VARLEN:
            self.attention = "sdpa"  # it is for rows that lie end to end, as they do in training alone
        elif self.device.type != "cuda" and request.attention and needs_gpu(request.attention):
            self.attention = "sdpa"
            tell(f"{request.attention} needs a GPU: sdpa takes its place here")
        tell(f"reading the weights of {Path(request.base).name} onto {self.device}")
        self.base = self._whole_model(request.base, request.revision)
        self._peft: Any = None
        self._wholes: dict[str, Any] = {}
        self.sides: list[str] = []
        self._active = BASE
        self._adapters: dict[str, str] = {}
        """What PEFT calls an adapter, by side: it takes no dot."""
        self.tokenizer = _tokenizer(request)
        self.stop_ids = stop_token_ids(self.base, self.tokenizer)
        for model in (self.base, *self._wholes.values()):
            model.generation_config = GenerationConfig()
        pad = self.tokenizer.pad_token_id
        self.pad_id: int = pad if pad is not None else (self.stop_ids or [0])[0]
        self.context_tokens = int(getattr(self.base.config.get_text_config(), "max_position_embeddings", 0) or 0)
        for name, path in request.sides.items():
            if path:
                tell(f"reading {name}")
                self.add(name, Path(path))
            else:
                self.sides.append(name)
        self.seconds = time.perf_counter() - started

    def add(self, name: str, path: Path) -> None:
        """One more side: an adapter's folder, or a whole model's (the result of full fine-tuning)."""
        if name in self.sides:
            raise InputError(f"there is already a side named {name}.")
        if (path / "adapter_config.json").is_file():
            require_undamaged(path)
            self._add_adapter(name, path)
        elif (path / "config.json").is_file():
            self._wholes[name] = self._whole_model(str(path))
            self._wholes[name].generation_config = GenerationConfig()
        else:
            raise ModelError(
                "this folder holds neither an adapter nor a model.",
                where=str(path),
                hint="An adapter has adapter_config.json, a model has config.json.",
            )
        self.sides.append(name)

    def use(self, side: str) -> Any:
        """The transformers model that answers for a side, with the right adapter switched on."""
        if side in self._wholes:
            return self._wholes[side]
        if side not in self.sides:
            raise InputError(f"there is no side named {side}.", hint=f"Sides are: {', '.join(self.sides)}.")
        if self._peft is not None and side != self._active:
            if side == BASE:
                self._peft.base_model.disable_adapter_layers()
            else:
                self._peft.base_model.enable_adapter_layers()
                self._peft.set_adapter(self._adapters[side], inference_mode=True)
            self._active = side
        return self.base

    def merge(self, side: str) -> Any:
        """An adapter added into the base's weights for good: the merged transformers model. This object is spent by it.

        WorkerError where PEFT cannot add this kind of adapter, or the sum holds numbers that are not finite.
        """
        self.use(side)
        try:
            merged = self._peft.merge_and_unload(safe_merge=True, adapter_names=[self._adapters[side]])
        except torch.OutOfMemoryError:
            raise
        except (ValueError, RuntimeError, NotImplementedError) as error:
            raise WorkerError(f"the adapter cannot be merged: {first_line(error)}") from error
        self._peft = None
        return merged

    def text(self, ids: Sequence[int]) -> str:
        """What tokens of an answer say; special tokens are not in it."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def memory_bytes(self) -> int:
        """Allocated by torch on a GPU; resident memory of this process on a CPU."""
        if self.device.type == "cuda":
            return int(torch.cuda.memory_allocated(self.device))
        import psutil

        return int(psutil.Process().memory_info().rss)

    def _whole_model(self, source: str, revision: str = "") -> Any:
        folder = Path(source)
        if folder.is_dir() and not (folder / "config.json").is_file():
            raise ModelError("this folder holds no model: config.json is missing.", where=source)
        if folder.is_dir() and not any(folder.glob("*.safetensors")):
            raise ModelError(
                "there are no weights here (*.safetensors).",
                where=source,
                hint="Only safetensors are read; nothing is unpickled.",
            )
        if folder.is_absolute() and not folder.is_dir():
            raise ModelError("this folder holds no model: it is not there.", where=source)
        options: dict[str, Any] = ({"revision": revision} if revision else {}) | hub_options(source, revision)
        asked = self._request
        quantization = quantization_config(
            asked.quantization,
            double=asked.double_quantization,
            compute_dtype=_format(asked.compute_dtype) or self.dtype,
        )
        if quantization is not None or self.device.type == "cuda":
            options["device_map"] = {"": str(self.device)}
        model = load_base(
            source,
            dtype=self.dtype,
            attention=self.attention,
            quantization=quantization,
            code=code_options(asked, source, revision),
            **options,
        )
        return model.eval()

    def _add_adapter(self, name: str, path: Path) -> None:
        from peft import PeftModel

        if not (path / "adapter_model.safetensors").is_file():
            raise ModelError(
                "the adapter's weights (adapter_model.safetensors) are missing.",
                where=str(path),
                hint="Only safetensors are read; nothing is unpickled.",
            )
        called = f"{name.replace('.', '_')}_{len(self.sides)}" if "." in name else name
        self._adapters[name] = called
        try:
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(self.base, str(path), adapter_name=called, is_trainable=False)
                self._peft.eval()
            else:
                self._peft.load_adapter(str(path), adapter_name=called, is_trainable=False)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            self._forget_adapter(name)
            raise ModelError(_why_no_adapter(error), where=str(path)) from error
        except SafetensorError as error:
            self._forget_adapter(name)
            message, hint = plain_words(error) or (f"the weights are damaged: {first_line(error)}.", "")
            raise ModelError(message, where=str(path), hint=hint) from error
        self._active = ""  # PEFT chooses what is active after loading: the next use() sets it
        if self._peft.base_model.model is not self.base:
            raise WorkerError("PEFT replaced the base model while loading an adapter.")

    def _forget_adapter(self, name: str) -> None:
        """Leave no half-loaded adapter behind on the base that other sides use."""
        called = self._adapters.pop(name)
        if self._peft is not None and called in self._peft.peft_config:
            self._peft.delete_adapter(called)
            self._active = ""


def explain(error: BaseException) -> tuple[str, str]:
    """Message and hint for a person, of anything that can go wrong while loading or generating."""
    if isinstance(error, LoratuiError):
        message = f"{error.where}: {error.message}" if error.where else error.message
        return message, error.hint
    if isinstance(error, torch.OutOfMemoryError):
        return (
            "the GPU's memory is full.",
            "Ask for fewer tokens, close other sides, or wait until a training has ended.",
        )
    if isinstance(error, MemoryError):
        return "this machine's memory is full.", "Use a smaller model."
    return plain_words(error) or (f"it failed by {unknown_words(error)}.", "The worker's log has the details.")


def _why_no_adapter(error: Exception) -> str:
    text = str(error)
    if "size mismatch" in text:
        shape = next((line.strip() for line in text.splitlines() if "size mismatch" in line), "")
        return f"this adapter was made for a model of another shape ({shape[:160]})."
    if "Target modules" in text or "target modules" in text:
        return "this adapter was made for another architecture: its target modules are not in the base model."
    return f"this adapter cannot be loaded: {first_line(error, 200)}."


def _device(wanted: str) -> torch.device:
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise WorkerError("PyTorch finds no GPU here.", hint="`loratui doctor` says why; device = cpu works without.")
    return torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))


def _format(wanted: str) -> torch.dtype | None:
    if wanted and wanted not in DTYPES:
        raise InputError(f"there is no dtype {wanted}.", hint=f"Choose from {', '.join(DTYPES)}.")
    return DTYPES.get(wanted)


def _dtype(wanted: str, device: torch.device, base: Path) -> torch.dtype:
    if (chosen := _format(wanted)) is not None:
        return chosen
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    weights_bytes = sum(file.stat().st_size for file in base.glob("*.safetensors"))
    return torch.float32 if weights_bytes <= _CPU_FLOAT32_LIMIT_BYTES else torch.bfloat16


def _tokenizer(request: Load) -> Any:
    """The tokenizer saved with an adapter, whose template and stop token it was trained with; else the base's."""
    folders = [Path(path) for path in request.sides.values() if path]
    saved = [str(folder) for folder in folders if (folder / "tokenizer_config.json").is_file()]
    options = {"revision": request.revision} if request.revision and not saved else {}
    source = (saved or [request.base])[0]
    options |= hub_options(source, request.revision, weights=False)
    try:
        code = code_options(request, source, "" if saved else request.revision)
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left", **(options | code))
    except (OSError, ValueError) as error:
        raise ModelError(f"the tokenizer cannot be read: {first_line(error)}", where=source) from error
    if request.chat_template and not saved:
        tokenizer.chat_template = template_text(request.chat_template)
    return tokenizer
