"""What is compared where preferences are learnt: `preference.loss`, `beta` and the weights, by objective."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core.knowledge.preference_recipes import KTO_DOCS, ORPO_RECIPES, RECIPES
from loratui.core.preferences import fair_weight, is_fair
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation

BETAS = {"sigmoid": 0.1, "sigmoid_norm": 5.0, "ipo": 0.1, "apo_zero": 0.05, "robust": 0.1}


def preferences(context: Context) -> Iterator[Recommendation]:
    """What is learnt of a preference; silent while answers are learnt."""
    by_objective = {"dpo": _of_dpo, "orpo": _of_orpo, "kto": _of_kto}
    objective = str(context.get("training.objective"))
    if objective in by_objective:
        yield from by_objective[objective](context)


def _of_dpo(context: Context) -> Iterator[Recommendation]:
    recipes = "; ".join(f"{one.model}: {one.loss}, beta {one.beta:g}" for one in RECIPES)
    yield Recommendation(
        "preference.loss",
        "sigmoid",
        "DPO's own loss: most recipes and comparisons are of it.",
        "-log sigmoid(beta × (chosen's log-probability ratio - rejected's))",
        f"Rafailov et al. 2023 (2305.18290); trl 1.16 `loss_type`. {recipes}.",
        up="sigmoid_norm counts by tokens, so that length alone wins nothing; apo_zero holds the chosen answer up.",
        down="robust: where labels are known to be wrong at times; ipo: where the margin runs away.",
        disagreement="Tülu 3 takes sigmoid_norm, SmolLM3 apo_zero, Zephyr and SmolLM2 sigmoid.",
    )
    loss = str(context.get("preference.loss"))
    yield Recommendation(
        "preference.beta",
        BETAS[loss],
        f"What is usual with {loss}: {_beta_source(loss)}.",
        f"{BETAS[loss]:g} for {loss}",
        f"{recipes}; trl 1.16's default 0.1.",
        up="The model stays closer to its reference.",
        down="It may go further from it, and forget more.",
        disagreement="With the same loss Zephyr takes 0.01 and SmolLM2 0.5: fifty times as much.",
    )
    robust = loss == "robust"
    yield Recommendation(
        "preference.label_smoothing",
        0.1 if robust else 0.0,
        "A tenth of the labels counts as wrong, as the loss's own paper does." if robust else "Only robust uses it.",
        f"0.1 with robust, else 0; the loss is {loss}",
        "Chowdhury et al. 2024 (2403.00409), as trl 1.16 cites it.",
        up="More labels are supposed to be wrong; pairs teach less.",
        down="0: every label is believed.",
    )
    yield Recommendation(
        "preference.sft_weight",
        0.0,
        "None: the recipes that are gone by have none.",
        "loss of the pairs + weight × loss of the chosen answers",
        "Zephyr, Tülu 3, SmolLM3: none; Llama 3 adds it with 0.2 (2407.21783).",
        up="Keeps the chosen answers likely, where both sides' log-probabilities fall.",
        down="0: only the difference of the sides is learnt.",
        disagreement="Llama 3 takes 0.2, the others nothing.",
    )
    yield Recommendation(
        "preference.length_weight",
        1.0,
        "Every token counts: no recipe that is gone by weighs them.",
        "tokens beyond the shorter answer of a pair × weight",
        "LD-DPO, Liu et al. 2024 (2409.06411); trl 1.16 `ld_alpha`.",
        up="1: as all other tokens.",
        down="Longer answers win less by their length alone.",
    )


def _beta_source(loss: str) -> str:
    return {
        "sigmoid_norm": "Tülu 3",
        "apo_zero": "SmolLM3",
        "sigmoid": "DPO's paper and trl",
    }.get(loss, "trl's default")


def _of_orpo(context: Context) -> Iterator[Recommendation]:
    yield Recommendation(
        "preference.beta",
        0.1,
        "The weight of the odds ratio beside the loss of the chosen answers: its authors' for Mistral 7B.",
        "loss of question and chosen answer - beta × log sigmoid(log odds of chosen over rejected)",
        "Hong et al. 2024 (2403.07691), λ; "
        + "; ".join(f"{one.model} {one.beta:g}: {one.link}" for one in ORPO_RECIPES)
        + ". trl 1.16's default 0.1.",
        up="Rejected answers are held down more, and the chosen ones are learnt relatively less.",
        down="Closer to SFT on the chosen answers.",
        disagreement="The same authors take 0.05 for a smaller set of pairs (Capybara), and so does Zephyr-ORPO.",
    )


def _of_kto(context: Context) -> Iterator[Recommendation]:
    yield Recommendation(
        "preference.kto_loss",
        "kto",
        "KTO's own loss: recipes and comparisons are of it.",
        "1 - sigmoid(±beta × (log-probability ratio - KL)), + for wanted answers, - for the others",
        "Ethayarajh et al. 2024 (2402.01306), equation 7; trl 1.16 `loss_type`.",
        up="kto: what is wanted is measured against how far the model has moved at all.",
        down="apo_zero_unpaired: no KL, two passes fewer, and a batch of one row will do.",
    )
    yield Recommendation(
        "preference.beta",
        0.1,
        "What its authors, trl and LLaMA-Factory take.",
        "0.1, whatever the model",
        "ContextualAI/HALOs config/loss/kto.yaml; trl 1.16's default; LLaMA-Factory examples, llama3_lora_kto.yaml.",
        up="The model stays closer to its reference, and bears a higher rate.",
        down=f"It may go further from it; the rate should fall with it ({KTO_DOCS}).",
    )
    share = context.data.desirable_share
    known = share is not None and 0 < share < 1
    key, weight = ("", 1.0) if not known or share is None or is_fair(share, 1 - share) else _weight(share)
    counted = f"{share:.0%} of the answers are wanted" if share is not None else "how many are wanted is not known"
    for name, word in (("desirable_weight", "wanted"), ("undesirable_weight", "unwanted")):
        raised = key == f"preference.{name}"
        yield Recommendation(
            f"preference.{name}",
            weight if raised else 1.0,
            f"The {word} answers are the rarer kind ({counted}): so weighted both count alike."
            if raised
            else f"1: {counted}.",
            "of the rarer kind: share of the other / its own share, unless wanted × weight over unwanted × weight is "
            f"between 1 and 4/3 already; {counted}",
            f"Ethayarajh et al. 2024 (2402.01306), equation 8; {KTO_DOCS}, imbalanced data.",
            up=f"The {word} answers count for more.",
            down="1: each answer counts once.",
        )


def _weight(share: float) -> tuple[str, float]:
    return fair_weight(share, 1 - share)
