"""The playground by its keys, with a worker that speaks the protocol and needs no model."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pictured import shown, until
from recorded_run import record_run
from textual import events
from textual.keys import _character_to_key
from textual.widgets import Input

from loratui.commands.tree import loratui
from loratui.core.errors import ModelError
from loratui.core.generation import GenerationSettings
from loratui.evaluation.report import Side, document
from loratui.evaluation.scoring import Given, Item, Outcome, Rules
from loratui.runs.directory import Run
from loratui.runs.votes import TIE, tally
from loratui.tui.app import LoratuiApp
from loratui.tui.common.dialogs import ConfirmScreen
from loratui.tui.playground import loader as loader_module
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.evaluation import NAME_CELLS, EvaluationScreen
from loratui.tui.playground.prompt_area import PromptArea
from loratui.tui.playground.session import Session
from loratui.tui.playground.settings import SettingsScreen
from loratui.tui.take_away.screen import TakeAwayScreen
from loratui.workers import client as client_module
from loratui.workers.protocol import Ready
from loratui.workers.target import Target, find_target

SIZES = [(80, 24), (120, 36)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    command = [sys.executable, str(Path(__file__).with_name("fake_playground_worker.py"))]
    original = client_module.PlaygroundClient.__init__

    def begin(self: Any, log_path: Path | None = None, command_given: Any = ()) -> None:
        original(self, log_path, command)

    monkeypatch.setattr(client_module.PlaygroundClient, "__init__", begin)
    return tmp_path


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    data = tmp_path / "rows.jsonl"
    data.write_text(
        "".join(json.dumps({"prompt": f"p{n}", "completion": f"adapter answers p{n}"}) + "\n" for n in range(20))
    )
    run = record_run(
        home, state="finished", steps=375, values={"dataset.path": str(data), "dataset.eval_fraction": 0.1}
    )
    run.adapter_path.mkdir()
    (run.adapter_path / "adapter_config.json").write_text("{}")
    return run


def answers(app: LoratuiApp) -> dict[str, str]:
    return {view.side: view.text for view in app.screen.query(AnswerView)}


@pytest.mark.parametrize("size", SIZES)
async def test_both_sides_answer(run: Run, size: tuple[int, int]) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hello", "enter")
        text = await until(pilot, "adapter answers hello")
        assert "base answers hello" in text
        await until(pilot, "stop token")
        assert "123 tokens/s" in shown(app)
        assert app.screen.query_one(PromptArea).text == ""
        base, adapter = app.screen.query(AnswerView)
        side_by_side = base.region.y == adapter.region.y
        assert side_by_side == (size[0] >= 100)
        await pilot.press("up")
        assert app.screen.query_one(PromptArea).text == "hello"


async def test_a_held_out_row_is_asked_and_compared(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+l")
        await until(pilot, "Held-out row 1 of 2")
        await pilot.press("enter")
        text = await until(pilot, "✓ as expected")
        assert "✗ differs" in text
        assert "expected  adapter answers p" in text


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_a_key_stops_endless_answers_and_the_playground_stays(run: Run, key: str) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"endless", "enter")
        await until(pilot, "word word word")
        await pilot.press(key)
        text = await until(pilot, "■ stopped")
        assert "quit" not in text.lower().replace("^q quit", "")
        await pilot.press(*"again", "enter")
        await until(pilot, "adapter answers again")


async def test_another_runs_result_answers_beside_this_one_where_its_base_is_the_same(run: Run, home: Path) -> None:
    for name, values in (("same.base", {}), ("other-base", {"model.id": "acme/other"})):
        other = record_run(home, name, state="finished", steps=375, values=values)
        other.adapter_path.mkdir()
        (other.adapter_path / "adapter_config.json").write_text("{}")
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(140, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+y")
        await until(pilot, "– other-base")
        await pilot.press("down", "space")
        await until(pilot, "was trained on another base (other)")
        await pilot.press("up", "space", "enter")
        await until(pilot, "Here same.base will answer")
        await pilot.press(*"hello", "enter")
        text = await until(pilot, "same.base answers hello")
        assert "adapter answers hello" in text and "base answers hello" in text
        await pilot.press("escape", "b")
        await until(pilot, "Blind:")
        await pilot.press("b")
        await until(pilot, lambda: [view.side for view in app.screen.query(AnswerView)][-1] == "same.base")


async def test_hostile_text_is_shown_harmlessly(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hostile", "enter")
        text = await until(pilot, "[bold]not bold[/bold]")
        assert "␛]52;c;" in text
        assert not any(ord(letter) < 32 and letter != "\n" for letter in text)
        assert "\u202e" not in text
        assert "\x9b" not in text


async def test_one_side_fails_the_other_answers(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"fail", "enter")
        await until(pilot, "✗ failed")
        assert "the GPU's memory is full. Ask for fewer tokens." in " ".join(shown(app).split())
        assert answers(app)["base"] == "base answers fail"


async def test_a_killed_worker_is_told_and_the_prompt_comes_back(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"die", "enter")
        await until(pilot, "SIGKILL")
        prompt = app.screen.query_one(PromptArea)
        await until(pilot, lambda: prompt.text == "die")
        prompt.put("")
        await pilot.press(*"alive", "enter")
        await until(pilot, "adapter answers alive")


async def test_a_model_that_cannot_be_loaded_is_a_sentence(home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    app = LoratuiApp(screen="playground", adapter=str(broken))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "this folder holds no model. Choose another.")
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: app.screen.query_one(PromptArea).text == "hello")


async def test_nothing_to_ask_says_what_to_do(home: Path) -> None:
    app = LoratuiApp(screen="playground")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "There is nothing to ask yet")
        assert "Train something first" in text


@pytest.mark.parametrize("size", SIZES)
async def test_settings_by_keys(run: Run, size: tuple[int, int]) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+e")
        await until(pilot, "generation settings")
        assert isinstance(app.screen, SettingsScreen)
        assert "esc Leave as they were" in shown(app)
        await pilot.press("pageup", "pageup")
        assert app.screen.query_one("#set-temperature", Input).value == "0.2"
        await pilot.press("down", "down", "9", "9", "9", "9")
        await until(pilot, "Top-k takes a whole number, 0 to 1000; not '9999'.")
        await pilot.press("enter")
        assert isinstance(app.screen, SettingsScreen), "a wrong value is not taken"
        await pilot.press("backspace", "backspace", "enter")
        playground: Any = app.screen
        await until(pilot, "temperature 0.2 · top-k 99 · at most 256 tokens")
        assert playground.settings == GenerationSettings(temperature=0.2, top_k=99)
        await pilot.press("ctrl+e")
        await until(pilot, "generation settings")
        await pilot.press("p", "escape")
        assert playground.settings == GenerationSettings(temperature=0.2, top_k=99)


async def test_several_lines_and_quitting_end_the_worker(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        screen: Any = app.screen
        await pilot.press(*"one", "ctrl+j", *"two", "enter")
        await until(pilot, "adapter answers one")
        assert answers(app)["adapter"] == "adapter answers one\ntwo"
        worker = screen.session.client
    assert not worker.alive


@pytest.mark.parametrize("key", ["s", "ctrl+c"])
async def test_the_loading_of_a_model_is_stopped_by_the_key_that_stops_everywhere(
    home: Path, tmp_path: Path, key: str
) -> None:
    slow = tmp_path / "slow-model"
    slow.mkdir()
    (slow / "config.json").write_text("{}")
    app = LoratuiApp(screen="playground", adapter=str(slow))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "reading the weights … esc twice stops it" in " ".join(shown(app).split()))
        if key == "s":
            await pilot.press("escape")
            assert "esc Stop" in await until(pilot, "enter Write")
        client = app.screen.session.client
        assert client is not None
        await pilot.press(key)
        await until(pilot, lambda: "you stopped it" in " ".join(shown(app).split()))
        await until(pilot, lambda: not app.screen.session.alive and client.process_id is None)
        assert "esc Stop" not in shown(app).splitlines()[-1], "nothing is at work"
        if key == "s":
            (slow / "go").touch()
            await pilot.press("i", *"anew", "enter")
            await until(pilot, lambda: answers(app) == {"base": "base answers anew"})


async def test_s_stops_answers_and_x_takes_the_result_away(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"endless", "enter")
        await until(pilot, "word word")
        app.screen.answers.focus_shown()
        await until(pilot, "esc Stop")
        await pilot.press("s")
        await until(pilot, "stopped")
        await until(pilot, lambda: "esc Stop" not in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, TakeAwayScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == "playground")


async def test_a_prompt_sent_while_loading_is_answered_then(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"early", "enter")
        await until(pilot, "adapter answers early")
        await until(pilot, f"● {run.name}")


def burst(app: LoratuiApp, text: str) -> None:
    """All keys before anything is answered, as over a slow line."""
    for character in text:
        app.post_message(events.Key("enter" if character == "\r" else _character_to_key(character), character))


async def test_a_question_and_enter_in_one_burst_are_asked(run: Run) -> None:
    """Enter overtook the letters: the question stayed in the prompt."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        burst(app, "early bird\r")
        await until(pilot, "adapter answers early bird")
        assert app.screen.query_one(PromptArea).text == ""


