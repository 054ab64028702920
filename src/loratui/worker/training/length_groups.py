"""The order of rows in which a batch holds rows of like length, so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

WINDOW_BATCHES = 50
"""Rows are sorted within about so many batches drawn at random: which rows meet in a batch changes with every pass."""


class LengthGroups(Sampler[int]):
    """Row numbers, a pass at a time: batches of like length, and the batches in random order.

    lengths: tokens of each row. batch: rows of one forward pass, of all processes together (these take turns, so that
    they wait for each other as little as they pad). The order follows from the seed and the number of the pass alone:
    a resumed run goes on in the same one. transformers' own `LengthGroupedSampler` leaves the batches sorted, from
    long to short in every window, which the loss then follows.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed = list(lengths), max(1, batch), seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """The number of the pass that begins next, from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self.seed + self.epoch)
        self.epoch += 1  # accelerate does not reach through every wrapper with `set_epoch`
        order = torch.randperm(len(self.lengths), generator=draw).tolist()
        whole = len(order) // self.batch
        windows = max(1, round(whole / WINDOW_BATCHES))
        batches: list[list[int]] = []
        rest: list[int] = []
        for number in range(windows):
            last = number == windows - 1
            ends = [self.batch * (whole * at // windows) for at in (number, number + 1)]
            rows = sorted(order[ends[0] : None if last else ends[1]], key=self.lengths.__getitem__)
            if last:  # a batch that is not full must end the pass: any place among the lengths, not the longest rows
                short = len(order) - whole * self.batch
                at = self.batch * int(torch.randint(len(rows) // self.batch + 1, (1,), generator=draw))
                rest, rows = rows[at : at + short], rows[:at] + rows[at + short :]
            batches += [rows[at : at + self.batch] for at in range(0, len(rows), self.batch)]
        for at in torch.randperm(len(batches), generator=draw).tolist():
            yield from batches[at]
        yield from rest
