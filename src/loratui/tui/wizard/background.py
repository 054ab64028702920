"""What the app looks up slowly: machine, presets, models and datasets in threads, the check of the dataset by a worker.

Results are taken up on the app's own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual import work
from textual.app import App
from textual.worker import get_current_worker

from loratui.format import harmless, one_line
from loratui.tui.wizard.check import PREVIEW_ROWS, Check, progress_words
from loratui.tui.wizard.draft import Draft, same_choices, step_to_open
from loratui.tui.wizard.draft_file import OtherDraft
from loratui.tui.wizard.mixing import chosen_words, parts_now
from loratui.tui.wizard.state import WizardState

if TYPE_CHECKING:
    from loratui.machine.sampler import MachineSampler
    from loratui.models.found import FoundModel


SHOW_THE_MACHINE = ("machine", "training")
"""Screens with live figures of it."""
LATE_SECONDS = 0.2
"""How often it is asked whether a machine that answers late has answered."""


class BackgroundLoading(App[None]):
    """An app with the wizard's state, and the ways in which what the state needs is found."""

    state: WizardState
    sampler: MachineSampler | None
    """Samples the machine in a thread; there once the first look was taken. A screen that needs it polls `newest`."""

    _processor_tried = False
    """Whether the processor was measured, or is being, in this session."""

    @work(thread=True, group="look-up", exit_on_error=False)
    def look_up_all(self) -> None:
        """After the first frame: the machine; once that is painted, the rest. A machine that answers late, as with a
        driver that hangs for a while, holds up nothing else, and is taken up when it answers.
        """
        from loratui.tui.wizard import loading

        sampler = loading.start_sampler() if self.state.hardware.machine is None else None
        if sampler is not None and sampler.newest is not None:
            self._take(self._take_sampler, sampler)
        self._take(self.look_up_the_rest)
        if sampler is not None and sampler.newest is None:
            while sampler.wait_for_sample(LATE_SECONDS) is None and not get_current_worker().is_cancelled:
                pass
            self._take(self._take_sampler, sampler)

    def _take_sampler(self, sampler: MachineSampler) -> None:
        """Take up the first look; a screen that shows no machine needs no further ones."""
        self.sampler = sampler
        if self.screen.name not in SHOW_THE_MACHINE:
            sampler.pause()
        if sampler.newest is not None:
            self.state.hardware.take(sampler.newest)
            self._measure_processor()

    @work(thread=True, group="look-up", exit_on_error=False)
    def look_up_the_rest(self) -> None:
        """The presets, what the draft names, and a run that goes on. Lengths that the last session knew need no second
        reading of the dataset before the estimate is painted."""
        from loratui.tui.wizard import loading

        draft = self.state.draft
        model, dataset, given = draft.model, draft.dataset, dict(draft.by_hand)
        presets = loading.load_presets()
        self._take(self.state.plan.take_measurements, loading.load_measurements())
        found_model = self._find_model(model) if model and self.state.model.found is None else None
        if model:
            loading.load_calculation()
        unread = dataset and self.state.dataset.view is None
        if unread and self.state.dataset.known_facts is not None:
            self._take(self._take_all, presets, (model, found_model), (dataset, None))
            self._take(self._take_dataset, dataset, *self._find_dataset(dataset, given))
        else:
            found_dataset = self._find_dataset(dataset, given) if unread else None
            self._take(self._take_all, presets, (model, found_model), (dataset, found_dataset))
        self._take(self._offer_run, loading.running_run(besides=self.state.run.chosen))

    def _offer_run(self, name: str) -> None:
        """A run that goes on is told of at the start, wherever the wizard was left."""
        if name and self.screen.name not in ("training", "runs"):
            self.notify(f"{harmless(name)} is running · ^r lists it", markup=False, timeout=10)

    def _take_all(self, presets: Any, model: tuple[str, Any], dataset: tuple[str, Any]) -> None:
        """Take up what was found at the start; propose and paint once. The dataset last: it is read for the model."""
        with self.state.plan.at_once():
            self._take_presets(*presets)
            if model[1] is not None:
                self._take_model(model[0], *model[1])
            if dataset[1] is not None:
                self._take_dataset(dataset[0], *dataset[1])
        if self.screen.name == "dataset":  # its check rests on the proposal, which came last
            self.check_dataset()

    def _take(self, method: Callable[..., object], *values: object) -> None:
        if not get_current_worker().is_cancelled:
            self.call_from_thread(method, *values)

    def _take_presets(self, presets: dict[str, Any], problems: tuple[str, ...]) -> None:
        self.state.plan.take_presets(presets)
        for sentence in problems:
            self.notify(harmless(sentence), markup=False, severity="warning", timeout=10)

    def choose_model(self, identifier: str) -> None:
        """Choose a model: at once in the draft, then looked up in a thread."""
        self._choose(identifier)
        self._model_worker(identifier)

    def _choose(self, identifier: str) -> None:
        before = self.state.draft.preset
        self.state.choices.choose_model(identifier)
        if self.state.draft.preset != before:
            self.notify("The demo's preset is for its model: proposals are used now.", markup=False, timeout=10)

    def try_model(self, identifier: str, told: Callable[[str], None]) -> None:
        """Choose a model that a person typed or sought: what is chosen stands until it was found. told: given why it
        cannot be taken.
        """
        if self.state.model.found is None:
            self.choose_model(identifier)
        else:
            self._trial_worker(identifier, told)

    @work(thread=True, exclusive=True, group="model", exit_on_error=False)
    def _trial_worker(self, identifier: str, told: Callable[[str], None]) -> None:
        found, problem = self._find_model(identifier)
        if problem:
            self._take(told, problem)
        else:
            self._take(self._take_found, identifier, found)

    def _take_found(self, identifier: str, found: Any) -> None:
        self._choose(identifier)
        self._take_model(identifier, found, "")

    @work(thread=True, exclusive=True, group="model", exit_on_error=False)
    def _model_worker(self, identifier: str) -> None:
        self._take(self._take_model, identifier, *self._find_model(identifier))

    def _find_model(self, identifier: str) -> tuple[Any, str]:
        """The model, or one sentence of why there is none."""
        from loratui.core.errors import LoratuiError
        from loratui.tui.wizard import loading

        try:
            return loading.load_model(identifier), ""
        except LoratuiError as error:
            return None, error.sentence

    def _take_model(self, identifier: str, found: Any, problem: str) -> None:
        if self.state.draft.model == identifier:
            self.state.model.take(found, problem)
            if found is not None and not found.spec.known:
                self._shape_worker(found)
            self._measure_processor()

    def _measure_processor(self) -> None:
        """Have the processor measured where that decides the plan's number format; nothing where it is known, or was
        tried.
        """
        device, spec = self.state.hardware.device(), self.state.model.spec
        if device is None or spec is None or device.kind != "cpu" or self._processor_tried:
            return
        from loratui.machine.processor_formats import unmeasured

        if unmeasured(device, spec):
            self._processor_tried = True
            self._processor_worker(device.name)

    @work(exclusive=True, group="processor", exit_on_error=False)
    async def _processor_worker(self, cpu_name: str) -> None:
        """Once a processor, in a process of its own; the proposal is renewed when it is known."""
        from loratui.core.errors import WorkerError
        from loratui.workers.processor import measure_meanwhile

        self.notify("This processor has bfloat16: how fast is measured once, in some seconds.", markup=False, timeout=6)
        try:
            self.state.hardware.take_gains(await measure_meanwhile(cpu_name))
        except WorkerError as error:
            self.notify(
                f"The processor could not be measured, so float32 is proposed: {one_line(error.sentence, 300)}",
                markup=False,
                severity="warning",
                timeout=12,
            )

    @work(exclusive=True, group="shape", exit_on_error=False)
    async def _shape_worker(self, found: FoundModel) -> None:
        """Have the real class of an unknown family read, in a process of its own; the proposal is renewed when it is
        known.
        """
        from loratui.core.errors import ModelError
        from loratui.models.shapes import learn_meanwhile, refusal

        family, problem = one_line(found.spec.family, 40), refusal(found.config)
        if not problem:
            self.notify(
                f"The family {family} is new here: its real class is being read; figures are guesses until then.",
                markup=False,
                timeout=6,
            )
            try:
                self.state.model.take_shape(found.id, await learn_meanwhile(found.config, found.id))
                return
            except ModelError as error:
                problem = error.message
        self.notify(
            f"Parameters and memory of {family} stay a guess: {one_line(problem, 300)}",
            markup=False,
            severity="warning",
            timeout=12,
        )

    def choose_dataset(self, path: str) -> None:
        """Choose a dataset: at once in the draft, then read in a thread."""
        self.state.choices.choose_dataset(path)
        self.read_dataset()

    def try_dataset(self, path: str, taken: Callable[[], None], refused: Callable[[str], None]) -> None:
        """Choose a dataset that a person typed: what is chosen stands until rows were found. refused: given why not."""
        if self.state.dataset.view is None:
            self.choose_dataset(path)
            taken()
        else:
            self._dataset_trial(path, taken, refused)

    @work(thread=True, exclusive=True, group="dataset", exit_on_error=False)
    def _dataset_trial(self, path: str, taken: Callable[[], None], refused: Callable[[str], None]) -> None:
        from loratui.data.recognise import UNKNOWN_SHAPE

        found, problem = self._find_dataset(path, {})
        if problem and UNKNOWN_SHAPE not in problem:  # those rows are there, and a person says what their columns are
            self._take(refused, problem)
        else:
            self._take(self._take_tried, path, found, problem, taken)

    def _take_tried(self, path: str, found: Any, problem: str, taken: Callable[[], None]) -> None:
        self.state.choices.choose_dataset(path)
        self._take_dataset(path, found, problem)
        taken()

    def choose_parts(self, parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Choose several datasets as one, then read in a thread; the parts as they were taken. PlanError where they
        cannot be one; nothing has changed then.
        """
        self.state.choices.choose_parts(parts)
        self.read_dataset()
        return parts_now(self.state.draft)

    def read_dataset(self) -> None:
        """Read the draft's dataset again, as its format and columns now say."""
        self._dataset_worker(self.state.draft.dataset, dict(self.state.draft.by_hand))

    @work(thread=True, exclusive=True, group="dataset", exit_on_error=False)
    def _dataset_worker(self, path: str, given: dict[str, Any]) -> None:
        self._take(self._take_dataset, path, *self._find_dataset(path, given))

    def _find_dataset(self, path: str, given: dict[str, Any]) -> tuple[Any, str]:
        """The dataset, or one sentence of why there is none."""
        from loratui.core.errors import LoratuiError
        from loratui.tui.wizard import loading

        try:
            return loading.load_dataset(path, given), ""
        except LoratuiError as error:
            return None, error.sentence

    def _take_dataset(self, path: str, found: Any, problem: str) -> None:
        if self.state.draft.dataset == path:
            self.state.dataset.take(found, problem)

    # The check of the dataset, by a worker

    def check_dataset(self, *, again: bool = False) -> None:
        """Start the check of the dataset with the model's tokenizer, unless it was done, stopped or is under way.

        again: also where it was done or stopped.
        """
        key = self.state.check.key()
        if key and (again or key != self.state.check.now.key):
            self._check_worker(key)

    @work(exclusive=True, group="tokens", exit_on_error=False)
    async def render_rows(self, numbers: Sequence[int]) -> None:
        """Have these rows made into the trainer's tokens; they join those of the check."""
        from loratui.core.errors import LoratuiError
        from loratui.workers.inspect_client import InspectClient

        if self.state.plan.proposal is None or not self.state.check.key() or self.state.check.now.progress:
            return
        client = InspectClient()
        try:
            async for message in client.inspect(self.state.plan.proposal.plan, numbers):
                if message["type"] == "rows":
                    rows = {row["index"]: row for row in message["rows"]}
                    self.state.check.take(replace(self.state.check.now, rows={**self.state.check.now.rows, **rows}))
                    break
        except LoratuiError as error:
            self.notify(one_line(error.sentence, 300), markup=False, severity="warning")
        finally:
            await client.close()

    def stop_check(self) -> None:
        """Stop the check that is under way."""
        if self.state.check.now.progress:
            self.workers.cancel_group(self, "check")
            self.state.check.take(replace(self.state.check.now, progress="", stopped=True))

    @work(exclusive=True, group="check", exit_on_error=False)
    async def _check_worker(self, key: str) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.workers.inspect_client import InspectClient

        assert self.state.plan.proposal is not None
        check = Check(key, progress="starting …")
        self.state.check.take(check)
        client = InspectClient()
        try:
            async for message in client.inspect(self.state.plan.proposal.plan, range(PREVIEW_ROWS)):
                if words := progress_words(message):
                    check = replace(check, progress=words)
                elif message["type"] == "rows":
                    check = replace(check, rows={row["index"]: row for row in message["rows"]})
                elif message["type"] == "partial":
                    check = replace(check, partial=message["result"])
                elif message["type"] == "result":
                    check = replace(check, progress="", result=message["result"])
                self.state.check.take(check)
        except LoratuiError as error:
            self.state.check.take(replace(check, progress="", problem=one_line(error.sentence, 300)))
        finally:
            await client.close()

    # Other drafts, and what then is to be looked up

    def open_step(self, step: str) -> None:
        """Bring a step to the front."""
        raise NotImplementedError

    def take_up(self, other: OtherDraft, *, where_left: bool = False) -> None:
        """Go on with a draft that was kept aside. where_left: at the step where it was left."""
        present = self.state.draft
        if not self.state.file.take_up(other, where_left=where_left):
            self._tell_not_kept()
            return
        self.state.plan.forget_changes()
        kept = any(same_choices(one.draft, present) for one in self.state.file.others())
        before = f"Kept aside: {chosen_words(present)}." if kept else "No draft is kept aside for it."
        self.notify(harmless(f"Taken up: {chosen_words(other.draft)}. {before}"), markup=False, timeout=6)
        self.look_up_all()
        if where_left:
            self.open_step(step_to_open(self.state.draft))

    def begin_draft(self, draft: Draft) -> None:
        """Begin with these choices; the present ones are kept aside."""
        if not self.state.file.begin(draft):
            self._tell_not_kept()
            return
        self.state.plan.forget_changes()
        self.look_up_all()
        self.open_step(draft.step)

    def _tell_not_kept(self) -> None:
        self.notify(harmless(self.state.file.problem), markup=False, severity="warning", timeout=10)
