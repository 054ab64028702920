"""What TRL's trainers log, by the names that events have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

PREFERENCES = {
    "reward_chosen": "rewards/chosen",
    "reward_rejected": "rewards/rejected",
    "reward_margin": "rewards/margins",
    "preference_accuracy": "rewards/accuracies",
    "logp_chosen": "logps/chosen",
    "logp_rejected": "logps/rejected",
    "kl": "kl",
    "chosen_loss": "nll_loss",
    "log_odds": "log_odds_chosen",
}
"""What a step and an evaluation tell of preferences, and TRL's names of it."""


def preference_figures(logs: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """What was logged of preferences; empty where none are learnt."""
    return {name: float(logs[prefix + theirs]) for name, theirs in PREFERENCES.items() if prefix + theirs in logs}


def evaluation_figures(metrics: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """What an evaluation of so many rows found. Perplexity is of losses that are nats a token alone."""
    loss, figures = metrics.get("eval_loss"), preference_figures(metrics, "eval_")
    return {
        "loss": loss,
        "perplexity": math.exp(loss) if loss is not None and loss < 700 and not figures else None,
        "token_accuracy": metrics.get("eval_mean_token_accuracy"),
        "rows": rows,
        **figures,
    }
