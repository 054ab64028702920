"""How far a start is, as its events tell it: weights read of weights to read, stages of the rehearsal."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_tiny_model
from transformers import AutoModelForCausalLM
from transformers.utils.logging import set_tqdm_hook

from loratui.runs.directory import Run
from loratui.worker.training import rehearse, weights_read
from loratui.worker.training.weights_read import weights_told

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


class Journal:
    """Keeps what is told. heard: a file that says how much that is."""

    def __init__(self, heard: Path | None = None) -> None:
        self.told: list[dict[str, Any]] = []
        self.heard = heard

    def emit(self, kind: str, **fields: Any) -> None:
        self.told.append(fields)

    def phase(self, phase: str, message: str, **fields: Any) -> None:
        self.told.append({"phase": phase, "message": message, **fields})
        if self.heard is not None:
            self.heard.write_text("." * len(self.told))


def test_the_weights_are_counted_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the library's own reading: it fails where another version no longer asks the hook."""
    monkeypatch.setattr(weights_read, "TELL_SECONDS", 0.0)
    folder, journal = write_tiny_model(tmp_path / "model", hidden=64), Journal()
    with weights_told(journal):  # type: ignore[arg-type]
        model = AutoModelForCausalLM.from_pretrained(folder)
    of = journal.told[-1]["of"]
    assert [one["done"] for one in journal.told] == list(range(of)) and of >= 10
    assert of <= len(model.state_dict()) and journal.told[-1]["phase"] == "load_model"
    assert set_tqdm_hook(None) is None, "the hook is gone"


def test_a_rehearsal_tells_its_stages(tmp_path: Path) -> None:
    run, journal = Run(tmp_path), Journal(tmp_path / "heard")
    progress = rehearse.progress_of(rehearse.result_of(run))
    child = subprocess.Popen([sys.executable, __file__, str(progress), str(tmp_path / "heard")])
    assert rehearse._watch(run, child, journal) == 3  # type: ignore[arg-type]
    assert [(one["done"], one["of"]) for one in journal.told] == [(n, 5) for n in range(1, 5)]
    assert [one["message"] for one in journal.told[:2]] == ["Rehearsing: step 1 of 2", "Rehearsing: step 2 of 2"]
    assert {one["state"] for one in journal.told} == {"rehearsing"} and json.loads(progress.read_bytes())["of"] == 5


def rehearsed(progress: Path, heard: Path) -> None:
    """What a rehearsal's own process tells of itself; of each stage until it was heard, for the watch looks only so
    often."""
    from loratui.worker.training.peaks import Measure

    measure = Measure(progress, evaluates=False)
    for number, phase in enumerate(("load_model", "train", "train", "save", "reload")):
        measure.begin(phase)
        while number and (not heard.exists() or len(heard.read_text()) < number):
            time.sleep(0.01)
        if phase == "train":
            measure.step_seconds.append(0.6)
    sys.exit(3)


if __name__ == "__main__":
    rehearsed(Path(sys.argv[1]), Path(sys.argv[2]))
