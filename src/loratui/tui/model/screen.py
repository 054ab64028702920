"""The second step: which model to train, with what fits the chosen device beside each."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.format import count, one_line, size
from loratui.paths import home_short, is_folder
from loratui.tui.common.filter_list import FIT_GLYPHS, FilterList, Item, columns
from loratui.tui.frame.step import StepScreen
from loratui.tui.model.anatomy import anatomy_lines
from loratui.tui.model.methods import method_lines

if TYPE_CHECKING:
    from loratui.models.found import FoundModel
    from loratui.runs.used_models import UsedModel

USED = "used"
GROUPS = {
    USED: "used here",
    "demo": "the demo",
    "folder": "folders",
    "cache": "on this machine (hub cache)",
    "hub": "on the hub",
    "catalogue": "known models (for planning; not on this machine)",
}
METHODS = {"full": "full", "lora": "LoRA", "qlora": "QLoRA"}


WIDE = 90
"""Columns from which the size on disk stands in the list; below, it is told of the model under the cursor only."""


RESTING_SECONDS = 0.15
"""How long the cursor stays on a model before its methods are weighed."""


def unlisted_words(typed: str) -> str:
    """What enter does with a text that no line has, where it looks like a path or a hub id; else empty."""
    if "/" not in typed and typed not in ("", ".", "..") and is_folder(typed):
        return f"{typed} is a folder here: enter takes it."
    looks = "/" in typed.removeprefix("/") or typed.startswith(("~", "."))
    return "Not in the list. enter looks for it as a folder's path or a hub id." if looks else ""


def _name(model: FoundModel) -> str:
    """A folder of the working directory by its own name, as one types it; another model by its id."""
    here = model.kind == "folder" and PurePath(model.id).parent == Path.cwd()
    return PurePath(model.id).name if here else home_short(model.id)


class ModelScreen(StepScreen):
    """A list of models with parameters, size on disk, and whether full, LoRA and QLoRA training fit."""

    CSS_PATH = "model.tcss"
    STEP = "model"
    HEADING = "Model"
    EXPLANATION = "The model that will learn."
    HELP_TEXT = (
        "✓ fits, ▲ fits tightly and ✗ is too big: for full fine-tuning, LoRA and QLoRA on the chosen device, with one "
        "row "
        "of 1,024 tokens at a time, checkpointing and rank 16.\n\n"
        "Above stand the models that runs here were made from, and the whole and merged ones that they made. "
        "Type to narrow the list. A folder's path or a hub id typed there and entered is taken as it is. Models of the "
        "last group are not on this machine: you can plan with them, and train once their weights are here."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+s",
            "search_hub",
            "Search hub",
            key_display="^s",
            tooltip="Find a model on the hub: size, licence, gated or not, what fits",
        ),
        Binding("ctrl+f,o", "browse", "Folder", key_display="^f", tooltip="Choose a model's folder in a browser"),
    ]

    def body(self) -> ComposeResult:
        with Container(id="model-main"):
            yield FilterList(
                self._draw,
                placeholder="type to filter; or a folder's path or a hub id",
                id="models",
                empty="Nothing matches. enter takes what you typed as a folder's path or a hub id.",
                head=self._head,
                unlisted=unlisted_words,
                goes_on=self.app.state.model.is_chosen,
                looks=True,
            )
            yield Static(id="model-methods", classes="box")
        yield Static(id="model-details")

    def on_mount(self) -> None:
        self.found: dict[str, FoundModel] = {}
        self.used: dict[str, str] = {}
        """The models of earlier runs here, with the name that each is shown by; empty: by its id."""
        self.fits: dict[str, dict[str, str]] = {}
        self._fits_for = ""
        self._highlighted = ""
        self._followed = ""
        """The chosen model that the cursor went to."""
        self._going_on = ""
        """What was typed and is to be gone on with, once it was found."""
        state = self.app.state
        self.hear(state.hardware.looked, self._compute_fits)
        self.hear(state.choices.device_chosen, self._compute_fits)
        self.hear(state.choices.model_chosen, self._show_found)
        self.hear(state.model.changed, self._model_found)
        self.query_one(FilterList).focus_filter()
        self._list()

    @work(thread=True, exclusive=True, group="list", exit_on_error=False)
    def _list(self) -> None:
        from loratui.models.find import list_models, models_here
        from loratui.runs.used_models import used_models

        self.app.call_from_thread(self._take_list, [*models_here(), *list_models()], used_models())

    def _take_list(self, models: list[FoundModel], used: list[UsedModel]) -> None:
        self.used = {one.model.id: one.name for one in used}
        self.found = {model.id: model for model in (*(one.model for one in used), *models)}
        model = self.app.state.model.found
        if model is not None:
            self.found[model.id] = model
        self._fill()
        self._compute_fits()

    def _compute_fits(self) -> None:
        device = self.app.state.hardware.device()
        if device is not None and self.found:
            key = f"{device.name} {device.memory_free_bytes >> 26} {len(self.found)}"
            if key != self._fits_for:
                self._fits_for = key
                self._fit_worker(dict(self.found), device)

    @work(thread=True, exclusive=True, group="fits", exit_on_error=False)
    def _fit_worker(self, models: dict[str, FoundModel], device: object) -> None:
        from loratui.core.memory.fit import method_fits

        fits = {key: dict(method_fits(model.spec, device)) for key, model in models.items()}  # type: ignore[arg-type]
        self.app.call_from_thread(self._take_fits, fits)

    def _take_fits(self, fits: dict[str, dict[str, str]]) -> None:
        self.fits = fits
        self.query_one(FilterList).redraw()
        self._show_methods()
        self._show_details(self._highlighted)

    @property
    def _chosen_key(self) -> str:
        """Key of the chosen model's line."""
        model = self.app.state.model.found
        return model.id if model is not None else self.app.state.draft.model

    def _fill(self) -> None:
        order = list(GROUPS)
        groups = {model.id: USED if model.id in self.used else model.kind for model in self.found.values()}
        models = sorted(
            self.found.values(),
            key=lambda model: order.index(groups[model.id]) if groups[model.id] in order else len(order),
        )
        items = [
            Item(
                model.id,
                f"{model.id} {model.spec.family} {count(model.spec.total_parameters)}",
                GROUPS.get(groups[model.id], model.kind),
            )
            for model in models
        ]
        self.query_one(FilterList).set_items(items, highlight="" if self._highlighted else self._chosen_key)

    def _draw(self, item: Item, width: int) -> Content:
        model = self.found[item.key]
        chosen = item.key == self._chosen_key
        name = Content.assemble(
            ("● " if chosen else "○ ", "bold" if chosen else ""),
            (one_line(self.used.get(model.id) or _name(model), 100), "bold" if chosen else ""),
        )
        disk = size(model.size_bytes) if model.weights and model.size_bytes else "–"
        return columns(
            width,
            name,
            (count(model.spec.total_parameters), 8),
            *([(disk, 9)] if width >= WIDE else []),
            *((self._badge(item.key, method), 5) for method in METHODS),
        )

    def _badge(self, key: str, method: str) -> Content:
        glyph, color = FIT_GLYPHS.get(self.fits.get(key, {}).get(method, ""), ("…", "$text-muted"))
        return Content.assemble((glyph, f"bold {color}"), "  " if method != "full" else " ")

    def _head(self, width: int) -> Content:
        disk = [("on disk", 9)] if width >= WIDE else []
        return columns(width, "  model", ("params", 8), *disk, *((name, 5) for name in METHODS.values()))

    def _show_details(self, key: str) -> None:
        model = self.found.get(key)
        widget = self.query_one("#model-details", Static)
        if model is None:
            widget.update(Content(""))
            return
        spec = model.spec
        shape = (
            f"{one_line(spec.family, 30)} · {spec.layers} layers × {spec.hidden_size} · {spec.vocab_size:,} tokens "
            f"known · {spec.max_positions:,} long"
        )
        if spec.experts:
            shape += f" · {spec.experts} experts, {spec.experts_per_token} at a time"
        fits = self.fits.get(key, {}) if self.size.width >= WIDE else {}  # the list's own signs say it, too
        words = [f"{METHODS[method]} {verdict}" for method, verdict in fits.items() if method in METHODS]
        template = "has a chat template" if model.has_chat_template else "no chat template"
        disk = [f"{size(model.size_bytes)} on disk"] if model.weights and model.size_bytes else []
        second = " · ".join([*words, *disk, template, *([one_line(model.note, 160)] if model.note else [])])
        widget.update(Content.assemble((shape, "$foreground"), "\n", (second, "$text-muted")))

    def shown(self) -> None:
        self._compute_fits()
        self._show_found()

    def _show_found(self) -> None:
        """The model that was found joins the list, and the cursor goes to it once; why there is none is said."""
        model = self.app.state.model.found
        if model is not None and self.found.get(model.id) != model:
            self.found[model.id] = model
            self._fill()
            self._fits_for = ""
            self._compute_fits()
        if model is not None and model.id != self._followed:
            self._followed = model.id
            self.query_one(FilterList).go_to(model.id)
        else:
            self.query_one(FilterList).redraw()
        if self.app.state.model.problem:
            self.say(self.app.state.model.problem, "error")

    def _model_found(self) -> None:
        model, typed = self.app.state.model.found, self.query_one(FilterList).filter_field.value.strip()
        asked, self._going_on = self._going_on, ""
        self._show_found()
        if model is not None:
            self._say_chosen(model.id)
            if asked and asked == typed == self.app.state.draft.model:
                super().action_next()

    @on(FilterList.Highlighted)
    def _moved(self, event: FilterList.Highlighted) -> None:
        self._highlighted = event.key
        self._show_details(event.key)
        self._show_methods()
        self._say_what_enter_does(event.key)

    def _say_what_enter_does(self, key: str) -> None:
        """Beside the cursor's line: "enter goes on" is true of the chosen one alone."""
        typed = self.query_one(FilterList).filter_field.value.strip()
        if not key and typed:
            self.say(f"enter looks for {one_line(typed, 60)}: a folder, else on the hub")
        elif self.app.state.model.is_chosen(key):
            self._say_chosen(key)
        elif not self.app.state.model.problem:
            self.say("")

    def _say_chosen(self, key: str) -> None:
        name = _name(self.found[key]) if key in self.found else key
        self.say(f"{one_line(name, 60)} is chosen. enter or ^n goes on.", "done")

    def on_screen_suspend(self) -> None:
        if not isinstance(self.app.screen, ModalScreen):  # what is typed on the next visit begins anew
            self.query_one(FilterList).clear()

    def _show_methods(self) -> None:
        """Beside the list, where there is room: the model under the cursor by each method; once the cursor rests."""
        panel, model = self.query_one("#model-methods", Static), self.found.get(self._highlighted)
        if not panel.display:
            return
        if model is not None:
            self._weigh_methods(panel, model)
            return
        self.workers.cancel_group(self, "methods")
        panel.border_title = None
        panel.update(Content("No model is under the cursor.").stylize("$text-muted"))

    @work(exclusive=True, group="methods", exit_on_error=False)
    async def _weigh_methods(self, panel: Static, model: FoundModel) -> None:
        await asyncio.sleep(RESTING_SECONDS)
        fits = await asyncio.to_thread(self.app.state.plan.methods_of, model.spec)
        panel.border_title = Content(one_line(home_short(model.id), 60)).markup
        width = max(30, panel.content_size.width)
        told = method_lines(fits, width) if fits else Content("Not known yet.").stylize("$text-muted")
        room = panel.content_size.height - len(told.split("\n", allow_blank=True))
        panel.update(Content("\n").join([told, *anatomy_lines(model.spec, width, room)]))

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_methods)

    @on(FilterList.Chosen)
    def _chosen(self, event: FilterList.Chosen) -> None:
        if self.app.state.model.is_chosen(event.key):
            self.action_next()
        else:
            self.app.choose_model(event.key)

    @on(FilterList.Typed)
    def _typed(self, event: FilterList.Typed) -> None:
        if self.app.state.model.is_chosen(event.text):
            self.action_next()
            return
        self._try(event.text)

    def action_next(self) -> None:
        """Go on; what stands in the field and was not entered is looked for first."""
        typed = self.query_one(FilterList).typed
        if typed and not self.app.state.model.is_chosen(typed):
            self._going_on = typed
            self._try(typed)
        else:
            super().action_next()

    def _try(self, name: str) -> None:
        """Take this model once it was found; until then, and where it is none, the chosen one stands."""
        self.say(f"Looking for {one_line(name, 80)} …")
        self.app.try_model(name, self._not_taken)

    def _not_taken(self, problem: str) -> None:
        self._going_on = ""
        if self.is_mounted:
            self.say(f"{problem} {PurePath(self._chosen_key).name} stays chosen. esc empties the field.", "error")

    @work
    async def action_search_hub(self) -> None:
        """Find a model on the hub, with the words of the filter."""
        from loratui.tui.model.hub_search import HubSearchScreen

        words = self.query_one(FilterList).filter_field.value.strip()
        found = await self.app.push_screen_wait(HubSearchScreen(words))
        if found:
            self._try(found)

    @work
    async def action_browse(self) -> None:
        """Choose a model's folder."""
        from loratui.tui.common.file_browser import BrowserScreen

        path = await self.app.push_screen_wait(
            BrowserScreen(
                "Open a model's folder",
                Path.cwd(),
                lambda path: path.name == "config.json",
                folders="use this folder",
                taken=lambda folder: (folder / "config.json").is_file(),
                called="a model",
            )
        )
        if path:
            self._try(str(Path(path).parent) if path.endswith("config.json") else path)
