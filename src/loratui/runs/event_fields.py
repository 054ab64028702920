"""What the fields of a run's events may hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

LATEST = 1e11
Time = Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]
"""Unix seconds that a calendar knows."""
MOST = 2**53
Count = Annotated[int, Field(ge=0, le=MOST)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Pair = Annotated[list[Any], Field(min_length=2, max_length=2)]
