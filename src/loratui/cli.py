"""The command line: `loratui` opens the wizard, every screen has its headless twin.

Nothing heavy is imported before a command needs it: a command's module is imported when it is called, and the list of
commands below is all that `--help` reads.
"""

from __future__ import annotations

import io
import os
import signal
import sys

import click

from loratui import __version__
from loratui.commands.group import LazyGroup
from loratui.core.errors import LoratuiError
from loratui.terminal import PARENT_VARIABLE, fail, guard, say, speak_to
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
            _hear_interrupts()
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
        _hear_interrupts()
        ctx.exit(open_interface(demo=demo))


def _hear_interrupts() -> None:
    """From here on ctrl+c is an exception that a command may answer; until then it ended the program at once."""
    if getattr(signal.getsignal(signal.SIGINT), "__module__", "").startswith("loratui"):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """The command line: every ending is an exit status, and no fault of a person's shows a traceback."""
    if PARENT_VARIABLE not in os.environ:
        sys.exit(_run())
    from loratui.workers.command import speak

    messages = speak()
    speak_to(messages)
    status = _run()
    messages.ended(status)
    sys.exit(status)


def _run() -> int:
    guard()
    try:
        _wake_queue()
        status = loratui.main(standalone_mode=False)
    except LoratuiError as error:
        fail(error.sentence)
        status = error.exit_status
    except click.exceptions.Abort:
        status = 130
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        say(said.getvalue(), err=True, end="")
        status = error.exit_code
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:  # noqa: BLE001  the last wall: a defect of ours is one sentence and a file, too
        status = report_defect(error)
    return status if isinstance(status, int) else 0


def _wake_queue() -> None:
    """Whatever is asked of loratui here, what waits for this machine is watched from then on."""
    from loratui.paths import experiments_home, state_home

    if (state_home() / "queue.json").exists() or any(experiments_home().glob("*/open")):
        from loratui.queue.wake import wake

        wake()


def report_defect(error: Exception) -> int:
    """Write the traceback of a defect to a file and name it in one sentence."""
    import traceback

    from loratui.files import make_folder, open_own
    from loratui.paths import state_home

    if os.environ.get("LORATUI_TRACEBACK"):
        traceback.print_exception(error)
        return 1
    log = state_home() / "crash.log"
    try:
        make_folder(log.parent)
        with os.fdopen(open_own(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as file:
            traceback.print_exception(error, file=file)
        place = f"The traceback is in {log}."
    except OSError as fault:
        place = f"Its traceback could not be written ({fault}); set LORATUI_TRACEBACK=1 to see it."
    fail(f"a defect of loratui: {type(error).__name__}: {error}. {place}")
    return 1
