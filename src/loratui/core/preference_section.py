"""The plan's section for learning from preferences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from loratui.core.document import Document

Objective = Literal["sft", "dpo"]
PreferenceLoss = Literal["sigmoid", "sigmoid_norm", "ipo", "apo_zero", "robust"]
Reference = Literal["each-step", "precomputed"]


class PreferenceSection(Document):
    """How preferences are learnt; means nothing while `training.objective` is sft.

    The names of the losses are TRL's. A reward is beta times the log-probability of an answer, less the reference's.
    """

    loss: PreferenceLoss = Field(
        "sigmoid",
        title="Preference loss",
        description="DPO's (sigmoid), by tokens' means (sigmoid_norm), ipo, apo_zero, or for wrong labels: robust.",
    )
    beta: Annotated[float, Field(gt=0, le=100)] = Field(
        0.1, title="Beta", description="How strongly the model is held to its reference; ipo calls it tau."
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.0, title="Wrong labels", description="Share of pairs that are supposed to be labelled the wrong way (robust)."
    )
    sft_weight: Annotated[float, Field(ge=0, le=100)] = Field(
        0.0,
        title="SFT weight",
        description="Weight of the chosen answers' own loss beside the preference loss; 0: none.",
    )
    length_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0,
        title="Length weight",
        description="Weight of an answer's tokens beyond the length of the shorter one of its pair; 1: as all others.",
    )
    reference: Reference = Field(
        "each-step",
        title="Reference",
        description="The reference's log-probabilities: computed at each step, or all once before the first.",
    )

    @model_validator(mode="after")
    def _smoothing_is_used(self) -> PreferenceSection:
        if self.label_smoothing and self.loss != "robust":
            raise ValueError(f'preference.label_smoothing = {self.label_smoothing:g} needs preference.loss = "robust"')
        return self
