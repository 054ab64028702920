"""What the fields of a run's events may hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from loratui.core.early_stopping import Change

LATEST = 1e11
Time = Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]
"""Unix seconds that a calendar knows."""
MOST = 2**53
Count = Annotated[int, Field(ge=0, le=MOST)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Pair = Annotated[list[Any], Field(min_length=2, max_length=2)]


class OfWorker(BaseModel):
    """How long ago the worker was started that says this."""

    worker_seconds: Time | None = None
    """Its imports included. Told with its first phase and at its end; None elsewhere and in older runs."""


class PartCounts(BaseModel):
    """A part of a mix: what an epoch draws of it, and what is held out.

    rows: that can be drawn. examples, tokens, trained_tokens: of an epoch. capped: rows beyond the cap. kept_out: rows
    equal to one that another part holds out. shared: rows that an earlier part has, too.
    """

    name: str = ""
    weight: Share = 1.0
    rows: Count = 0
    examples: Count = 0
    eval_examples: Count = 0
    tokens: Count = 0
    trained_tokens: Count = 0
    capped: Count = 0
    kept_out: Count = 0
    shared: Count = 0


class OfParts(BaseModel):
    """Of a mix what each part comes to; empty where the dataset is one."""

    parts: list[PartCounts] = []


class ByPart(BaseModel):
    """Of a mix the loss on the held-out rows of each part; empty where the dataset is one."""

    loss_by_part: dict[str, float | None] = {}


class Compared(BaseModel):
    """How an evaluation's loss differs from earlier ones, row beside row; empty in older runs and where the rows' own
    losses are not known.
    """

    beside_best: Change | None = None
    """Beside the best evaluation before this one."""
    parts_beside_best: dict[str, Change] = {}
    """Of a mix each part's loss beside its own lowest before, that of what the run began with among them."""


class PreferenceFigures(BaseModel):
    """What a step or an evaluation shows of preferences, as means over its pairs; None where none are learnt.

    A reward is beta times the log-probability of an answer, less the reference's. ORPO has no reference, and its
    log-probabilities are means over an answer's tokens. Of KTO the chosen answers are those that are wanted.
    """

    reward_chosen: float | None = None
    reward_rejected: float | None = None
    reward_margin: float | None = None
    """The chosen answer's reward less the rejected one's."""
    preference_accuracy: float | None = None
    """Share of the pairs whose chosen answer has the higher reward."""
    logp_chosen: float | None = None
    """Log-probability of an answer, of all its tokens together."""
    logp_rejected: float | None = None
    kl: float | None = None
    """KTO: how far the model is from its reference, in nats an answer, estimated from the rows of a batch."""
    chosen_loss: float | None = None
    """ORPO: the loss of question and chosen answer, in nats a token."""
    log_odds: float | None = None
    """ORPO: logarithm of the chosen answer's odds over the rejected one's."""
