"""Speaks the playground's protocol with the answers of `recorded/answers.json`: what demo base and adapter really said.

A picture must come out the same each time; a real worker's speed does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from loratui.workers.protocol import Ask, Done, Event, Load, Loading, Piece, Ready, Rendered, decode_request, encode

ANSWERS = json.loads((Path(__file__).parent / "recorded" / "answers.json").read_text(encoding="utf-8"))


def tell(event: Event) -> None:
    """Write one message."""
    sys.stdout.buffer.write(encode(event))
    sys.stdout.buffer.flush()


def main() -> None:
    """Answer until the input closes."""
    for line in sys.stdin.buffer:
        request = decode_request(line)
        if isinstance(request, Load):
            tell(Loading("reading the weights"))
            tell(Ready(list(request.sides), "cpu", "float32", True, 256, 0.4, 16 << 20, request.number))
        elif isinstance(request, Ask):
            question = str(request.messages[-1]["content"]) if request.messages else request.prompt
            for side in request.sides:
                text, tokens = ANSWERS[question][side]
                tell(Rendered(request.id, question, 40, side))
                tell(Piece(request.id, side, text))
                tell(Done(request.id, side, "stop token", tokens, 0.2, 160.0))


if __name__ == "__main__":
    main()
