"""Findings on curves of real runs (recorded from the demo model, see each file's note) and on drawn ones."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loratui.core.diagnosis import Curves, Finding, diagnose
from loratui.core.diagnosis.divergence import DivergenceWatch
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

RECORDED = Path(__file__).parent / "curves"
EXPECTED: dict[str, list[str]] = {
    "healthy": [],
    "broken_rows": ["spikes"],
    "diverging": ["diverging"],
    "diverging_back": ["diverging"],
    "diverging_late": ["diverging"],
    "flat": ["not-falling"],
    "memorising_full": ["overfitting", "memorising"],
    "not_a_number": ["not-finite"],
    "overfitting": ["overfitting"],
    "too_short": ["underfitting"],
}


def recorded(name: str, share: float = 1.0) -> tuple[Curves, Plan]:
    run: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    count = int(len(run["steps"]) * share)
    evaluations = sum(step <= count for step in run["eval_steps"])
    numbers = {
        key: [float(value) for value in run[key]] for key in ("losses", "grad_norms", "learning_rates", "eval_losses")
    }
    curves = Curves(
        run["steps"][:count],
        numbers["losses"][:count],
        numbers["grad_norms"][:count],
        numbers["learning_rates"][:count],
        run["eval_steps"][:evaluations],
        numbers["eval_losses"][:evaluations],
        run["total_steps"],
        run["steps_per_epoch"],
        share == 1.0,
    )
    return curves, plan(
        learning_rate=min(1.0, run["learning_rate"]), warmup_steps=run["warmup_steps"], epochs=run["epochs"]
    )


def plan(**training: Any) -> Plan:
    return with_values(Plan(), {f"training.{key}": value for key, value in training.items()})


def drawn(losses: list[float], **more: Any) -> Curves:
    return Curves(list(range(1, len(losses) + 1)), losses, **more)


def falling(count: int, start: float = 2.5, end: float = 1.0, noise: float = 0.05, seed: int = 0) -> list[float]:
    dice = random.Random(seed)
    return [end + (start - end) * math.exp(-6 * index / count) + dice.gauss(0, noise) for index in range(count)]


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def test_every_recorded_run_is_expected() -> None:
    assert {path.stem for path in RECORDED.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_runs(name: str) -> None:
    assert kinds(diagnose(*recorded(name))) == EXPECTED[name]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.25, 0.5, 0.75, 0.9])
def test_a_healthy_run_is_left_in_peace_at_any_moment(share: float) -> None:
    assert diagnose(*recorded("healthy", share)) == []


@pytest.mark.parametrize(
    ("name", "share"),
    [("diverging", 0.3), ("diverging_late", 0.4), ("flat", 0.5), ("overfitting", 0.5), ("not_a_number", 0.1)],
)
def test_trouble_is_seen_before_the_end(name: str, share: float) -> None:
    assert EXPECTED[name][0] in kinds(diagnose(*recorded(name, share)))


@pytest.mark.parametrize("name", EXPECTED)
def test_every_fix_is_a_plan_that_is_allowed_and_differs(name: str) -> None:
    curves, now = recorded(name)
    for finding in diagnose(curves, now):
        assert finding.fixes and finding.message.endswith(".")
        assert finding.since_step in curves.steps
        for fix in finding.fixes:
            assert fix.advice.endswith(".")
            if fix.changes:
                changed = with_values(now, fix.changes)
                assert all(changed.get(key) != now.get(key) for key in fix.changes)


def test_overfitting_since_the_best_evaluation() -> None:
    finding = diagnose(*recorded("overfitting"))[0]
    assert finding.since_step == 48 and finding.fixes[0].changes == {"training.max_steps": 48}


def test_spikes_are_named_by_step() -> None:
    finding = diagnose(*recorded("broken_rows"))[0]
    assert "61, 91, 131" in finding.message


def test_a_jump_of_hundredths_near_zero_is_no_spike() -> None:
    learnt = [0.003 + 0.0005 * (number % 3) for number in range(60)]
    assert "spikes" not in kinds(diagnose(drawn([*falling(40), *learnt, 0.03, *learnt]), Plan()))
    assert "spikes" in kinds(diagnose(drawn([*falling(40), *learnt, 0.3, *learnt]), Plan()))


def small_run(seed: int, batch: int, spread: float, *, broken: tuple[int, ...] = ()) -> tuple[Curves, Plan]:
    """Nine epochs of 50 rows whose losses differ (log-normal) and fall together. broken: steps in which one row is
    wrong, twenty times as surprising as the others.
    """
    rng = random.Random(seed)
    hard = [math.exp(rng.gauss(0, spread)) for _ in range(50)]
    losses: list[float] = []
    for _ in range(9):
        order = rng.sample(range(50), 50)
        for first in range(0, 50, batch):
            rows = [hard[row] for row in order[first : first + batch]]
            if len(losses) + 1 in broken:
                rows[0] = 20.0
            losses.append((0.8 + 2 * math.exp(-len(losses) / 8)) * sum(rows) / len(rows))
    curves = Curves(list(range(1, len(losses) + 1)), losses, total_steps=len(losses), steps_per_epoch=-(-50 // batch))
    return curves, plan(batch_size=batch, accumulation=1)


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
@pytest.mark.parametrize("spread", [0.3, 0.5, 0.7])
def test_rows_that_differ_are_no_jumps_of_a_small_batch(batch: int, spread: float) -> None:
    for seed in range(20):
        curves, now = small_run(seed, batch, spread)
        for count in {25, 40, len(curves.steps) // 2, len(curves.steps)}:
            part = replace(curves, steps=curves.steps[:count], losses=curves.losses[:count])
            assert "spikes" not in kinds(diagnose(part, now)), (seed, count)


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_broken_rows_in_a_small_batch_are_jumps(batch: int) -> None:
    for seed in range(20):
        (finding,) = [one for one in diagnose(*small_run(seed, batch, 0.2, broken=(45, 58))) if one.kind == "spikes"]
        assert "45, 58" in finding.message


def test_a_far_too_high_rate_goes_back_to_published_ones() -> None:
    assert diagnose(*recorded("diverging"))[0].fixes[0].changes == {"training.learning_rate": 1e-3}


def test_nothing_yet() -> None:
    assert diagnose(drawn([]), Plan()) == [] and diagnose(drawn([2.5]), Plan()) == []


def test_float16_may_skip_steps_with_infinite_gradients() -> None:
    losses = falling(60)
    norms = [math.inf, *[1.0] * 59]
    assert diagnose(drawn(losses, grad_norms=norms), plan(precision="fp16")) == []
    assert kinds(diagnose(drawn(losses, grad_norms=norms), plan(precision="bf16"))) == ["not-finite"]


def test_float16_and_nan_says_leave_float16_for_what_the_card_has() -> None:
    for bf16, other in ((True, "bf16"), (False, "fp32"), (None, "fp32")):
        found = diagnose(drawn([*falling(30), math.nan], bf16=bf16), plan(precision="fp16"))[0]
        assert found.fixes[0].changes == {"training.precision": other}


def test_no_gradient() -> None:
    found = diagnose(drawn([2.0] * 10, grad_norms=[0.0] * 10), Plan())
    assert kinds(found) == ["no-gradient"] and found[0].severity == "error"


def test_stairs_at_the_turn_of_the_epoch_are_memorising() -> None:
    dice = random.Random(3)
    losses = [[2.0, 1.3, 0.7][step // 50] + dice.gauss(0, 0.03) for step in range(150)]
    curves = drawn(losses, steps_per_epoch=50, total_steps=150)
    found = diagnose(curves, Plan())
    assert kinds(found) == ["memorising"] and found[0].since_step == 51


def test_a_loss_that_just_falls_over_the_turn_of_an_epoch_is_none() -> None:
    assert "memorising" not in kinds(diagnose(drawn(falling(150), steps_per_epoch=50, total_steps=150), Plan()))


def test_plateau_while_the_rate_is_high() -> None:
    losses = falling(60, 3.0, 1.5, 0.01) + [1.5 + random.Random(step).gauss(0, 0.02) for step in range(200)]
    proposed = {"training.learning_rate": 1e-3}
    found = diagnose(drawn(losses, learning_rates=[2e-4] * 260, total_steps=400, proposed=proposed), Plan())
    assert kinds(found) == ["plateau"] and found[0].fixes[0].changes == proposed and found[0].fixes[0].restart
    settled = drawn(losses, learning_rates=[2e-4] * 100 + [1e-5] * 160, total_steps=400, proposed=proposed)
    assert diagnose(settled, Plan()) == []
    assert (
        diagnose(
            drawn(losses, learning_rates=[2e-4] * 260, total_steps=400, proposed={"training.learning_rate": 2e-4}),
            Plan(),
        )
        == []
    ), "what the data leaves is nothing to mend"


def test_an_evaluation_loss_that_swings_is_erratic_and_noise_of_single_steps_is_not() -> None:
    dice = random.Random(1)
    losses = [abs(value + dice.choice([-1, 1]) * 0.5) for value in falling(120, 2.0, 1.0)]
    at = list(range(12, 121, 12))
    swinging = [1.6, 1.9, 1.4, 1.9, 1.5, 2.0, 1.6, 1.9, 1.5, 1.8]
    assert "erratic" in kinds(
        diagnose(drawn(losses, total_steps=120, eval_steps=at, eval_losses=swinging, eval_rows=50), Plan())
    )
    assert (
        diagnose(
            drawn(
                losses,
                total_steps=120,
                eval_steps=at,
                eval_losses=[1.6 - 0.05 * number for number in range(10)],
                eval_rows=50,
            ),
            Plan(),
        )
        == []
    )
    assert diagnose(drawn(losses, total_steps=120), Plan()) == []


def test_no_overfitting_where_the_rise_means_nothing() -> None:
    """The demo at 200 steps: held out 0.00234, then 0.00239."""
    learnt = [2.5, *falling(120, 2.5, 0.002, 0.0005)]
    for held_out in ([0.01, 0.00234, 0.00236, 0.00239], [0.9, 0.5, 0.505, 0.51], [0.9, 0.5, 0.55, 0.51, 0.56]):
        curves = drawn(learnt, eval_steps=[30 * number for number in range(1, len(held_out) + 1)], eval_losses=held_out)
        assert "overfitting" not in kinds(diagnose(curves, Plan()))
    rises = [0.9, 0.5, 0.55, 0.62]
    assert "overfitting" in kinds(
        diagnose(drawn(learnt, eval_steps=[30, 60, 90, 120], eval_losses=rises, eval_rows=50), Plan())
    )
    assert "overfitting" not in kinds(
        diagnose(drawn(learnt, eval_steps=[30, 60, 90, 120], eval_losses=[0.9, 0.5, 0.51, 0.55], eval_rows=1), Plan())
    )


@pytest.mark.parametrize(
    ("rate", "kind", "losses"),
    [
        (1.0, "full", [2.5, 40.0, 157.0, 80.0, *[4.2 - 0.004 * step for step in range(96)]]),
        (0.3, "lora", [1.1, 2.2, 4.2, 4.1, *[3.8 - 0.004 * step for step in range(96)]]),
    ],
)
def test_what_blew_up_at_once_is_seen_against_its_start(rate: float, kind: str, losses: list[float]) -> None:
    dice = random.Random(5)
    noisy = [losses[0], *(loss + dice.gauss(0, 0.1) for loss in losses[1:])]
    found = diagnose(
        drawn(noisy, total_steps=100, proposed={"training.learning_rate": 2e-3}),
        with_values(Plan(), {"training.learning_rate": rate, "method.kind": kind}),
    )
    assert kinds(found) == ["diverging"] and found[0].sound == 0
    assert found[0].fixes[0].changes == {"training.learning_rate": 2e-3} and found[0].fixes[0].restart, (
        "lowering to a third is hopeless"
    )
    watch = DivergenceWatch()
    assert any([watch.diverged(step, loss) for step, loss in enumerate(noisy, 1)]) and watch.healthy_step == 0


def test_a_climb_goes_back_to_before_it() -> None:
    losses = [*falling(80, 2.5, 1.0), *[1.0 + 0.05 * step for step in range(40)], *[3.0] * 40]
    found = diagnose(
        drawn(losses, total_steps=200, proposed={"training.learning_rate": 2e-4}), plan(learning_rate=4e-4)
    )[0]
    assert found.kind == "diverging" and found.sound is not None and 70 <= found.sound <= 90
    assert found.fixes[0].changes == {"training.learning_rate": 1.3e-4} and not found.fixes[0].restart
    assert any(fix.restart and fix.changes == {"training.learning_rate": 2e-4} for fix in found.fixes), (
        "the proposed one is offered too"
    )


def test_broken_from_the_first_step_on_no_rate_mends_it() -> None:
    found = diagnose(drawn([math.nan] * 5, proposed={"training.learning_rate": 1e-4}), plan(precision="bf16"))[0]
    assert found.kind == "not-finite" and not any(fix.changes for fix in found.fixes)


def test_the_watch_is_rebuilt_from_its_steps() -> None:
    curves, _ = recorded("diverging_late")
    history = list(zip(curves.steps, curves.losses, strict=True))
    whole, after = DivergenceWatch(), DivergenceWatch.of(history[:60])
    said = [whole.diverged(step, loss) for step, loss in history]
    assert [after.diverged(step, loss) for step, loss in history[60:]] == said[60:]
    assert (after.healthy_step, after.lowest, after.mean) == (whole.healthy_step, whole.lowest, whole.mean)
    assert 20 <= whole.healthy_step < 60, "the loss is lowest at about step 25, and climbs"


@pytest.mark.parametrize("first", [0.01, 0.3, 1.0])
def test_an_easy_first_batch_is_no_reason_to_stop(first: float) -> None:
    for seed in range(30):
        dice = random.Random(seed)
        losses = [first, *(max(0.0, dice.gauss(2.5, 0.6)) if dice.random() > 0.05 else first for _ in range(300))]
        watch = DivergenceWatch()
        assert not any(watch.diverged(step, loss) for step, loss in enumerate(losses, 1))


def test_a_missing_evaluation_loss_is_passed_over() -> None:
    curves = drawn(falling(100), eval_steps=[25, 50, 75, 100], eval_losses=[1.5, math.nan, 1.2, 1.1], total_steps=100)
    assert diagnose(curves, Plan()) == []


@pytest.mark.parametrize("seed", range(20))
def test_noise_around_a_falling_loss_is_no_trouble(seed: int) -> None:
    losses = falling(300, 2.2, 1.2, 0.15, seed)
    evaluations = [1.25 + math.exp(-6 * step / 300) for step in range(30, 301, 30)]
    curves = drawn(
        losses, total_steps=300, eval_steps=list(range(30, 301, 30)), eval_losses=evaluations, steps_per_epoch=100
    )
    assert [finding for finding in diagnose(curves, Plan()) if finding.severity != "note"] == []


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("stride", [2, 3])
def test_a_thinned_curve_tells_the_same_of_what_lasts(name: str, stride: int) -> None:
    curves, now = recorded(name)
    thin = Curves(
        curves.steps[::stride],
        curves.losses[::stride],
        curves.grad_norms[::stride],
        curves.learning_rates[::stride],
        curves.eval_steps,
        curves.eval_losses,
        curves.total_steps,
        curves.steps_per_epoch,
        curves.finished,
    )
    lasting = [kind for kind in EXPECTED[name] if kind != "spikes"]
    assert [kind for kind in kinds(diagnose(thin, now)) if kind != "spikes"] == lasting


def test_a_resumed_run_has_had_its_warm_up() -> None:
    curves = Curves(list(range(500, 560)), [2.0] * 60, total_steps=600)
    assert "not-falling" in kinds(diagnose(curves, plan(warmup_steps=100)))


@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("diverging_late", True),
        ("diverging_back", True),
        ("diverging", False),
        ("healthy", False),
        ("flat", False),
        ("overfitting", False),
        ("memorising_full", False),
        ("broken_rows", False),
        ("too_short", False),
    ],
)
def test_a_worker_stops_itself_only_for_what_is_beyond_doubt(name: str, stops: bool) -> None:
    """`diverging` blew up in its first steps and came back below its start: a warning, not an end. `diverging_back`
    came back for three single steps, and stayed above its start for good.
    """
    curves, _ = recorded(name)
    watch = DivergenceWatch()
    assert (
        any(
            [
                watch.diverged(step, loss)
                for step, loss in zip(curves.steps, curves.losses, strict=True)
                if math.isfinite(loss)
            ]
        )
        is stops
    )


def test_noise_alone_never_stops_a_worker() -> None:
    dice = random.Random(3)
    for level, noise in ((0.01, 0.3), (0.5, 0.5), (2.0, 1.0)):
        watch = DivergenceWatch()
        assert not any(watch.diverged(step, max(0.0, dice.gauss(level, noise))) for step in range(20_000))


@pytest.mark.parametrize("easy", [0.01, 0.03, 0.1])
def test_a_rare_easy_batch_at_the_start_never_stops_a_long_run(easy: float) -> None:
    """The first batch is one of the few easy ones: hundreds of harder ones in a row are no climb."""
    dice = random.Random(5)
    watch = DivergenceWatch()
    assert not watch.diverged(1, 0.05)
    losses = (0.05 if dice.random() < easy else max(0.0, dice.gauss(1.2, 0.1)) for _ in range(5_000))
    came_back = [watch.diverged(2, 1.2), watch.diverged(3, 1.1), *(watch.diverged(step, 0.05) for step in (12, 13))]
    assert not any(came_back) and not any(watch.diverged(step, loss) for step, loss in enumerate(losses, 14))


@pytest.mark.parametrize("calm", [20, 200])
def test_what_climbs_late_and_stays_above_its_start_has_diverged(calm: int) -> None:
    """A loss that was learnt down and then stands above the start for 60 steps: the mean of 30 need not be twice the
    lowest for that.
    """
    dice = random.Random(7)
    losses = [*falling(calm, 2.0, 1.9, seed=1), *(dice.gauss(2.9, 0.1) for _ in range(70))]
    watch = DivergenceWatch()
    stopped = next(step for step, loss in enumerate(losses, 1) if watch.diverged(step, loss))
    assert stopped == calm + 60 and f"since step {calm}" in watch.reason and watch.healthy_step <= calm + 2


def evaluated(losses: list[float], held_out: dict[int, float], *, last: int = 0) -> tuple[int, DivergenceWatch]:
    """The step at which a watch speaks, 0 where it does not."""
    watch = DivergenceWatch()
    for step, loss in enumerate(losses, 1):
        if watch.diverged(step, loss) or (
            step in held_out and watch.evaluated(step, held_out[step], last=step == last)
        ):
            return step, watch
    return 0, watch


CALM_THEN_HOT = [*falling(10, 3.0, 0.9), 0.95, 19.0, 24.0, 20.0, 18.0, 14.0, 10.0, 8.0]


def test_a_held_out_loss_that_bursts_is_a_divergence_at_once() -> None:
    step, watch = evaluated(CALM_THEN_HOT, {5: 1.4, 10: 0.9, 12: 25.36, 15: 17.89, 18: 7.25})
    assert step == 12 and watch.healthy_step == 10
    assert "0.9 at step 10" in watch.reason and "25.4 at step 12" in watch.reason
    rebuilt = DivergenceWatch.of(enumerate(CALM_THEN_HOT[:10], 1), [(5, 1.4), (10, 0.9)])
    assert not rebuilt.diverged(11, 0.95) and not rebuilt.diverged(12, 19.0) and rebuilt.evaluated(12, 25.36)
    assert rebuilt.healthy_step == 10, "as it was before the run was resumed"


def test_less_than_a_burst_has_to_stay_or_to_be_the_last_word() -> None:
    hot = [*falling(10, 3.0, 0.9), *[3.5] * 10]
    assert evaluated(hot, {10: 0.9, 14: 3.5})[0] == 0
    assert evaluated(hot, {10: 0.9, 14: 3.5}, last=14)[0] == 14
    assert evaluated(hot, {10: 0.9, 14: 3.5, 18: 3.4})[0] == 18
    assert evaluated(hot, {10: 0.9, 14: 3.5, 15: 1.0, 18: 3.4})[0] == 0, "it came back in between"


def test_rows_learnt_by_heart_are_no_divergence_however_high_the_held_out_loss() -> None:
    assert evaluated(falling(200, 2.0, 0.01), {20: 1.5, 100: 5.0, 150: 7.0, 200: 9.0}, last=200)[0] == 0


def test_without_an_evaluation_before_the_start_is_the_measure() -> None:
    assert evaluated([2.0, 1.9, 2.0, 12.0, 14.0], {5: 14.0})[0] == 5
    assert evaluated([2.0, 1.9, 2.0, 2.5, 2.9], {5: 6.0}, last=5)[0] == 0, "other rows may be harder"


BLOWN_UP = [2.55, 10.4, 14.2, 8.8, 6.8, 7.6, 6.0, 5.5, 5.6, 5.8, 5.7, 5.5, 5.3, 5.4, 5.3, 5.4, 5.5, 5.6]
"""The demo at rate 0.9: patience ended it at step 18 of 30, and it counted as finished."""


@pytest.mark.parametrize("evaluated", [{"eval_steps": [6, 12, 18], "eval_losses": [6.1, 5.3, 5.6]}, {}])
def test_a_short_run_that_ends_far_above_its_start_has_diverged(evaluated: dict[str, Any]) -> None:
    curves = drawn(BLOWN_UP, total_steps=30, finished=True, proposed={"training.learning_rate": 0.0026}, **evaluated)
    found = diagnose(curves, plan(learning_rate=0.9))
    assert kinds(found) == ["diverging"] and found[0].severity == "error" and found[0].sound == 0
    assert "diverged" in found[0].message
    assert found[0].fixes[0].changes == {"training.learning_rate": 0.0026} and found[0].fixes[0].restart


def test_the_held_out_loss_alone_shows_a_short_run_that_diverged() -> None:
    losses = [1.2, 1.1, 1.0, 0.95, 0.9, 0.9, 12.0, 25.0, 24.0, 23.0, 20.0, 15.0, 10.0, 9.0, 8.0, 7.5, 7.4, 7.3]
    curves = drawn(losses, total_steps=30, finished=True, eval_steps=[6, 12, 18], eval_losses=[0.9, 25.0, 7.3])
    found = diagnose(curves, plan(learning_rate=0.9))
    assert (
        kinds(found) == ["diverging"] and found[0].sound == 6 and "held-out loss was 0.9 at step 6" in found[0].message
    )


@pytest.mark.parametrize("first", [0.01, 0.3, 1.0])
def test_an_easy_first_batch_does_not_make_a_short_run_diverged(first: float) -> None:
    said = []
    for seed in range(100):
        dice = random.Random(seed)
        losses = [first, *(max(0.0, dice.gauss(2.5, 0.6)) for _ in range(17))]
        watch = DivergenceWatch()
        assert not any(watch.diverged(step, loss) for step, loss in enumerate(losses, 1))
        said.append(watch.evaluated(18, 2.5, last=True))
    assert not any(said)


def test_far_above_the_proposed_rate_only_a_lower_one_is_advised() -> None:
    curves = drawn(BLOWN_UP, total_steps=30, finished=True, proposed={"training.learning_rate": 0.0026})
    far, near = (diagnose(curves, plan(learning_rate=rate))[0].fixes for rate in (0.9, 0.02))
    assert {key for fix in far for key in fix.changes} == {"training.learning_rate"}
    assert [fix.sure for fix in near] == sorted((fix.sure for fix in near), reverse=True), "the surest come first"
    assert {"training.warmup_steps", "training.max_grad_norm"} <= {key for fix in near for key in fix.changes}
