"""Taking a run away: what is there is told truly, commands are really run, and nothing is sent or left half-made by
accident.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from pictured import shown, until
from recorded_run import record_run

from hub_standin import Hub
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.export import OURS
from loratui.format import size
from loratui.paths import demo_model_path
from loratui.runs.base_files import base_files
from loratui.runs.directory import Run
from loratui.runs.fingerprint import plan_values
from loratui.runs.model_card import MARK
from loratui.runs.start import create_run
from loratui.tui.app import LoratuiApp
from loratui.tui.common.dialogs import ConfirmScreen
from loratui.tui.take_away import screen as take_away
from loratui.tui.take_away.outputs import outputs_of
from loratui.workers.command import CommandProcess

SIZES = [(80, 24), (120, 36)]

HEADER = b'{"w": {"dtype": "U8", "shape": [4912], "data_offsets": [0, 4912]}}'.ljust(80)
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + b"x" * 4912


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run with an adapter whose card is PEFT's empty form."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"p{n}", "completion": f"c{n}"}) + "\n" for n in range(20)))
    run = record_run(
        tmp_path,
        state="finished",
        steps=375,
        values={"dataset.path": str(data), "evaluation.prompts": ["Hello?"], "evaluation.every_steps": 5},
    )
    run.adapter_path.mkdir()
    lora = run.plan().lora
    shape = {"r": lora.r, "lora_alpha": lora.alpha, "target_modules": "all-linear"}
    config = {"base_model_name_or_path": "acme/base", **shape}
    (run.adapter_path / "adapter_config.json").write_text(json.dumps(config))
    (run.adapter_path / "adapter_model.safetensors").write_bytes(WEIGHTS)
    (run.adapter_path / "README.md").write_text("# Model Card [More Information Needed]")
    return run


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Another command in place of `loratui`; `say`, `say_json` and `fail` are those of `loratui.terminal`."""
    before = (
        "from loratui.terminal import fail, say, say_json, speak_to\n"
        "from loratui.workers.command import speak\nmessages = speak(); speak_to(messages)\n"
    )
    monkeypatch.setattr(
        take_away, "CommandProcess", lambda arguments: CommandProcess(arguments, (sys.executable, "-uc", before + code))
    )


async def opened(pilot: Any, key: str = "") -> None:
    """The screen over the list of runs, with the cursor on a thing."""
    await until(pilot, "finished")
    await pilot.press("x")
    await until(pilot, "Model card")
    await opened_further(pilot, key)


async def opened_further(pilot: Any, key: str) -> None:
    """The cursor moved down to a thing."""
    screen = pilot.app.screen
    for _ in range(20):
        if not key or (screen.chosen is not None and screen.chosen.key == key):
            return
        await pilot.press("down")
        await pilot.pause()
    raise AssertionError(f"{key} is not listed:\n{shown(pilot.app)}")


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_there_and_what_is_not(run: Run, size: tuple[int, int]) -> None:
    async with LoratuiApp(screen="runs").run_test(size=size) as pilot:
        await opened(pilot)
        text = await until(pilot, "an empty form")
        assert "✓ Adapter" in text and "not made" in text and "PEFT keeps it" in text
        await pilot.press("end", "up")  # above the task for a rented machine
        await until(pilot, "─ Transformers script ─")
        if size[0] < 100:
            await pilot.press("pagedown")  # a long path may take the room
        await until(pilot, "evaluation.prompts")
        assert "What does not carry over" in shown(pilot.app)
        await pilot.press("escape")
        await until(pilot, "Everything that was trained here")


def test_an_adapters_size_is_that_of_its_file(run: Run) -> None:
    """The review tells the size of the file that will be written: what lies beside it does not count here either."""
    (run.adapter_path / "tokenizer.json").write_bytes(b" " * 400_000)
    (result,) = [one for one in outputs_of(run) if one.key == "result"]
    assert result.words == size(len(WEIGHTS))


