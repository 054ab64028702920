"""What TRL's own preparation would learn otherwise under a chat template, each difference in one sentence.

TRL marks what is learnt in the template itself (`{% generation %}`), in the model's own or in the one that it trains
the family with instead. Labels here lie where generation begins and ends. Both are held against each other on short
conversations, and what differs is named.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message
from loratui.data.reasoning import FIELD
from loratui.worker.chat_template import ANSWER, ASK, CALLING
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import IGNORED
from loratui.worker.tokenizer import training_twin

PROBES = (
    Conversation((ASK, ANSWER, ASK, ANSWER)),
    Conversation((ASK, Message("assistant", "Bq2", True, {FIELD: "Rq5"}))),
    Conversation(CALLING),
)


def trl_differences(tokeniser: Tokeniser) -> list[str]:
    """Sentences; empty where both learn the same, or TRL has no marks for this template."""
    template = getattr(tokeniser.tokenizer, "chat_template", None)
    if not isinstance(template, str):
        return []
    if "{% generation %}" not in template and "{%- generation" not in template:
        twin = training_twin(template)
        return [f"TRL's assistant_only_loss renders with a template of its own, {twin}"] if twin else []
    found: dict[str, str] = {}
    for probe in PROBES:
        for piece, whose, follows_end in _stretches(tokeniser, probe):
            if whose == "ours":
                found[piece] = f"TRL does not learn {piece!r}, which the prompt leaves to the model"
            elif follows_end and not piece.strip():
                found["end"] = "TRL also learns the white space after the token that ends an answer"
            else:
                found[piece] = f"TRL also learns {piece!r}, which the prompt writes and the model never has to"
    return list(found.values())


def _stretches(tokeniser: Tokeniser, probe: Conversation) -> list[tuple[str, str, bool]]:
    """Stretches that only one of both learns: text, whose, and whether it follows what both learn."""
    try:
        ours = tokeniser.one(probe)
        theirs: dict[str, Any] = tokeniser.tokenizer.apply_chat_template(
            tokeniser.template.turns(probe.messages),
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
    except (ModelError, TypeError, ValueError, KeyError):
        return []
    if theirs["input_ids"] != ours.input_ids:
        return []
    kinds = [
        "both" if learnt and label != IGNORED else "ours" if label != IGNORED else "theirs" if learnt else ""
        for label, learnt in zip(ours.labels, theirs["assistant_masks"], strict=True)
    ]
    stretches: list[tuple[str, str, bool]] = []
    before, start = "", 0
    for kind, group in groupby(kinds):
        end = start + len(list(group))
        if kind in ("ours", "theirs"):
            stretches.append((tokeniser.tokenizer.decode(ours.input_ids[start:end]), kind, before == "both"))
        before, start = kind, end
    return stretches
