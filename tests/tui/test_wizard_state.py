"""The draft and the proposal, without a screen."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from wizard import dataset_file, machine, model_folder

from loratui.core.errors import PlanError
from loratui.tui.wizard import loading
from loratui.tui.wizard.check import Check
from loratui.tui.wizard.command import command_text
from loratui.tui.wizard.draft import Draft, draft_from_json, draft_to_json
from loratui.tui.wizard.fields import nudged
from loratui.tui.wizard.state import WizardState


@pytest.fixture
def state(tmp_path: Path) -> WizardState:
    """A state with everything found."""
    state = WizardState(tmp_path / "draft.json")
    state.hardware.take(machine())
    state.choices.choose_model(str(model_folder(tmp_path / "llama-1b")))
    state.model.take(loading.load_model(state.draft.model))
    state.choices.choose_dataset(str(dataset_file(tmp_path / "questions.jsonl")))
    state.dataset.take(loading.load_dataset(state.draft.dataset, {}))
    return state


def test_everything_found_makes_a_proposal(state: WizardState) -> None:
    assert state.plan.proposal is not None
    assert state.plan.proposal.plan.model.id == state.draft.model
    assert not [
        problem
        for step in ("machine", "model", "dataset", "recipe", "review")
        for problem in state.problems(step)
        if problem.blocking
    ]
    assert state.ready() == []


def change_bytes(state: WizardState) -> int:
    """What the last change did to the memory."""
    return state.plan.change.moves.memory_bytes if state.plan.change is not None else 0


def test_a_value_of_mine_stays_and_its_price_is_told(state: WizardState) -> None:
    assert state.plan.proposal is not None
    before = state.plan.proposal.memory.total_bytes
    state.choices.set_value("lora.r", 256)
    assert state.plan.proposal.plan.lora.r == 256
    assert state.plan.proposal.origins["lora.r"] == "mine"
    assert change_bytes(state) == state.plan.proposal.memory.total_bytes - before > 0
    state.choices.choose_devices([1])
    assert state.plan.proposal.plan.lora.r == 256
    assert state.plan.proposal.device.name == "Tesla T4"
    assert state.choices.reset_value("lora.r")
    assert state.plan.proposal.origins["lora.r"] == "proposed"
    assert not state.choices.reset_value("lora.r")


def test_undo_takes_changes_back_one_by_one(state: WizardState) -> None:
    state.choices.set_value("lora.r", 64)
    state.choices.set_value("training.epochs", 5)
    assert state.choices.undo() and state.draft.by_hand == {"lora.r": 64}
    assert state.choices.undo() and state.draft.by_hand == {}
    assert not state.choices.undo()


def test_an_edit_is_one_change(state: WizardState) -> None:
    state.choices.begin_edit()
    for typed in (1, 12, 128):
        state.choices.set_value("lora.r", typed, remember=False)
    assert state.choices.undo()
    assert "lora.r" not in state.draft.by_hand


def test_a_wrong_value_changes_nothing(state: WizardState) -> None:
    before = state.plan.proposal
    with pytest.raises(PlanError):
        state.choices.set_value("lora.r", 0)
    assert state.plan.proposal is before
    assert not state.choices.undo()


def test_values_that_contradict_keep_the_last_plan_and_say_so(state: WizardState) -> None:
    before = state.plan.proposal
    state.choices.set_values({"method.kind": "qlora", "method.quantization": "none"})
    assert state.plan.proposal is before
    assert "quantization" in state.plan.problem
    assert state.problems("recipe")[0].blocking
    state.choices.undo()
    assert not state.plan.problem


def test_another_model_forgets_what_belonged_to_the_first(state: WizardState) -> None:
    state.choices.set_values({"lora.targets": ["q_proj"], "lora.r": 8})
    state.choices.choose_model("demo")
    assert state.draft.by_hand == {"lora.r": 8}


def test_a_new_look_tells_the_machine_and_computes_only_where_memory_moved(state: WizardState) -> None:
    told: list[str] = []
    state.hardware.looked.subscribe(lambda: told.append("machine"))
    state.plan.changed.subscribe(lambda: told.append("plan"))
    before = state.plan.proposal
    state.hardware.take(machine())
    assert told == ["machine"]
    assert state.plan.proposal is before
    fuller = replace(
        machine(), **{"gpus": (replace(machine().gpus[0], **{"memory_free_bytes": 5 * 2**30}), machine().gpus[1])}
    )
    state.choices.choose_devices([0])
    state.hardware.take(fuller)
    assert state.plan.proposal is not before
    assert state.plan.proposal is not None and state.plan.proposal.budget.bytes < 5 * 2**30


def test_a_listener_that_stopped_hears_nothing(state: WizardState) -> None:
    told: list[str] = []
    stop = state.plan.changed.subscribe(lambda: told.append("plan"))
    stop()
    stop()
    state.choices.set_value("lora.r", 8)
    assert told == []


def test_what_follows_has_followed_before_a_screen_hears_of_a_choice(state: WizardState) -> None:
    seen: list[object] = []
    state.choices.model_chosen.subscribe(lambda: seen.append((state.model.found, state.plan.proposal)))
    state.choices.choose_model("demo")
    assert seen == [(None, None)]
    state.choices.device_chosen.subscribe(lambda: seen.append(state.plan.proposal))
    state.model.take(loading.load_model("demo"))
    state.choices.choose_devices([1])
    assert seen[-1] is state.plan.proposal is not None and state.plan.proposal.device.name == "Tesla T4"


def test_a_defect_of_a_listener_is_not_swallowed(state: WizardState) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    state.choices.recipe_changed.subscribe(broken)
    with pytest.raises(ZeroDivisionError):
        state.choices.set_value("lora.r", 8)


def test_only_the_owner_writes(state: WizardState) -> None:
    """Whoever else tries to is told, by the interpreter too."""
    parts = (state.choices, state.hardware, state.model, state.dataset, state.plan, state.check, state.run, state.file)
    for part in parts:
        fields = [name for name in dir(type(part)) if isinstance(getattr(type(part), name), property)]
        for name in fields:
            with pytest.raises(AttributeError):
                setattr(part, name, None)
    with pytest.raises(AttributeError):
        state.draft.model = "other"  # type: ignore[misc]


def test_the_draft_is_written_and_taken_up(state: WizardState) -> None:
    state.choices.set_value("training.learning_rate", 1e-4)
    state.choices.set_step("recipe")
    assert state.file._unsaved
    assert state.file.save()
    assert not state.file._unsaved
    other = WizardState(state.file.path)
    assert other.restore() == ""
    assert other.draft == state.draft
    assert other.draft.by_hand == {"training.learning_rate": 1e-4}


def test_a_torn_draft_is_named_and_kept_beside_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "draft.json"
    for number, torn in enumerate((b'{"model": "de', b"\xff\xfe"), start=1):
        path.write_bytes(torn)
        state = WizardState(path)
        said = state.restore()
        assert str(path) in said and f"draft.torn-{number}.json" in said
        assert state.draft == Draft()
        assert state.file.save() and json.loads(path.read_text())["model"] == ""
        assert (tmp_path / f"draft.torn-{number}.json").read_bytes() == torn
    assert (tmp_path / "draft.torn-1.json").read_bytes() == b'{"model": "de'


def test_a_torn_draft_that_cannot_be_kept_aside_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "draft.json"
    path.write_text('{"model": "de')

    def full(path: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loratui.tui.wizard.draft_file.set_aside", full)
    state = WizardState(path)
    assert "stays as it is" in state.restore()
    assert state.file.save() and path.read_text() == '{"model": "de'


def test_a_draft_of_another_version_gives_what_it_can() -> None:
    draft = draft_from_json(
        json.dumps(
            {
                "model": "demo",
                "mine": ["x"],
                "devices": [0, "1"],
                "step": "nowhere",
                "visited": ["model", "?"],
                "future": 1,
            }
        )
    )
    assert (draft.model, draft.by_hand, draft.devices, draft.step, draft.visited) == (
        "demo",
        {},
        [0],
        "machine",
        ["model"],
    )
    assert draft_from_json(draft_to_json(draft)) == draft


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state = WizardState(tmp_path / "file" / "draft.json")
    state.choices.set_step("model")
    assert not state.file.save()
    assert "could not be saved" in state.file.problem


def test_the_demo_keeps_its_own_draft_only(tmp_path: Path) -> None:
    state = WizardState(tmp_path / "draft.json", draft=Draft(model="org/other", dataset="x.jsonl"))
    state.file.save()
    demo = WizardState(tmp_path / "draft.json", demo=True)
    demo.restore()
    assert (demo.draft.model, demo.draft.dataset, demo.draft.preset) == ("demo", "demo", "demo")


def test_steps_say_what_is_missing() -> None:
    state = WizardState()
    assert "model" in state.problems("model")[0].sentence
    assert "dataset" in state.problems("dataset")[0].sentence
    assert not state.problems("machine")
    assert not state.done("machine")
    state.choices.set_step("machine")
    assert state.done("machine")


def test_ticks_speak_of_the_run_that_is_shown() -> None:
    """That of the playground was the earlier run's while a new one began."""
    state = WizardState()
    state.run.start("/runs/first")
    state.choices.set_step("training")
    state.choices.set_step("playground")
    assert state.done("training") and state.done("playground")
    state.run.start("/runs/second")
    assert state.done("training") and not state.done("playground")
    state.choices.set_step("playground")
    assert state.done("playground")
    state.run.show("/runs/first")
    assert not state.done("training") and not state.done("playground")


