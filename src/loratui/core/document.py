"""What every pydantic document here has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A frozen document that refuses unknown keys; units and sources are the fields' own. Raises
    pydantic.ValidationError.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
