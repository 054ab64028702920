"""The verdict of `loratui plan`: where lengths are only guessed, it speaks for rows as long as they may be, too."""

from __future__ import annotations

from typing import Any

from loratui.commands.plan import describe
from loratui.core.compare_methods import compare_methods, methods_json
from loratui.core.dataset import DataFacts
from loratui.core.memory import estimate, verdict
from loratui.core.proposal import propose
from loratui.core.proposal_json import proposal_json
from loratui.core.situation import Situation
from loratui.format import size
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model


def told(length: int, *, exact: bool) -> tuple[str, dict[str, Any], Any]:
    data = DataFacts(5_000, tuple(range(60, 500, 10)), exact)
    here = Situation(find_model("Qwen/Qwen3-8B", online=False).spec, data, find_gpu("RTX 4090").device())
    by_hand = {"training.max_length": length}
    proposal = propose(here, by_hand=by_hand)
    facts = {
        **proposal_json(proposal),
        "methods": methods_json(compare_methods(here, by_hand=by_hand, beside=proposal)),
    }
    line = next(one for one in describe(proposal, facts).splitlines() if one.startswith("memory "))
    return line, facts["memory"], proposal


def test_guessed_lengths_that_fit_say_what_rows_of_max_length_would_need() -> None:
    line, memory, proposal = told(4096, exact=False)
    assert memory["verdict"] == "fits"
    full = estimate(proposal.spec, proposal.plan, proposal.data.filled(4096), proposal.device)
    assert verdict(full, proposal.budget) == "too big"
    assert f"lengths that are only guessed, {size(memory['headroom'])} left; with rows of 4,096 tokens: " in line
    assert line.endswith(f"{size(full.total_bytes)}, does not fit") and "at least" not in line
    assert memory["at_max_length"]["total"] == full.total_bytes


def test_known_lengths_and_such_as_fit_need_no_word() -> None:
    for length, exact in ((4096, True), (496, False)):
        line, memory, _ = told(length, exact=exact)
        assert memory["verdict"] == "fits" and "at least" in line and "guessed" not in line
        assert (memory["at_max_length"] is None) == exact
