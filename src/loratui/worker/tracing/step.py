"""One training step on fake tensors, and the peak of each of its phases."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch

from loratui.core.architecture import ModelSpec
from loratui.core.attention import keeps_rows_apart
from loratui.core.families import read_config
from loratui.core.plan import Plan
from loratui.core.preferences import computes_reference, estimates_kl, holds_copy, is_preference
from loratui.worker.base_model import DTYPES
from loratui.worker.tracing.build import build_model, fake_modules
from loratui.worker.tracing.cuda import (
    CudaSemantics,
    attention_kernels,
    cuda_paths,
    data_dependent,
    scored_by_kernel,
)
from loratui.worker.tracing.quantised import kernels, quantised_storages
from loratui.worker.tracing.storages import StorageWatch


@dataclass(slots=True)
class Traced:
    """What a traced step needs, in bytes."""

    weights_bytes: int = 0
    adapter_bytes: int = 0
    gradients_bytes: int = 0
    optimizer_bytes: int = 0
    forward_bytes: int = 0
    kept_bytes: int = 0
    """Live between forward and backward."""
    backward_bytes: int = 0
    step_bytes: int = 0
    evaluation_bytes: int = 0
    at_peak: dict[str, int] = field(default_factory=dict)

    @property
    def peak_bytes(self) -> int:
        """The highest of forward, backward and optimizer step."""
        return max(self.forward_bytes, self.backward_bytes, self.step_bytes)


def trace_step(
    config: dict[str, Any],
    plan: Plan,
    *,
    rows: int,
    tokens: int,
    padded: bool = False,
    trained_share: float = 1.0,
    accumulates: bool = False,
    detail: bool = False,
    evaluate: bool = False,
    spec: ModelSpec | None = None,
    own_loss: bool = False,
    own_casts: bool = False,
) -> Traced:
    """Run one step of the plan's training on `rows` × `tokens` fake tokens and report its peaks.

    config: a parsed config.json. padded: rows of unlike length, so that attention gets a mask. trained_share: share of
    the tokens that bear loss. accumulates: gradients of an earlier micro-batch are there. detail: remember what lives
    at the peak, by operation (slower). spec: the model's shape where no formula knows the family. own_loss:
    the loss of transformers' class over every logit and PEFT's own casts, as other trainers have them. own_casts:
    PEFT's casts alone.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    scored = max(1, min(rows * (tokens - 1), round(rows * tokens * trained_share)))
    watch = StorageWatch(
        {**data_dependent(scored), **attention_kernels(), **(kernels() if plan.method.quantization != "none" else {})}
    )
    watch.detail = detail
    watch.engine = _backward.__code__
    traced = Traced()
    with ExitStack() as stack:
        stack.enter_context(_masks(padded))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(fake_modules())
        stack.enter_context(cuda_paths())
        stack.enter_context(_eight_bit())
        model = build_model(config, plan, spec or read_config(config), own_casts=own_loss or own_casts)
        model.train()
        copy = (
            build_model(config, plan, spec or read_config(config)).requires_grad_(False) if holds_copy(plan) else None
        )
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
        frozen += copy.parameters() if copy is not None else []
        stack.enter_context(CudaSemantics())
        stack.enter_context(watch)
        full = plan.method.kind == "full"
        watch.watch(frozen, "weights")
        watch.watch(quantised_storages(model), "weights")
        if full:
            watch.watch(trained, "weights")
        traced.weights_bytes = watch.live_bytes
        if not full:
            watch.watch(trained, "adapter")
        traced.adapter_bytes = watch.live_bytes - traced.weights_bytes
        watch.watch(model.buffers(), "buffers")
        before = watch.live_bytes
        optimizer = _optimizer(trained, plan)
        for parameter in trained:
            parameter.grad = torch.empty_like(parameter)
        traced.gradients_bytes = watch.live_bytes - before
        before = watch.live_bytes
        optimizer.step()
        traced.optimizer_bytes = watch.live_bytes - before
        if not accumulates:
            optimizer.zero_grad(set_to_none=True)
        inputs = _end_to_end(rows, tokens) if keeps_rows_apart(plan.model.attention) else _inputs(rows, tokens, padded)
        watch.start_phase("forward")
        if is_preference(plan):
            losses = {"dpo": _pair_loss, "kto": _judged_loss, "orpo": _odds_loss}
            loss = losses[plan.training.objective](model, copy, inputs, plan)
        else:
            loss = _own_loss(model, inputs, plan) if own_loss else _loss(model, inputs, plan)
        traced.forward_bytes, traced.kept_bytes = watch.peak_bytes, watch.live_bytes
        best, at_peak = watch.peak_bytes, watch.at_peak
        watch.start_phase("backward")
        _backward(loss)
        del loss
        traced.backward_bytes = watch.peak_bytes
        if watch.peak_bytes > best:
            at_peak = watch.at_peak
        watch.start_phase("optimizer step")
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        traced.step_bytes = watch.peak_bytes
        traced.at_peak = dict(at_peak)
        optimizer.zero_grad(set_to_none=True)
        if evaluate:
            model.eval()
            watch.start_phase("evaluation")
            with torch.no_grad():
                _loss(model, inputs, plan)
            traced.evaluation_bytes = watch.peak_bytes
    return traced


