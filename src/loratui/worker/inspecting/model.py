"""The tokenizer that a plan's rows go through, without the model's weights; and what generation would stop at."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.core.errors import LoratuiError, ModelError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.data.conversation import Conversation, Message
from loratui.data.reasoning import TAGS
from loratui.hub.client import HubRefused, HubUnreached, download
from loratui.models.find import find_model
from loratui.models.found import FoundModel
from loratui.models.hub import fetch_model
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenizer import (
    KNOWN_TEMPLATES,
    apply_plan,
    load_tokenizer,
    template_text,
    training_twin,
    without_thinking,
)


@dataclass(frozen=True)
class TextModel:
    """A model as far as text is concerned. template: where its chat template comes from; why: in words."""

    found: FoundModel
    tokenizer: Any
    stop_ids: frozenset[int]
    template: str
    why: str

    def tokeniser(self, plan: Plan, max_length: int, *, texts: bool = False) -> Tokeniser:
        """What turns conversations into tokens and labels; the same class that training uses. texts: rows keep theirs,
        and how much of it lies within the plan's maximum length.
        """
        made = self._tokeniser(self.tokenizer, plan, max_length)
        made.texts_within = plan.training.max_length if texts else 0
        made.divides = plan.dataset.long_text == "divide"
        return made

    def tried(self, plan: Plan) -> Tokeniser:
        """The same tokenizer with the chat template, the end token and the arrangement of thinking of another plan.

        PlanError where a setting means nothing for it.
        """
        other = deepcopy(self.tokenizer)
        own = without_thinking(other.chat_template) if isinstance(other.chat_template, str) else other.chat_template
        other.chat_template = template_text(plan.model.chat_template) if plan.model.chat_template else own
        return self._tokeniser(apply_plan(other, plan), plan, 0)

    def _tokeniser(self, tokenizer: Any, plan: Plan, max_length: int) -> Tokeniser:
        return Tokeniser(
            tokenizer,
            loss_on=plan.training.loss_on,
            max_length=max_length,
            stop_ids=self.stop_ids,
            reasoning=plan.dataset.reasoning,
            calls=plan.dataset.calls,
            vocabulary=self.found.spec.vocab_size,
        )

    @property
    def stop_tokens(self) -> list[str]:
        """The texts of the tokens that end generation."""
        return [str(self.tokenizer.convert_ids_to_tokens(number)) for number in sorted(self._all_stops())]

    def stop_fix(self, plan: Plan) -> dict[str, str]:
        """What makes every answer end in a token that generation stops at, as {key: value}; empty where nothing does.

        First what leaves the template as it is or is TRL's own of it for training; another template last.
        """
        ask = Conversation((Message("user", "1?"), Message("assistant", "2", True)))
        twin, candidates = training_twin(self.tokenizer.chat_template), []
        if twin:
            candidates.append({"model.chat_template": twin})
        if end := self._end_of(plan, ask):
            candidates.append({"model.end_token": end})
        for values in [*candidates, *({"model.chat_template": name} for name in KNOWN_TEMPLATES)]:
            try:
                row = self.tried(with_values(plan, values)).one(ask)
            except LoratuiError:
                continue
            if row.answers_ended == row.answers and all(plan.get(key) != value for key, value in values.items()):
                return values
        return {}

    def _end_of(self, plan: Plan, row: Conversation) -> str:
        """The control token that the template closes an answer with; empty where it does not close with one."""
        try:
            tokeniser = self.tokeniser(plan, 0)
            last = tokeniser.one(row).spans[-1][1] - 1
            number = tokeniser.one(row).input_ids[last]
        except (LoratuiError, IndexError):
            return ""
        return str(self.tokenizer.convert_ids_to_tokens(number)) if number in tokeniser.special_ids else ""

    def _all_stops(self) -> set[int]:
        eos = self.tokenizer.eos_token_id
        return {*self.stop_ids, *([eos] if eos is not None else [])}


def load_text_model(plan: Plan) -> TextModel:
    """The plan's tokenizer; ModelError in one sentence where there is none or the hub refuses it."""
    found = find_model(plan.model.id, revision=plan.model.revision)
    if found.path is None:
        found = fetch_model(found.id, plan.model.revision)
    from transformers.utils import logging

    logging.set_verbosity_error()
    tokenizer = load_tokenizer(plan, weights=False)
    if plan.model.chat_template:
        template, why = "plan", f"the plan sets it: {plan.model.chat_template}"
    elif getattr(tokenizer, "chat_template", None):
        template, why = "model", "the model brings it"
    else:
        template = "none"
        why = (
            "the model has no chat template (it is a base model): prompt and answer follow each other, closed by its "
            "end token; conversations need one, e.g. plain"
        )
    return TextModel(found, tokenizer, frozenset(_stop_ids(found, plan)), template, why)


def _stop_ids(found: FoundModel, plan: Plan) -> set[int]:
    """What the model's generation settings stop at; as transformers, its config's end token where it has no
    settings.
    """
    path = found.path / "generation_config.json" if found.path is not None else _fetched(found.id, plan)
    values: Any = found.config
    if path is not None and path.is_file():
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(
                f"this is no valid JSON: {error}.", where=str(path), hint="Fetch the file again."
            ) from error
    ids = values.get("eos_token_id")
    return set() if ids is None else {ids} if isinstance(ids, int) else {int(number) for number in ids}


def _fetched(id: str, plan: Plan) -> Path | None:
    try:
        return download(id, "generation_config.json", revision=plan.model.revision)
    except HubUnreached:
        return None
    except HubRefused as error:
        if error.reason == "file":
            return None
        raise ModelError(
            "generation_config.json cannot be fetched: " + error.message, where=id, hint=error.hint
        ) from error


def special_texts(tokenizer: Any) -> tuple[str, ...]:
    """Texts that the tokenizer turns into control tokens wherever they stand; tags of thinking have their ledger."""
    return tuple(
        sorted(
            {
                str(token.content)
                for token in tokenizer.added_tokens_decoder.values()
                if token.special and len(token.content) > 2 and token.content not in TAGS
            }
        )
    )
