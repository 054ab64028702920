"""The grammar of the keys: what each letter means, on whichever screen, and where it is used.

Screens take their bindings from here. A letter means the same wherever it works, or it is not used there. Beside the
letters: digits are the numbers of the steps, the arrows (and j, k) move, enter chooses and on the chosen goes on, esc
leaves what is open, and where nothing is, the step for the one before (the first one for home), / finds, F1 and ? help,
q leaves: the panel in front, else the program. The line of keys names ^q for that and ends in ? or, where a field takes
letters, in F1: those work wherever they stand. While answers without names wait for a vote, 1, 2, 3 and 0 vote.
"""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding

LETTERS: dict[str, str] = {
    "a": "ask it something",
    "b": "blind: answers without names",
    "c": "columns: how rows are read",
    "d": "the demo",
    "e": "errors: what is wrong, one by one",
    "f": "fix: show what mends it, and take that",
    "g": "the loss axis: logarithmic, and back",
    "h": "hold a value, or let it follow",
    "i": "write into the field",
    "j": "move down",
    "k": "move up",
    "l": "lengths of the rows",
    "m": "more: fields, or training",
    "n": "new: begin from nothing",
    "o": "open: choose from a list or a folder",
    "p": "presets",
    "q": "leave",
    "r": "again: once more, or on again",
    "s": "stop what is at work",
    "t": "tokens: the text as the model gets it",
    "u": "undo: take the last back",
    "v": "validate: evaluate now",
    "w": "write a file",
    "x": "take away what was made",
    "y": "copy to the clipboard",
    "z": "zoom in",
    "A": "adopt: make it the plan",
    "D": "DPO: learn preferences on a result",
    "L": "the worker's log",
    "P": "the system prompt",
    "Q": "queue: let it wait for its turn",
    "R": "again, all of it",
    "S": "samples: the pinned prompts' answers",
    "T": "thinking in the rows",
    "V": "vary: values tried against each other",
    "Z": "zoom out",
    "=": "compare two of them",
    "+": "several datasets as one",
    ":": "go to a number",
    "/": "find",
    "?": "help",
}
"""Every letter and sign that is a key of its own, with what it means everywhere."""


CONTROLS: dict[str, tuple[str, frozenset[str]]] = {
    "c": ("stop what is at work", frozenset({"interrupt"})),
    "e": ("how answers are generated", frozenset({"settings"})),
    "f": ("a folder", frozenset({"browse"})),
    "g": ("score held-out rows", frozenset({"score"})),
    "j": ("a new line", frozenset({"line"})),
    "l": ("a held-out row", frozenset({"row"})),
    "n": ("the next step", frozenset({"next"})),
    "o": ("the palette", frozenset({"command_palette"})),
    "p": ("the step before", frozenset({"back"})),
    "q": ("leave", frozenset({"quit", "app.quit"})),
    "r": ("home", frozenset({"runs"})),
    "s": ("search the hub", frozenset({"search_hub"})),
    "t": ("the next theme", frozenset({"next_theme"})),
    "u": ("empty the field", frozenset()),
    "y": ("who answers", frozenset({"columns"})),
    "z": ("undo", frozenset({"undo"})),
}
"""Every letter with ctrl that is a key: what it means wherever it works, also while one types, and its actions."""


class Use(NamedTuple):
    """A letter on one screen. more: other keys that do the same, as Textual names them."""

    letter: str
    action: str
    label: str
    tooltip: str
    show: bool = True
    more: str = ""
    display: str = ""

    def binding(self, screen: str) -> Binding:
        """As Textual takes it."""
        name = NAMES.get(self.letter, self.letter)
        return Binding(
            f"{name},{self.more}" if self.more else name,
            self.action,
            self.label,
            show=self.show,
            key_display=self.display or self.letter,
            id=f"{screen}.{self.action}",
            tooltip=self.tooltip,
        )


NAMES = {"=": "equals_sign", "+": "plus", ":": "colon", "/": "slash", "?": "question_mark"}
"""Textual's own names of the signs."""

