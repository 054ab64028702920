"""The wizard on a login node: a partition's GPUs are a card, and the review hands the run to the queue."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from slurm_here import said
from textual.pilot import Pilot

sys.path.append(str(Path(__file__).parents[1] / "tui"))

from wizard import settled, wizard

from loratui.cluster.gpu_types import remember_memory, remembered_memory
from loratui.runs.jobs import last_job
from loratui.runs.listing import list_runs
from loratui.tui.app import LoratuiApp
from loratui.tui.machine.device_card import DeviceCard
from loratui.tui.recipe.screen import RecipeScreen
from waiting import PATIENCE_SECONDS


async def until(pilot: Pilot[None], condition: object, what: str, seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, what
        await pilot.pause(0.1)


@pytest.fixture
def no_models_of_anybody(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loratui.tui.wizard.words.SeenWords.unseen", lambda self, terms: ())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


async def two_nodes(pilot: Pilot[None]) -> None:
    """Set them by keys, in the whole list of the recipe."""
    app = pilot.app
    assert isinstance(app, LoratuiApp) and isinstance(app.screen, RecipeScreen)
    await pilot.press("m")
    fields = app.screen.fields
    for _ in range(100):
        if fields.key == "cluster.nodes":
            break
        await pilot.press("down")
    await pilot.press("2", "enter")
    await until(pilot, lambda: app.state.hardware.placed().get("cluster.nodes") == 2, "two nodes")
    await settled(pilot)


async def test_a_card_of_the_cluster_is_planned_for_and_submitted(
    own_home: Path,
    no_models_of_anybody: None,
    tmp_path: Path,
    forking_interpreter: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", forking_interpreter)
    app = wizard(tmp_path, screen="machine", gpus=0, demo=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)

        def card() -> DeviceCard | None:
            return next((one for one in app.screen.query(DeviceCard) if one.key == "slurm:gpu:h100"), None)

        await until(pilot, lambda: card() is not None, "the cluster's card")
        found = card()
        assert found is not None and "4 of 4 GPUs free" in found.render().plain
        told = str(app.screen.query_one("#host").render())
        assert "above are those of its nodes" in told and "NVIDIA driver" not in told, told
        found.focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.state.hardware.placed(), "the choice")
        device = app.state.hardware.device()
        assert device is not None and (device.name, device.count) == ("H100 80GB", 1)
        await until(pilot, lambda: (one := card()) is not None and one.chosen, "the mark")
        (again := card()) is not None and again.focus()  # type: ignore[func-returns-value]
        await pilot.press("space")
        await until(pilot, lambda: app.state.hardware.placed().get("cluster.gpus_per_node") == 2, "a second GPU")
        plan = app.state.plan.proposal
        assert plan is not None and plan.device.count == 2 and plan.plan.processes == 2
        assert plan.plan.cluster.time_limit_minutes >= 30
        (again := card()) is not None and again.focus()  # type: ignore[func-returns-value]
        await pilot.press("space")
        await until(pilot, lambda: app.state.hardware.placed().get("cluster.gpus_per_node") == 1, "one GPU again")
        for key, value in {"hardware.cpu": True, "training.max_steps": 4, "evaluation.every_steps": 0}.items():
            app.state.choices.set_value(key, value)  # the test's GPUs are only counted
        for step in ("model", "dataset", "recipe"):
            app.open_step(step)
            await settled(pilot)
            assert not app.state.problems(step), step
        await two_nodes(pilot)
        plan = app.state.plan.proposal
        assert plan is not None and plan.plan.cluster.nodes == plan.plan.processes == 2
        app.open_step("machine")
        await settled(pilot)
        await until(pilot, lambda: "2 nodes × 1 GPU" in card().render().plain, "what is asked for")  # type: ignore[union-attr]
        app.open_step("review")
        await settled(pilot)
        await until(
            pilot, lambda: "Submit to partition gpu" in app.screen.query_one("#start").render().plain, "the button"
        )
        await pilot.press("f9")
        await until(pilot, lambda: bool(list_runs()), "a run")
        (run,) = list_runs()
        await until(pilot, lambda: last_job(run.run.path) is not None, "its job")
        assert run.run.status().state in ("queued", "starting")
        job = last_job(run.run.path)
        told = said("scontrol", "show", "job", str(job.id))
        assert job is not None and "NumNodes=2" in told and "h100:1" in told, told
        await until(pilot, lambda: app.screen.query("#headline"), "the training screen")
        words = ("queued", "starting", "rehearsing")
        await until(
            pilot, lambda: any(word in str(app.screen.query_one("#headline").render()) for word in words), "its state"
        )
        assert "#SBATCH" in (run.run.path / "job.sh").read_text()
        seen: list[str] = []

        def ended() -> bool:
            seen.append(run.run.status().state)
            return run.run.status().over

        await until(pilot, ended, "its end", 240)
        status = run.run.status()
        assert status.state == "finished" and status.step == 4, (status, run.run.log_path.read_text()[-3000:])
        assert "NodeList=n[1-2]" in said("scontrol", "show", "job", str(job.id))
        assert "running" in seen, dict.fromkeys(seen)  # how long it was queued is up to Slurm
        assert (run.run.adapter_path / "adapter_model.safetensors").is_file()
        headline = app.screen.query_one("#headline")
        await until(pilot, lambda: "finished" in str(headline.render()), "the screen's word")


def test_the_memory_of_an_unknown_card_is_remembered(own_home: Path) -> None:
    from loratui.cluster.gpu_types import UnknownGpuType, card_of, device_of

    with pytest.raises(UnknownGpuType, match=r"type xpu9 .*Say it once"):
        device_of("xpu9")
    remember_memory("xpu9", 40 * 2**30)
    assert remembered_memory("xpu9") == 40 * 2**30 and device_of("xpu9", 4).memory_free_bytes == 40 * 2**30
    for kind, name in {
        "h100": "H100 80GB",
        "nvidia_a100-sxm4-80gb": "A100 80GB",
        "rtx_a6000": "RTX A6000",
        "tesla_v100-sxm2-32gb": "V100 32GB",
    }.items():
        card = card_of(kind)
        assert card is not None and card.name == name, kind
