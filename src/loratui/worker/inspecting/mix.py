"""A mix inspected: each part as a dataset of its own, and all of them as the one that is trained on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from loratui.core.mix import parts_of
from loratui.core.plan import Plan
from loratui.data.draw import Drawn, Usable, draw
from loratui.data.lengths import Lengths
from loratui.data.read import read_rows
from loratui.worker.inspecting.inspection import Emit, Inspection
from loratui.worker.inspecting.model import TextModel
from loratui.worker.inspecting.rendering import render_rows
from loratui.workers.inspect_messages import InspectMessage, Recognised

SAMPLED_LENGTHS = 5000
LISTED = 1000
WORST = 20


class MixInspection:
    """Asked as an `Inspection` is; rows are counted through the parts, in their order."""

    def __init__(self, plan: Plan, emit: Emit) -> None:
        self.plan, self.emit = plan, emit
        self.started = time.monotonic()
        self.chosen = parts_of(plan)
        self._done = 0
        self._before = 0
        self.parts = [Inspection(part.plan, self._forward, mix=plan) for part in self.chosen]
        self.total = sum(one.total for one in self.parts)

    def _forward(self, message: InspectMessage) -> None:
        """What a part tells of its progress, as that of the whole; its own results are not the mix's."""
        if message["type"] == "progress":
            done = self._before + message["done"]
            seconds = round(time.monotonic() - self.started, 2)
            self.emit({**message, "done": done, "total": max(self.total, done), "seconds": seconds})

    def early(self) -> Recognised:
        """What is known before the tokenizer is."""
        found = [one.early() for one in self.parts]
        first = found[0]
        return {
            **first,
            "format": _common([one["format"] for one in found]),
            "columns": first["columns"] if len({str(one["columns"]) for one in found}) == 1 else {},
            "why": "; ".join(f"{part.name}: {one['format']}" for part, one in zip(self.chosen, found, strict=True)),
            "guess": any(one["guess"] for one in found),
            "others": [],
            "unused": [],
            "doubts": [f"{name}: {doubt}" for name, one in self._named(found) for doubt in one["doubts"]],
            "problems": [
                {**problem, "message": f"{name}: {problem['message']}"}
                for name, one in self._named(found)
                for problem in one["problems"]
            ],
            "rows_looked_at": sum(one["rows_looked_at"] for one in found),
            "guessed_tokens": {
                "median": sorted(one["guessed_tokens"]["median"] for one in found)[len(found) // 2],
                "max": max(one["guessed_tokens"]["max"] for one in found),
            },
            "examples": self.total,
            "files": [file for one in found for file in one["files"]],
            "note": "; ".join(f"{name}: {one['note']}" for name, one in self._named(found) if one["note"]),
        }

    def _named(self, found: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        return zip((part.name for part in self.chosen), found, strict=True)

    def tell_progress(self) -> float:
        """As `Inspection.tell_progress`."""
        return self.parts[0].tell_progress()

    def rendered(self, model: TextModel, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Rows as the trainer receives them, by their numbers through all parts."""
        wanted, found, first = sorted(set(numbers)), [], 0
        for part, one in zip(self.chosen, self.parts, strict=True):
            count = _rows_read(one) if wanted and wanted[-1] >= first else 0
            mine = [number - first for number in wanted if first <= number < first + count]
            for row in render_rows(part.plan, one.found, one.recognition, model, mine) if mine else ():
                found.append({**row, "index": row["index"] + first, "part": part.name})
            first += count
        return found

    def run(self, model: TextModel) -> dict[str, Any]:
        """Every part inspected; the result of the whole. Raises as an `Inspection` does."""
        results = []
        for one in self.parts:
            results.append(one.run(model))
            self._before += one.read
        usable = [
            Usable(
                part.weight,
                part.cap,
                one.keys.identities,
                one.keys.leaders,
                apart=_apart(one),
                held=sorted(one.held_identities),
            )
            for part, one in zip(self.chosen, self.parts, strict=True)
        ]
        drawn = draw(self.plan.dataset, self.plan.split_seed, usable)
        return self._result(results, drawn)

    def _result(self, results: list[dict[str, Any]], drawn: list[Drawn]) -> dict[str, Any]:
        training, section = self.plan.training, self.plan.dataset
        max_length = training.max_length
        numbers = [_numbers(one, found.train) for one, found in zip(self.parts, drawn, strict=True)]
        held = [_numbers(one, found.held_out) for one, found in zip(self.parts, drawn, strict=True)]
        lengths = Lengths.joined([(one.lengths, rows) for one, rows in zip(self.parts, numbers, strict=True)])
        ledger = lengths.ledger(max_length)
        kept = lengths.trained(max_length)
        parts = self._parts(results, drawn, numbers, held)
        context = results[0]["truncation"]["context"]
        proposal = lengths.proposal(context)
        offsets = np.cumsum([0, *(one.read for one in self.parts)]).tolist()
        evaluation = results[0]["split"]["evaluation"] if section.eval_path else 0
        merged = _merged(results)
        stop = merged["stop_token"] | {
            "token": results[0]["stop_token"]["token"],
            "fix": results[0]["stop_token"]["fix"],
        }
        return {
            **merged,
            "format": _common([one["format"] for one in results]),
            "columns": results[0]["columns"] if len({str(one["columns"]) for one in results}) == 1 else {},
            "why": "; ".join(f"{name}: {one['why']}" for name, one in self._named(results)),
            "guess": any(one["guess"] for one in results),
            "others": [],
            "unused": [],
            "unused_characters": {},
            "doubts": [f"{name}: {doubt}" for name, one in self._named(results) for doubt in one["doubts"]],
            "dataset": {
                "path": "",
                "name": section.named,
                "kind": "mix",
                "files": [file for one in results for file in one["dataset"]["files"]],
                "size_bytes": sum(one["dataset"]["size_bytes"] for one in results),
                "note": "",
            },
            "model": results[0]["model"],
            "template": results[0]["template"],
            "objective": training.objective,
            "loss_on": training.loss_on,
            "divided": lengths.divided,
            "sequences": ledger["sequences"],
            "left_out_by": dict(sum((Counter(one["left_out_by"]) for one in results), Counter())),
            "unusable": [index + offsets[number] for number, one in enumerate(results) for index in one["unusable"]][
                :LISTED
            ],
            "problems": [
                {
                    **problem,
                    "message": f"{self.chosen[number].name}: {problem['message']}",
                    "index": None if problem["index"] is None else problem["index"] + offsets[number],
                    "part": self.chosen[number].name,
                }
                for number, one in enumerate(results)
                for problem in one["problems"]
            ],
            "characters": self._characters([one["characters"] for one in results], offsets),
            "tokens": lengths.summary(),
            "trained_tokens": int(kept.sum()),
            "trained_tokens_uncut": int(lengths.trained().sum()),
            "truncation": {
                **{key: ledger[key] for key in ("max_length", "cut", "without_answer", "answer_tokens_lost")},
                "longer": int((lengths.tokens > max_length).sum()),
                "context": context,
            },
            "stop_token": {
                **stop,
                "rows": [
                    index + offsets[number] for number, one in enumerate(results) for index in one["stop_token"]["rows"]
                ][:LISTED],
            },
            "preferences": self._preferences(results),
            "reasoning": self._reasoning(results, offsets),
            "tools": merged["tools"] | {"fix": {}},
            "ledger": lengths.ledgers(max_length, proposal["value"]),
            "proposed_max_length": proposal,
            "histogram": lengths.histogram(),
            "packing": lengths.packing(max_length, training.batch_size, training.seed),
            "split": {
                "train": sum(part["examples"] for part in parts),
                "evaluation": evaluation + sum(part["eval_examples"] for part in parts),
                "seed": training.seed,
                **section.model_dump(include={"eval_fraction", "eval_count"}),
            },
            "lengths": lengths.sample(SAMPLED_LENGTHS, training.seed),
            "parts": parts,
            "seconds": round(time.monotonic() - self.started, 2),
        }

    def _parts(
        self,
        results: list[dict[str, Any]],
        drawn: list[Drawn],
        numbers: list[list[int]],
        held: list[list[int]],
    ) -> list[dict[str, Any]]:
        """What each part comes to: what an epoch draws of it, and its share of the rows and of the tokens."""
        found = []
        max_length = self.plan.training.max_length
        for part, one, result, taken, rows, out in zip(
            self.chosen, self.parts, results, drawn, numbers, held, strict=True
        ):
            alive = one.lengths.trained(max_length) > 0
            lengths = Lengths.joined([(one.lengths, [row for row in rows if alive[row]])])
            found.append(
                {
                    "name": part.name,
                    "path": part.section.path,
                    "format": result["format"],
                    "columns": result["columns"],
                    "weight": part.weight,
                    "cap": part.cap,
                    "rows": result["examples"],
                    "usable": result["usable"],
                    "examples": len(lengths),
                    "eval_examples": sum(bool(alive[row]) for row in out)
                    + (one.evaluation_rows if _apart(one) and not self.plan.dataset.eval_path else 0),
                    "capped": taken.capped,
                    "kept_out": taken.kept_out,
                    "shared": taken.shared,
                    "tokens": int(lengths.sequences(max_length).sum()),
                    "trained_tokens": int(lengths.trained(max_length).sum()),
                    "base": taken.base + len(taken.held_out),
                    "eval_taken": not _apart(one),
                    "divided": lengths.divided,
                    "lengths": lengths.sample(SAMPLED_LENGTHS // len(self.parts), self.plan.training.seed),
                }
            )
        rows_in_all = max(1, sum(part["examples"] for part in found))
        tokens = max(1, sum(part["tokens"] for part in found))
        return [
            part | {"share": part["examples"] / rows_in_all, "share_of_tokens": part["tokens"] / tokens}
            for part in found
        ]

    def _characters(self, ledgers: list[dict[str, Any]], offsets: list[int]) -> dict[str, Any]:
        merged: dict[str, Any] = _merged(ledgers)
        merged["columns"] = [
            {**column, "column": f"{name}: {column['column']}"}
            for name, ledger in self._named(ledgers)
            for column in ledger["columns"]
        ]
        parts: dict[str, dict[str, Any]] = {}
        for ledger in ledgers:
            for one in ledger["template_parts"]:
                before = parts.get(one["part"], {"part": one["part"], "dropped": 0, "characters": 0})
                parts[one["part"]] = {**_merged([before, one]), "part": one["part"]}
        worst = [
            {**row, "index": row["index"] + offsets[number]}
            for number, ledger in enumerate(ledgers)
            for row in ledger["worst"]
        ]
        ranked = sorted(worst, key=lambda row: (-row["share"], -row["characters"], row["index"]))
        return merged | {"template_parts": list(parts.values()), "worst": ranked[:WORST]}

    def _preferences(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        found = [one["preferences"] for one in results]
        merged: dict[str, Any] = _merged(found)
        sentences = [f"{name}: {words}" for name, one in self._named(found) for words in one["sentences"]]
        longer = {"pairs": 0, "share": None, "interval": [0.0, 1.0], "words": ""}
        return merged | {
            "longer_chosen": longer,
            "sentences": sentences,
            "side_lengths": sorted(merged["side_lengths"]),
        }

    def _reasoning(self, results: list[dict[str, Any]], offsets: list[int]) -> dict[str, Any]:
        """The sums; what mends a part is told with its name, for the setting belongs into the part."""
        found = [one["reasoning"] for one in results]
        sentences = [f"{name}: {words}" for name, one in self._named(found) for words in one["sentences"]]
        worst = [index + offsets[number] for number, one in enumerate(found) for index in one["worst"]]
        return _merged(found) | {"sentences": sentences, "worst": worst[:WORST], "fixes": []}


def inspection_of(plan: Plan, emit: Emit) -> Inspection | MixInspection:
    """What goes over the plan's rows. Raises DatasetError where a part cannot be found or read."""
    return MixInspection(plan, emit) if plan.dataset.parts else Inspection(plan, emit)


def rendered(inspection: Inspection | MixInspection, model: TextModel, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Rows as the trainer receives them; those of these numbers that there are."""
    if isinstance(inspection, MixInspection):
        return inspection.rendered(model, numbers)
    return render_rows(inspection.plan, inspection.found, inspection.recognition, model, numbers)


def _rows_read(one: Inspection) -> int:
    """How many rows there are: known after a pass, else they are counted."""
    return one.read or sum(1 for _ in read_rows(one.found, unfold=one.recognition.unfold))


def _apart(one: Inspection) -> bool:
    """Whether the rows to evaluate on are none of these."""
    return bool(one.plan.dataset.eval_path or one.found.eval_files)


def _numbers(one: Inspection, positions: Any) -> list[int]:
    """Numbers among the tokenised rows of drawn positions among the rows with a key, without those refused."""
    place = np.full(len(one.keys), -1, dtype=np.int64)
    place[np.array(one.positions, dtype=np.int64)] = np.arange(len(one.positions))
    found = place[np.asarray(positions, dtype=np.int64)]
    numbers: list[int] = found[found >= 0].tolist()
    return numbers


def _common(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else "mixed"


def _merged(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Documents of one form as one: numbers added, lists joined, the first text."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for one in documents for key in one):
        values = [one[key] for one in documents if key in one]
        first = values[0]
        if isinstance(first, bool):
            found[key] = any(values)
        elif isinstance(first, int | float):
            found[key] = sum(values)
        elif isinstance(first, dict):
            found[key] = _merged(values)
        elif isinstance(first, list):
            found[key] = [item for one in values for item in one]
        else:
            found[key] = first
    return found
