"""How far the check of the dataset is, what it rests on, and whether its counts stand behind the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loratui.format import one_line
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.dataset import ChosenDataset
from loratui.tui.wizard.model import ChosenModel
from loratui.tui.wizard.plan import ProposedPlan
from loratui.tui.wizard.signal import Signal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loratui.workers.inspect_messages import InspectMessage


AGAIN = "Step 3, then r, checks again."
"""How the check is begun anew from another step."""


class DatasetCheck:
    """Owner of the check with the model's own tokenizer. `changed` is published at each step of it."""

    def __init__(self, choices: Choices, model: ChosenModel, dataset: ChosenDataset, plan: ProposedPlan) -> None:
        self._choices, self._model, self._dataset, self._plan = choices, model, dataset, plan
        self._now = Check()
        self.changed = Signal()

    @property
    def now(self) -> Check:
        """The check as it stands; none where the model is not on this machine: what another model's tokenizer found is
        not said of it.
        """
        model = self._model.found
        return Check() if model is not None and model.path is None else self._now

    def key(self) -> str:
        """What a check would rest on; empty where it cannot be done yet."""
        view, model = self._dataset.view, self._model.found
        if view is None or model is None or model.path is None or self._plan.proposal is None:
            return ""
        given = sorted((key, repr(value)) for key, value in self._choices.reading().items())
        given += [("training.objective", self._dataset.objective)] if self._dataset.learns_preferences else []
        return repr((model.id, view.fingerprint, given))

    @property
    def found(self) -> dict[str, Any] | None:
        """What the check of this very choice found; None while it has not ended, or where another was chosen since."""
        return self._now.result if self._now.key == self.key() else None

    @property
    def finds_nothing(self) -> bool:
        """Whether it ended without a row that can be trained on."""
        return self.found is not None and not self.found["usable"]

    @property
    def at_another_length(self) -> bool:
        """Whether it counted what is lost at another maximum length than the plan's, and some row is cut there."""
        result, proposal = self.found, self._plan.proposal
        if result is None or proposal is None:
            return False
        now = proposal.plan.training.max_length
        return counted_at(result, now) != now and rows_cut(result, now) > 0

    @property
    def faulty(self) -> bool:
        """Whether rows are at fault, or left out for it: as the check found, before it in the first rows."""
        view, result = self._dataset.view, self.now.result
        if result is None or view is None:
            return view is not None and any(row.problem is not None for row in view.preview.rows)
        return bool(problems_found(result) or result.get("left_out_by"))

    @property
    def doubt(self) -> str:
        """One sentence where a check that was stopped or failed leaves the plan on guesses; else an empty text."""
        ended = self._now.stopped or bool(self._now.problem)
        view = self._dataset.view
        if not ended or view is None or view.counted(self._dataset.objective).exact or self._now.key != self.key():
            return ""
        what = "was stopped" if self._now.stopped else "failed"
        return f"The check of the dataset {what}: this rests on lengths guessed from characters. {AGAIN}"

    def take(self, check: Check) -> None:
        """Take up how far the check is; its exact lengths replace the guessed ones."""
        self._now = check
        if check.result is not None and self._dataset.view is not None:
            from loratui.tui.wizard.loading import exact_facts

            facts = exact_facts(check.result, taken=self._dataset.view.facts.eval_taken)
            if facts is not None:
                self._dataset.take_exact(facts, check.result.get("objective", "sft"))
        self.changed.publish()


PREVIEW_ROWS = 20
"""Rows that are asked for as tokens."""


