"""What is remembered of the dataset between two sessions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wizard import dataset_file, machine, model_folder

from loratui.core.dataset import DataFacts
from loratui.tui.wizard import loading
from loratui.tui.wizard.check import Check
from loratui.tui.wizard.draft import KnownFacts, read_known_facts, write_known_facts
from loratui.tui.wizard.state import WizardState

RESULT = {
    "lengths": [30, 40, 50],
    "usable": 8,
    "split": {"train": 7, "evaluation": 1},
    "divided": False,
    "tokens": {"total": 320},
    "trained_tokens_uncut": 160,
}
"""What the state reads of a check."""


def begin(folder: Path) -> WizardState:
    state = WizardState(folder / "draft.json")
    state.restore()
    state.hardware.take(machine())
    if not state.draft.model:
        state.choices.choose_model(str(model_folder(folder / "llama-1b")))
        state.choices.choose_dataset(str(dataset_file(folder / "questions.jsonl")))
    state.model.take(loading.load_model(state.draft.model))
    return state


def read(state: WizardState) -> None:
    state.dataset.take(loading.load_dataset(state.draft.dataset, {}))


def test_the_next_session_plans_with_the_facts_of_the_last(tmp_path: Path) -> None:
    first = begin(tmp_path)
    read(first)
    assert first.file.save()
    second = begin(tmp_path)
    assert second.dataset.view is None and first.dataset.view is not None
    assert second.dataset.facts() == first.dataset.view.facts
    assert second.plan.proposal == first.plan.proposal


def test_exact_lengths_outlive_the_session_but_not_a_change_of_the_file(tmp_path: Path) -> None:
    first = begin(tmp_path)
    read(first)
    first.check.take(Check("key", result=RESULT))
    assert first.file.save()
    second = begin(tmp_path)
    read(second)
    assert second.dataset.facts().exact and second.dataset.facts().lengths == (30, 40, 50)
    with (tmp_path / "questions.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"question": "And now?", "answer": "More."}\n')
    third = begin(tmp_path)
    read(third)
    assert not third.dataset.facts().exact


@pytest.mark.parametrize("change", ["dataset", "columns", "model"])
def test_another_choice_does_not_take_them(tmp_path: Path, change: str) -> None:
    first = begin(tmp_path)
    read(first)
    first.check.take(Check("key", result=RESULT))
    assert first.file.save()
    second = begin(tmp_path)
    if change == "dataset":
        second.choices.choose_dataset(str(dataset_file(tmp_path / "other.jsonl")))
    elif change == "columns":
        second.choices.set_value("dataset.columns", {"prompt": "answer", "completion": "question"})
    else:
        second.choices.choose_model("demo")
    assert second.dataset.known_facts is None


def test_a_second_wizard_finds_the_check_that_the_first_one_finished(tmp_path: Path) -> None:
    """It was opened before that, and guessed lengths beside a finished check of the same rows."""
    first, second = begin(tmp_path), begin(tmp_path)
    read(first)
    first.check.take(Check("key", result=RESULT))
    assert first.file.save()
    read(second)
    assert second.dataset.facts().exact and second.dataset.facts().lengths == (30, 40, 50)


def test_a_check_is_found_however_the_model_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed as `llama-1b` first, and chosen by its whole path from the list after a run."""
    first = begin(tmp_path)
    read(first)
    first.check.take(Check("key", result=RESULT))
    assert first.file.save()
    monkeypatch.chdir(tmp_path)
    second = begin(tmp_path)
    second.choices.choose_model("./llama-1b")
    second.model.take(loading.load_model("./llama-1b"))
    read(second)
    assert second.dataset.facts().exact and second.dataset.facts().lengths == (30, 40, 50)


def test_the_check_of_one_dataset_is_not_forgotten_over_another(tmp_path: Path) -> None:
    first = begin(tmp_path)
    own = first.draft.dataset
    read(first)
    first.check.take(Check("key", result=RESULT))
    assert first.file.save()
    first.choices.choose_dataset(str(dataset_file(tmp_path / "other.jsonl", rows=12)))
    read(first)
    assert not first.dataset.facts().exact and first.file.save()
    first.choices.choose_dataset(own)
    read(first)
    assert first.dataset.facts().exact and first.dataset.facts().lengths == (30, 40, 50)
    assert first.file.save()
    later = begin(tmp_path)
    read(later)
    assert later.dataset.facts().lengths == (30, 40, 50)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"choice": "a", "fingerprint": "b", "facts": {"lengths": []}}', '{"facts": 3}', "\ud800"]
)
def test_a_broken_memory_is_no_memory(tmp_path: Path, text: str) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert read_known_facts(path) is None
    known = KnownFacts("choice", "print", replace(DataFacts(3, (1, 2)), exact=False))
    write_known_facts(path, known)
    assert read_known_facts(path) == known
