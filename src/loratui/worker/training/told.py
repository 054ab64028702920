"""What a run tells of its rows before it trains on them."""

from __future__ import annotations

from loratui.core.plan import Plan
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.journal import Journal


def tell_data(prepared: Prepared, plan: Plan, journal: Journal) -> None:
    """The event of the rows, of a mix part by part, and what a person should know of them."""
    train, held = prepared.train, prepared.held_out
    journal.emit(
        "data",
        left_out=len(prepared.left_out),
        rows=train.read + held.read,
        examples=len(train),
        eval_examples=len(held),
        unusable=train.unusable + held.unusable,
        cut=train.cut + held.cut,
        without_answer=train.without_answer + held.without_answer,
        tokens=train.tokens,
        trained_tokens=train.trained_tokens,
        longest_tokens=train.longest,
        **({"parts": prepared.mix.documents(train, held)} if prepared.mix is not None else {}),
    )
    if prepared.mix is not None:
        for kind, severity, message in prepared.mix.findings(train):
            journal.emit("finding", finding=kind, severity=severity, message=message)
    for kind, severity, message, mend in train.findings(plan):
        ways = [{"change": mend, "advice": message, "restart": anew} for anew in (False, True) if mend]
        journal.emit("finding", finding=kind, severity=severity, message=message, fix=mend, fixes=ways)
    if train.answers_unended and not train.cut:
        journal.emit(
            "finding",
            finding="stop-token",
            severity="warning",
            message=(
                f"{train.answers_unended} of {train.answers} answers do not end in a token that ends generation: "
                "the model may not learn to stop."
            ),
        )
