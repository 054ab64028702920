"""Speaks the playground's protocol without any model: for tests of the screen."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from loratui.evaluation.report import Side, document
from loratui.evaluation.scoring import Given, Item, Outcome, Rules
from loratui.runs.directory import Run
from loratui.workers.protocol import (
    Add,
    Answered,
    Ask,
    Done,
    Evaluate,
    Evaluated,
    Failed,
    Load,
    Loading,
    Piece,
    Ready,
    Rendered,
    Stop,
    decode_request,
    encode,
)
from loratui.workers.questions import held_out_questions

ENDLESS = "endless"
HOSTILE = "\x1b]52;c;aGFja2Vk\x07\x1b[2Jboo [bold]not bold[/bold] \x9b31m\u202eabc\n"


def main() -> None:
    stopped: set[int] = set()
    loaded: Load | None = None

    def tell(event: object) -> None:
        sys.stdout.buffer.write(encode(event))  # type: ignore[arg-type]
        sys.stdout.buffer.flush()

    def answer(ask: Ask) -> None:
        text = str(ask.messages[-1]["content"]) if ask.messages else ask.prompt
        if not ask.histories:
            tell(Rendered(ask.id, text, 5))
        for side in ask.sides:
            said = "/".join(str(one["content"]) for one in ask.histories.get(side, ask.messages))
            if ask.histories:
                tell(Rendered(ask.id, said, 5, side))
            if text == "fail" and side == "adapter":
                tell(Failed("the GPU's memory is full.", "Ask for fewer tokens.", ask.id, side))
                continue
            pieces = (
                ["word "] * 10_000
                if text == ENDLESS
                else [HOSTILE]
                if text == "hostile"
                else [f"{side} heard: {said}"]
                if text == "history"
                else [f"{side} answers ", text]
            )
            count = 0
            for piece in pieces:
                if ask.id in stopped:
                    break
                tell(Piece(ask.id, side, piece))
                count += 1
                if text == ENDLESS:
                    time.sleep(0.01)
            tell(Done(ask.id, side, "stopped" if ask.id in stopped else "stop token", count, 0.01, 123.0))

    def evaluate(request: Evaluate) -> None:
        """Real figures of made answers: as in `answer`."""
        items, outcomes = [], {side: [] for side in request.sides}  # type: ignore[var-annotated]
        for row in held_out_questions(Run(Path(request.target)).plan(), request.limit):
            assert row.conversation is not None
            asked = row.conversation.messages[-1].content
            items.append(Item(row.index, asked, row.expected))
            for side in request.sides:
                outcomes[side].append(Outcome([Given(f"{side} answers {asked}", "stop token", 4)]))
                tell(Answered(request.id, side, len(items), request.limit))
                time.sleep(0.02 if request.limit < 10 else 0.5)
            if request.id in stopped:
                tell(Evaluated(request.id, ""))
                return
        sides = [Side(side, side, outcomes[side]) for side in request.sides]
        found = document(sides, items, ["exact_match", "rougeL"], Rules())
        path = Path(request.target) / "evaluation.json"
        path.write_text(json.dumps({"folder": str(path.parent), **found}))
        tell(Evaluated(request.id, str(path)))

    for line in sys.stdin.buffer:
        request = decode_request(line)
        if isinstance(request, Load):
            tell(Loading("reading the weights"))
            while "slow" in request.base and not Path(request.base, "go").exists():
                time.sleep(0.05)
            if "broken" in request.base:
                tell(Failed("this folder holds no model.", "Choose another.", number=request.number))
                continue
            loaded = request
            tell(Ready(list(request.sides), "cpu", "float32", True, 256, 0.1, 1 << 20, request.number))
        elif isinstance(request, Add):
            assert loaded is not None
            loaded.sides[request.name] = request.path
            tell(Ready(list(loaded.sides), "cpu", "float32", True, 256, 0.1, 1 << 20, request.number))
        elif isinstance(request, Stop):
            stopped.add(request.id)
        elif isinstance(request, Evaluate):
            threading.Thread(target=evaluate, args=(request,), daemon=True).start()
        elif isinstance(request, Ask):
            assert loaded is not None
            if request.messages and request.messages[-1]["content"] == "die":
                os.kill(os.getpid(), 9)
            threading.Thread(target=answer, args=(request,), daemon=True).start()


if __name__ == "__main__":
    main()
