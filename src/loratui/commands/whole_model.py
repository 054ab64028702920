"""The folder of a whole model that a run or a folder stands for: an adapter is merged first, once, with its proof."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from loratui.core.errors import LoratuiError, RunError
from loratui.runs.directory import Run
from loratui.runs.listing import find_run
from loratui.runs.result import damage_of, require_undamaged
from loratui.terminal import say


def merge_command(adapter: Path, output: Path, *options: str) -> list[str]:
    """The process that merges."""
    return [sys.executable, "-m", "loratui", "merge", str(adapter), "-o", str(output), *options]


def merge_line(source: str, merged: str) -> str:
    """The command that a person gives before the others."""
    return shlex.join(["loratui", "merge", source, "-o", merged])


def whole_model(source: str, *, dtype: str = "") -> tuple[Path, str]:
    """Folder of the whole model, and a name for it. Merges a run's adapter into `RUN/merged` where that is not there
    yet, or no more as it was written.

    RunError where there is no result, or the merge does not hold; ModelError where the result is damaged.
    """
    folder = Path(source).expanduser()
    if (folder / "config.json").is_file() and not (folder / "plan.toml").is_file():
        return folder.absolute(), folder.absolute().name
    if (folder / "adapter_config.json").is_file():
        run = Run(folder.absolute().parent)
        if not run.plan_path.is_file() or folder.absolute() != run.adapter_path:
            raise RunError(
                "this is an adapter without its run.",
                where=source,
                hint="Merge it first: loratui merge ADAPTER -o DIR.",
            )
    else:
        run = find_run(source)
    if (run.model_path / "config.json").is_file():
        return run.model_path, run.name
    if not (run.adapter_path / "adapter_config.json").is_file():
        raise RunError(f"{run.name} has no result yet.", hint="It is there when the run is finished.")
    require_undamaged(run.adapter_path)
    broken = damage_of(run.merged_path) if run.merged_is_current else ""
    if broken:
        say(f"{run.merged_path.name} is damaged ({broken}): it is made anew.", err=True)
    if broken or not run.merged_is_current:
        say(f"Merging the adapter into its base first, into {run.merged_path} …", err=True)
        shutil.rmtree(run.merged_path, ignore_errors=True)
        status = subprocess.run(
            merge_command(run.path, run.merged_path, *(["--dtype", dtype] if dtype else [])), check=False
        ).returncode
        if status == 130:
            raise KeyboardInterrupt
        if status:
            raise NotMergedError(f"{run.name} could not be merged; the reason stands above.")
    return run.merged_path, run.name


class NotMergedError(LoratuiError):
    """The merge before something else failed."""

    code = "merge"
