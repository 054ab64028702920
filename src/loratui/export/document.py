"""What an export is, and the bookkeeping that keeps it honest: no key of the plan is dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from loratui.core.division import share_count
from loratui.core.plan import Plan
from loratui.core.plan_text import fields

if TYPE_CHECKING:
    from loratui.export.memory import Elsewhere

RowKind = Literal[
    "messages",
    "prompt-completion",
    "text",
    "tokens",
    "pairs",
    "sides",
    "whole-sides",
    "judged",
    "judged-messages",
]


@dataclass(frozen=True, slots=True)
class Rows:
    """The plan's rows as files that every tool reads: JSON lines, split as the plan splits them.

    kind: what a line holds: {"messages": […]}, {"prompt": […], "completion": […]} (messages too; TRL's form), {"text":
    …} or {"input_ids": […], "labels": […]}. In messages an answer with "train": false bears no loss. Of preferences:
    pairs, {"prompt": […], "chosen": […], "rejected": […]}; sides, {"messages": […], "chosen": {…}, "rejected": {…}};
    whole-sides, {"chosen": […], "rejected": […]}, question and answer in turns, with "system" where there is one;
    judged, {"prompt": […], "completion": […], "label": true}; judged-messages, {"messages": […], "label": true}.
    """

    folder: str
    """Folder with train.jsonl and, where rows are held out, test.jsonl."""
    kind: RowKind = "messages"
    held_out: bool = True
    all_answers_train: bool = True
    """False where some answers of a conversation bear no loss."""

    @property
    def train(self) -> str:
        """File of the rows to train on."""
        return f"{self.folder}/train.jsonl"

    @property
    def test(self) -> str:
        """File of the rows held out."""
        return f"{self.folder}/test.jsonl"


@dataclass(frozen=True, slots=True)
class Export:
    """A plan as another tool's file.

    left_out: one sentence for each setting that did not carry over. files: further files by name, to lie in the rows'
    folder. run: the command that starts it.
    """

    tool: str
    text: str
    left_out: tuple[str, ...]
    run: str
    suffix: str
    files: Mapping[str, str] = field(default_factory=dict)


class Carrier:
    """Hands out a plan's values and remembers which were asked for."""

    def __init__(self, plan: Plan, tool: str) -> None:
        self.plan = plan
        self._tool = tool
        self._carried: set[str] = set()
        self._left: list[str] = []

    def __getitem__(self, key: str) -> Any:
        """The value at a key, which is carried over by that."""
        self._carried.add(key)
        return self.plan.get(key)

    def without_meaning(self, *keys: str) -> None:
        """These say nothing under this plan, or belong to the rows that are exported as they are."""
        self._carried.update(keys)

    def leave(self, key: str, why: str) -> None:
        """This key is not carried over as it stands."""
        self._carried.add(key)
        self._left.append(f"{key} = {self.plan.get(key)}: {why}")

    def say(self, sentence: str) -> None:
        """Something that differs without a key of its own."""
        self._left.append(sentence)

    def left_out(self) -> tuple[str, ...]:
        """What was left, and every key that nobody asked for and that is not at its default."""
        forgotten = [
            f"{key} = {self.plan.get(key)}: {self._tool} is not told of it."
            for key, info in fields().items()
            if key not in self._carried and self.plan.get(key) != info.get_default(call_default_factory=True)
        ]
        return (*self._left, *forgotten)


def common(carrier: Carrier, rows: Rows) -> None:
    """What no tool takes, and what has no meaning under this plan or for these rows."""
    plan = carrier.plan
    carrier.without_meaning("training.objective")
    if plan.training.objective == "sft":
        carrier.without_meaning(*(key for key in fields() if key.startswith("preference.")))
    if rows.kind == "text" and plan.dataset.long_text == "divide":
        carrier.leave("dataset.long_text", "texts beyond the maximum length may be cut there, not divided into pieces.")
    else:
        carrier.without_meaning("dataset.long_text")
    if plan.dataset.parts:
        carrier.say(
            f"the mix of {len(plan.dataset.parts)} parts: its rows lie in one file as an epoch draws them, so that one "
            "of weight 2 stands there twice; the loss on the held-out rows is one figure, not one for each part."
        )
    carrier.without_meaning(
        "dataset.path",
        "dataset.parts",
        "dataset.format",
        "dataset.columns",
        "dataset.preference",
        "dataset.configuration",
        "dataset.encoding",
        "dataset.split",
        "dataset.eval_fraction",
        "dataset.eval_count",
        "dataset.split_by",
        "dataset.split_seed",
        "dataset.eval_path",
        "dataset.exclude",
        "dataset.leave_out",
        "dataset.reasoning",
        "dataset.calls",
        "hardware.gpu",
        "method.kind",
    )
    if plan.method.kind == "full":
        carrier.without_meaning(*(key for key in fields() if key.startswith("lora.")))
    if plan.method.quantization not in ("nf4", "fp4"):
        carrier.without_meaning("method.double_quantization", "method.compute_dtype")
    if plan.training.scheduler != "cosine":
        carrier.without_meaning("training.min_lr_ratio")
    if not plan.evaluation.every_steps:
        carrier.without_meaning(
            "evaluation.every_steps", "evaluation.batch_size", "evaluation.patience", "evaluation.prompts"
        )
    elif plan.evaluation.prompts:
        carrier.leave("evaluation.prompts", "prompts are answered during training by loratui only.")
    if plan.hardware.cpu:
        carrier.leave("hardware.cpu", "start it with CUDA_VISIBLE_DEVICES= (empty), so that it sees no GPU.")
    else:
        carrier.without_meaning("hardware.cpu")
    if plan.hardware.devices:
        numbers = ",".join(map(str, plan.hardware.devices))
        carrier.leave("hardware.devices", f"choose the GPUs when you start it: CUDA_VISIBLE_DEVICES={numbers}.")
    where = [key for key in fields() if key.startswith("cluster.")]
    if plan.cluster.engine:
        carrier.leave("cluster.engine", "write the job script for the scheduler yourself, or let loratui submit it.")
    carrier.without_meaning(*(where[1:] if plan.cluster.engine else where))
    if share_count(plan) > 1:
        carrier.leave(
            "hardware.parallelism",
            (
                "weights divided among the GPUs need this tool's own FSDP2 settings; without them each GPU holds a "
                "whole copy."
            ),
        )
    else:
        carrier.without_meaning("hardware.parallelism")


def header(tool: str, run: str, left_out: tuple[str, ...], memory: Elsewhere | None = None) -> str:
    """The comment above an exported file."""
    lines = [f"A plan of loratui for {tool}. Start it with: {run}"]
    if memory is not None:
        lines += ["", memory.sentence[0].upper() + memory.sentence[1:]]
    if left_out:
        lines += ["", "What did not carry over:"] + [f"- {sentence}" for sentence in left_out]
    return "\n".join(f"# {line}".rstrip() for line in lines) + "\n"


def yaml_text(document: Mapping[str, Any]) -> str:
    """YAML in the order given, texts of several lines as they are."""
    import yaml

    class Plain(yaml.SafeDumper):
        pass

    def lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Plain.add_representer(str, lines)
    text: str = yaml.dump(
        dict(document), Dumper=Plain, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
    )
    return text
