"""The plan's section for learning from preferences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from loratui.core.document import Document

Objective = Literal["sft", "dpo", "orpo", "kto"]
PreferenceLoss = Literal["sigmoid", "sigmoid_norm", "ipo", "apo_zero", "robust"]
KtoLoss = Literal["kto", "apo_zero_unpaired"]
Reference = Literal["each-step", "precomputed"]
DPO_ALONE = ("loss", "label_smoothing", "sft_weight", "length_weight")
KTO_ALONE = ("kto_loss", "desirable_weight", "undesirable_weight")


def means_nothing(key: str, objective: str) -> bool:
    """Whether a dotted key of the plan is one of this section that this objective does not have."""
    section, _, name = key.partition(".")
    if section != "preference":
        return False
    alone = {"dpo": DPO_ALONE, "kto": KTO_ALONE}
    others = {other for one, names in alone.items() if one != objective for other in names}
    return objective == "sft" or name in others or (name == "reference" and objective == "orpo")


class PreferenceSection(Document):
    """How preferences are learnt; means nothing while `training.objective` is sft.

    The names of the losses are TRL's. A reward is beta times the log-probability of an answer, less the reference's.
    """

    loss: PreferenceLoss = Field(
        "sigmoid",
        title="Preference loss",
        description="DPO's (sigmoid), by tokens' means (sigmoid_norm), ipo, apo_zero, or for wrong labels: robust.",
    )
    kto_loss: KtoLoss = Field(
        "kto",
        title="KTO loss",
        description="KTO's own, which estimates the KL from the rows of a batch, or apo_zero_unpaired, which does not.",
    )
    beta: Annotated[float, Field(gt=0, le=100)] = Field(
        0.1,
        title="Beta",
        description="How strongly the model is held to its reference (ipo: tau); ORPO: weight of the odds ratio (λ).",
    )
    desirable_weight: Annotated[float, Field(gt=0, le=100)] = Field(
        1.0, title="Wanted weight", description="KTO: weight of the loss of answers that are wanted."
    )
    undesirable_weight: Annotated[float, Field(gt=0, le=100)] = Field(
        1.0, title="Unwanted weight", description="KTO: weight of the loss of answers that are not wanted."
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
