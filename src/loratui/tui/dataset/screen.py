"""The third step: what the model will learn from, how it is read, and the rows as they will be trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.data.encodings import UTF8
from loratui.paths import home_short, without_tilde
from loratui.tui.dataset.empty import ways_to_a_dataset
from loratui.tui.dataset.facts import MARGINS
from loratui.tui.dataset.facts_room import facts_and_picture
from loratui.tui.dataset.lengths import LengthsScreen
from loratui.tui.dataset.path_field import PathField, by_its_name
from loratui.tui.dataset.row_close import RowClose
from loratui.tui.dataset.row_lengths import lengths_now
from loratui.tui.dataset.rows import RowBrowser
from loratui.tui.dataset.typed_path import TypedPathScreen
from loratui.tui.keys import bindings
from loratui.tui.wizard.mixing import PARTS, parts_now

BESIDE = 160
"""Columns of a terminal from which on the facts stand beside the rows (the breakpoint of the app)."""


class DatasetScreen(TypedPathScreen):
    """A path, what was recognised and why, the counts, and one row at a time."""

    CSS_PATH = "dataset.tcss"
    STEP = "dataset"
    HEADING = "Dataset"
    EXPLANATION = "What it will learn from."
    HELP_TEXT = (
        "▌ marks what bears loss: the model learns to write these words. Everything else is only read.\n\n"
        "How the columns are read is guessed from their names and contents; c changes it. Counts and lengths are first "
        "guessed from characters (about four a token); the check then counts with the model's own tokenizer, proves "
        "that the stop token is learnt, and lists problems with their lines."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("dataset"),
        Binding("enter", "next", show=False, tooltip="Go on with this dataset"),
        Binding(
            "escape", "cancel", "Stop the check", show=False, tooltip="Leave the path or the tokens, else stop checking"
        ),
    ]

    def body(self) -> ComposeResult:
        yield PathField()
        with Container(id="dataset-main"):
            with VerticalScroll(id="dataset-facts-box", can_focus=False):
                yield Static(id="dataset-facts")
                yield RowClose()
            yield RowBrowser()

    def on_mount(self) -> None:
        state = self.app.state
        self.hear(state.plan.changed, self._plan_changed)
        self.hear(state.check.changed, self._check_changed)
        self.hear(state.choices.dataset_chosen, self._show_dataset)
        self.hear(state.dataset.changed, self._show_dataset)

    def _plan_changed(self) -> None:
        self._show_facts()
        self.refresh_bindings()

    def _check_changed(self) -> None:
        self._plan_changed()
        self.query_one(RowBrowser).draw()

    def shown(self) -> None:
        self.path_field.forget()
        self.set_focus(self.query_one("#row"))
        self._show_dataset()

    def _show_dataset(self) -> None:
        """What was chosen, how it is read, and its rows; why there is none is said. Its check begins."""
        state = self.app.state
        self.path_field.show()
        self._show_facts()
        self._show_rows()
        self.say(self._problem(state.dataset.problem), "error")
        self.refresh_bindings()
        self.app.check_dataset()
        self.go_on_with_what_was_typed()

    def _problem(self, problem: str) -> str:
        """Why there is no dataset, and the key that helps."""
        from loratui.data.recognise import UNKNOWN_SHAPE

        problem = by_its_name(problem, self.app.state.draft.dataset)
        if UNKNOWN_SHAPE not in problem:
            return problem
        return f"{problem.partition(' Understood are')[0]} c: point at the columns and say which is what."

    def _show_facts(self) -> None:
        state = self.app.state
        widget = self.query_one("#dataset-facts", Static)
        view = state.dataset.view
        if view is None:
            reading = state.draft.dataset and not state.dataset.problem
            widget.update(Content("Reading …" if reading else "").stylize("$text-muted"))
            return
        width = widget.content_size.width or self.size.width - MARGINS
        widget.update(Content("\n").join(facts_and_picture(state, view, width, self.size, self._facts_room())))

        self._show_close()

    @on(RowBrowser.Drawn)
    def _show_close(self) -> None:
        """Below the facts, where they stand beside the rows, the first row closely."""
        browser, facts = self.query_one(RowBrowser), self.query_one("#dataset-facts", Static)
        room = 0
        if self.size.width >= BESIDE and browser.preview is not None:
            taken = str(facts.content).count("\n") + 1 + facts.styles.margin.height
            room = self.query_one("#dataset-facts-box").size.height - taken
        self.query_one(RowClose).show(browser.rows[browser.place :], room)

    def _facts_room(self) -> int | None:
        """Lines that there are for the facts and the picture; None before they were laid out."""
        box = self.query_one("#dataset-facts-box")
        most, main = box.styles.max_height, self.query_one("#dataset-main").size.height
        if not main or most is None:
            return None
        return int(main * most.value / 100) - self.query_one("#dataset-facts", Static).styles.margin.height

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_facts)
        if self.app.state.dataset.view is None:
            self.call_after_refresh(self._show_rows)

    def _show_rows(self) -> None:
        dataset = self.app.state.dataset
        nothing = not self.app.state.draft.dataset or dataset.problem
        self.query_one("#dataset-main").set_class(bool(nothing), "-no-rows")
        empty = Content("")
        if nothing:
            main = self.query_one("#dataset-main").size
            empty = ways_to_a_dataset("" if dataset.problem else "No dataset yet.", main.width - 4, main.height - 3)
        self.query_one(RowBrowser).take(dataset.shown, empty)

    @on(RowBrowser.Said)
    def _rows_said(self, event: RowBrowser.Said) -> None:
        self.say(event.sentence, event.severity)

    def action_demo(self) -> None:
        """Take the built-in dataset."""
        self.app.choose_dataset("demo")

    @work
    async def action_browse(self) -> None:
        """Choose a file or folder."""
        from loratui.data.open_file import data_kind
        from loratui.tui.common.file_browser import BrowserScreen

        now = self.app.state.draft.dataset
        start = without_tilde(now).parent if now and now != "demo" and without_tilde(now).exists() else Path.cwd()
        path = await self.app.push_screen_wait(
            BrowserScreen(
                "Open a dataset",
                start,
                lambda path: bool(data_kind(path)),
                folders="use this folder: all its data files",
            )
        )
        if path:
            self.app.choose_dataset(home_short(path) if "~" not in path else path)

    @work
    async def action_columns(self) -> None:
        """Change how the columns are read; rows of no known shape are mapped by hand at once."""
        from loratui.tui.dataset.columns import BY_HAND, ColumnsScreen

        view = self.app.state.dataset.view
        values: dict[str, Any] | str | None = BY_HAND
        if view is not None:
            values = await self.app.push_screen_wait(ColumnsScreen(view.preview.recognition))
        if values == BY_HAND:
            values = await self._map_by_hand()
        if isinstance(values, dict):
            self.app.state.choices.set_values(values)
            self.app.read_dataset()

    async def _map_by_hand(self) -> dict[str, Any] | None:
        from loratui.tui.dataset.mapping import MappingScreen

        view, draft = self.app.state.dataset.view, self.app.state.draft
        if not draft.dataset:
            self.say("Choose a dataset first.", "error")
            return None
        now = view.preview.recognition.columns if view is not None else draft.by_hand.get("dataset.columns", {})
        rows = self._first_rows(draft.dataset, draft.by_hand.get("dataset.encoding", UTF8))
        await rows.wait()
        if not rows.result:
            return None
        return await self.app.push_screen_wait(MappingScreen(rows.result, now))

    @work(thread=True, exclusive=True, group="rows", exit_on_error=False)
    def _first_rows(self, path: str, encoding: str) -> list[Mapping[str, Any]]:
        """The first rows as they stand in the file; why there are none is said."""
        from loratui.data.preview import first_values

        try:
            return first_values(path, encoding=encoding)
        except LoratuiError as error:
            self.app.call_from_thread(self.say, error.sentence, "error")
            return []

    @work
    async def action_mix(self) -> None:
        """Train on several datasets as one."""
        from loratui.tui.dataset.mix import MixScreen

        await self.app.push_screen_wait(MixScreen(parts_now(self.app.state.draft), self.app.choose_parts))

    def _has_preferences(self) -> bool:
        view = self.app.state.dataset.view
        from loratui.data.preferences import is_preference

        return view is not None and is_preference(view.preview.recognition)

    def action_next(self) -> None:
        """Go on; preferences are asked about first."""
        if self.app.state.dataset.unanswered(self.app.state.draft):
            self.action_answer(then_next=True)
        else:
            super().action_next()

    @work
    async def action_answer(self, then_next: bool = False) -> None:
        """Ask what is learnt of preferences; the answer stands in the plan."""
        from loratui.tui.dataset.preference_question import ANSWERS, PreferenceQuestion

        view = self.app.state.dataset.view
        judged = view is not None and view.preview.recognition.format != "preference"
        answer = await self.app.push_screen_wait(PreferenceQuestion(judged=judged))
        self.app.state.choices.set_values(ANSWERS[answer])
        self._show_facts()
        self._show_rows()
        self.app.check_dataset()
        if answer and then_next:
            super().action_next()
        elif not answer:
            self.say("Nothing is trained on preferences: choose other rows, or c maps the columns.", "warning")

    @work
    async def action_problems(self) -> None:
        """List what is wrong with the rows; leave kinds of fault out."""
        from loratui.tui.dataset.problems import ProblemsScreen

        state = self.app.state
        now: list[str] = list(state.draft.by_hand.get("dataset.leave_out", []))
        wanted = await self.app.push_screen_wait(ProblemsScreen(state.dataset.view, state.check.now.result, now))
        if wanted is not None and wanted != now:
            state.choices.set_value("dataset.leave_out", wanted)
            self.app.read_dataset()
            self.say(
                f"Left out: {', '.join(wanted)}." if wanted else "Every row that can be trained on is taken again.",
                "done",
            )

    @work
    async def action_lengths(self) -> None:
        """Show the lengths and the ledger; take the maximum length that is chosen there."""
        state = self.app.state
        proposal, check = state.plan.proposal, state.check.now
        if proposal is None or state.dataset.view is None:
            self.say("The lengths come with a dataset, a model and a machine.", "warning")
            return
        if check.result is not None and not check.result["usable"]:
            self.say("No row can be trained on: e lists why.", "error")
            return
        from loratui.core.length_prices import length_prices

        lengths = lengths_now(check, proposal)
        steps = [int(row["max_length"]) for row in lengths.ledger]
        prices = length_prices(
            proposal.spec, proposal.plan, proposal.data, proposal.device, steps, proposal.measurements
        )
        chosen = await self.app.push_screen_wait(LengthsScreen(lengths, prices, proposal.plan.training.max_length))
        if chosen and chosen != proposal.plan.training.max_length:
            state.choices.set_value("training.max_length", chosen)
            self.app.check_dataset()
            self.say(f"Rows are cut at {chosen:,} tokens now.", "done")

    def _ledger(self) -> dict[str, Any]:
        """What the check found of thinking; empty where there is none, or no check."""
        result = self.app.state.check.found
        ledger: dict[str, Any] = result["reasoning"] if result is not None else {}
        return ledger if ledger and (ledger["rows"] or ledger["sentences"]) else {}

    @work
    async def action_thinking(self) -> None:
        """Show the ledger of thinking; take the mend that is chosen there."""
        from loratui.tui.dataset.thinking import ThinkingScreen

        values = await self.app.push_screen_wait(ThinkingScreen(self._ledger()))
        if values:
            self._take(values)

    def fixes(self) -> dict[str, Any]:
        """What would mend the stop token, as plan keys; empty where nothing is to mend, or nothing here can."""
        result = self.app.state.check.found
        return dict(result["stop_token"]["fix"]) if result is not None else {}

    def action_fix(self) -> None:
        """Answer what preferences are taken for; else take the check's own mend."""
        state, fixes = self.app.state, self.fixes()
        if self._has_preferences() and (state.dataset.unanswered(state.draft) or not fixes):
            self.action_answer()
        else:
            self._take(fixes)

    def _take(self, values: dict[str, Any]) -> None:
        self.app.state.choices.set_values(values)
        self.app.check_dataset()
        self.say(
            "Set " + ", ".join(f"{key} = {value}" for key, value in values.items()) + "; the rows are checked again.",
            "done",
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "fix":
            return bool(self.fixes()) or self._has_preferences()
        if action == "thinking":
            return bool(self._ledger())
        dataset = self.app.state.dataset
        if action == "cancel":
            opened = self.query_one("#path").has_focus or self.query_one(RowBrowser).as_tokens
            return opened or bool(self.app.state.check.now.progress)
        if action == "problems":
            return self.app.state.check.faulty
        if action == "demo":  # no letter that slipped in takes other rows than those that were chosen
            return dataset.view is None
        if action == "mix":
            return dataset.view is not None or bool(dataset.problem)
        if action == "columns":
            return not self.app.state.draft.by_hand.get(PARTS) and (dataset.view is not None or bool(dataset.problem))
        if action == "lengths":
            return dataset.view is not None and self.app.state.plan.proposal is not None
        if action == "check":
            check = self.app.state.check
            again = check.now.stopped or bool(check.now.problem) or check.at_another_length
            return again and bool(check.key())
        return super().check_action(action, parameters)

    def action_check(self) -> None:
        """Check the rows again."""
        self.app.check_dataset(again=True)

    def action_cancel(self) -> None:
        """Leave the path, or the tokens; else stop checking."""
        if self.path_field.written_in:
            if self.path_field.put_back():
                self.say("The path stays as it was." if self.path_field.value else "No path was taken.")
            self.set_focus(self.query_one("#row"))
        elif (browser := self.query_one(RowBrowser)).as_tokens:
            browser.action_tokens()
        else:
            self.app.stop_check()