def test_the_command_is_what_the_wizard_would_do() -> None:
    draft = Draft(
        model="org/m",
        dataset="my data.jsonl",
        preset="quality",
        gpu="RTX 3090",
        by_hand={"lora.targets": ["q_proj", "v_proj"], "training.packing": True},
    )
    assert command_text(draft) == (
        "loratui plan -m org/m -d 'my data.jsonl' --preset quality --gpu 'RTX 3090' --set lora.targets=q_proj,v_proj "
        "--set training.packing=true -o plan.toml && loratui train plan.toml"
    )


def test_the_command_makes_the_same_plan(state: WizardState, tmp_path: Path) -> None:
    import shlex

    from loratui.core.plan_text import parse_setting

    values = {
        "lora.targets": ["q_proj", "v_proj"],
        "dataset.columns": {"prompt": "question", "completion": "answer"},
        "training.packing": False,
        "training.learning_rate": 1.5e-4,
    }
    state.choices.set_values(values)
    words = shlex.split(command_text(state.draft))
    given = dict(parse_setting(word) for before, word in pairwise(words) if before == "--set")
    assert given == values


@pytest.mark.parametrize(
    ("key", "value", "up", "down"),
    [
        ("lora.r", 16, 32, 8),
        ("training.learning_rate", 2e-4, 3e-4, 1.5e-4),
        ("training.learning_rate", 2.9e-4, 3e-4, 2e-4),
        ("training.learning_rate", 1e-4, 1.5e-4, 7e-5),
        ("training.epochs", 1.0, 2.0, 0.5),
        ("lora.dropout", 0.0, 0.01, 0.0),
        ("training.warmup_steps", 0, 1, 0),
        ("training.batch_size", 1, 2, 1),
    ],
)
def test_a_step_is_what_a_person_would_take(key: str, value: float, up: float, down: float) -> None:
    assert nudged(key, value, 1) == pytest.approx(up)
    assert nudged(key, value, -1) == pytest.approx(down)