def test_a_plan_that_another_tool_cannot_be_given_says_so_before_it_is_asked_for(run: Run) -> None:
    text = run.plan_path.read_text()
    run.plan_path.write_text(text.replace('objective = "sft"', 'objective = "dpo"'))
    exports = {one.key: one for one in outputs_of(run) if one.group == "The plan for other tools"}
    refused = {key for key, one in exports.items() if one.state == "needs"}
    assert refused - set(OURS) == {"transformers", "unsloth"}, "they know no preferences"
    assert all("are not exported to" in exports[key].problem and not exports[key].notes for key in refused - set(OURS))
    assert exports["trl"].command[-1].endswith("trl.py"), "a script of TRL's own trainer"


async def test_the_card_is_written_by_the_command_that_stands_there(run: Run) -> None:
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "card")
        assert f"loratui card {run.name} --write" in shown(pilot.app)
        await pilot.press("enter")
        card = run.adapter_path / "README.md"
        await until(pilot, lambda: MARK in card.read_text())
        await until(pilot, lambda: "an empty form" not in shown(pilot.app))
    assert MARK in (run.adapter_path / "README.md").read_text()


async def test_an_export_is_written_with_its_rows(run: Run) -> None:
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "trl")
        await pilot.press("enter")
        await until(pilot, "✓ Written. In its folder, start it with: ")
    assert (run.path / "export" / "trl.yaml").is_file() and (run.path / "export" / "trl-data" / "train.jsonl").is_file()


async def test_a_task_for_a_rented_machine_is_among_them(run: Run) -> None:
    (before,) = [one for one in outputs_of(run) if one.key == "skypilot"]
    assert before.state == "needs" and "which GPU is to be rented" in before.problem
    run.machine_path.write_text('{"kind": "cuda", "device": "NVIDIA H100 80GB HBM3"}')
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "skypilot")
        assert f"loratui export {run.name} --to skypilot" in shown(pilot.app)
        await pilot.press("enter")
        await until(pilot, "✓ Written. In its folder, start it with: ")
    task = (run.path / "export" / "skypilot.yaml").read_text()
    assert "H100: 1" in task and (run.path / "export" / "skypilot-data" / "plan.toml").is_file()


async def test_progress_is_told_and_so_is_the_end(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    stand_in(
        monkeypatch,
        "import os, sys, time; say('Reading it back …')\n"
        f"while not os.path.exists({str(seen)!r}): time.sleep(0.02)\n"
        "fail('the merged \\x1b[31mmodel is not the adapter\\'s.'); messages.ended(1); sys.exit(1)",
    )
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "merge")
        await pilot.press("enter")
        text = await until(pilot, "Merged: Reading it back …")
        assert "under way" in text and "s Stop" in text
        seen.touch()
        text = await until(pilot, "✗ the merged")
        assert "model is not the adapter's." in text and "\x1b[31m" not in text and "under way" not in text


async def test_time_passes_while_a_command_says_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "import time; time.sleep(600)")
    async with LoratuiApp(screen="runs").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "merge")
        await pilot.press("enter")
        await until(pilot, lambda: bool(re.search(r"\d s  Merged: starting …", shown(pilot.app))))
        await pilot.press("s")
        await until(pilot, "■ Stopped.")


async def test_what_is_there_is_made_again_only_where_that_can_be_and_after_a_question(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = run.path / "export" / "trl.yaml"
    export.parent.mkdir()
    export.write_text("changed by hand")
    (run.path / f"{run.name}-Q4_K_M.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr("loratui.tui.take_away.outputs.gguf_steps", lambda *_: [])  # its tools are here
    stand_in(
        monkeypatch,
        "import pathlib, sys; pathlib.Path(sys.argv[sys.argv.index('-o') + 1]).write_text('new'); say('Replaced.'); "
        "messages.ended(0)",
    )
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "gguf")
        assert "enter Make" not in await until(pilot, "y Copy command")
        await pilot.press("enter")
        await until(pilot, "It is there:")
        await opened_further(pilot, "trl")
        await until(pilot, "enter Make again")
        await pilot.press("enter")
        await until(pilot, "TRL command: make it again?")
        await pilot.press("escape")
        await until(pilot, "enter Make again")
        assert export.read_text() == "changed by hand"
        await pilot.press("enter")
        await until(pilot, "TRL command: make it again?")
        await pilot.press("enter")
        await until(pilot, "✓ Replaced.")
    assert export.read_text() == "new"


async def test_a_command_that_is_killed_is_told_as_that_and_not_by_its_last_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "import os; say('Reading it back …'); os.kill(os.getpid(), 9)")
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "merge")
        await pilot.press("enter")
        text = await until(pilot, "✗ `loratui merge` was")
        assert "SIGKILL" in text and "under way" not in text


