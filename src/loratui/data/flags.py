"""Flags that rows and messages carry: they are honoured, or the row is refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loratui.data.cells import MISSING, cell_at, kind_word
from loratui.data.column_names import FLAG_PARTS
from loratui.data.row import RowError

TRAIN_KEYS = ("train", "loss", "loss_weight", "trainable", "weight")
"""Of a message: learnt where true or 1 (OpenAI's weight, LLaMA-Factory's loss_weight, Axolotl's train)."""
MASK_KEYS = ("masked", "mask")
"""Of a message: not learnt where true (torchtune)."""
DETAIL_KEYS = ("train_detail", "training_detail")
"""Of a message: which parts of it are learnt (Axolotl)."""
LABELS = ("label", "kto_tag", "is_desirable", "desirable", "thumbs", "thumbs_up", "thumb", "feedback", "vote", "liked")
WEIGHTS = ("loss_weight", "sample_weight", "weight", "train")
SPLITS = ("split", "datasplit", "data_split", "subset_split")
TRAINING_NAMES = frozenset({"train", "training", "sft"})
HELD_OUT_NAMES = frozenset({"test", "testing", "valid", "validation", "val", "dev", "eval", "evaluation", "heldout"})
MEDIA = {
    "images": ("images", "image", "image_path", "image_paths"),
    "videos": ("videos", "video", "video_path"),
    "audios": ("audios", "audio", "audio_path"),
}
_TRUE = frozenset({"true", "yes", "on", "1", "1.0", "desirable", "good"})
_FALSE = frozenset({"false", "no", "off", "0", "0.0", "undesirable", "bad"})
_UP = frozenset(
    {"up", "thumbs up", "thumbsup", "thumb up", "👍", "+1", "like", "liked", "upvote", "positive", "chosen"}
)
_DOWN = frozenset(
    {"down", "thumbs down", "thumbsdown", "thumb down", "👎", "-1", "dislike", "disliked", "downvote", "negative"}
    | {"rejected"}
)
_SKIN: dict[int, None] = dict.fromkeys(range(0x1F3FB, 0x1F400))
"""Tones of skin that follow a thumb."""


def truth(flag: Any) -> bool | None:
    """A flag as true or false; None where it is neither."""
    if isinstance(flag, bool):
        return flag
    if isinstance(flag, int | float):
        return bool(flag) if flag in (0, 1) else None
    if isinstance(flag, str):
        word = flag.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def verdict(cell: Any) -> bool | None:
    """What somebody thought of an answer, as true or false: flags, thumbs and votes; None where it is neither."""
    if isinstance(cell, int | float) and not isinstance(cell, bool) and cell == -1:
        return False
    if isinstance(cell, str):
        word = " ".join(cell.translate(_SKIN).lower().replace("_", " ").replace(":", " ").split())
        if word in _UP or word in _DOWN:
            return word in _UP
    return truth(cell)


def bears_loss(turn: Mapping[str, Any], role: str, where: str) -> bool:
    """Whether a message is learnt, by the flags that it carries itself: answers are where nothing else is said.

    RowError where a flag asks for what training cannot do: a part of an answer, a fraction of its loss, a message that
    is no answer.
    """
    learnt = True
    for key in MASK_KEYS:
        if truth(turn.get(key)):
            learnt = False
    for key in TRAIN_KEYS:
        flag = turn.get(key)
        if flag is None:
            continue
        wanted = truth(flag)
        if wanted is None:
            raise RowError("weight", f"{where} has {key} {flag!r}, and answers are learnt whole or not at all.")
        if wanted and role != "assistant" and key != "weight":
            raise RowError("flag", f"{where} is to be learnt ({key} is {flag!r}), and only answers can be.")
        learnt = learnt and wanted
    for key in DETAIL_KEYS:
        if turn.get(key):
            learnt = _by_detail(turn[key], role, where, key) and learnt
    return learnt and role == "assistant"


def _by_detail(detail: Any, role: str, where: str, key: str) -> bool:
    if not isinstance(detail, list) or not all(isinstance(part, Mapping) for part in detail):
        raise RowError("flag", f"{where} has a {key} that is {kind_word(detail)}, and a list of parts was expected.")
    wanted = {truth(part.get("train")) is not False for part in detail}
    if wanted == {True} and role != "assistant":
        raise RowError("flag", f"{where} is to be learnt ({key}), and only answers can be.")
    if len(wanted) > 1:
        raise RowError("flag", f"{where} is to be learnt in part ({key}), and answers are learnt whole or not at all.")
    return wanted == {True}


def require_label(value: Mapping[str, Any], column: str) -> bool:
    """Whether the row's answer is wanted, by its label. RowError where the label does not say so."""
    flag = cell_at(value, column)
    if flag is MISSING or flag is None:
        raise RowError("label", f"the row has no {column}: nobody says whether its answer is wanted.")
    wanted = verdict(flag)
    if wanted is None:
        raise RowError("label", f"{column} is {str(flag)[:40]}, and true (wanted) or false (not) was expected.")
    return wanted


def require_learnt(value: Mapping[str, Any], columns: Mapping[str, str], *, judged: bool = False) -> None:
    """RowError where the row's own flags say that it is not to be learnt, or where it shows more than text. judged: its
    label says what is learnt of it, not whether it is.
    """
    for part in FLAG_PARTS:
        column = columns.get(part)
        if not column or (judged and part == "label"):
            continue
        flag = cell_at(value, column)
        if flag is MISSING or flag is None:
            continue
        if part in MEDIA:
            if flag not in ("", [], {}, ()):
                raise RowError("media", f"the row shows {part} ({column}), and only text can be trained on.")
        elif part == "split":
            if str(flag).strip().lower() in HELD_OUT_NAMES:
                raise RowError("split", f"{column} is {str(flag)[:40]}: the row is not one to train on.")
        elif (said := verdict(flag) if part == "label" else truth(flag)) is False:
            what = "an answer that is not wanted" if part == "label" else "not to be learnt"
            raise RowError(part, f"{column} is {str(flag).lower()}: the row is {what}.")
        elif said is None:
            raise RowError(part, f"{column} is {str(flag)[:40]}, and a row is learnt whole or not at all.")
