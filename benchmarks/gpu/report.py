"""The campaign's results as tables for README and docs: `python benchmarks/gpu/report.py [FOLDER]`.

Every figure names the piece that it comes from; a piece that was not measured is said to be missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "gpu"
sys.path[:0] = [str(HERE)]
AIMS = {"defaults": 2.0, "fastest": 1.0, "plain": 0.99, "unsloth": 1.0}
"""What the proposed settings are to reach of each rival's content tokens a second."""


def documents(folder: Path) -> dict[str, dict[str, Any]]:
    """The results by piece."""
    read = (json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json")))
    return {one["piece"]: one for one in read if "piece" in one}


def measured(document: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The cases that have a figure."""
    cases = (document or {}).get("cases", {})
    return {name: case for name, case in cases.items() if not {"problem", "skipped"} & case.keys()}


def heading(found: dict[str, dict[str, Any]]) -> str:
    """Card, driver, versions and day."""
    one = next(iter(found.values()))
    card, names = one["card"], ("torch", "transformers", "trl", "peft", "bitsandbytes")
    versions = ", ".join(f"{name} {one['versions'][name]}" for name in names if name in one["versions"])
    memory = f"{card['memory_bytes'] / 2**30:.0f} GiB"
    driver = f", driver {card['driver']}" if card.get("driver") else ""
    rehearsed = " (a rehearsal: these figures mean nothing)" if one.get("rehearsal") else ""
    return f"{card['name']}, {memory}{driver}; {versions}; {one['date']}{rehearsed}"


def speed_table(speed: dict[str, Any] | None, unsloth: dict[str, Any] | None) -> list[str]:
    """Content tokens a second by model and side, what the proposed one is of each, and its share of the peak."""
    from speed import SWITCHES

    rates: dict[str, dict[str, dict[str, Any]]] = {}
    for name, case in [*measured(unsloth).items(), *measured(speed).items()]:
        base, _, side = name.rpartition(" ")
        if "tokens_per_second" in case:
            rates.setdefault(base, {})[side] = case
    if not rates:
        return ["Speed: not measured."]
    sides = ("proposed", *AIMS, *(side for side in SWITCHES if any(side in found for found in rates.values())))
    lines = ["| model, method | " + " | ".join(sides) + " | share of peak |", "|---" * (len(sides) + 2) + "|"]
    for base, found in rates.items():
        own = found.get("proposed", {}).get("tokens_per_second")
        cells = []
        for side in sides:
            rate = found.get(side, {}).get("tokens_per_second")
            ratio = f" (× {own / rate:.2f})" if own and rate and side != "proposed" else ""
            cells.append(f"{rate:,.0f}{ratio}" if rate else "–")
        share = found.get("proposed", {}).get("utilisation")
        lines.append(f"| {base} | " + " | ".join(cells) + f" | {f'{share:.1%}'.replace('%', ' %') if share else '–'} |")
    aims = ", ".join(f"{side} {aim}" for side, aim in AIMS.items())
    return [*lines, "", f"Content tokens a second; in brackets what the proposed settings reach of it (aims: {aims})."]


def memory_lines(memory: dict[str, Any] | None) -> list[str]:
    """How far the estimate lies from what was measured."""
    from learn import cases_of, judged

    cases = cases_of(memory) if memory else []
    if not cases:
        return ["Memory: not measured on a card."]
    found = judged(cases, lambda case: (case.predicted, case.upper))
    return ["Memory: " + ", ".join(f"{key} {value}" for key, value in found.items()) + "."]


def plain_lines(title: str, document: dict[str, Any] | None, keys: tuple[str, ...]) -> list[str]:
    """A list of cases with some of their figures."""
    if document is None:
        return [f"{title}: not measured."]
    lines = [f"{title}:"]
    for name, case in document["cases"].items():
        wrong = case.get("problem") or case.get("skipped")
        told = wrong or ", ".join(f"{key} {case[key]}" for key in keys if case.get(key) is not None) or "done"
        lines.append(f"- {name}: {told}")
    return lines


def report(folder: Path) -> str:
    """All of it."""
    found = documents(folder)
    if not found:
        return "No card has been measured yet."
    get = found.get
    blocks = [
        [heading(found)],
        memory_lines(get("memory")),
        speed_table(get("speed"), get("unsloth")),
        plain_lines("Machine", get("machine"), ("status", "found", "gpus")),
        plain_lines("Wizard", get("wizard"), ("killed_at", "took", "figures")),
        plain_lines("Memory taken by others", get("full"), ("state", "message")),
        plain_lines("Kernels", get("kernels"), ("tokens_per_second", "peak_reserved", "finite", "falls", "absent")),
        plain_lines("Decoding", get("decoding"), ("ratio", "first_token_ratio", "switching_seconds")),
    ]
    return "\n\n".join("\n".join(block) for block in blocks)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    print(report(parser.parse_args(arguments).folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
