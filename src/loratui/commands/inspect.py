"""`loratui inspect`: what a dataset will teach a model, and what is wrong with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from loratui.commands.datasets import dataset_values, datasets_option
from loratui.commands.inspect_problems import problem_lines
from loratui.commands.inspect_rows import RowNumbers, show_rows
from loratui.commands.text import parts_table, shared_lines, table
from loratui.commands.trust import ask_for_plan, trust_option
from loratui.format import duration_span, printable, size
from loratui.terminal import progress, say, say_json

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.workers.inspect_messages import InspectMessage


@click.command()
@datasets_option("File, folder, hub id, or `demo`.", required=True)
@click.option("-m", "--model", required=True, metavar="MODEL", help="Hub id, local folder, or `demo`.")
@click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change how it is read, e.g. dataset.columns=prompt:q,completion:a.",
)
@click.option(
    "--rows",
    "numbers",
    type=RowNumbers(),
    help="Print these rows as the model reads them, with what is learnt: 3, 1-5, 1,4,10-12; the first is 1.",
)
@click.option("--tokens", is_flag=True, help="With --rows: a line a token.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    datasets: tuple[str, ...],
    model: str,
    settings: tuple[str, ...],
    numbers: list[int] | None,
    tokens: bool,
    as_json: bool,
    trusted: bool,
) -> None:
    """Show what DATASET will teach MODEL: format, lengths, what bears loss, stop tokens, what is cut, problems by
    line. Ends with status 1 where no row can be trained on, or one of --rows is not there.
    """
    from loratui.core.plan import Plan
    from loratui.core.plan_text import parse_setting, with_values
    from loratui.workers.inspect_client import inspect_dataset

    values: dict[str, Any] = {"model.id": model, **dataset_values(datasets)}
    values |= dict(parse_setting(text) for text in settings)
    plan = with_values(Plan(), values)
    if tokens and numbers is None:
        raise click.UsageError("--tokens goes with --rows, e.g. --rows 1-5.")
    ask_for_plan(plan, trusted)
    if numbers is not None:
        show_rows(plan, numbers, tokens=tokens, as_json=as_json)
        return
    watched = sys.stderr.isatty()
    if watched:
        progress("Reading the rows; the tokenizer is loaded …")
    result = inspect_dataset(plan, on_message=tell_progress if watched else lambda message: None)
    if watched:
        progress("")
    add_prices(result, plan)
    if as_json:
        say_json(result)
    else:
        say(describe(result))
    if not result["usable"]:
        raise SystemExit(1)


def add_prices(result: dict[str, Any], plan: Plan) -> None:
    """Add to each length of the ledger what it costs on this machine (or on `hardware.gpu`): peak bytes, and seconds of
    the run.
    """
    from loratui.core.dataset import DataFacts, inspected_facts
    from loratui.core.length_prices import length_prices
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import device_for
    from loratui.models.find import find_model
    from loratui.runs.measured import as_asked, read_measurements

    if not result["usable"]:
        return
    hardware = plan.hardware
    device = device_for(detect_machine(), hardware.devices, hardware.gpu, cpu=hardware.cpu)
    total = result["tokens"]["total"]
    mix = inspected_facts(result["parts"]) if result.get("parts") else None
    facts = mix or DataFacts(
        examples=max(1, result["split"]["train"]),
        lengths=tuple(result["lengths"]),
        eval_examples=result["split"]["evaluation"],
        trained_share=result["trained_tokens_uncut"] / total if total else 1.0,
        divided=bool(result["divided"]),
    )
    spec = find_model(plan.model.id, revision=plan.model.revision).spec
    lengths, measured = [row["max_length"] for row in result["ledger"]], as_asked(read_measurements(), plan.model.id)
    for row, price in zip(result["ledger"], length_prices(spec, plan, facts, device, lengths, measured), strict=True):
        row |= {
            "memory": price.memory_bytes,
            "fits": price.fits,
            "seconds": None if price.low_seconds is None else [price.low_seconds, price.high_seconds],
        }


def ledger_table(result: dict[str, Any]) -> str:
    """The ledger as aligned lines: what each maximum length cuts and costs."""
    rows = [["cut at", "rows cut", "answer tokens lost", "all lost", "memory", "time"]]
    for row in result["ledger"]:
        span = row.get("seconds")
        rows.append(
            [
                f"{row['max_length']:,}",
                f"{row['cut']:,}",
                f"{row['answer_tokens_lost']:,}",
                f"{row['without_answer']:,}",
                size(row["memory"]) if "memory" in row else "–",
                duration_span(*span) if span else "–",
            ]
        )
    return table(rows, indent="  ", right=frozenset(range(6)))


def left_out_words(counts: dict[str, int]) -> str:
    """How many rows the plan leaves out, by kind."""
    return f" · left out: {', '.join(f'{count:,} {kind}' for kind, count in counts.items())}" if counts else ""


def unexplained(characters: dict[str, Any]) -> list[str]:
    """What of the text is dropped without anyone having said so: a line each, the most first."""
    lines = [
        f"▲ not read: {printable(one['column'])}, {one['characters']:,} characters in {one['rows']:,} rows"
        for one in characters["columns"]
        if not one["explained"]
    ]
    lines += [
        f"▲ the chat template drops {one['dropped']:,} of {one['characters']:,} characters of {one['part']} text"
        for one in characters["template_parts"]
        if one["dropped"]
    ]
    return lines


def tell_progress(message: InspectMessage) -> None:
    """How far it is, on one line of the terminal that the next one replaces."""
    if message["type"] == "progress":
        progress(f"{message['done']:,} of {message['total']:,} rows …")


def thinking_lines(ledger: dict[str, Any]) -> list[str]:
    """What becomes of the thinking in the rows, and what would mend it; nothing where there is none."""
    if not (ledger["rows"] or ledger["sentences"]):
        return []
    characters = ledger["characters"]
    lines = [
        f"thinking    {characters['given']:,} characters in {ledger['answers']:,} answers: {characters['learnt']:,} "
        f"learnt, {characters['shown']:,} shown, {characters['dropped']:,} dropped"
    ]
    lines += [f"            ▲ {printable(sentence)}" for sentence in ledger["sentences"]]
    for mend in ledger["fixes"]:
        setting = " ".join(f"--set {key}={printable(value)}" for key, value in mend["set"].items())
        lines.append(f"            {setting}: {printable(mend['why'])}")
    return lines


def preference_lines(result: dict[str, Any]) -> list[str]:
    """What the pairs come to, or the labels, and what is wrong with them; nothing where answers are learnt alone."""
    ledger = result["preferences"]
    lines = []
    if ledger["pairs"]:
        cut = ledger["cut"]
        limit = f"{result['truncation']['max_length']:,} tokens"
        lines.append(
            f"pairs       {ledger['pairs']:,}: of the chosen answers {cut['chosen']:,} are longer with their prompt "
            f"than {limit}, of the rejected {cut['rejected']:,}"
        )
        if ledger["longer_chosen"]["words"]:
            lines.append(f"            {printable(ledger['longer_chosen']['words'])}")
    if labels := sum(ledger["labels"].values()):
        wanted = ledger["labels"]["wanted"]
        lines.append(f"labels      {wanted:,} answers are wanted, {labels - wanted:,} are not")
    return lines + [f"            ▲ {printable(sentence)}" for sentence in ledger["sentences"]]


def describe(result: dict[str, Any]) -> str:
    """The findings as text."""
    from loratui.core.columns import write_columns
    from loratui.data.characters import characters_words

    tokens, cut, stop = result["tokens"], result["truncation"], result["stop_token"]
    longer = cut["longer"]
    share = result["trained_tokens"] / tokens["total"] if tokens["total"] else 0.0
    note = [f"            {printable(result['dataset']['note'])}"] if result["dataset"]["note"] else []
    lines = [
        f"format      {printable(result['format'])}: {printable(result['why'])}",
        f"rows        {result['examples']:,} read · {result['usable']:,} usable"
        + left_out_words(result["left_out_by"]),
        *note,
        "tokens      "
        + " · ".join(f"{name} {tokens[name]:,}" for name in ("min", "median", "p90", "p95", "p99", "max", "total")),
        f"trained     {result['trained_tokens']:,} tokens ({share:.0%})",
        f"text        {characters_words(result['characters']) or 'none: the rows hold token ids'}",
        *(f"            {words}" for words in unexplained(result["characters"])),
        f"divided     {longer:,} texts are longer than {cut['max_length']:,} tokens and are divided: "
        f"{result['sequences']:,} pieces in all, of which nothing is cut (dataset.long_text = cut would)"
        if result["divided"] and longer
        else (
            f"cut         {cut['cut']:,} rows are longer than {cut['max_length']:,} tokens; {cut['without_answer']:,} "
            "lose their whole answer"
        ),
        (
            f"max length  {result['proposed_max_length']['value']:,} would do: "
            f"{printable(result['proposed_max_length']['why'])}"
        ),
        (
            f"stop token  {printable(str(stop['token']))}: trained in {stop['trained']:,} rows, missing in "
            f"{stop['missing']:,}"
        ),
    ]
    read_as = [f"columns     {printable(write_columns(result['columns']))}"] if result["columns"] else []
    if result["unused"]:
        read_as.append(f"            not read: {', '.join(map(printable, result['unused']))}")
    read_as += [f"            ▲ {printable(doubt)}" for doubt in result["doubts"]]
    if result["format"] == "preference" and result["objective"] == "sft":
        read_as.append("            ▲ learning the preference wants --set training.objective=dpo")
        read_as.append("            ▲ training on the chosen answers alone wants --set dataset.preference=chosen")
    elif result["labels_against"] and result["objective"] == "sft":
        read_as.append("            ▲ learning from wanted and unwanted answers wants --set training.objective=kto")
        read_as.append("            ▲ training on the wanted answers alone wants --set dataset.preference=chosen")
    for other in result["others"][:3]:
        columns = write_columns(other["columns"])
        read_as.append(f"            or as {printable(other['format'])}: --set dataset.columns={printable(columns)}")
    lines[1:1] = read_as
    if result.get("parts"):
        lines += ["", "an epoch of the mix:", parts_table(result["parts"]), *shared_lines(result["parts"])]
    if stop["missing_cut"]:
        lines.append(f"            {stop['missing_cut']:,} of them because they are cut")
    for key, value in stop["fix"].items():
        lines.append(f"            mend it with: --set {key}={printable(value)}")
    lines += thinking_lines(result["reasoning"])
    lines += preference_lines(result)
    tools = result["tools"]
    if tools["rows"]:
        calls = tools["calls"]
        lines.append(
            f"tools       {tools['rows']:,} rows: {calls['learnt']:,} calls learnt, {calls['shown']:,} shown; "
            f"{tools['refused_rows']:,} rows refused"
        )
    if result["usable"]:
        lines += ["", "each maximum length, what it cuts, and what it costs here:", ledger_table(result)]
    lines += problem_lines(result)
    return "\n".join(lines)