USES: dict[str, tuple[Use, ...]] = {
    "machine": (Use("o", "other", "Another GPU", "Plan for a GPU that this machine does not have"),),
    "dataset": (
        Use("r", "check", "Check again", "Check the rows with the model's own tokenizer again"),
        Use("o", "browse", "Open", "Choose a file or folder in a browser"),
        Use("d", "demo", "Demo", "Take the built-in dataset"),
        Use("c", "columns", "Columns", "Change how the columns are read"),
        Use("e", "problems", "Problems", "List what is wrong with the rows, by line"),
        Use("l", "lengths", "Lengths", "How long the rows are, what each maximum length cuts, and what it costs"),
        Use("f", "fix", "Fix", "Mend what was found: preferences nobody answered, answers that never end"),
        Use("T", "thinking", "Thinking", "What becomes of the thinking in the rows, and what mends it"),
        Use("i", "write", "Path", "Write a path, or the id of a dataset of the hub"),
        Use("+", "mix", "Mix", "Train on several datasets as one: add a part, set its weight"),
    ),
    "rows": (
        Use("t", "tokens", "Tokens", "Show the row as the trainer receives it: every token, special ones too"),
        Use("/", "search", "Search", "Find the next row that holds some words; enter alone: the same words again"),
        Use(":", "jump", "Go to row", "Go to a row by its number", show=False),
    ),
    "recipe": (
        Use("m", "more(True)", "All fields", "Show all fields; again: the everyday ones"),
        Use("m", "more(False)", "Everyday fields", "Show the everyday fields; again: all of them"),
        Use("p", "preset", "Preset", "Choose a preset"),
        Use(
            "V",
            "vary",
            "Try values",
            "Mark this field: several values of it are tried, in short trials",
        ),
        Use("r", "reset", "Reset", "Take the proposed value again", more="delete"),
        Use("u", "undo", "Undo", "Take the last change back", more="ctrl+z"),
        Use("h", "hold", "Hold", "Hold the proposed value: nothing else may move it; again: let it follow"),
        Use("f", "fit", "Make it fit", "Show what would make the plan fit, and take what is chosen"),
        Use("R", "reset_all", "Reset all", "Take all proposed values again", show=False),
        Use("/", "find", "Find", "Find a field by its name, or by its key in the plan"),
        Use("w", "save_preset", "Write as preset", "Save this recipe as a preset of your own"),
    ),
    "review": (
        Use("m", "everything", "All of it", "Show the whole plan, line by line"),
        Use("Q", "queue", "Queue", "Let it wait until this machine is free: loratui queue lists what waits"),
        Use("w", "write", "Write the plan", "Write the plan as plan.toml in this folder"),
        Use("y", "copy", "Copy command", "Copy the command (where the terminal allows it)"),
        Use("f", "fit", "Make it fit", "Show what would make the plan fit, and take what is chosen"),
    ),
    "training": (
        Use("z", "zoom(1)", "Zoom", "Half as many steps, around the cursor or the newest; Z: twice as many"),
        Use("Z", "zoom(-1)", "Zoom out", "Twice as many steps", show=False),
        Use("g", "log_axis", "Log axis", "Logarithmic loss axis, and back"),
    ),
    "runs": (
        Use("o", "open", "Open", "Show the run", display="enter"),
        Use(
            "=",
            "compare",
            "Compare",
            "Mark this run; on another one, show both on one chart and what differs in their plans",
        ),
        Use("V", "experiments", "Experiments", "Values that were tried against each other: what they did"),
    ),
    "experiment": (
        Use("o", "open", "Open", "Show the run of this trial", display="enter"),
        Use("A", "adopt", "Make it the plan", "Go to the recipe with the values of this trial: they are yours then"),
        Use("m", "more", "Train to the end", "Train this trial to its plan's full length, from where it stopped"),
        Use("s", "stop", "Stop", "Let nothing of it go on: what trains saves and stops, what waits leaves the queue"),
        Use("r", "go_on", "Go on", "Let it go on, with the runs that were stopped"),
    ),
    "compare": (
        Use("g", "log_axis(True)", "Log axis", "Logarithmic loss axis, and back"),
        Use("g", "log_axis(False)", "Linear axis", "Linear loss axis again"),
        Use("z", "zoom(1)", "First steps", "Only the steps that both runs have; Z: all of them"),
        Use("Z", "zoom(-1)", "All steps", "All the steps of the longer run"),
    ),
    "log": (Use("r", "read", "Read again", "Read the file again"), Use("/", "search", "Search", "Find words in it")),
    "take away": (
        Use("x", "make", "Make", "Make the thing under the cursor", display="enter"),
        Use("R", "make_again", "Make again", "Make what is there anew, once you agreed", display="enter"),
        Use("s", "cancel", "Stop", "Stop what is being made"),
        Use("y", "copy", "Copy command", "Copy the command to the terminal's clipboard"),
    ),
    "playground": (
        Use("i", "write", "Write", "Back to the prompt"),
        Use("s", "halt", "Stop", "As esc: stop the answers that are growing, or the loading", show=False),
        Use(
            "r",
            "again",
            "Again",
            "Ask the last question again; where answers are drawn at random, with the next seed",
        ),
        Use("u", "edit", "Edit", "Take the last question back into the prompt, to change and send it again"),
        Use("f", "fix", "Fix", "Write an answer as it should have been: a row to learn preferences from", show=False),
        Use("n", "new", "New", "Begin a new conversation; the system prompt stays"),
        Use("P", "system", "System", "The system prompt of the conversation"),
        Use("t", "sent", "Sent", "What the model was sent: the chat template's own rendering"),
        Use("=", "difference", "Difference", "Where the answers differ from the expected one"),
        Use("b", "blind", "Blind", "Answers without names in random order, to vote on; and back"),
        Use("S", "samples", "Samples", "The pinned prompts' answers at each evaluation of the run"),
        Use("m", "continue", "Train on", "Fill the wizard in to train this result further"),
        Use("x", "take_away", "Take away", "Merge, export, push or serve what it made"),
    ),
}
"""What is used where, in the order of the footer."""

