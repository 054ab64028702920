"""The choices of a wizard that trains a run's result further: the same base, the adapter as it is, the dataset to be
changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratui.core.plan import Plan
from loratui.runs.directory import Run

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp

KEPT = (
    "model.revision",
    "model.chat_template",
    "model.trust_remote_code",
    "dataset.format",
    "dataset.columns",
    "dataset.preference",
    "dataset.configuration",
    "dataset.split",
    "dataset.encoding",
    "dataset.parts",
    "method.kind",
    "training.loss_on",
)
"""What the next training takes over from the run as it was."""
ASKED = ("model.", "dataset.", "lora.adapter", "training.objective")
"""What a person asked for by training a result further, and how model and rows are read; the rest stays as it was."""
OF_THE_ADAPTER = ("method.quantization", "lora.r", "lora.alpha", "lora.variant", "lora.targets")
"""What the adapter was made with: it cannot be trained further with other values."""


@dataclass(frozen=True)
class NextTraining:
    """A model, a dataset, and plan keys, as the wizard's draft holds them."""

    model: str
    dataset: str
    values: dict[str, Any]

    @property
    def asked(self) -> dict[str, Any]:
        """The values that count as set by hand."""
        return {key: value for key, value in self.values.items() if key.startswith(ASKED)}

    @property
    def kept(self) -> dict[str, Any]:
        """The run's own values, which are held: nobody set them by hand."""
        return {key: value for key, value in self.values.items() if not key.startswith(ASKED)}

    def command(self) -> tuple[str, ...]:
        """The same on the command line, after the word `loratui`."""
        from loratui.tui.wizard.command import setting_value

        settings = [part for key, value in self.values.items() for part in ("--set", f"{key}={setting_value(value)}")]
        return ("plan", "-m", self.model, "-d", self.dataset, *settings, "-o", "further.toml")


async def fill_in(app: LoratuiApp, run: Run, *, preferences: bool = False) -> None:
    """Fill the wizard in to train a run's result further, and go to its dataset; what is chosen there now is asked
    about first. preferences: to learn preferences on it (DPO), from rows that are chosen there.
    """
    from loratui.tui.common.dialogs import ConfirmScreen

    wanted = next_training(run, run.plan())
    if preferences:
        wanted = on_preferences(wanted)
    words = "The wizard's present choices of model, dataset and recipe are replaced by those that go on from this run."
    if app.state.draft.model and not await app.push_screen_wait(
        ConfirmScreen("Train it further?", words, "fill the wizard in", "leave it as it is")
    ):
        return
    app.choose_model(wanted.model)
    app.state.choices.choose_dataset(wanted.dataset)
    app.state.choices.replace_values(wanted.asked, wanted.kept)
    app.read_dataset()
    app.open_step("dataset")


def on_preferences(wanted: NextTraining) -> NextTraining:
    """The same result as the beginning of DPO; how its rows were read means nothing for the pairs."""
    values = {key: value for key, value in wanted.values.items() if not key.startswith(("dataset.", "training."))}
    return NextTraining(wanted.model, "", {**values, "training.objective": "dpo"})


def next_training(run: Run, plan: Plan) -> NextTraining:
    """What the wizard is to begin with. Values at their defaults are left to the next proposal."""
    default = Plan()
    kept = {key: plan.get(key) for key in KEPT if plan.get(key) != default.get(key)}
    if plan.method.kind == "full":
        return NextTraining(
            str(run.model_path),
            plan.dataset.path,
            {**{key: value for key, value in kept.items() if key != "model.revision"}, "method.kind": "full"},
        )
    own = {key: plan.get(key) for key in OF_THE_ADAPTER}
    return NextTraining(
        plan.model.id,
        plan.dataset.path,
        {**kept, "method.kind": plan.method.kind, **own, "lora.adapter": str(run.adapter_path)},
    )