@dataclass
class Check:
    """One check: what it was started for, how far it is, and what it found."""

    key: str = ""
    """What it checks: it is done again where this changes."""
    progress: str = ""
    """What it does now; empty once it has ended."""
    result: dict[str, Any] | None = None
    partial: dict[str, Any] | None = None
    """What it found of the rows that it has read so far."""
    problem: str = ""
    """Why there is no result."""
    stopped: bool = False
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Rows as the trainer receives them, by number."""

    def words(self, max_length: int, *, exact: bool = False) -> tuple[str, str]:
        """Where it stands, in words, and the theme colour for them.

        max_length: of the plan now, in tokens. exact: the lengths were counted by an earlier check.
        """
        if self.progress:
            return f"{self.progress} (esc stops it)", "$text-muted"
        if self.problem:
            return f"▲ {self.problem} r checks again", "$warning"
        if self.stopped:
            counts = "lengths are those of the last check" if exact else "counts and lengths are guesses"
            return f"▲ stopped: {counts} · r checks again", "$warning"
        if self.result is None:
            return "begins once the model is on this machine; until then lengths are guesses", "$text-muted"
        return found_words(self.result, max_length)


def counted_at(result: dict[str, Any], max_length: int) -> int:
    """The maximum length in tokens at which a check counted what is lost; where it does not say, `max_length`."""
    return int(result.get("truncation", {}).get("max_length", max_length))


def rows_cut(result: dict[str, Any], max_length: int) -> int:
    """Rows that a maximum length in tokens cuts: from the ledger, else from the sample of lengths."""
    if result["divided"]:
        return 0
    for row in result["ledger"]:
        if row["max_length"] == max_length:
            return int(row["cut"])
    return rows_longer(result, max_length)


def rows_longer(result: dict[str, Any], max_length: int) -> int:
    """Rows longer than a maximum length in tokens, by the sample of lengths."""
    lengths: list[int] = result["lengths"]
    share: float = sum(length > max_length for length in lengths) / max(1, len(lengths))
    return round(share * int(result["usable"]))


def found_words(result: dict[str, Any], max_length: int) -> tuple[str, str]:
    """The findings in one line, the worst first, and the theme colour for them."""
    stop, cut, problems = result["stop_token"], rows_cut(result, max_length), problems_found(result)
    words, color = [], "$success"
    if not result["usable"]:
        return "✗ no row can be trained on: e lists why", "$error"
    if stop["missing_uncut"]:
        mend = ": f mends it" if stop["fix"] else ""
        words.append(f"▲ {stop['missing_uncut']:,} rows never teach it to stop ({stop['token']}){mend}")
        color = "$warning"
    else:
        words.append(f"✓ every answer{' that is not cut' if cut else ''} ends in the stop token {stop['token']}")
    if refused := result["problem_counts"].get("template", 0):
        words.insert(0, f"▲ the chat template refuses {refused:,} row{'s' if refused != 1 else ''}")
        color = "$warning"
    thinking = result["reasoning"]
    if thinking["sentences"]:
        mend = ": T mends it" if thinking["fixes"] else ""
        words.append(f"▲ {one_line(thinking['sentences'][0], 160)}{mend}")
        color = "$warning"
    if lost := lost_words(result.get("characters", {})):
        words.insert(0, f"▲ {lost}: e lists them")
        color = "$warning"
    if cut:
        words.append(f"{cut:,} rows longer than {max_length:,} tokens are cut: l shows what is lost")
    if result["divided"] and (longer := rows_longer(result, max_length)):
        words.append(f"{longer:,} texts longer than {max_length:,} tokens are divided into pieces, none is cut")
    if problems:
        ticks = (place for place, said in enumerate(words) if said.startswith("✓"))
        words.insert(next(ticks, len(words)), f"▲ {problems:,} problem{'s' if problems != 1 else ''}: e lists them")
        color = "$warning"
    elif not stop["missing_uncut"] and not thinking["sentences"] and not lost:
        words.append("no problem found")
    return " · ".join(words), color


def problems_found(result: Mapping[str, Any]) -> int:
    """All problems that a check found, those too that are not listed one by one."""
    return sum(result["problem_counts"].values())


def lost_words(characters: Mapping[str, Any]) -> str:
    """What of the rows' text is dropped without anyone having said so; empty where all of it is accounted for."""
    if not characters.get("unexplained"):
        return ""
    from loratui.data.characters import ANSWERED

    answers = [one for one in characters["template_parts"] if one["part"] in ANSWERED]
    dropped = sum(one["dropped"] for one in answers)
    unread = [one["column"] for one in characters["columns"] if not one["explained"]]
    if dropped:
        share = dropped / max(1, sum(one["characters"] for one in answers))
        rows = characters["rows_losing"]
        return f"the chat template drops {share:.0%} of the answers' text ({rows:,} row{'s' if rows != 1 else ''})"
    if unread:
        shown = ", ".join(one_line(name, 24) for name in unread[:3]) + (" …" if len(unread) > 3 else "")
        return f"{characters['unexplained'] / max(1, characters['source']):.0%} of the text is not read ({shown})"
    parts = sorted(one["part"] for one in characters["template_parts"] if one["dropped"])
    return f"the chat template drops {', '.join(parts)} text"


def progress_words(message: InspectMessage) -> str:
    """What a worker's message says of its progress; empty where it says nothing."""
    if message["type"] == "recognised":
        return "loading the tokenizer …"
    if message["type"] == "progress":
        return f"{message['phase']}: row {message['done']:,} of {message['total']:,}"
    return ""
