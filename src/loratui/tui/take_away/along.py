"""What is told below each thing that is made of the result: its model card, as others will read it."""

from __future__ import annotations

from loratui.core.errors import LoratuiError
from loratui.core.plan_text import plan_to_toml
from loratui.files import read_document
from loratui.runs.directory import Run
from loratui.runs.model_card import CARD, MARK, model_card, result_folder

Shown = tuple[str, str]
"""What a file is, in a few words, and its text; both empty where there is nothing to show."""


def file_along(run: Run, *, done: bool) -> Shown:
    """A run's card; of a result that has none what would stand in it. Reads files: for a thread.

    done: whether the run has a result; of none there is no card, and its plan stands there.
    """
    if not done:
        return plan_shown(run)
    try:
        return "the model card, README.md beside the result", _read(read_document(result_folder(run) / CARD))
    except FileNotFoundError:
        pass
    except (OSError, LoratuiError) as error:
        return "the model card", f"It cannot be read: {error}"
    try:
        return "the model card, as it would be written now", _read(model_card(run))
    except (OSError, LoratuiError) as error:
        return "the model card", f"It cannot be written yet: {error}"


def merged_along(run: Run) -> Shown:
    """The card in the merged model's folder; before the merge what would stand in it. Reads files: for a thread."""
    title = "the merged model's card"
    try:
        return f"{title}, README.md in its folder", _read(read_document(run.merged_path / CARD))
    except FileNotFoundError:
        pass
    except (OSError, LoratuiError) as error:
        return title, f"It cannot be read: {error}"
    try:
        return f"{title}, as it would be written now", _read(model_card(run, merged="The merge writes its proof here."))
    except (OSError, LoratuiError) as error:
        return title, f"It cannot be written yet: {error}"


def plan_shown(run: Run) -> Shown:
    """The plan of a run, as its file has it but for the words behind each key."""
    try:
        return f"the plan that it trains, {run.plan_path.name}", plan_to_toml(run.plan(), comments=False)
    except (OSError, LoratuiError) as error:
        return "the plan", f"It cannot be read: {error}"


def _read(card: str) -> str:
    """A card as the hub shows it: what stands for programs before its first heading is left out."""
    if card.startswith("---\n"):
        card = card.partition("\n---\n")[2]
    return card.replace(f"{MARK}\n", "", 1)
