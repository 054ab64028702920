"""What a person decided: the draft, the values set by hand, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loratui.tui.wizard.draft import DEMO, Draft, choices_mark
from loratui.tui.wizard.mixing import PARTS, with_parts
from loratui.tui.wizard.signal import Signal

KEPT_CHANGES = 100
"""Changes of the recipe that can be taken back."""
READING = ("dataset.", "model.")
"""Beginnings of the keys that say how data and model are read: they are no part of the recipe."""


class Choices:
    """Owner of the draft. Each question has a signal, published once its answer has changed."""

    def __init__(self, draft: Draft | None = None) -> None:
        self._draft = draft or Draft()
        self._past: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self.device_chosen = Signal()
        self.model_chosen = Signal()
        self.dataset_chosen = Signal()
        self.recipe_changed = Signal()
        self.varied_changed = Signal()
        self.step_opened = Signal()
        self.run_chosen = Signal()
        self.theme_chosen = Signal()

    @property
    def draft(self) -> Draft:
        """All choices as they are now."""
        return self._draft

    @property
    def signals(self) -> tuple[Signal, ...]:
        """One of them is published after any change of the draft."""
        return (
            self.device_chosen,
            self.model_chosen,
            self.dataset_chosen,
            self.recipe_changed,
            self.varied_changed,
            self.step_opened,
            self.run_chosen,
            self.theme_chosen,
        )

    def restore(self, draft: Draft) -> None:
        """Take up the choices of another session. Nobody is told: it is done before anybody looks."""
        self._draft = draft

    def take_up(self, draft: Draft) -> None:
        """Go on with other choices in the middle of a session; what was set before cannot be taken back by undo."""
        self._draft = replace(draft, step=self._draft.step, visited=self._draft.visited, theme=self._draft.theme)
        self._past.clear()
        for signal in (self.device_chosen, self.model_chosen, self.dataset_chosen, self.recipe_changed):
            signal.publish()

    def begin(self, draft: Draft) -> None:
        """Go on with other choices where they were left; the theme stays. As `take_up` otherwise."""
        self._draft = replace(self._draft, step=draft.step, visited=draft.visited)
        self.take_up(draft)
        for signal in (self.step_opened, self.run_chosen):
            signal.publish()

    def _put(self, signal: Signal, **answers: Any) -> None:
        self._draft = replace(self._draft, **answers)
        signal.publish()

    # Where one is

    def set_step(self, step: str) -> None:
        """Remember which screen is open."""
        visited = self._draft.visited
        self._put(self.step_opened, step=step, visited=visited if step in visited else [*visited, step])

    def set_run(self, path: str) -> None:
        """Remember the folder of the run that was started, and for which choices; nobody has asked this one yet."""
        visited = [step for step in self._draft.visited if step != "playground" or path == self._draft.run]
        self._put(self.run_chosen, run=path, run_for=choices_mark(self._draft), visited=visited)

    def set_theme(self, name: str) -> None:
        """Remember the theme."""
        self._put(self.theme_chosen, theme=name)

    # Machine, model, dataset

    def choose_devices(self, devices: Sequence[int]) -> None:
        """Train on these GPUs of this machine; none: the free one, or the CPU."""
        self._put(self.device_chosen, devices=sorted(devices), cpu=False, gpu="", by_hand=self._here())

    def choose_cpu(self) -> None:
        """Train on the CPU."""
        self._put(self.device_chosen, devices=[], cpu=True, gpu="", by_hand=self._here())

    def plan_for_gpu(self, name: str) -> None:
        """Plan for a GPU of the catalogue that this machine does not have."""
        self._put(self.device_chosen, devices=[], cpu=False, gpu=name, by_hand=self._here())

    def choose_cluster(self, partition: str, kind: str, gpus: int) -> None:
        """Have Slurm place the run on so many GPUs of this type a node, in this partition; how many nodes stays."""
        asked = {
            "cluster.engine": "slurm",
            "cluster.partition": partition,
            "cluster.gpu_type": kind,
            "cluster.gpus_per_node": gpus,
        }
        self._put(self.device_chosen, devices=[], cpu=False, gpu="", by_hand={**self._draft.by_hand, **_checked(asked)})

    def _here(self) -> dict[str, Any]:
        """What was set by hand, for a run of this machine: a preset's cluster does not count."""
        by_hand = self._draft.by_hand
        return {**by_hand, "cluster.engine": ""} if by_hand.get("cluster.engine") else by_hand

    def choose_model(self, identifier: str) -> None:
        """Choose a model by id; what belonged to the one before is forgotten, the demo's preset too."""
        if identifier != self._draft.model:
            own = ("lora.targets", "lora.adapter", "model.")
            by_hand, held = (_without(values, *own) for values in (self._draft.by_hand, self._draft.held))
            preset = self._draft.preset
            if identifier != DEMO.model and preset == DEMO.preset:
                preset = Draft().preset
                self._past = [(preset if one == DEMO.preset else one, mine, kept) for one, mine, kept in self._past]
            self._put(self.model_chosen, model=identifier, preset=preset, by_hand=by_hand, held=held)

    def choose_dataset(self, path: str) -> None:
        """Choose a dataset by path; how the one before was read, and what is learnt of it, is forgotten. Where there
        was none, what is to be learnt was chosen before the rows.
        """
        if path != self._draft.dataset:
            own = ("dataset.", *(("training.objective", "preference.") if self._draft.dataset else ()))
            by_hand = _without(self._draft.by_hand, *own)
            held = _without(self._held_beside(by_hand), *own)
            self._put(self.dataset_chosen, dataset=path, by_hand=by_hand, held=held)

    def choose_parts(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Choose several datasets as one; of one alone it is no mix. PlanError where they cannot be; nothing has
        changed then.
        """
        dataset, by_hand = with_parts(self._draft, parts)
        self._put(self.dataset_chosen, dataset=dataset, by_hand=by_hand, held=self._held_beside(by_hand))

    # The recipe

    def set_preset(self, name: str) -> None:
        """Propose from another preset; what was set by hand stays."""
        if name != self._draft.preset:
            self._remember()
            self._put(self.recipe_changed, preset=name)

    def set_value(self, key: str, value: Any, *, remember: bool = True) -> None:
        """Set a plan key by hand. Raises PlanError where the value is not allowed; nothing has changed then.

        remember: make it a change of its own for `undo`; False between `begin_edit` and the edit's end.
        """
        from loratui.core.plan_text import check_value

        checked = check_value(key, value)
        if self._draft.by_hand.get(key, _NOTHING) != checked:
            if remember:
                self._remember()
            by_hand = {**self._draft.by_hand, key: checked}
            self._put(self.recipe_changed, by_hand=by_hand, held=self._held_beside(by_hand))

    def hold_value(self, key: str, value: Any) -> None:
        """Have a proposed key stay at this value whatever else changes. Raises PlanError; nothing has changed then."""
        (held,) = _checked({key: value}).values()
        self._remember()
        self._put(self.recipe_changed, held={**self._draft.held, key: held})

    def release_value(self, key: str) -> bool:
        """Let a held key follow the rest again; False where it was not held."""
        if key not in self._draft.held:
            return False
        self._remember()
        self._put(self.recipe_changed, held={name: value for name, value in self._draft.held.items() if name != key})
        return True

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set several plan keys as one change (one undo). Raises PlanError; nothing has changed then."""
        self._set_all({**self._draft.by_hand, **_checked(values)})

    def replace_values(self, values: Mapping[str, Any], held: Mapping[str, Any]) -> None:
        """Have exactly these keys set by hand, and these held, no others (one undo). Raises PlanError; nothing has
        changed then.
        """
        by_hand, kept = _checked(values), _checked(held)
        self._remember()
        self._put(self.recipe_changed, by_hand=by_hand, held=kept)

    def _set_all(self, by_hand: dict[str, Any]) -> None:
        self._remember()
        self._put(self.recipe_changed, by_hand=by_hand, held=self._held_beside(by_hand))

    def _held_beside(self, by_hand: Mapping[str, Any]) -> dict[str, Any]:
        """What stays held beside these values set by hand: of what is learnt otherwise now, not the values for it."""
        from loratui.core.recommend.preference import SFT_ALONE

        key = "training.objective"
        other = by_hand.get(key, "sft") != self._draft.by_hand.get(key, "sft")
        gone = {*by_hand, *(SFT_ALONE if other else ())}
        return {name: value for name, value in self._draft.held.items() if name not in gone}

    def reset_value(self, key: str) -> bool:
        """Let a key be proposed again; False where it was not set by hand."""
        if key not in self._draft.by_hand:
            return False
        self._set_all({name: value for name, value in self._draft.by_hand.items() if name != key})
        return True

    def reset_all(self) -> None:
        """Let every field of the recipe be proposed again, held ones too; the dataset's columns and format stay."""
        self._remember()
        self._put(self.recipe_changed, by_hand=self.reading(), held={})

    def vary(self, key: str, text: str) -> None:
        """Have these values of a key tried, as `KEY=VALUE,VALUE` takes them; none: it varies no more."""
        varied = {name: values for name, values in self._draft.varied.items() if name != key or text}
        self._put(self.varied_changed, varied={**varied, key: text} if text else varied)

    def begin_edit(self) -> None:
        """A value is about to be typed: all its keystrokes are one change."""
        self._remember()

    def refuse_edit(self) -> None:
        """What stands there is refused: the choices are those from before the edit, which goes on."""
        preset, by_hand, held = self._past[-1]
        if (preset, by_hand, held) != (self._draft.preset, self._draft.by_hand, self._draft.held):
            self._put(self.recipe_changed, preset=preset, by_hand=by_hand, held=held)

    def cancel_edit(self) -> None:
        """The typed value is not kept: back to what was there when the edit began."""
        self.undo()

    def undo(self) -> bool:
        """Take the last change of the recipe back; False where there is none."""
        if not self._past:
            return False
        preset, by_hand, held = self._past.pop()
        self._put(self.recipe_changed, preset=preset, by_hand=by_hand, held=held)
        return True

    def _remember(self) -> None:
        self._past.append((self._draft.preset, self._draft.by_hand, self._draft.held))
        del self._past[:-KEPT_CHANGES]

    # What it comes to

    def given(self) -> dict[str, Any]:
        """Every plan key that a person decided, on whichever screen; what is held is told by `held`."""
        draft = self._draft
        keys: dict[str, Any] = {"model.id": draft.model or "demo", "dataset.path": draft.dataset}
        if draft.gpu:
            keys["hardware.gpu"] = draft.gpu
        elif draft.devices:
            keys["hardware.devices"] = list(draft.devices)
        elif draft.cpu:
            keys["hardware.cpu"] = True
        if draft.by_hand.get(PARTS):  # a mix has no path of its own
            keys["dataset.path"] = ""
        return {**keys, **draft.by_hand}

    def reading(self, *prefixes: str) -> dict[str, Any]:
        """The keys set by hand that say how data and model are read, or those of `prefixes` alone."""
        return {key: value for key, value in self._draft.by_hand.items() if key.startswith(prefixes or READING)}

    def recipe_values(self) -> dict[str, Any]:
        """What was set by hand or held on the recipe screen: what a preset of one's own keeps."""
        own = ("dataset.path", PARTS, "dataset.columns", "dataset.format", "dataset.preference", "model.")
        return _without({**self._draft.held, **self._draft.by_hand}, *own)

    @property
    def held(self) -> dict[str, Any]:
        """The keys that stay at a value that was proposed, and at which."""
        return dict(self._draft.held)


def _without(values: Mapping[str, Any], *prefixes: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not key.startswith(prefixes)}


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    from loratui.core.plan_text import check_value

    return {key: check_value(key, value) for key, value in values.items()}


_NOTHING = object()