async def test_keys_that_come_while_the_screen_opens_are_the_prompts(run: Run) -> None:
    app = LoratuiApp(screen="runs", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, run.name)
        app.open_step("playground")
        burst(app, "quick one?\r")
        await until(pilot, "adapter answers quick one?")
        await pilot.press("escape", "b")  # from then on letters are keys where nothing is written
        await until(pilot, lambda: app.screen.ballot.blind)  # type: ignore[attr-defined]


async def test_what_takes_long_is_said_with_what_one_can_do_meanwhile(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = asyncio.Event()
    spawn = client_module.PlaygroundClient._spawn

    async def slow(self: client_module.PlaygroundClient) -> None:
        await begins.wait()
        await spawn(self)

    monkeypatch.setattr(client_module.PlaygroundClient, "_spawn", slow)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await until(pilot, "PyTorch is being loaded")
        assert "enter asks once it can answer" in " ".join(said.split()) and "Looking for" not in said
        begins.set()
        await until(pilot, f"● {run.name}")


async def test_a_conversation_goes_on_from_each_sides_own_answers(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"one", "enter")
        await until(pilot, "adapter answers one")
        await until(pilot, "stop token")
        await pilot.press(*"history", "enter")
        text = await until(pilot, "adapter heard: one/adapter answers one/history")
        assert "base heard: one/base answers one/history" in text and "2 ❯ history" in text
        await until(pilot, "stop token")
        await pilot.press("escape", "t")
        sent = await until(pilot, "what the model was sent")
        assert "base" in sent and "adapter" in sent
        await pilot.press("escape", "u")
        assert app.screen.query_one(PromptArea).text == "history"
        await pilot.press("enter")
        await until(pilot, "adapter heard: one/adapter answers one/history")
        await until(pilot, "stop token")
        await pilot.press("escape", "n", "i", *"history", "enter")
        await until(pilot, "adapter heard: history")


async def test_a_system_prompt_comes_first(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("escape", "P", *"be brief", "enter")
        await until(pilot, "prompt · system: be brief")
        await pilot.press("i", *"history", "enter")
        await until(pilot, "adapter heard: be brief/history")
        assert "prompt · system: be brief" in shown(app), "it stands there as long as it holds"
        await pilot.press("escape", "P", "-", "enter")
        await until(pilot, lambda: "system: be brief" not in shown(app))


async def test_the_difference_to_the_expected_answer_is_shown(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+l", "enter")
        await until(pilot, "✓ as expected")
        await until(pilot, "✗ differs")
        await pilot.press("escape", "equals_sign")
        text = await until(pilot, "[-adapter-]{+base+} answers")
        assert "✓ the same" in text


@pytest.mark.parametrize("size", SIZES)
async def test_rows_are_scored_with_intervals_and_the_failed_ones_are_paged(run: Run, size: tuple[int, int]) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+g")
        await until(pilot, "How many of 2 held-out rows?")
        await pilot.press("enter")
        text = await until(pilot, "adapter: 2 of 2 · base: 0 of 2 answers right.")
        assert text.index("answers right.") < text.index("adapter, beside base, on 2 rows:"), "what a person reads"
        assert text.index("adapter, beside base, on 2 rows:") < text.index("66.7 %"), "the verdict comes first"
        assert re.search(r"base +adapter *│", text), "both sides beside each other"
        assert "100.0 %" in text and "66.7 %" in text and "adapter, beside base, on 2 rows:" in text
        assert "Answers and figures are kept in" in text
        await until(pilot, lambda: "esc Close" in shown(app).rstrip().splitlines()[-1])
        assert "Failed rows" not in shown(app), "there are none: enter does nothing"
        await pilot.press("enter", "escape")
        await until(pilot, lambda: app.screen.name == "playground")
        # who stands last is judged: the base alone answers nothing as it is written
        await pilot.press("ctrl+y")
        await until(pilot, "─ who answers ─")
        await pilot.press("end", "space", "enter")
        await until(pilot, lambda: app.screen.name == "playground")
        await pilot.press("ctrl+g", "enter")
        await until(pilot, "enter: the 2 without a right answer")
        await until(pilot, lambda: "enter Failed rows  esc Close" in shown(app).rstrip().splitlines()[-1])
        await pilot.press("enter")
        text = await until(pilot, "2 rows without a right answer by base")
        assert "another answer" in text and "[-adapter-]{+base+} answers" in text
        first = text
        await pilot.press("down")
        assert await until(pilot, lambda: shown(app) != first), "the next row"
        await pilot.press("escape", "escape")
        assert app.screen.name == "playground"


async def test_scoring_is_stopped_by_esc_and_says_that_answers_are_kept(run: Run) -> None:
    plan = run.plan_path.read_text()
    run.plan_path.write_text(plan.replace("eval_fraction = 0.1", "eval_fraction = 0.5"))
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+g")
        await until(pilot, "How many of ")
        await pilot.press("enter")
        await until(pilot, "esc stops; answered rows are kept.")
        await pilot.press("escape")
        await until(pilot, "Stopped. What was answered is kept: ^g goes on.")
        await pilot.press(*"hello", "enter")
        await until(pilot, "adapter answers hello")


async def test_a_score_that_is_asked_for_while_the_model_loads_waits_for_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, may_load = Session.load, asyncio.Event()

    async def late(self: Session, target: Target) -> Ready:
        await may_load.wait()
        return await load(self, target)

    monkeypatch.setattr(Session, "load", late)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+g")
        await until(pilot, "then you say how many held-out rows are asked")
        await pilot.press("ctrl+g")
        await until(pilot, "What was asked waits for the model; esc takes it back.")
        await pilot.press("escape")
        await until(pilot, "Taken back")
        await pilot.press("ctrl+g")
        await until(pilot, "then you say how many held-out rows are asked")
        may_load.set()
        await until(pilot, "How many of 2 held-out rows?")
        await pilot.press("x", "enter")
        await until(pilot, "“x” is no number of rows")


async def test_a_score_tells_at_once_of_how_many_rows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing_yet(self: Session, *asked: object) -> AsyncIterator[object]:
        await asyncio.sleep(600)
        yield

    monkeypatch.setattr(Session, "evaluate", nothing_yet)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+g")
        await until(pilot, "How many of 2 held-out rows?")
        await pilot.press("backspace", "7", "enter")
        await until(pilot, "base: 0 of 2 rows answered … esc stops; answered rows are kept.")
        await until(pilot, lambda: re.search(r"rows answered, [1-9]\d* s … esc stops", shown(app)) is not None)


async def test_the_footer_names_the_key_that_lists_the_others_where_the_focus_is(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        for key, pressed in (("F1", "f1"), ("?", "question_mark")):
            await until(pilot, lambda key=key: re.search(rf"\+\d+ {re.escape(key)}(?:\s|$)", shown(app)) is not None)
            await pilot.press(pressed)
            await until(pilot, "Playground: help")
            await pilot.press("escape")
            await until(pilot, lambda: app.screen.name == "playground")
            assert app.screen.query_one(PromptArea).text == ""
            await pilot.press("escape")  # leaves the prompt


@pytest.mark.parametrize("size", [*SIZES, (200, 50)])
async def test_a_long_score_begins_with_its_verdicts_and_says_that_it_scrolls(run: Run, size: tuple[int, int]) -> None:
    items = [Item(row, f"p{row}", f"adapter answers p{row}") for row in range(40)]
    sides = [
        Side(name, name, [Outcome([Given(f"{name} answers {item.asked}", "stop token", 4)]) for item in items])
        for name in (("base", "checkpoint-5", "adapter") if size[0] == 200 else ("base", "adapter"))
    ]
    measures = ["exact_match", "rouge1", "rouge2", "rougeL", "empty", "unfinished", "repeats", "tokens"]
    found = document(sides, items, measures, Rules())
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {run.name}")
        await app.push_screen(EvaluationScreen({**found, "folder": str(run.path)}))
        text = await until(pilot, f"{'  exact match':<{NAME_CELLS}}better by 100.0 points")
        assert "adapter: 40 of 40 · " in text, text
        assert ("↑ ↓ pgdn scroll" in text) == (size[1] == 24), text
        assert size[0] < 200 or re.search(r"│ +base +checkpoint-5 +│", text), "a third that has no room stands below"
        await pilot.press("end")
        text = await until(pilot, "Answers and figures are kept in")
        assert re.search(r"no stop token +0.0 % .* 0.0 %", text), text


async def test_votes_become_preference_rows(run: Run, tmp_path: Path) -> None:
    """Only the question that was voted on, as all sides were asked it, and each side's whole answer."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("escape", "P", *"be brief", "enter", "b", "i")
        for word, better in (("plain", "adapter"), ("other", "")):
            await pilot.press(*word, "enter")
            await until(pilot, "Which is better?")
            sides = [view.side for view in app.screen.query(AnswerView)]
            await pilot.press(str(sides.index(better) + 1) if better else "0")
            await until(pilot, f"was {better}. Votes:" if better else "No answer was better.")
    target = tmp_path / "preferences.jsonl"
    done = CliRunner().invoke(loratui, ["export", run.name, "--preferences", "-o", str(target)])
    assert done.exit_code == 0 and "1 rows of 2 votes. Left out: 1 votes for none." in done.output, done.output
    assert [json.loads(line) for line in target.read_text().splitlines()] == [
        {
            "prompt": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "plain"}],
            "chosen": [{"role": "assistant", "content": "adapter answers plain"}],
            "rejected": [{"role": "assistant", "content": "base answers plain"}],
        }
    ]
    again = CliRunner().invoke(loratui, ["export", run.name, "--preferences", "-o", str(target)])
    assert again.exit_code != 0 and "it is there already" in str(again.exception)


async def test_an_answer_written_as_it_should_have_been_becomes_a_preference_row(run: Run, tmp_path: Path) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"plain", "enter")
        await until(pilot, "stop token")
        await pilot.press("escape", "f")
        await until(pilot, "as adapter should have answered")
        await pilot.press("escape")
        app.screen.query(AnswerView).first().focus()
        await pilot.press("f")
        await until(pilot, "as base should have answered")
        await pilot.press(*", rightly", "enter")
        await until(pilot, "Kept: `loratui export")
    target = tmp_path / "preferences.jsonl"
    done = CliRunner().invoke(loratui, ["export", run.name, "--preferences", "-o", str(target)])
    assert done.exit_code == 0, done.output
    assert json.loads(target.read_text()) == {
        "prompt": [{"role": "user", "content": "plain"}],
        "chosen": [{"role": "assistant", "content": "base answers plain, rightly"}],
        "rejected": [{"role": "assistant", "content": "base answers plain"}],
    }
    assert tally(run) == {}, "it is no vote between two sides"


async def test_a_blind_comparison_hides_names_and_keeps_votes(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("escape", "b", "i", *"plain", "enter")
        await until(pilot, "Which is better?")
        titles = [str(view.border_title) for view in app.screen.query(AnswerView)]
        sides = [view.side for view in app.screen.query(AnswerView)]
        assert titles == ["1", "2"] and sorted(sides) == ["adapter", "base"]
        assert "1 is better  2 is better  0 none is" in shown(app), "the keys of a vote stand in the footer"
        assert "3 is better" not in shown(app)
        await pilot.press(str(sides.index("adapter") + 1))
        text = await until(pilot, "was adapter. Votes:")
        assert tally(run) == {"adapter": 1, "base": 0}
        assert "adapter answers plain" in text and "base answers plain" in text, "the answers stay after the vote"
        for number, side in enumerate(sides, start=1):
            assert f"{number} · {side}" in text
        assert "123 tokens/s" in text and "is better" not in text
        await pilot.press("escape", "1")
        assert tally(run) == {"adapter": 1, "base": 0}, "a question has one vote"
        await app.run_action("screen.open_step('playground')")
        await pilot.press("i", *"again", "enter")
        await until(pilot, "Which is better?")
        assert sorted(str(view.border_title) for view in app.screen.query(AnswerView)) == ["1", "2"]
        await pilot.press("0")
        await until(pilot, "No answer was better.")
        assert tally(run) == {"adapter": 1, "base": 0, TIE: 1}
        await pilot.press("escape", "b")
        await pilot.pause()
        assert [view.side for view in app.screen.query(AnswerView)] == ["base", "adapter"]
        assert "─ base" in shown(app) and "─ adapter" in shown(app)


async def test_answers_that_a_blind_comparison_puts_away_are_not_lost_without_a_word(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"plain", "enter")
        await until(pilot, "stop token")
        await pilot.press("escape", "b")
        await until(pilot, "the answers with names are put away; i, then enter, asks their question anew")
        assert app.screen.query_one(PromptArea).text == "plain"
        await pilot.press("i", "enter")
        await until(pilot, "Which is better?")
        await pilot.press("escape", "b")
        await until(pilot, "The names are back: nobody voted.")


async def test_keys_that_need_the_model_say_so_while_it_loads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loading = asyncio.Event()

    async def load(self: Session, target: Target) -> Ready:
        await loading.wait()
        raise ModelError("it was stopped")

    monkeypatch.setattr(Session, "load", load)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.screen.session.target is not None)  # type: ignore[attr-defined]
        await pilot.press("ctrl+y")
        await until(pilot, "The model is being loaded: that key works once it can answer.")
        loading.set()


async def test_an_open_vote_on_a_held_out_row_tells_nothing_of_who_answers(run: Run) -> None:
    """Only the adapter gives the expected answer, and only its speed differs: both would tell who it is."""
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("escape", "b", "ctrl+l")
        await until(pilot, "Held-out row 1 of 2")
        await pilot.press("enter")
        text = await until(pilot, "Which is better?")
        assert (
            "as expected" not in text and "differs" not in text and "tokens/s" not in text and "stop token" not in text
        )
        assert not any(view.has_class("-matches") for view in app.screen.query(AnswerView)), (
            "colour tells nothing either"
        )
        await pilot.press("d", "t", "ctrl+g")
        await until(pilot, "b ends the blind comparison first.")
        assert app.screen.name == "playground", "what was sent, the difference and a score all name the sides"
        await pilot.press("1")
        text = await until(pilot, "✓ as expected")
        assert "✗ differs" in text and "123 tokens/s" in text


async def test_a_question_of_ones_own_has_no_expected_answer(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+l", "enter")
        await until(pilot, "✓ as expected")
        await pilot.press(*"mine", "enter")
        await until(pilot, "adapter answers mine")
        await until(pilot, "stop token")
        await pilot.press("escape", "equals_sign")
        await pilot.pause()
        assert app.screen.name == "playground", "there is nothing to compare it with"


@pytest.mark.parametrize("columns", [80, 100, 130, 160, 200])
async def test_answers_stand_beside_each_other_wherever_there_is_room(home: Path, columns: int) -> None:
    app = LoratuiApp(screen="playground")
    async with app.run_test(size=(columns, 40)) as pilot:
        await until(pilot, "There is nothing to ask yet")
        base, adapter = app.screen.query(AnswerView)
        assert (base.region.y == adapter.region.y) == (columns >= 100)


@pytest.mark.parametrize("size", SIZES)
async def test_three_answer_side_by_side_or_in_tabs(run: Run, size: tuple[int, int]) -> None:
    for step in (20, 40):
        folder = run.checkpoints_path / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "scheduler.pt").touch()
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    names = list(find_target(str(run.path)).checkpoints)
    assert names
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+y")
        await until(pilot, "who answers")
        await pilot.press("space", "enter")
        await until(pilot, names[-1])
        await pilot.press(*"hello", "enter")
        await until(pilot, f"{names[-1]} answers hello")
        views = list(app.screen.query(AnswerView))
        assert [view.side for view in views] == ["base", "adapter", names[-1]]
        assert sum(view.display for view in views) == (3 if size[0] >= 100 else 1)
        if size[0] < 100:
            await pilot.press("escape", "right")
            await until(pilot, "base answers hello")


async def test_answers_through_the_training_are_scrubbed(run: Run) -> None:
    lines: list[dict[str, Any]] = [{"type": "eval", "time": 1.0, "step": step, "loss": 2.0 / step} for step in (10, 20)]
    lines += [
        {
            "type": "sample",
            "time": 1.0,
            "step": step,
            "prompt": "2 + 2",
            "answer": f"about {step}",
            "expected": "about 20",
        }
        for step in (10, 20)
    ]
    with run.events_path.open("w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("escape", "S")
        text = await until(pilot, "about 20")
        assert "✓ as expected" in text and "changed" in text and "step 20" in text
        await pilot.press("left")
        text = await until(pilot, "step 10")
        assert "✗ expected: about 20" in text and "evaluation loss 0.2" in text


async def test_one_key_fills_a_wizard_in_to_train_further(run: Run) -> None:
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press("escape", "m")
        await until(pilot, "●3 Dataset")
        plan = run.plan()
        assert app.state.draft.by_hand["lora.adapter"] == str(run.adapter_path)
        assert app.state.draft.held["lora.r"] == plan.lora.r and app.state.draft.dataset == plan.dataset.path


@pytest.mark.parametrize("answer", ["enter", "escape"])
async def test_a_question_about_code_that_closes_begins_no_second_load(
    run: Run, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """The panel gives the screen back, which looks whether anything is there to ask: it is just being loaded."""
    from types import SimpleNamespace

    asked: list[object] = []
    loaded: list[object] = []
    agreed: list[object] = []
    code = SimpleNamespace(question="Run modeling_own.py?")
    original = Session.load

    async def load(self: Session, target: Any) -> Any:
        loaded.append(target)
        return await original(self, target)

    async def ask_about(app: Any, _: Any) -> bool:
        asked.append(app)
        if not await app.push_screen_wait(ConfirmScreen("Run this code?", code.question, "run it", "do not run it")):
            return False
        agreed.append(code)
        return True

    monkeypatch.setattr(Session, "load", load)
    monkeypatch.setattr(loader_module, "ask_about", ask_about)
    monkeypatch.setattr(loader_module, "unanswered", lambda _: None if agreed else code)
    monkeypatch.setattr(loader_module, "not_agreed", lambda _: ModelError("nobody agreed to run its code."))
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "Run this code?")
        await pilot.press(answer)
        await until(pilot, "● " if answer == "enter" else "nobody agreed")
        for _ in range(10):
            await pilot.pause(0.05)
        assert len(asked) == 1 and len(loaded) == (answer == "enter")
        assert not isinstance(app.screen, ConfirmScreen)


async def test_who_says_no_while_a_question_waits_is_not_asked_the_same_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Event
    from types import SimpleNamespace

    asked: list[object] = []
    may_look = Event()
    code = SimpleNamespace(question="Run modeling_own.py?")

    async def ask_about(app: Any, _: Any) -> bool:
        asked.append(app)
        return bool(await app.push_screen_wait(ConfirmScreen("Run this code?", code.question, "run it", "no")))

    def unanswered(_: object) -> object:
        may_look.wait()
        return code

    monkeypatch.setattr(loader_module, "ask_about", ask_about)
    monkeypatch.setattr(loader_module, "unanswered", unanswered)
    monkeypatch.setattr(loader_module, "not_agreed", lambda _: ModelError("nobody agreed to run its code."))
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "prompt")
        await pilot.press(*"hello", "enter")
        await until(pilot, "then “hello” is asked")
        may_look.set()
        await until(pilot, "Run this code?")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.prompt.text == "hello")  # type: ignore[attr-defined]
        for _ in range(10):
            await pilot.pause(0.05)
        assert len(asked) == 1 and "nobody agreed" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: len(asked) == 2)


@pytest.mark.parametrize("size", [*SIZES, (170, 45)])
async def test_what_preferences_made_answers_beside_what_it_began_from(run: Run, size: tuple[int, int]) -> None:
    values = {"training.objective": "dpo", "lora.adapter": str(run.adapter_path)}
    later = record_run(run.path.parent.parent, state="finished", steps=20, name="better-1", values=values)
    later.adapter_path.mkdir()
    (later.adapter_path / "adapter_config.json").write_text("{}")
    app = LoratuiApp(screen="playground", run=str(later.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {later.name}")
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: all(f"{side} answers hello" in text for side, text in answers(app).items()))
        assert list(answers(app)) == ["base", run.name, "adapter"]
        views = list(app.screen.query(AnswerView))
        assert (len({view.region.y for view in views}) == 1) is (size[0] >= 100), "one view, or tabs"
        if size[0] >= 100:
            assert run.name in shown(app) and "DPO" in shown(app)
    (run.adapter_path / "adapter_config.json").unlink()
    app = LoratuiApp(screen="playground", run=str(later.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, f"● {later.name}")
        assert list(answers(app)) == ["base", "adapter"], "what is gone does not answer"
