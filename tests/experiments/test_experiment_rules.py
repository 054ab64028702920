"""What an experiment takes and refuses, where it halves, and how it tells a difference from noise."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from loratui.commands.experiment_words import shown
from loratui.commands.tree import loratui
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.core.preferences import loss_unit
from loratui.evaluation.experiment import Comparison, compare, words
from loratui.evaluation.experiment_table import chart_of
from loratui.experiments.begin import begin
from loratui.experiments.directory import Experiment, Trial, experiments
from loratui.experiments.rungs import rungs, steps_made, usual_steps
from loratui.experiments.vary import read_varied, require_free, seeds_of, settings
from loratui.queue import wake
from loratui.runs import row_losses
from loratui.runs.row_losses import RowLosses

DEMO = with_values(
    Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True, "evaluation.every_steps": 20}
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(wake, "wake", lambda: False)  # nothing is trained here
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"prompt": f"{number} + 1", "completion": str(number + 1)}) for number in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "plan.toml").write_text(plan_to_toml(DEMO))
    return tmp_path


def asked(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(loratui, ["try", *arguments, *(["--detach"] if arguments[0] == "plan.toml" else [])])
    if isinstance(found.exception, LoratuiError):
        return found.exception.exit_status, found.exception.sentence
    return found.exit_code, found.output


RATES = ("--vary", "training.learning_rate=1e-4,2e-4")
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown": (("--vary", "lora.rank=8,16"), "there is no key lora.rank. Did you mean"),
    "beyond": (("--vary", "lora.r=8,2048"), 'lora.r = "2048" is not allowed. Rank takes a whole number, 1 to 1024'),
    "twice": (("--vary", "lora.r=8,16,8"), "lora.r has the value 8 twice"),
    "same": (("--vary", "training.learning_rate=1e-4,0.0001"), "training.learning_rate has the value 1e-4 twice"),
    "alone": (("--vary", "lora.r=8"), "one value alone"),
    "nothing": ((), "nothing varies"),
    "key twice": ((*RATES, *RATES), "training.learning_rate is varied twice"),
    "no sign": (("--vary", "lora.r"), "'lora.r' has no '='"),
    "no rows": ((*RATES, "--set", "dataset.path="), "no dataset is chosen"),
    "data": (("--vary", "dataset.eval_fraction=0.1,0.2"), "cannot be varied: all trials have one dataset"),
    "length": (("--vary", "training.max_length=64,128"), "changes which tokens the held-out loss is measured on"),
    "seed": (("--vary", "training.seed=1,2"), "--seeds says how many"),
    "epochs": (("--vary", "training.epochs=1,2"), "are compared at --steps of it"),
    "full": (("--set", "method.kind=full", "--vary", "lora.r=8,16"), "means nothing where method.kind is full"),
    "quantised": (("--vary", "method.double_quantization=yes,no"), "means nothing where method.kind is lora"),
    "not agreed": (("--vary", "method.quantization=none,nf4", "--set", "method.kind=lora"), "means nothing"),
    "minimum": (
        ("--vary", "training.min_lr_ratio=0,0.1", "--set", "training.scheduler=linear"),
        "means nothing where training.scheduler is linear",
    ),
    "many": (
        (
            "--vary",
            "lora.r=" + ",".join(map(str, range(1, 101))),
            "--vary",
            "lora.alpha=" + ",".join(map(str, range(1, 101))),
        ),
        "that is 10,000 trials, 10,000 runs; 200 are the most",
    ),
    "steps": ((*RATES, "--steps", "100000"), "a trial cannot make 100,000 steps"),
    "unmeasured": ((*RATES, "--set", "evaluation.every_steps=0"), "nothing would compare the trials"),
    "none held out": (
        (*RATES, "--set", "dataset.path=rows.jsonl", "--set", "dataset.eval_fraction=0"),
        "nothing would compare the trials",
    ),
    "scheduler": ((*RATES, "--set", "cluster.engine=slurm", "--set", "hardware.cpu=false"), "for a scheduler"),
    "name": ((*RATES, "--name", "../up"), "is no name for an experiment"),
    "seed 0": ((*RATES, "--set", "training.seed=0", "--seeds", "2"), "would hold out others"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_tried_is_one_sentence_before_anything_begins(case: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `try` is not installed")
    arguments, sentence = REFUSED[case]
    code, output = asked("plan.toml", *arguments)
    assert code in (1, 2) and sentence in " ".join(output.split()), output
    assert not (tmp_path / "home" / "experiments").exists() and not (tmp_path / "home" / "runs").exists()


def test_an_experiment_that_is_not_there_is_said() -> None:
    code, output = asked("show", "nowhere")
    assert code == 1 and "there is no experiment 'nowhere'" in output
    code, output = asked("nowhere")
    assert code == 1 and "there is no experiment 'nowhere'" in output


def test_the_same_question_is_one_experiment_and_another_needs_another_name() -> None:
    pytest.importorskip("optuna", reason="the extra `try` is not installed")
    for _ in range(2):
        code, output = asked("plan.toml", *RATES, "--steps", "40")
        assert code == 0, output
    assert len(experiments()) == 1 and "is there already" in output
    assert [one.state for one in experiments()[0].trials()] == ["open", "open"]
    code, output = asked("plan.toml", *RATES, "--steps", "40", "--name", "second")
    assert code == 0 and len(experiments()) == 2
    for other in (("--steps", "60"), ("--steps", "40", "--seeds", "2"), ("--steps", "40", "--set", "lora.r=4")):
        code, output = asked("plan.toml", *RATES, *other, "--name", "second")
        assert code == 1 and "asks something else" in output
    assert len(experiments()) == 2


def test_what_it_takes_is_said_before_it_begins() -> None:
    pytest.importorskip("optuna", reason="the extra `try` is not installed")
    code, output = asked("plan.toml", *RATES, "--vary", "lora.r=8,32", "--seeds", "2", "--print", "--json")
    assert code == 0, output
    found = json.loads(output)
    assert [one["values"]["lora.r"] for one in found["trials"]] == [8, 32, 8, 32]
    assert found["trials"][1]["memory"] > found["trials"][0]["memory"], "each trial's own memory"
    low, high = found["predicted_seconds"]
    assert 0 < low < high and found["predicted_memory"] == max(one["memory"] for one in found["trials"])
    first, last = found["trials"][0]["steps"]
    assert found["steps"] == 2 * (4 * first + 2 * (last - first)) < found["steps_to_the_end"] / 2
    assert not experiments()


def test_a_mix_is_tried_as_one_dataset(tmp_path: Path) -> None:
    """It was refused, as if no dataset were chosen."""
    pytest.importorskip("optuna", reason="the extra `try` is not installed")
    parts = json.dumps([{"path": str(tmp_path / "rows.jsonl")}, {"path": "demo", "weight": 0.5}])
    mix = ("--set", "dataset.path=", "--set", f"dataset.parts={parts}")
    code, output = asked("plan.toml", *RATES, *mix, "--print")
    assert code == 0 and "2 trials" in output, output


def test_a_trial_that_does_not_fit_is_named_before_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="the extra `try` is not installed")
    from loratui.core import proposal

    monkeypatch.setattr(
        proposal.Proposal, "verdict", property(lambda one: "too big" if one.plan.lora.r == 64 else "fits")
    )
    code, output = asked("plan.toml", "--vary", "lora.r=8,16,64", "--print")
    assert code == 0 and "left out: it needs" in output and "2 trials" in output
    code, output = asked("plan.toml", "--vary", "lora.r=8,64", "--print")
    assert code == 2 and "fewer than two trials fit here (trial 2: it needs" in output


def test_other_batches_are_compared_after_the_same_rows() -> None:
    pytest.importorskip("optuna", reason="the extra `try` is not installed")
    code, output = asked("plan.toml", "--vary", "training.batch_size=1,2", "--steps", "40", "--print", "--json")
    assert code == 0, output
    one, two = json.loads(output)["trials"]
    assert one["steps"] == [40] and two["steps"] == [20]


def test_rungs_halve_until_two_are_left_and_never_before_the_warm_up() -> None:
    assert rungs(80, 2) == [80] and rungs(80, 3) == [80]
    assert rungs(80, 4) == rungs(80, 7) == [40, 80]
    assert rungs(80, 8) == [20, 40, 80]
    assert rungs(80, 8, warmup=15) == [40, 80] and rungs(12, 8) == [12]
    assert steps_made([20, 40, 80], 8) == 8 * 20 + 4 * 20 + 2 * 40
    assert usual_steps(200) == 50 and usual_steps(200, 40) == 80 and usual_steps(6) == 6


def test_the_better_half_goes_on_whatever_the_order() -> None:
    pytest.importorskip("optuna", reason="the extra `try` is not installed")
    from loratui.experiments.halving import goes_on

    assert goes_on([3.0, 1.0, 4.0, 2.0]) == [False, True, False, True]
    assert goes_on([4.0, 3.0, 2.0, 1.0]) == [False, False, True, True]
    assert goes_on([2.0, 1.0, 3.0]) == [False, True, False]
    assert goes_on([1.0, float("nan")]) == [True, False]


def test_some_of_many_are_drawn_and_the_same_ones_each_time() -> None:
    pytest.importorskip("optuna", reason="the extra `try` is not installed")
    varied = read_varied(
        ["lora.r=" + ",".join(map(str, range(1, 41))), "lora.alpha=" + ",".join(map(str, range(1, 41)))]
    )
    found = settings(DEMO, varied, most=12)
    assert len(found) == 12 == len({tuple(one.values()) for one in found})
    assert found == settings(DEMO, varied, most=12)


def test_a_list_is_joined_by_plus() -> None:
    varied = read_varied(["lora.targets=all-linear,q_proj+v_proj"])
    assert varied == {"lora.targets": ["all-linear", ["q_proj", "v_proj"]]}
    require_free(DEMO, varied)


def test_other_seeds_hold_out_the_same_rows() -> None:
    assert seeds_of(DEMO, 2) == [42, 43]
    trial = Trial(1, {"lora.r": 8}, [4], ["a", "b"])
    experiment = begin("seeds", DEMO, {"lora.r": [8, 16]}, [42, 43], [trial])
    plans = [experiment.plan_of(trial, seed) for seed in (42, 43)]
    assert [one.training.seed for one in plans] == [42, 43] and {one.split_seed for one in plans} == {42}


# Made-up losses whose truth is known.


def made(apart: float, seeds_apart: float, *, seeds: int = 2, rows: int = 200) -> Experiment:
    """Two trials whose held-out losses differ by `apart` a token, and whose seeds differ by `seeds_apart`."""
    dice = np.random.default_rng(7)
    hard = dice.gamma(2.0, 10.0, rows)
    tokens = [10] * rows
    trials = []
    for number, more in enumerate((0.0, apart), 1):
        runs, losses = [], []
        for seed in range(seeds):
            name = f"run-{number}-{seed}"
            experiment = Experiment(Path("home/experiments/made").absolute())
            run = experiment.run(name)
            run.path.mkdir(parents=True)
            offset = more + (seed - (seeds - 1) / 2) * seeds_apart
            around = dice.permutation(np.tile([-0.5, 0.5], rows // 2))  # of the rows, none of their mean
            found = RowLosses((hard + 10 * offset + around).tolist(), tokens)
            row_losses.keep(run, 8, found)
            runs.append(name)
            losses.append(found.loss)
        state = "best" if number == 1 else "stopped"
        trials.append(Trial(number, {"lora.r": 8 * number}, [8], runs, losses=[losses], state=state))
    return begin("made", DEMO, {"lora.r": [8, 16]}, list(range(seeds)), trials)


def verdict(experiment: Experiment) -> tuple[str, str]:
    found = compare(experiment)
    return found.trials[1].told, words(found.trials[1], found)


def test_a_difference_beyond_rows_and_seeds_is_told_apart() -> None:
    told, text = verdict(made(0.05, 0.005))
    assert told == "worse" and text.endswith(": told apart") and "seeds differ by" in text


def test_a_difference_that_seeds_make_as_well_is_not() -> None:
    told, text = verdict(made(0.05, 0.05))
    assert told == "no difference" and text.endswith(": not told apart")


def test_differences_beyond_shares_have_their_unit() -> None:
    experiment = made(3.0, 0.005)
    assert re.match(r"[\d.]+ nats a token worse, seeds differ by [\d.]+ nats a token", verdict(experiment)[1])
    assert "beside the best, nats a token:" in shown(experiment)


@pytest.mark.parametrize(
    ("objective", "unit"), [("sft", "nats a token"), ("dpo", "a pair"), ("orpo", "a pair"), ("kto", "an answer")]
)
def test_a_loss_of_preferences_is_no_loss_a_token(objective: str, unit: str) -> None:
    training = DEMO.training.model_copy(update={"objective": objective})
    assert loss_unit(DEMO.model_copy(update={"training": training})) == unit


@pytest.mark.parametrize(("apart", "told", "text"), [(0.05, "worse", ": told"), (0.0, "no difference", ": not told")])
def test_with_one_seed_it_is_said_that_chance_is_not_known(apart: float, told: str, text: str) -> None:
    experiment = made(apart, 0.0, seeds=1)
    found = verdict(experiment)
    assert found[0] == told
    assert found[1].endswith(f"{text} apart on these rows")
    assert "One seed each: how far chance moves a loss is not known." in shown(experiment)


def test_rows_that_are_not_the_same_are_not_compared_row_by_row() -> None:
    experiment = made(0.05, 0.005)
    run = experiment.run("run-2-0")
    kept = row_losses.read(run, 8)
    assert kept is not None
    row_losses.keep(run, 8, RowLosses(kept.nll, [11] * len(kept.tokens)))
    found = compare(experiment)
    assert not found.trials[1].by_rows and "rows not compared" in words(found.trials[1], found)


def test_all_differences_of_a_table_have_one_unit() -> None:
    """ "1.394 nats a token worse" stood beside "50.7% worse"."""
    found = compare(made(0.05, 0.02, seeds=1))
    best, near = found.trials[:2]
    assert "% worse" in words(near, found) and "nats" not in words(near, found)
    far = replace(near, difference=3 * near.level, share=3.0)
    both = Comparison([best, near, far], None, True, "nats a token")
    assert all("nats a token worse" in words(one, both) and "%" not in words(one, both) for one in (near, far))


def test_table_and_chart_show_the_noise_beside_the_effect() -> None:
    experiment = made(0.05, 0.02)
    text = shown(experiment)
    assert "the best" in text and "told apart" in text and "Two seeds of the same values differ by" in text
    lines = chart_of(compare(experiment))
    assert "├" in lines[2] and "┤" in lines[2] and lines[2].count("●") == lines[1].count("●") == 1
    assert lines[1].count("○") == 2, "its seeds lie about the best one"
    assert lines[1].index("●") < lines[2].index("●"), "the worse one lies to the right"
    assert all(len(line) < 80 for line in lines)


def test_the_document_has_the_same_for_programs() -> None:
    made(0.05, 0.005)
    code, output = asked("show", "made", "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(output)["comparison"]
    assert found["best"] == 1 and found["trials"][1]["told"] == "worse"
    low, high = found["trials"][1]["interval"]
    assert 0 < low < found["trials"][1]["difference"] < high
