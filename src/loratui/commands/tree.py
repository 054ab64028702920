"""The tree of commands: their names, their words for `--help`, and the one without a name, which opens the wizard.

A command's module is imported when it is called; the list below is all that `--help` reads.
"""

from __future__ import annotations

import io

import click

from loratui import __version__
from loratui.commands.group import LazyGroup
from loratui.terminal import hear_interrupts, say
from loratui.tui.start import open_interface

COMMANDS = {
    "machine": "GPUs (NVML) and host.",
    "doctor": "Check the installation: one line each, with the mend.",
    "plan": "Propose every hyperparameter, with its reason and its memory.",
    "inspect": "Show what a dataset will teach a model, and what is wrong with it.",
    "train": "Run a plan; it survives this terminal.",
    "runs": "The runs of this machine.",
    "attach": "Follow a run.",
    "stop": "Let a run finish its step, save and stop.",
    "resume": "Go on with a run from its last checkpoint.",
    "queue": "Runs that wait for this machine, and when each will start.",
    "try": "Which settings are better: short trials, half stopped early.",
    "notify": "How you are told when runs end; --test sends a message.",
    "chat": "Ask a model and its adapter.",
    "generate": "Answer a file of prompts.",
    "evaluate": "Measure a result beside its base, with intervals.",
    "card": "Write a run's model card again, or print it.",
    "merge": "Merge an adapter into its base, and prove it.",
    "serve": "Answer over HTTP, as OpenAI's API does, with runs and bases.",
    "gguf": "Make a GGUF file for llama.cpp and Ollama, by their own tools.",
    "push": "Send a result to the hub, private unless told otherwise.",
    "export": "Write a plan as another tool's file.",
}


class Commands(LazyGroup):
    """All of them; from the moment that one is called ctrl+c is heard."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            hear_interrupts()
        return command


@click.group(
    cls=Commands,
    listed=COMMANDS,
    modules={"try": "experiment"},
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--demo", is_flag=True, help="Fill every screen with the built-in model and dataset.")
@click.version_option(__version__, prog_name="loratui")
@click.pass_context
def loratui(ctx: click.Context, demo: bool) -> None:
    """Fine-tune language models in the terminal: full, LoRA and QLoRA.

    Without a command it opens the wizard (machine, model, dataset, recipe, review, training, playground), or home where
    there are runs or a draft to come back to.
    """
    if ctx.invoked_subcommand is None:
        hear_interrupts()
        ctx.exit(open_interface(demo=demo))


def call() -> int:
    """Run the command that was asked for; its exit status. What cannot be asked for is told as click tells it."""
    try:
        status = loratui.main(standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        say(said.getvalue(), err=True, end="")
        return error.exit_code
    return status if isinstance(status, int) else 0
