"""Which trials go on after a rung, and which settings of a large grid are tried, by optuna.

optuna's pruner halves as trials come: the first one to arrive is always let go on. Here all have arrived before any is
judged, so that each is asked about as the last one that comes. Nothing of optuna is stored: an experiment is its own
files, and what optuna says follows from them alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from loratui.core.errors import InputError

FACTOR = 2
"""One of so many trials goes on at each rung."""
SEED = 21


def require_installed() -> None:
    """InputError where optuna is not installed; nothing of it is imported."""
    if find_spec("optuna") is None:
        raise InputError(
            "experiments need the library optuna, which is not installed.", hint="pip install 'loratui[try]'"
        )


def require_optuna() -> Any:
    """The library. InputError where it is not installed."""
    require_installed()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def goes_on(losses: Sequence[float]) -> list[bool]:
    """For each trial that reached a rung with this held-out loss, whether it goes on to the next one."""
    optuna = require_optuna()

    def stays(at: int) -> bool:
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
        study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=SEED))
        gone = True
        for loss in [*losses[:at], *losses[at + 1 :], losses[at]]:
            trial = study.ask()
            trial.report(loss, 1)
            gone = trial.should_prune()
        return not gone

    return [stays(at) for at in range(len(losses))]


def drawn(grid: Mapping[str, Sequence[Any]], count: int) -> list[dict[str, int]]:
    """So many different points of a grid, by optuna's GridSampler: for each key the place of its value."""
    optuna = require_optuna()
    space = {key: list(range(len(values))) for key, values in grid.items()}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(space, seed=SEED))
    found: list[dict[str, int]] = []
    while len(found) < count:
        trial = study.ask()
        point = {key: trial.suggest_categorical(key, places) for key, places in space.items()}
        study.tell(trial, 0.0)
        if point not in found:
            found.append(point)
    return found
