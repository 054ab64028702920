"""Of which step a run's result and its merge are, and what is told of older ones. Reads folders: for a thread."""

from __future__ import annotations

from pathlib import Path

from loratui.format import size
from loratui.runs.directory import Run
from loratui.runs.result import LeftBehind, step_of_result


def older_words(left: LeftBehind) -> str:
    """What the result is of, and what there is instead."""
    ways = ["it goes on" if left.goes_on else "r on the run goes on"]
    ways += ["take the checkpoint"] if left.checkpoint is not None else []
    return f"{left.words}: {', or '.join(ways)}"


def result_words(folder: Path, left: LeftBehind | None) -> str:
    """A result's size; with its step where the run was trained beyond it."""
    of = f"of step {left.step:,} · " if left is not None and left.step else ""
    return f"{of}{size(weights_bytes(folder))}"


def merged_steps(run: Run, *, there: bool, now: bool) -> list[str]:
    """Of which step the merge is that is there, and of which one that is made now would be; as far as is known.

    there, now: whether each of them is to be told.
    """
    merged = step_of_result(run.merged_path) if there else 0
    adapter = step_of_result(run.adapter_path) if now else 0
    told = [f"The merged model is of step {merged:,}."] if merged else []
    return told + ([f"The adapter that is merged now is of step {adapter:,}."] if adapter else [])


def weights_bytes(folder: Path) -> int:
    """Bytes of the weights in a folder; 0 where it cannot be read."""
    try:
        return sum(item.stat().st_size for item in folder.glob("*.safetensors") if item.is_file())
    except OSError:
        return 0