FOOTERS: dict[str, tuple[str, ...]] = {
    "model": ("next", "search_hub", "browse"),
    "dataset": ("next", "check", "fix", "browse", "columns", "problems", "tokens", "lengths", "write", "demo", "mix"),
    "recipe": ("next", "fit", "hold", "vary", "nudge(1)", "more(True)", "more(False)", "undo", "reset", "preset"),
    "review": ("next", "fit", "everything", "queue", "write"),
    "training": (
        "act('stop')",
        "act('fix')",
        "act('resume')",
        "act('ask')",
        "act('take_away')",
        "next",
        "act('evaluate')",
        "act('save')",
        "act('more')",
    ),
    "playground": (
        "vote(1)",
        "vote(2)",
        "vote(3)",
        "vote(0)",
        "write",
        "row",
        "take_away",
        "score",
        "again",
        "settings",
        "columns",
    ),
    "runs": ("down", "act('stop')", "act('resume')", "act('ask')", "act('take_away')", "compare", "experiments"),
}
"""Per screen, the actions in the order in which they are needed: where the footer is full, others give way first. Keys
of enter and esc stand before them, the help and the way out are always there.
"""

RUN: dict[str, str] = {
    "stop": "s",
    "fix": "f",
    "save": "w",
    "evaluate": "v",
    "resume": "r",
    "ask": "a",
    "take_away": "x",
    "log": "L",
    "more": "m",
    "anew": "n",
    "samples": "S",
    "prefer": "D",
}
"""The letter of each action on a run, wherever one is shown (`tui.training.allowed`)."""


def bindings(screen: str) -> list[Binding]:
    """The letters of one screen."""
    return [use.binding(screen) for use in USES[screen]]
