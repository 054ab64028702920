"""`loratui merge`: an adapter merged into its base, with proof. This process is the worker: it loads the model
itself."""

from __future__ import annotations

from functools import partial

import click

from loratui.commands.trust import ask_for_load, trust_option


@click.command("merge")
@click.argument("adapter", metavar="ADAPTER_OR_RUN")
@click.option("-o", "--output", required=True, metavar="DIR", help="New folder for the merged model.")
@click.option("--base", default="", help="Base model, instead of the one that the adapter names.")
@click.option(
    "--dtype",
    type=click.Choice(["bf16", "fp16", "fp32"]),
    help="Number format of the merged weights; by default the base's in training.",
)
@click.option(
    "--onto",
    type=click.Choice(["dequantised", "unquantised"]),
    help="For a base that was quantised in training: onto it as it was then (by default, so that it answers as "
    "trained), or onto the unquantised one.",
)
@click.option("--device", default="", help="cuda or cpu; by default the first that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@trust_option
@click.pass_context
def command(
    ctx: click.Context,
    adapter: str,
    output: str,
    base: str,
    dtype: str | None,
    onto: str | None,
    device: str,
    as_json: bool,
    trusted: bool,
) -> None:
    """Merge an adapter into its base, and prove it.

    The merged folder appears only when adapter and merged model answer the same prompts alike.
    """
    from loratui.worker.merge import MergeRequest, execute

    ctx.exit(
        execute(
            MergeRequest(
                adapter,
                output,
                base=base,
                dtype=dtype or "",
                device=device,
                as_json=as_json,
                onto=onto or "",
                ask=partial(ask_for_load, trusted=trusted),
            )
        )
    )
