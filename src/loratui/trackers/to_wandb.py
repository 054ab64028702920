"""Weights & Biases: a run of the same id each time, so that a later copy takes the place of an earlier one there, too.

Offline unless WANDB_API_KEY or WANDB_MODE says otherwise: `wandb sync` sends it whenever there is a network.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from loratui.trackers.rows import Row, Said
from loratui.trackers.tracker import Facts

MOST_SAMPLES = 2_000
QUIET = {
    "console": "off",
    "silent": True,
    "disable_git": True,
    "disable_code": True,
    "disable_job_creation": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "x_disable_machine_info": True,
}
"""Nothing of the process that copies: the run's own machine and versions are in the config."""


class WeightsAndBiases:
    """One run there."""

    def begin(self, facts: Facts) -> None:
        import wandb

        self._offline = os.environ.get("WANDB_MODE", "online" if os.environ.get("WANDB_API_KEY") else "offline")
        _make_room(facts)
        self._samples: list[Said] = []
        known = wandb.Settings.model_fields
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", facts.project),
            id=facts.identity,
            name=facts.title,
            dir=str(facts.folder),
            mode=self._offline,
            config=facts.as_config(),
            settings=wandb.Settings(**{name: value for name, value in QUIET.items() if name in known}),
        )

    @property
    def _folder(self) -> str:
        return str(Path(self._run.dir).parent)

    def row(self, row: Row) -> None:
        self._run.log({**row.values, "_timestamp": row.time}, step=row.step)

    def said(self, said: Said) -> None:
        if len(self._samples) < MOST_SAMPLES:
            self._samples.append(said)

    def flush(self) -> None:
        """It sends and writes by itself; the figures of a step once the next one is there."""

    def end(self, state: str) -> None:
        import wandb

        if state != "superseded":
            if self._samples:
                table = wandb.Table(columns=["step", "prompt", "answer", "expected"])
                for one in self._samples:
                    table.add_data(one.step, one.prompt, one.answer, one.expected)
                self._run.log({"samples": table})
            self._run.summary["state"] = state
        self._run.finish(exit_code=0 if state in ("finished", "stopped", "superseded") else 1)

    @property
    def where(self) -> str:
        if self._offline == "offline":
            return f"{self._folder}, offline. Send it with: wandb sync {shlex.quote(self._folder)}"
        return str(self._run.url or self._folder)


def _make_room(facts: Facts) -> None:
    """Remove the folders of earlier copies of this run, which wandb made in ours."""
    for folder in (facts.folder / "wandb").glob(f"*run-*-{facts.identity}"):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def make() -> WeightsAndBiases:
    """A new copy."""
    return WeightsAndBiases()