def test_keystrokes_of_one_edit_are_compared_with_the_plan_before_it(state: WizardState) -> None:
    assert state.plan.proposal is not None
    state.choices.set_value("training.batch_size", 4)
    before = state.plan.proposal.memory.total_bytes
    state.choices.begin_edit()
    state.plan.begin_edit()
    for typed in (1, 16):
        state.choices.set_value("training.batch_size", typed, remember=False)
        assert change_bytes(state) == state.plan.proposal.memory.total_bytes - before
    state.choices.cancel_edit()
    assert change_bytes(state) == 0 and state.plan.proposal.memory.total_bytes == before
    state.plan.end_edit()
    state.choices.set_value("training.batch_size", 8)
    after = state.plan.proposal.memory.total_bytes
    state.choices.set_value("training.batch_size", 2)
    assert change_bytes(state) == state.plan.proposal.memory.total_bytes - after < 0


def test_a_draft_of_the_first_version_keeps_its_values() -> None:
    assert draft_from_json('{"model": "demo", "mine": {"lora.r": 8}}').by_hand == {"lora.r": 8}


def test_what_one_models_tokenizer_found_is_not_said_of_a_model_that_is_not_here(state: WizardState) -> None:
    state.check.take(Check(key=state.check.key(), partial={"usable": 40}))
    assert state.check.now.partial is not None and state.model.found is not None
    here = state.model.found
    state.model.take(here._replace(id="Qwen/Qwen3-4B", path=None))
    assert state.check.now == Check() and "begins once the model is on this machine" in state.check.now.words(64)[0]
    state.model.take(here)
    assert state.check.now.partial is not None, "the choice is the old one again, and its check stands"


