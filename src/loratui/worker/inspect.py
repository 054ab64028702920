"""`python -m loratui.worker inspect`: what a dataset will teach a model, as JSON lines.

The first line on stdin is a request: {"plan": {…}, "rows": [numbers]}. Written are, one object a line: `recognised`
(how the rows are read, before the tokenizer is loaded), `progress`, `partial` (the result so far), `rows`, `result`; or
one `error`. While stdin stays open, further lines ask for rows: {"rows": [numbers]}. It ends when stdin is closed.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import IO, Any, cast

from loratui.child_process import Voice
from loratui.core.errors import InputError, LoratuiError
from loratui.core.plan_text import plan_from_document
from loratui.format import first_line
from loratui.worker.plain_words import plain_words, unknown_words
from loratui.workers.inspect_messages import InspectMessage, InspectRequest


def main(arguments: list[str]) -> int:
    """Answer requests until stdin closes; 0, or the exit status of the error that was written."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    voice = Voice()

    def emit(message: InspectMessage) -> None:
        voice.message(message)

    try:
        _serve(sys.stdin, emit)
    except BrokenPipeError:
        return 0
    except LoratuiError as error:
        emit({"type": "error", "code": error.code, "message": error.sentence, "exit_status": error.exit_status})
        return error.exit_status
    except Exception as error:
        logging.exception("inspection failed")
        sentence, hint = plain_words(error) or (f"{unknown_words(error)}: {first_line(error)}", "")
        emit(
            {
                "type": "error",
                "code": "worker",
                "message": f"The inspection failed: {sentence} {hint}".strip(),
                "exit_status": 1,
            }
        )
        return 1
    return 0


def _serve(requests: IO[str], emit: Callable[[InspectMessage], None]) -> None:
    request = _request(requests.readline())
    plan = plan_from_document(request.get("plan") or {}, where="plan")
    from loratui.worker.inspecting.mix import inspection_of, rendered

    inspection = inspection_of(plan, emit)
    emit(inspection.early())
    from loratui.worker.inspecting.model import load_text_model

    model = load_text_model(plan)
    inspection.tell_progress()  # from here on the template is used: whoever listens may count the seconds

    def send_rows(numbers: Any) -> None:
        emit({"type": "rows", "rows": rendered(inspection, model, [int(number) for number in numbers])})

    if request.get("rows"):
        send_rows(request["rows"])
    if request.get("rows_only"):
        return
    emit({"type": "result", "result": inspection.run(model)})
    for line in requests:
        if line.strip():
            send_rows(_request(line).get("rows", []))


def _request(line: str) -> InspectRequest:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise InputError(f"the request is no JSON: {error}.", where="stdin") from error
    if not isinstance(request, dict):
        raise InputError("the request is no object.", where="stdin")
    return cast("InspectRequest", request)  # plan and rows are checked where they are used
