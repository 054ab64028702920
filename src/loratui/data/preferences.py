"""Preference rows: there is no preference training yet, so whoever trains on them says what they are taken for."""

from __future__ import annotations

from loratui.core.errors import DatasetError
from loratui.core.plan import DatasetSection
from loratui.data.recognition import Recognition

QUESTION = (
    "The rows are preferences: a chosen and a rejected answer. Learning to prefer one (DPO, KTO) is not offered yet. "
    "Ordinary training can take the chosen answers as they are; the rejected ones are never shown to the model."
)


def unanswered(recognition: Recognition, preference: str) -> bool:
    """Whether the rows are preferences and nobody has said what to do with them. preference: the plan's
    `dataset.preference`.
    """
    return recognition.format == "preference" and preference == "ask"


def require_answer(recognition: Recognition, section: DatasetSection, *, where: str) -> None:
    """DatasetError where the rows are preferences and the plan does not say that the chosen side is trained on."""
    if unanswered(recognition, section.preference):
        raise DatasetError(
            "the rows are preferences (a chosen and a rejected answer), and learning to prefer is not offered yet.",
            where=where,
            hint="To train on the chosen answers alone: --set dataset.preference=chosen",
        )
