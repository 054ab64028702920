"""A chat template that loops ends in a sentence."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path

import pytest
from tiny_models import make_model

from loratui.core.errors import ModelError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.worker import template_time
from loratui.worker.template_time import RowTimes, TemplateTimeError
from loratui.workers import inspect_client
from loratui.workers.inspect_client import InspectClient

pytestmark = pytest.mark.worker
LOOP = """{%- for m in messages -%}{%- if 'forever' in m.content -%}
{%- for a in range(90000) -%}{%- for b in range(90000) -%}{%- for c in range(90000) -%}{%- endfor -%}{%- endfor -%}
{%- endfor -%}{%- endif -%}{{ '<|' ~ m.role ~ '|>' ~ m.content }}{%- endfor -%}"""
HANGS = "{%- set x = 9 ** (9 ** 9) -%}{%- for m in messages -%}{{ m.role ~ m.content }}{%- endfor -%}"
"""Within one step of the interpreter: no thread and no signal handler of Python's comes to run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looping")
    make_model(folder / "base")
    rows = [{"prompt": f"q{number}", "completion": f"a{number}"} for number in range(9)]
    rows[6]["prompt"] = "forever"
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "loop.jinja").write_text(LOOP)
    (folder / "hangs.jinja").write_text(HANGS)
    return folder


def plan(folder: Path, template: str) -> Plan:
    keys = {
        "model.id": folder / "base",
        "dataset.path": folder / "rows.jsonl",
        "model.chat_template": folder / template,
    }
    return with_values(Plan(), {key: str(path) for key, path in keys.items()})


def test_the_row_is_named_whose_rendering_never_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.inspecting.model import load_text_model
    from loratui.worker.inspecting.rendering import render_rows

    monkeypatch.setattr(template_time, "ROW_SECONDS", 0.5)
    looping = plan(folder, "loop.jinja")
    inspection = Inspection(looping, lambda message: None)
    model = load_text_model(looping)
    with pytest.raises(TemplateTimeError, match=r"the chat template takes over 0\.5 s on line 7\."):
        inspection.run(model)
    with pytest.raises(TemplateTimeError, match="on row 7"):
        render_rows(looping, inspection.found, inspection.recognition, model, [0, 6])
    assert len(render_rows(looping, inspection.found, inspection.recognition, model, [0, 8])) == 2


def test_a_timer_of_somebody_else_goes_on() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    timer = signal.setitimer(signal.ITIMER_REAL, 250.0)
    try:
        with RowTimes().watched():
            pass
        assert not heard and 200 < signal.getitimer(signal.ITIMER_REAL)[0] <= 250
        signal.raise_signal(signal.SIGALRM)
        assert heard == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def test_other_threads_are_left_alone() -> None:
    """Signals are heard by the main thread: it must not be told of what another one does."""
    times, caught = RowTimes(), list[BaseException]()

    def work() -> None:
        try:
            with times.watched():
                times.of_a_row(lambda: str(time.sleep(0.1)))()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    before = signal.getsignal(signal.SIGALRM)
    thread.start()
    assert signal.getsignal(signal.SIGALRM) == before
    thread.join()
    assert not caught


@pytest.mark.usefixtures("ready_workers")
async def test_what_hangs_beyond_every_limit_is_ended_from_outside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect_client, "SILENT_SECONDS", 1.0)
    client = InspectClient()
    seen = False
    with pytest.raises(ModelError, match=r"has taken over 1 s at about row \d+\. It probably loops"):
        async for message in client.inspect(plan(folder, "hangs.jinja")):
            seen = seen or message["type"] == "progress"
    assert seen
    await client.close()


def test_a_process_that_stands_still_is_no_template_that_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine, or a suspended process: time passes on the wall, and the row's thread computes nothing."""
    monkeypatch.setattr(template_time, "ROW_SECONDS", 0.2)
    times = RowTimes()

    @times.of_a_row
    def render(row: str) -> str:
        until = time.monotonic() + 0.7
        while (left := until - time.monotonic()) > 0:
            time.sleep(left)
        return row

    with times.watched():
        assert render("row") == "row"
