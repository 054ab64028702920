"""One pass over a dataset for one model: what is trained, what is cut, what is wrong."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loratui.core.errors import ModelError
from loratui.core.plan import Plan
from loratui.data.check import check
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.facts import count_rows
from loratui.data.find import find_evaluation, find_planned
from loratui.data.found import FoundDataset
from loratui.data.lengths import Lengths
from loratui.data.near_duplicates import LEAST_SHARE
from loratui.data.preferences import recognise_for
from loratui.data.read import read_rows, require_rows, sample_rows
from loratui.data.recognise import SAMPLE_ROWS, Recognition
from loratui.data.row import Row, RowError, place_of
from loratui.data.row_filter import RowFilter, left_out
from loratui.data.split import RowKeys, split_rows
from loratui.worker.inspecting.differences import trl_differences
from loratui.worker.inspecting.early import files_document, reading_document, recognised_message
from loratui.worker.inspecting.findings import SIDES_END_UNLIKE, UNENDED, Findings
from loratui.worker.inspecting.ledger import CharacterLedger
from loratui.worker.inspecting.model import TextModel, special_texts
from loratui.worker.inspecting.pairs import PairLedger, pair_tokens
from loratui.worker.inspecting.reasoning import ReasoningLedger
from loratui.worker.inspecting.storing import Storing
from loratui.worker.inspecting.tools import ToolLedger
from loratui.worker.template_time import TemplateTimeError
from loratui.worker.tokenised import BeyondVocabulary, Tokenised, label_spans
from loratui.workers.inspect_messages import InspectMessage, Recognised

Emit = Callable[[InspectMessage], None]
PROGRESS_SECONDS = 0.25
PARTIAL_SECONDS = 2.0
FIRST_ROWS = 200
MISSING_LISTED = 1000
FAR_LONGER = 10
"""A row of more than ten times the median is far longer than the rest."""


@dataclass
class Inspection:
    """The state of a pass; `result()` at any time is what is known so far."""

    plan: Plan
    emit: Emit
    mix: Plan | None = None
    """The plan of which this one is a part; it says how an evaluation file is read."""
    findings: Findings = field(default_factory=Findings)
    lengths: Lengths = field(default_factory=Lengths)
    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows that the plan leaves out, by kind."""
    ended: list[bool] = field(default_factory=list)
    """For each tokenised row: whether every answer ends in a token that generation stops at."""
    last_label: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    lines: list[int | None] = field(default_factory=list)
    keys: RowKeys = field(default_factory=RowKeys)
    """Of every row that could be understood, whether or not the template refuses it."""
    positions: list[int] = field(default_factory=list)
    """For each tokenised row its place among the keys."""
    copies: int = 0
    near_copies: int = 0
    overlap: int = 0
    near_overlap: int = 0
    evaluation_rows: int = 0
    """Rows of an evaluation file or part."""
    held_identities: set[bytes] = field(default_factory=set)
    """What those rows say."""
    held_out: frozenset[int] = frozenset()
    """Places among the keys of the rows that are held out of the training rows."""

    def __post_init__(self) -> None:
        section = self.plan.dataset
        self.started = time.monotonic()
        self._told, self._taken = 0.0, 0
        self.pairs = PairLedger.of(self.plan)
        self._partial = 0.0
        """When the next partial result is due; 0 before the first."""
        self.found: FoundDataset = find_planned(section)
        head = sample_rows(self.found, SAMPLE_ROWS)
        require_rows(self.found, head)
        self.recognition: Recognition = recognise_for(self.plan, head, where=self.found.path)
        self.total = count_rows(self.found, head, self.recognition.unfold)
        self.head = sample_rows(self.found, SAMPLE_ROWS, unfold) if (unfold := self.recognition.unfold) else head
        self.model: TextModel | None = None
        self.reasoning: ReasoningLedger
        self.storing: Storing
        self.tools: ToolLedger
        self.lengths.divided = section.divides(self.recognition.format)
        self.characters = CharacterLedger(self.recognition, mapped_by_hand=bool(section.columns))
        self._fix: dict[str, str] | None = None
        self._places: list[tuple[int, int | None]] = []
        """Index and line of each row with a key."""

    def run(self, model: TextModel) -> dict[str, Any]:
        """Tokenise and check every row; the result. DatasetError where a file breaks off, ModelError without a usable
        tokenizer.
        """
        self.model = model
        tokeniser = model.tokeniser(self.plan, 0, texts=True)
        self.reasoning = ReasoningLedger(self.plan, model)
        self.tools = ToolLedger(self.reasoning.tokeniser)
        self.storing = Storing(self.plan, self.found, self.recognition, tokeniser)
        pending: deque[tuple[Row, Conversation, Conversation]] = deque()
        specials = special_texts(model.tokenizer)
        sides: list[tuple[Conversation, Tokenised | ModelError]] = []
        try:
            with self.storing:
                for tokenised in tokeniser.many(self._conversations(pending, specials), whole=True):
                    row, conversation, side = pending.popleft()
                    self.storing.take(row, side, tokenised, self.keys, self._taken)
                    self.reasoning.take(row, side, tokenised, again=bool(sides))
                    self.tools.take(side, tokenised, again=bool(sides))
                    sides.append((side, tokenised))
                    if len(sides) == len(conversation.sides):
                        self._take(row, conversation, sides)
                        sides = []
                        self._report()
        except TemplateTimeError:
            last = [pending[-1][0]] if pending else []
            raise TemplateTimeError(*[place_of(row.index, row.line) for row in last]) from None
        self._evaluation()
        self._long_rows()
        for problem in (*self.reasoning.problems(), *self.tools.problems()):
            self.findings.add(problem)
        return self.result()

    def _conversations(
        self, pending: deque[tuple[Row, Conversation, Conversation]], specials: tuple[str, ...]
    ) -> Iterator[Conversation]:
        row_filter = RowFilter(self.plan.dataset, self.found)
        for row in read_rows(self.found, unfold=self.recognition.unfold):
            self.read += 1
            if fault := row_filter.by_hand(row):
                self.left_out["by-hand"] += 1
                self.storing.left_out.append(fault)
                self.characters.not_used(row)
                continue
            if row.problem is not None:
                self.findings.add(row.problem)
                self.storing.left_out.append(left_out(row, row.problem.kind, row.problem.message))
                continue
            try:
                conversation = to_conversation(row, self.recognition)
            except RowError as error:
                self.findings.of_row(row, error.kind, error.message, blocking=True)
                self.storing.left_out.append(left_out(row, error.kind, error.message))
                self.characters.not_used(row)
                continue
            if fault := row_filter.fault(row, conversation):
                self.left_out[fault.kind] += 1
                self.storing.left_out.append(fault)
                self.characters.not_used(row)
                continue
            for kind, message in check(conversation):
                self.findings.of_row(row, kind, message)
            self._check_specials(row, conversation, specials)
            self._check_copy(row, conversation)
            self.tell_progress()
            for side in conversation.sides:
                pending.append((row, conversation, side))
                yield side

    def _check_specials(self, row: Row, conversation: Conversation, specials: tuple[str, ...]) -> None:
        messages = (*conversation.messages, *conversation.rejected)
        for text in (conversation.text, *(message.content for message in messages)):
            if "<" in text or "[" in text:
                found = next((special for special in specials if special in text), "")
                if found:
                    self.findings.of_row(
                        row,
                        "special-token",
                        f"the row holds the text {found!r}, which the model reads as a control token.",
                    )
                    return

    def _check_copy(self, row: Row, conversation: Conversation) -> None:
        alike = self.keys.add(conversation)
        self._places.append((row.index, row.line))
        if alike is None:
            return
        other = place_of(*self._places[alike.position])
        if alike.exact:
            self.copies += 1
            self.findings.of_row(row, "duplicate", f"the row says the same as {other}.")
        elif alike.share >= LEAST_SHARE:
            self.near_copies += 1
            message = f"the row says almost the same as {other} ({alike.share:.0%} alike)."
            self.findings.of_row(row, "near-duplicate", message)

    def _take(
        self, row: Row, conversation: Conversation, sides: Sequence[tuple[Conversation, Tokenised | ModelError]]
    ) -> None:
        """A row with each of its sides as tokens: a pair's two, or the one."""
        position, self._taken = self._taken, self._taken + 1
        done: list[Tokenised] = []
        for number, (_, tokenised) in enumerate(sides):
            if isinstance(tokenised, ModelError):
                kind = "vocabulary" if isinstance(tokenised, BeyondVocabulary) else "template"
                which = "the rejected side: " if number else ""
                self.findings.of_row(row, kind, f"{which}{tokenised.sentence}", blocking=True)
                self.characters.not_used(row)
                return
            done.append(tokenised)
        if len(done) > 1 and (fault := self.pairs.take(conversation, done)):
            self.findings.of_row(row, "pair-prompt", fault, blocking=True)
            self.characters.not_used(row)
            return
        every = [one.spans or label_spans(one.labels) for one in done]
        to_the_answers_end = len(done) > 1 or self.pairs.weights
        sizes = sorted([*map(pair_tokens, done), 0][:2]) if to_the_answers_end else [0, done[0].full_tokens]
        self.lengths.add(sizes[1], [span for spans in every for span in spans], sizes[0])
        self.rows.append(row.index)
        self.positions.append(position)
        self.lines.append(row.line)
        ended = [one.answers_ended == one.answers > 0 for one in done]
        self.ended.append(all(ended))
        self.last_label.append(max(spans[-1][1] if spans else 0 for spans in every))
        if all(one.answer_tokens for one in done):
            self.characters.take(
                row,
                conversation,
                [(one, self.reasoning.tokeniser.arranged(side)) for one, (side, _) in zip(done, sides, strict=True)],
            )
        else:
            self.characters.not_used(row)
            self.findings.of_row(row, "no-answer", "no token of the row bears loss.", blocking=True)
            return
        self.pairs.label(conversation)
        if not all(ended):
            self.findings.of_row(row, *(UNENDED if not any(ended) else SIDES_END_UNLIKE))

    def tell_progress(self) -> float:
        """Say how far it is, now and then; the time of it."""
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self.emit(
                {
                    "type": "progress",
                    "phase": "tokenising",
                    "done": self.read,
                    "total": max(self.total, self.read),
                    "seconds": round(now - self.started, 2),
                }
            )
        return now

    def _report(self) -> None:
        now = self.tell_progress()
        if (self._partial == 0.0 and len(self.rows) >= FIRST_ROWS) or (self._partial and now >= self._partial):
            self.emit({"type": "partial", "result": self.result()})
            ended = time.monotonic()
            self._partial = ended + max(PARTIAL_SECONDS, 20 * (ended - now))

    def _evaluation(self) -> None:
        """Rows held out, and those of them that are also trained on."""
        section = self.plan.dataset
        if not (section.eval_path or self.found.eval_files):
            self.held_out = frozenset(split_rows(section, self.keys, self.plan.split_seed).evaluation)
            return
        other = find_evaluation(section) if section.eval_path else self.found
        own = not section.eval_path
        head = sample_rows(other, SAMPLE_ROWS, evaluation=own)
        require_rows(other, head)
        recognition = recognise_for((own and self.plan) or self.mix or self.plan, head, where=other.path)
        for row in read_rows(other, evaluation=own, unfold=recognition.unfold):
            self.tell_progress()
            try:
                alike = self.keys.like(conversation := to_conversation(row, recognition))
            except RowError as error:
                self.findings.of_row(row, f"evaluation-{error.kind}", f"evaluation row: {error.message}")
                continue
            self.evaluation_rows += 1
            self.held_identities.add(conversation.identity)
            if alike is None:
                continue
            other_row = f"{place_of(*self._places[alike.position])} of the training rows"
            if alike.exact:
                self.overlap += 1
                self.findings.of_row(row, "overlap", f"the evaluation row is also trained on ({other_row}).")
            else:
                self.near_overlap += 1
                message = (
                    f"the evaluation row says almost the same as {other_row}, which is trained on "
                    f"({alike.share:.0%} alike)."
                )
                self.findings.of_row(row, "near-overlap", message)

    def _long_rows(self) -> None:
        tokens = self.lengths.tokens
        if len(tokens) < 20:
            return
        limit = FAR_LONGER * float(np.median(tokens))
        for number in np.flatnonzero(tokens > limit):
            row = Row(self.rows[number], self.lines[number], None)
            self.findings.of_row(
                row, "long", f"the row has {int(tokens[number]):,} tokens, more than {FAR_LONGER} times the median."
            )

    def result(self) -> dict[str, Any]:
        """What is known so far, in the shape of `inspect --json` and with more keys."""
        assert self.model is not None
        training, section = self.plan.training, self.plan.dataset
        max_length = training.max_length
        context = self.model.found.spec.max_positions
        ledger = self.lengths.ledger(max_length)
        kept = self.lengths.trained(max_length)
        whole = int(self.lengths.trained().sum())
        trained = int(kept.sum())
        ended = np.asarray(self.ended, dtype=bool)
        reached = ended & (self.lengths.divided | (np.asarray(self.last_label, dtype=np.int64) <= max_length))
        alive = kept > 0
        missing = alive & ~reached
        summary = self.lengths.summary()
        proposal = self.lengths.proposal(context)
        usable = int(alive.sum())
        counts, unexplained = self.findings.counts.copy(), self.characters.problems()
        for problem, rows in unexplained:
            counts[problem.kind] += rows
        held = np.fromiter((at in self.held_out for at in self.positions), dtype=bool, count=len(self.positions))
        inside = int((alive & held).sum())
        return {
            **reading_document(self.recognition),
            "dataset": {"path": section.path, **files_document(self.found)},
            "model": self.plan.model.id,
            "template": {
                "from": self.model.template,
                "why": self.model.why,
                "differences": trl_differences(self.reasoning.tokeniser),
            },
            "objective": training.objective,
            "loss_on": training.loss_on,
            "divided": self.lengths.divided,
            "sequences": ledger["sequences"],
            "examples": self.read,
            "usable": usable,
            "left_out": self.left_out.total(),
            "left_out_by": dict(self.left_out),
            "unusable": sorted(self.findings.rows)[:MISSING_LISTED],
            "problems": self.findings.as_list([problem for problem, _ in unexplained]),
            "problem_counts": dict(counts.most_common()),
            "characters": self.characters.summary(),
            "tokens": summary,
            "trained_tokens": trained,
            "trained_tokens_uncut": whole,
            "truncation": {
                **{key: ledger[key] for key in ("max_length", "cut", "without_answer", "answer_tokens_lost")},
                "longer": int((self.lengths.tokens > max_length).sum()),
                "context": context,
            },
            "stop_token": {
                "trained": int((alive & reached).sum()),
                "missing": int(missing.sum()),
                "token": " ".join(self.model.stop_tokens),
                "missing_cut": int((missing & ended).sum()),
                "missing_uncut": int((alive & ~ended).sum()),
                "rows": [self.rows[number] for number in np.flatnonzero(missing)[:MISSING_LISTED]],
                "fix": self._stop_fix() if (alive & ~ended).any() else {},
            },
            "preferences": self.pairs.result(max_length),
            "reasoning": self.reasoning.result(),
            "tools": self.tools.result(),
            "ledger": self.lengths.ledgers(max_length, proposal["value"]),
            "proposed_max_length": proposal,
            "histogram": self.lengths.histogram(),
            "packing": self.lengths.packing(max_length, training.batch_size, training.seed),
            "duplicates": {"exact": self.copies, "near": self.near_copies},
            "overlap": {"exact": self.overlap, "near": self.near_overlap},
            "split": {
                "train": usable - inside,
                "evaluation": self.evaluation_rows + inside,
                "seed": self.plan.split_seed,
                **section.model_dump(include={"eval_fraction", "eval_count"}),
            },
            "lengths": self.lengths.sample(5000, training.seed),
            "seconds": round(time.monotonic() - self.started, 2),
        }

    def _stop_fix(self) -> dict[str, str]:
        if self._fix is None:
            assert self.model is not None
            self._fix = self.model.stop_fix(self.plan) if self.recognition.format not in ("text", "tokens") else {}
        return self._fix

    def early(self) -> Recognised:
        """What is known before the tokenizer is."""
        return recognised_message(self.recognition, self.head, self.found, self.total)