def _inputs(rows: int, tokens: int, padded: bool) -> dict[str, torch.Tensor]:
    numbers = torch.zeros(rows, tokens, dtype=torch.int64)
    inputs = {"input_ids": numbers, "labels": torch.zeros_like(numbers)}
    inputs["attention_mask"] = torch.ones_like(numbers)
    return inputs


def _end_to_end(rows: int, tokens: int) -> dict[str, Any]:
    """Rows of one length that lie end to end, and where each begins, as TRL's collator says it."""
    numbers = torch.zeros(1, rows * tokens, dtype=torch.int64)
    starts = torch.zeros(rows + 1, dtype=torch.int32)
    return {
        "input_ids": numbers,
        "labels": torch.zeros_like(numbers),
        "position_ids": torch.zeros_like(numbers),
        "cu_seq_lens_q": starts,
        "cu_seq_lens_k": starts,
        "max_length_q": tokens,
        "max_length_k": tokens,
    }


def _loss(model: Any, inputs: dict[str, torch.Tensor], plan: Plan) -> torch.Tensor:
    """SFTTrainer's `compute_loss` with its fused head."""
    with _precision(plan):
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
    log_probs: torch.Tensor = outputs.log_probs
    loss: torch.Tensor = -log_probs.sum() / outputs.label_mask.sum().clamp(min=1)
    return loss


def _pair_loss(model: Any, copy: Any, inputs: dict[str, torch.Tensor], plan: Plan) -> torch.Tensor:
    """DPOTrainer's `_compute_loss` with the sigmoid: chosen sides in the first half of the rows. copy: the frozen model
    of a whole one that is trained; None where the adapter is switched off.
    """
    own = _log_probs(model, inputs, plan)
    reference = torch.zeros_like(own)
    if computes_reference(plan):
        with torch.no_grad(), nullcontext() if copy is not None else model.disable_adapter():
            reference = _log_probs(copy or model, inputs, plan)
    chosen, rejected = (own - reference).chunk(2, dim=0)
    loss: torch.Tensor = -torch.nn.functional.logsigmoid(plan.preference.beta * (chosen - rejected)).mean()
    return loss


def _judged_loss(model: Any, copy: Any, inputs: dict[str, torch.Tensor], plan: Plan) -> torch.Tensor:
    """KTOTrainer's `_compute_loss`: the KL's pass first, then the trained one, then the reference's. copy: as above."""
    moved = None
    if estimates_kl(plan):
        with torch.no_grad():
            moved = _log_probs(model, inputs, plan)
    own = _log_probs(model, inputs, plan)
    reference = torch.zeros_like(own)
    if computes_reference(plan):
        with torch.no_grad(), nullcontext() if copy is not None else model.disable_adapter():
            if moved is not None:
                moved = moved - _log_probs(copy or model, inputs, plan)
            reference = _log_probs(copy or model, inputs, plan)
    kl = 0.0 if moved is None else moved.mean().clamp(min=0)
    loss: torch.Tensor = (1 - torch.sigmoid(plan.preference.beta * (own - reference - kl))).mean()
    return loss


def _log_probs(model: Any, inputs: dict[str, torch.Tensor], plan: Plan) -> torch.Tensor:
    """Log-probability of each row's answer, by TRL's fused head; each pass under autocast of its own."""
    with _precision(plan):
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
    found: torch.Tensor = outputs.log_probs.sum(dim=1)
    return found


