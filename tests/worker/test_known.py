"""Tensors whose numbers the processor knows: what is made of them is torch's own, and no device is asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from loratui.worker.training.known import COMPUTED, Known, is_known, known, known_batch, plain

pytestmark = pytest.mark.worker
NUMBERS = torch.tensor([[3, 0, 7, 0], [1, 2, 0, 0]])
MADE: dict[str, Callable[[Any], Any]] = {
    "eq": lambda one: one == 0,
    "ne": lambda one: one.ne(0),
    "gt": lambda one: one > 1,
    "sub": lambda one: one - 1,
    "rsub": lambda one: 4 - one,
    "invert": lambda one: ~one.bool(),
    "getitem": lambda one: one[..., 1:],
    "sum": lambda one: one.sum(dim=-1, dtype=torch.int32),
    "all": lambda one: torch.all(one[:, 0] == 3),
    "max": lambda one: one.max(),
    "bool": lambda one: one.bool(),
    "view": lambda one: one.view(-1),
    "flatten": lambda one: one.flatten(),
    "nonzero": lambda one: torch.nonzero(one, as_tuple=False).flatten(),
    "index_select": lambda one: one.index_select(0, torch.nonzero(one[:, 1]).view(-1)),
    "masked_fill": lambda one: one.masked_fill(one == 0, -100),
    "chunk": lambda one: one.chunk(2, dim=0)[1],
    "diff": lambda one: torch.diff(one, prepend=one[:, :1] - 1, dim=-1),
    "cumsum": lambda one: one.cumsum(-1),
}


def test_what_is_made_of_known_numbers_is_torchs_own_and_known() -> None:
    assert set(MADE) == set(COMPUTED)
    for name, make in MADE.items():
        found, wanted = make(known(NUMBERS.clone(), NUMBERS.numpy())), make(NUMBERS)
        assert is_known(found) and torch.equal(plain(found), wanted) and found.dtype == wanted.dtype, name
        assert found.numbers.tolist() == wanted.tolist(), name


@pytest.mark.parametrize(
    "make",
    [
        lambda one: one.chunk(3, dim=1)[0],  # not of one size
        lambda one: one.max(dim=0)[0],
        lambda one: one.sum(dim=0, keepdim=True),
        lambda one: one == NUMBERS,
        lambda one: one[torch.tensor([0]), torch.tensor([1])],
        lambda one: one.float(),
        lambda one: one * 2,
    ],
)
def test_what_stands_in_no_table_is_torchs_own_and_plain(make: Callable[[Any], Any]) -> None:
    found = make(known(NUMBERS.clone(), NUMBERS.numpy()))
    assert type(found) is torch.Tensor and torch.equal(found, make(NUMBERS))


def test_a_change_in_place_is_asked_of_the_device() -> None:
    for change in (lambda one: one.add_(1), lambda one: one.__setitem__((0, 0), 9), lambda one: one.__iadd__(1)):
        one, other = known(NUMBERS.clone(), NUMBERS.numpy().copy()), NUMBERS.clone()
        change(one), change(other)
        assert not is_known(one) and int(one.sum()) == int(other.sum()) != int(NUMBERS.sum())
    one = known(NUMBERS.clone(), NUMBERS.numpy().copy())
    torch.add(NUMBERS, 1, out=one)
    assert int(one.max()) == 8


@pytest.mark.parametrize("chosen", [[[True, False, True], [False, True, False]], [[False] * 3] * 2])
def test_what_a_mask_chooses_and_its_gradient_are_the_same_by_place(chosen: list[list[bool]]) -> None:
    mask = torch.tensor(chosen)
    found = {}
    for name, one in (("known", known(mask.clone(), mask.numpy())), ("asked", mask)):
        states = torch.arange(24.0).view(2, 3, 4).requires_grad_()
        taken = states[one]
        back = taken.new_zeros(mask.shape).masked_scatter(one, taken.sum(-1).exp())
        (gradient,) = torch.autograd.grad(back.square().sum(), states)
        found[name] = taken, back, gradient
    assert all(torch.equal(*pair) for pair in zip(found["known"], found["asked"], strict=True))
    assert type(found["known"][1]) is torch.Tensor


def test_a_batch_keeps_its_floats_and_lists_and_knows_its_whole_numbers() -> None:
    batch = known_batch({"input_ids": NUMBERS, "ref_logps": torch.ones(2), "max_length_q": 4, "label": NUMBERS > 0})
    assert is_known(batch["input_ids"]) and is_known(batch["label"])
    assert type(batch["ref_logps"]) is torch.Tensor and batch["max_length_q"] == 4
    moved = batch["input_ids"].to("cpu", dtype=torch.bool)
    assert isinstance(moved, Known) and moved.numbers.dtype == bool


def test_transformers_unpads_rows_for_flash_attention_without_a_question() -> None:
    """Each block asks it anew: how long the longest row is, and where tokens are."""
    from test_device_syncs import Waits
    from transformers.modeling_flash_attention_utils import _get_unpad_data

    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    wanted = _get_unpad_data(mask)
    with Waits() as counting:
        found = _get_unpad_data(known(mask.clone(), mask.numpy()))
    assert not counting.places
    assert found[2] == wanted[2] == 3
    assert all(torch.equal(plain(one), other) for one, other in zip(found[:2], wanted[:2], strict=True))
