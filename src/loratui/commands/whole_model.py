"""The folder of a whole model that a run or a folder stands for: an adapter is merged first, once, with its proof."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from pathlib import Path

from loratui.commands.trust import ask_for_load
from loratui.core.errors import LoratuiError, RunError
from loratui.paths import without_tilde
from loratui.runs.base_files import stands_on
from loratui.runs.directory import Run
from loratui.runs.listing import find_run, named_run
from loratui.runs.result import damage_of, require_undamaged
from loratui.terminal import progress, say
from loratui.workers.command import CommandProcess
from loratui.workers.target import find_target, merged_folder

INTERRUPTED = 130


def merge_line(source: str, merged: str) -> str:
    """The command that a person gives before the others."""
    return shlex.join(["loratui", "merge", source, "-o", merged])


def whole_model(source: str, *, dtype: str = "") -> tuple[Path, str]:
    """Folder of the whole model, and a name for it. Merges a run's adapter into `RUN/merged` where that is not there
    yet, or no more as it was written.

    RunError where there is no result, or the merge does not hold; ModelError where the result is damaged.
    """
    folder, of_home = without_tilde(source), named_run(source) is not None
    if not of_home and (folder / "config.json").is_file() and not (folder / "plan.toml").is_file():
        return folder.absolute(), folder.absolute().name
    if not of_home and (folder / "adapter_config.json").is_file():
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
        return _of_checkpoint(run, dtype), run.name
    require_undamaged(run.adapter_path)
    broken = damage_of(run.merged_path) if run.merged_is_current else ""
    if broken:
        say(f"{run.merged_path.name} is damaged ({broken}): it is made anew.", err=True)
    if broken or not run.merged_is_current:
        say(f"Merging the adapter into its base first, into {run.merged_path} …", err=True)
        if run.merged_path.is_dir() and (stands := stands_on(run.merged_path)):
            say(stands, err=True)
        shutil.rmtree(run.merged_path, ignore_errors=True)
        ask_for_load(find_target(str(run.path)).load, trusted=False)  # the process that merges has nobody to ask
        asyncio.run(_merge(run, dtype))
    return run.merged_path, run.name


def _of_checkpoint(run: Run, dtype: str) -> Path:
    """A run that has no result yet: its newest whole checkpoint, merged into a folder of its own."""
    target = find_target(str(run.path))
    if target.result is None:
        raise RunError(f"{run.name} has no result and no checkpoint yet.", hint="It is there when the run is finished.")
    say(target.note, err=True)
    if (target.result / "config.json").is_file() and not (target.result / "adapter_config.json").is_file():
        return target.result
    require_undamaged(target.result)
    merged = merged_folder(run, target.result)
    if run.merge_is_current(target.result, merged) and not damage_of(merged):
        return merged
    say(f"Merging {target.result.name} into its base first, into {merged} …", err=True)
    shutil.rmtree(merged, ignore_errors=True)
    ask_for_load(target.load, trusted=False)  # the process that merges has nobody to ask
    asyncio.run(_merge(run, dtype, merged))
    return merged


async def _merge(run: Run, dtype: str, merged: Path | None = None) -> None:
    """Merge in a process of its own, whose memory is free again afterwards."""
    options = ["--dtype", dtype] if dtype else []
    process = CommandProcess(["merge", str(run.path), "-o", str(merged or run.merged_path), *options])
    try:
        async for line in process.lines():
            say(line, err=True)
    finally:
        await process.closed()
    assert process.ended is not None
    if process.ended.status == INTERRUPTED:
        raise KeyboardInterrupt
    if process.ended.status:
        raise NotMergedError(f"{run.name} could not be merged: {process.ended.problem}")


def tool_line(text: str, drawn_over: bool) -> None:
    """Tell a line of another program."""
    if drawn_over:
        progress(text)
    else:
        say(text, err=True)


class NotMergedError(LoratuiError):
    """The merge before something else failed."""

    code = "merge"