def _odds_loss(model: Any, copy: Any, inputs: dict[str, torch.Tensor], plan: Plan) -> torch.Tensor:
    """ORPOTrainer's `get_batch_loss_metrics`: chosen sides in the first half of the rows. copy: None, there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental is known
        orpo: Any = import_module("trl.experimental.orpo.orpo_trainer")
    with _precision(plan):
        outputs = model(inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
    logits = outputs.logits if plan.training.precision == "fp32" else outputs.logits.float()  # as accelerate does
    del outputs
    pairs = len(logits) // 2

    def of_chosen(some: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        some, labels = some[..., :-1, :].contiguous(), labels[..., 1:].contiguous()
        return torch.nn.functional.cross_entropy(some.view(-1, some.shape[-1]), labels.view(-1))

    nll = of_chosen(logits[:pairs], inputs["labels"][:pairs])
    kept, orpo.selective_log_softmax = orpo.selective_log_softmax, scored_by_kernel
    try:
        scores = orpo.ORPOTrainer.get_batch_logps(logits, inputs["labels"], average_log_prob=True)
    finally:
        orpo.selective_log_softmax = kept
    chosen, rejected = scores[:pairs], scores[pairs:]
    odds = (chosen - rejected) - (orpo.log1mexp(chosen) - orpo.log1mexp(rejected))
    loss: torch.Tensor = nll - plan.preference.beta * torch.nn.functional.logsigmoid(odds).mean()
    return loss


def _own_loss(model: Any, inputs: dict[str, torch.Tensor], plan: Plan) -> torch.Tensor:
    """`transformers.Trainer.compute_loss`: the class's own loss; the outputs are let go with the function."""
    with _precision(plan):
        outputs = model(**inputs, use_cache=False)
    loss: torch.Tensor = outputs.loss
    return loss


@contextmanager
def _precision(plan: Plan) -> Iterator[None]:
    """Autocast as accelerate wraps the model's forward in it."""
    if plan.training.precision == "fp32":
        yield
        return
    with torch.autocast("cpu", dtype=DTYPES[plan.training.precision]):
        yield


def _backward(loss: torch.Tensor) -> None:
    """`loss.backward()` without leaving CudaSemantics, which torch functions do: checkpoints are run again inside."""
    engine = torch.autograd.Variable._execution_engine
    engine.run_backward(
        (loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


def _optimizer(trained: list[Any], plan: Plan) -> torch.optim.Optimizer:
    """torch's AdamW; bitsandbytes' optimizers keep what `core.memory.states` counts and need no step's temporaries."""
    return torch.optim.AdamW(
        trained,
        fused=plan.training.optimizer != "adamw_torch",
        foreach=True if plan.training.optimizer == "adamw_torch" else None,
    )


@contextmanager
def _masks(padded: bool) -> Iterator[None]:
    """transformers reads the mask's values to leave it out where nothing is padded; fake tensors have none to read."""
    from transformers import masking_utils

    kept = masking_utils._ignore_causal_mask_sdpa

    def ignore(
        padding_mask: Any,
        q_length: int,
        kv_length: int,
        q_offset: Any,
        kv_offset: Any,
        local_attention_size: int | None = None,
    ) -> bool:
        if local_attention_size is not None and kv_length >= local_attention_size:
            return False
        return not padded

    masking_utils._ignore_causal_mask_sdpa = ignore
    try:
        yield
    finally:
        masking_utils._ignore_causal_mask_sdpa = kept


@contextmanager
def _eight_bit() -> Iterator[None]:
    """bitsandbytes takes another path for 8 bit on a CPU while training; take the GPU's."""
    from bitsandbytes.autograd import _functions

    bnb: Any = import_module("bitsandbytes")
    kept = bnb.matmul

    def matmul(A: Any, B: Any, out: Any = None, state: Any = None, threshold: float = 0.0, bias: Any = None) -> Any:
        return _functions.MatMul8bitLt.apply(A, B, out, bias, state)

    logger = logging.getLogger("bitsandbytes.autograd._functions")
    level = logger.level
    bnb.matmul = matmul
    logger.setLevel(logging.ERROR)  # it warns of every cast to float16
    try:
        yield
    finally:
        bnb.matmul = kept
        logger.setLevel(level)
