"""Preference rows: whoever trains on them says what is learnt, the preference itself or the chosen answers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from loratui.core.errors import DatasetError
from loratui.core.plan import DatasetSection, Plan
from loratui.core.preference_section import Objective
from loratui.data.recognise import recognise
from loratui.data.recognition import Recognition
from loratui.data.row import Row

QUESTION = (
    "The rows are preferences: a chosen and a rejected answer. Learning the preference (DPO) teaches the model which "
    "of the two is better, from both of them. Ordinary training (SFT) takes the chosen answers as they are; the "
    "rejected ones are never shown to the model."
)
JUDGED_QUESTION = (
    "A label says of each answer whether it is wanted. Learning the preference (KTO) teaches the model both: what to "
    "write and what not to. Ordinary training (SFT) takes the wanted answers as they are; the others are left out."
)
LEARNS_LABELS = "kto" in get_args(Objective)


def is_preference(recognition: Recognition) -> bool:
    """Whether the rows say which answers are better: pairs, or answers of which some are not wanted."""
    return recognition.format == "preference" or (LEARNS_LABELS and recognition.unwanted > 0)


def unanswered(recognition: Recognition, preference: str, objective: str = "sft") -> bool:
    """Whether the rows are preferences and nobody has said what to do with them. preference: the plan's
    `dataset.preference`. objective: its `training.objective`.
    """
    return is_preference(recognition) and preference == "ask" and objective == "sft"


def require_answer(
    recognition: Recognition, section: DatasetSection, *, where: str, objective: str = "sft"
) -> Recognition:
    """How the rows are read for this objective: as pairs where preferences are learnt.

    DatasetError where the rows are preferences and the plan does not say what is learnt of them, and where it learns
    preferences and they are none.
    """
    if unanswered(recognition, section.preference, objective) and recognition.format != "preference":
        raise DatasetError(
            f"{recognition.columns['label']} says that some answers are not wanted, and the plan does not say what is "
            "learnt.",
            where=where,
            hint=(
                "To learn from both kinds: --set training.objective=kto. To train on the wanted answers alone: "
                "--set dataset.preference=chosen"
            ),
        )
    if unanswered(recognition, section.preference, objective):
        raise DatasetError(
            "the rows are preferences (a chosen and a rejected answer), and the plan does not say what is learnt.",
            where=where,
            hint=(
                "To learn the preference: --set training.objective=dpo. To train on the chosen answers alone: "
                "--set dataset.preference=chosen"
            ),
        )
    if objective == "sft":
        return recognition
    if objective == "kto" and is_judged(labelled := with_verdict(recognition)):
        return replace(labelled, judged=True)
    if objective == "kto" and recognition.format != "preference":
        raise DatasetError(
            "training.objective = kto learns from answers that are labelled as wanted or not, and the rows "
            f"are read as {recognition.format} without a label.",
            where=where,
            hint=(
                "Name the column that says it: --set dataset.columns=prompt:NAME,completion:NAME,label:NAME. Pairs "
                "with a chosen and a rejected answer are taken as well."
            ),
        )
    if recognition.format != "preference":
        raise DatasetError(
            f"training.objective = {objective} learns from pairs, and the rows are read as {recognition.format}.",
            where=where,
            hint=(
                f"{recognition.columns['label']} says which answers are wanted, which KTO learns from: --set "
                "training.objective=kto"
                if is_judged(recognition := with_verdict(recognition))
                else "Rows need a chosen and a rejected answer: --set "
                "dataset.columns=prompt:NAME,chosen:NAME,rejected:NAME. Or set training.objective to sft."
            ),
        )
    if "rejected" not in recognition.columns:
        raise DatasetError(
            "the columns name a chosen answer and no rejected one.",
            where=where,
            hint="Add rejected:NAME to dataset.columns, or set training.objective to sft.",
        )
    return replace(recognition, pairs=True, judged=objective == "kto")


JUDGED_FORMATS = ("prompt-completion", "instruction", "messages")


def is_judged(recognition: Recognition) -> bool:
    """Whether each row is an answer with a label that says whether it is wanted."""
    return recognition.format in JUDGED_FORMATS and "label" in recognition.columns


def with_verdict(recognition: Recognition) -> Recognition:
    """The reading with the column that may say whether answers are wanted, as its label: numbers named `label` are
    classes to whoever learns answers alone.
    """
    verdict = recognition.verdict
    if not verdict or is_judged(recognition):
        return recognition
    left = {name: count for name, count in recognition.left.items() if name != verdict}
    unused = tuple(name for name in recognition.unused if name != verdict)
    return replace(recognition, columns={**recognition.columns, "label": verdict}, unused=unused, left=left)


def recognise_for(plan: Plan, head: Sequence[Row], *, where: str) -> Recognition:
    """How these first rows are read for what the plan learns: preferences as pairs where it learns those.

    Raises DatasetError where they have no known shape.
    """
    found = recognise(head, plan.dataset.format, plan.dataset.columns, where=where)
    objective: str = plan.training.objective
    if objective == "kto" and is_judged(found := with_verdict(found)):
        why = f"{found.why}, and {found.columns['label']} says which answers are wanted"
        return replace(found, judged=True, why=why)
    if objective == "sft" or found.format != "preference" or "rejected" not in found.columns:
        return found
    why = f"{found.why}, and both sides are learnt from"
    return replace(found, pairs=True, judged=objective == "kto", why=why)


def preference_readings(read_as: Recognition, section: DatasetSection, *, where: str) -> dict[str, Recognition]:
    """How each objective that learns preferences reads these rows; without those that cannot."""
    found: dict[str, Recognition] = {}
    for objective in get_args(Objective):
        if objective != "sft":
            try:
                found[objective] = require_answer(read_as, section, where=where, objective=objective)
            except DatasetError:  # whoever asks for it is told by `require_answer`
                continue
    return found