def test_guessed_lengths_of_pairs_follow_what_the_tokenizer_counted_of_their_chosen_side(
    state: WizardState, tmp_path: Path
) -> None:
    """The chosen side has half as many tokens again as was guessed: so is the longer side judged, a guess still."""
    rows = [{"prompt": f"q{n}", "chosen": "yes " * (n + 4), "rejected": "no " * (n + 9)} for n in range(20)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    state.choices.choose_dataset(str(tmp_path / "pairs.jsonl"))
    state.dataset.take(loading.load_dataset(state.draft.dataset, {}))
    state.choices.set_value("training.objective", "dpo")
    guessed, view = state.dataset.facts(), state.dataset.view
    assert guessed is not None and view is not None and view.facts != guessed
    state.dataset.take_exact(replace(view.facts, lengths=tuple(n * 3 // 2 for n in view.facts.lengths), exact=True))
    found = state.dataset.facts()
    assert found is not None and not found.exact and found.mean == pytest.approx(1.5 * guessed.mean, rel=0.05)
    state.dataset.take_exact(replace(view.facts, lengths=tuple(n * 3 // 2 for n in view.facts.lengths), exact=True))
    assert state.dataset.facts() == found, "counted once, not once more each time"
    counted = replace(guessed, lengths=tuple(n + 7 for n in guessed.lengths), exact=True)
    state.dataset.take_exact(counted, "dpo")
    assert state.dataset.facts() == counted, "the check of the pairs counts both sides itself"
    state.choices.set_value("training.objective", "sft")
    answers = state.dataset.facts()
    assert answers is not None and answers.exact and answers != counted, "of the answers alone it says nothing"


def test_what_is_held_for_answers_is_not_held_for_pairs(state: WizardState) -> None:
    key = "training.learning_rate"
    state.choices.hold_value(key, 1.5e-4)
    state.choices.hold_value("lora.r", 64)
    state.choices.set_values({"training.objective": "dpo"})
    assert state.draft.held == {"lora.r": 64}
    state.choices.hold_value(key, 4e-6)
    assert state.plan.proposal is not None
    assert (state.plan.proposal.plan.get(key), state.plan.proposal.origins[key]) == (4e-6, "held")
    state.choices.undo()
    state.choices.undo()
    assert state.draft.held == {key: 1.5e-4, "lora.r": 64}
    state.choices.set_values({"training.objective": "dpo"})
    state.choices.hold_value(key, 4e-6)
    state.choices.choose_dataset("another.jsonl")
    assert state.draft.held == {"lora.r": 64}, "another dataset is asked anew, and a rate for pairs is none for it"