async def test_a_merge_that_holds_shows_its_proof(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import json, pathlib, sys; out = pathlib.Path(sys.argv[sys.argv.index('-o') + 1]); out.mkdir(); (out / "
        "'config.json').write_text('{}'); "
        "(out / 'README.md').write_text('# x\\n\\n## Merged\\n\\nThe same greedy answers.\\n\\n## Load it\\n'); "
        "say_json({'output': str(out), 'holds': True, 'proof': 'p'}); messages.ended(0)"
    )
    stand_in(monkeypatch, code)
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "merge")
        await pilot.press("enter")
        await until(pilot, "✓ Merged, and proved: it answers as the adapter")
        await until(pilot, "The same greedy answers.")
        footer = (await until(pilot, "enter Make again")).splitlines()[-1]
        assert "enter Make  " not in footer
        await pilot.press("enter")
        await until(pilot, "Merged: make it again?")
        await pilot.press("escape")
    assert (run.merged_path / "config.json").is_file(), "what is there is not deleted unasked"


async def test_a_merge_onto_a_base_that_is_another_now_says_so_and_another_runs_base_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said "proved" and nothing of the base, and a folder on which another run stood went after a plain question."""
    changed = "Its base model's files are not those of its training."
    said = f"{{'output': str(out), 'holds': True, 'proof': 'p', 'base_changed': {changed!r}}}"
    stand_in(
        monkeypatch,
        "import pathlib, sys; out = pathlib.Path(sys.argv[sys.argv.index('-o') + 1]); out.mkdir(); "
        "(out / 'config.json').write_text('{}'); "
        f"say_json({said}); messages.ended(0)",
    )
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "merge")
        await pilot.press("enter")
        await until(pilot, "✓ Merged, and proved:")
        assert "▲ Its base model's files are not those of" in shown(pilot.app)
        await until(pilot, "enter Make again")
        create_run(with_values(Plan(), {"model.id": str(run.merged_path)}), name="wren")
        await pilot.press("enter")
        await until(pilot, "Merged: make it again?")
        await until(pilot, "▲ The run wren was trained on it")
        await pilot.press("escape")


async def test_what_can_be_merged_says_before_that_its_base_is_another_now(run: Run, tmp_path: Path) -> None:
    base = shutil.copytree(demo_model_path(), tmp_path / "base")
    plan = with_values(run.plan(), {"model.id": str(base)})
    run.plan_path.write_text(plan_to_toml(plan))
    run.fingerprint_path.write_text(json.dumps({"plan": plan_values(plan), "base": base_files(plan)}))
    before = next(one for one in outputs_of(run) if one.key == "merge")
    assert not any(note.startswith("▲") for note in before.notes)
    (base / "more.safetensors").write_bytes(WEIGHTS)
    merge = next(one for one in outputs_of(run) if one.key == "merge")
    assert merge.notes[0].startswith("▲ Its base model's files are not those of its training: more.safetensors")
    assert not merge.problem, "it can be made all the same"


async def test_one_key_stops_it_and_nothing_leaves_by_accident(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "import time; say('working'); time.sleep(600)")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "merge")
        await pilot.press("enter")
        await until(pilot, "Merged: working")
        screen = app.screen
        assert isinstance(screen, take_away.TakeAwayScreen) and screen._process is not None
        assert screen.chosen is not None and "into loading the base and into the proof" in " ".join(screen.chosen.notes)
        process = screen._process
        for key in ("escape", "q", "1"):
            await pilot.press(key)
            await until(pilot, "s stops it")
        assert app.screen is screen and process.status is None
        await pilot.press("s")
        await until(pilot, "■ Stopped.")
        assert process.status is not None
        await pilot.press("escape")
        await until(pilot, "Everything that was trained here")


async def test_a_server_runs_until_it_is_stopped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loratui.tui.take_away.outputs.can_serve", lambda: "")
    stand_in(
        monkeypatch,
        (
            "import sys, time, signal; signal.signal(signal.SIGINT, lambda *_: sys.exit(0)); say('Serving at "
            "http://x'); time.sleep(600)"
        ),
    )
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "serve")
        assert "curl http://127.0.0.1:8000" in shown(pilot.app)
        await pilot.press("enter")
        await until(pilot, "HTTP server: Serving at http://x")
        await pilot.press("s")
        await until(pilot, "■ The server was stopped.")


@pytest.mark.parametrize("deaf", ["", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "])
async def test_leaving_for_another_screen_ends_the_process(
    run: Run, monkeypatch: pytest.MonkeyPatch, deaf: str
) -> None:
    stand_in(monkeypatch, f"{deaf}import time; say('working'); time.sleep(600)")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "merge")
        await pilot.press("enter")
        await until(pilot, "Merged: working")
        assert isinstance(app.screen, take_away.TakeAwayScreen) and app.screen._process is not None
        process = app.screen._process
        app.open_step("runs")
        await until(pilot, lambda: process.status is not None)


async def test_the_hub_is_asked_and_so_is_the_person(run: Run, hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await opened(pilot, "push")
        await pilot.press("enter")
        await until(pilot, "Repository on the hub")
        await pilot.press("enter")
        await until(pilot, "Send this to the hub?")
        assert isinstance(pilot.app.screen, ConfirmScreen)
        assert f"/me/{run.name}, a new private repository, as me." in pilot.app.screen._sentence and not Hub.commits
        await pilot.press("escape")
        await until(pilot, lambda: "Send this" not in shown(pilot.app))
        assert not Hub.commits and not Hub.repositories
        await pilot.press("enter", "enter")
        await until(pilot, "Send this to the hub?")
        await pilot.press("enter")
        await until(pilot, "✓ Sent: ", 40)
    assert Hub.repositories == {f"me/{run.name}": True} and len(Hub.commits) == 1


async def test_without_a_token_it_says_so(run: Run, hub: type[Hub]) -> None:
    async with LoratuiApp(screen="runs").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "push")
        assert "needs a token" in shown(pilot.app) and "hf auth login" in shown(pilot.app)
        await pilot.press("enter")
        await until(pilot, "▲ Hub cannot be made yet; ▲ in its box says why.")


async def test_one_key_fills_the_wizard_in_to_train_it_further(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda app: None)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, "further")
        assert "loratui plan -m demo" in shown(app) and "lora.adapter=" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.name == "dataset")
        await until(pilot, lambda: app.state.dataset.view is not None and app.state.model.found is not None)
        draft = app.state.draft
        assert draft.model == "demo" and draft.dataset == run.plan().dataset.path
        assert (
            draft.by_hand["lora.adapter"] == str(run.adapter_path)
            and draft.held["lora.r"] == run.plan().lora.r
            and draft.held["method.kind"] == "lora"
            and not {"lora.r", "method.kind"} & set(draft.by_hand)
        )
        assert app.state.plan.proposal is not None and app.state.plan.proposal.plan.lora.adapter == str(
            run.adapter_path
        )
        await pilot.press("ctrl+r")
        await opened(pilot, "further")
        app.state.choices.set_value("lora.r", 99)
        await pilot.press("enter")
        await until(pilot, "Train it further?")
        await pilot.press("escape")
        assert app.state.draft.by_hand["lora.r"] == 99, "nothing is replaced unasked"


@pytest.mark.parametrize("screen", ["runs", "training"])
async def test_one_key_goes_from_a_finished_run_to_dpo_on_its_result(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, screen: str
) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda app: None)
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"{n}?", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(30)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = LoratuiApp(screen=screen, run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "L Log")
        await pilot.press("D")
        await until(pilot, lambda: app.screen.name == "dataset")
        await until(pilot, lambda: app.state.model.found is not None)
        assert app.state.draft.dataset == "" and app.state.draft.by_hand["training.objective"] == "dpo"
        app.choose_dataset(str(pairs))
        await until(pilot, lambda: app.state.dataset.view is not None)
        await until(pilot, lambda: app.state.plan.proposal is not None)
        assert not app.state.problems("dataset"), "what is learnt was said by the key"
        proposal = app.state.plan.proposal
        assert proposal is not None and proposal.plan.training.objective == "dpo"
        assert proposal.plan.lora.adapter == str(run.adapter_path) and proposal.plan.dataset.path == str(pairs)
        own = run.plan().training.learning_rate
        assert proposal.plan.training.learning_rate < own / 4, "rates of preferences are smaller than SFT's"


def test_the_command_to_train_further_makes_that_plan(run: Run, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from loratui.commands.tree import loratui
    from loratui.core.plan_text import plan_from_toml
    from loratui.tui.take_away.train_further import next_training

    arguments = [*next_training(run, run.plan()).command()[:-1], str(tmp_path / "further.toml")]
    result = CliRunner().invoke(loratui, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    plan = plan_from_toml((tmp_path / "further.toml").read_text())
    assert plan.lora.adapter == str(run.adapter_path) and plan.lora.r == run.plan().lora.r and plan.model.id == "demo"


def test_a_run_that_is_not_finished_can_only_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    run = record_run(tmp_path, state="stopped")
    things = {thing.key: thing for thing in outputs_of(run)}
    assert all(
        things[key].problem and things[key].state == "not yet"
        for key in ("result", "card", "further", "merge", "gguf", "push", "serve")
    )
    assert not things["axolotl"].problem and "--to axolotl" in things["axolotl"].line


async def test_from_the_end_of_a_training(run: Run) -> None:
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(120, 36)) as pilot:
        await until(pilot, "✓ finished")
        await until(pilot, "x Take away")
        await pilot.press("x")
        await until(pilot, "Model card")
        await pilot.press("escape")
        await until(pilot, "✓ finished")


async def test_the_list_takes_the_height_it_needs_where_there_is_room(run: Run) -> None:
    async with LoratuiApp(screen="runs").run_test(size=(80, 60)) as pilot:
        await opened(pilot, "merge")
        listed = pilot.app.screen.query_one("#outputs")
        await until(pilot, lambda: listed.size.height >= listed.virtual_size.height > 10)


async def test_the_list_follows_the_terminals_size_also_below_a_question(run: Run) -> None:
    """Its lines were laid for the size of before: at 200 columns the right ones were broken off."""
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        app.push_screen(ConfirmScreen("Sure?", "…", "yes"))
        await until(pilot, "Sure?")
        for width, height in ((200, 50), (80, 24), (120, 36)):
            await pilot.resize_terminal(width, height)
            await until(pilot, lambda: re.search(r"✓ Adapter +[\d.]+ KiB", shown(pilot.app)) is not None)


@pytest.mark.parametrize("size", SIZES)
async def test_the_command_can_be_read_whole_and_copied(run: Run, size: tuple[int, int]) -> None:
    """At 80 x 24 it was cut behind its first lines, which a key showed."""
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        await opened(pilot, "further")
        screen = app.screen
        assert isinstance(screen, take_away.TakeAwayScreen) and screen.chosen is not None
        line = "".join(screen.chosen.line.split())

        def read() -> str:
            """What stands in the box, without its blanks."""
            rows = [row.rsplit("│", 2)[-2] for row in shown(app).splitlines() if row.count("│") > 1]
            return "".join("".join(rows).split())

        await until(pilot, lambda: line in read())
        await pilot.press("y")
        assert app.clipboard == screen.chosen.line
