"""What the fields of a run's events may hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

LATEST = 1e11
Time = Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]
"""Unix seconds that a calendar knows."""
MOST = 2**53
Count = Annotated[int, Field(ge=0, le=MOST)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Pair = Annotated[list[Any], Field(min_length=2, max_length=2)]


class PreferenceFigures(BaseModel):
    """What a step or an evaluation shows of preferences, as means over its pairs; None where none are learnt.

    A reward is beta times the log-probability of an answer, less the reference's.
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
