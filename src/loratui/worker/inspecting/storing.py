"""Rows that are inspected go into the store of tokens, so that a training need not tokenise them again."""

from __future__ import annotations

import logging

from loratui.core.errors import DatasetError, ModelError
from loratui.core.plan import Plan
from loratui.data.conversation import Conversation
from loratui.data.found import FoundDataset
from loratui.data.preferences import require_answer
from loratui.data.recognise import Recognition
from loratui.data.row import Row
from loratui.data.row_filter import LeftOut
from loratui.data.split import RowKeys
from loratui.worker.token_key import token_key
from loratui.worker.token_store import Claim, find, make_room
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import BeyondVocabulary, Tokenised

log = logging.getLogger("loratui")


class Storing:
    """Takes every row of an inspection once, in order, within a `with`, whose end gives them their place.

    Nothing is stored where it is there already, where the store cannot be written, and where a training would refuse
    the rows.
    """

    def __init__(self, plan: Plan, found: FoundDataset, recognition: Recognition, tokeniser: Tokeniser) -> None:
        self.left_out: list[LeftOut] = []
        self._form = recognition.format
        self._claim: Claim | None = None
        try:
            objective = plan.training.objective
            require_answer(recognition, plan.dataset, where=found.path, objective=objective)
            key = token_key(plan.dataset, found, tokeniser, evaluation=False, objective=objective)
        except (DatasetError, OSError):
            return
        if find(key, log.warning, near=True) is None:
            claim = Claim(key, found.size_bytes)
            self._claim = None if claim.why else claim

    def take(
        self, row: Row, conversation: Conversation, tokenised: Tokenised | ModelError, keys: RowKeys, position: int
    ) -> None:
        """Write one row. position: its place among the keys."""
        if self._claim is None:
            return
        if isinstance(tokenised, BeyondVocabulary):
            self._abandon()
            return
        try:
            self._claim.writer.add(row, conversation, tokenised, keys.identities[position], keys.leaders[position])
        except OSError as error:
            log.warning("the tokens are not stored: %s", error)
            self._abandon()

    def __enter__(self) -> Storing:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._publish()
        self._abandon()

    def _publish(self) -> None:
        claim, form = self._claim, self._form
        if claim is None:
            return
        try:
            claim.publish(near=True, form=form, left_out=self.left_out)
            make_room(log.info)
        except OSError as error:
            log.warning("the tokens are not stored: %s", error)

    def _abandon(self) -> None:
        if self._claim is not None:
            self._claim.abandon()
            self._claim = None
