"""The memory of what runs measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loratui.core.measured import Measurement
from loratui.runs import measured
from loratui.runs.measured import add_measurement, as_asked, measured_path, read_measurements

ONE = Measurement(
    run="/runs/a",
    time=1.0,
    device="A100",
    method="lora",
    family="llama",
    model="m",
    flops_per_step=1e12,
    seconds_per_step=0.5,
    steps=10,
    predicted_bytes=100,
    measured_bytes=90,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))


def test_the_last_line_of_a_run_counts() -> None:
    assert read_measurements() == ()
    other = replace(ONE, run="/runs/b")
    for one in (ONE, other, replace(ONE, steps=99)):
        add_measurement(one)
    assert read_measurements() == (other, replace(ONE, steps=99))


def test_broken_and_later_lines_are_passed_over_or_read_as_far_as_known() -> None:
    add_measurement(ONE)
    with measured_path().open("a") as file:
        file.write('{"run": "half\n[]\n{"run": "x"}\n')
        file.write(
            measured_path()
            .read_text()
            .splitlines()[0]
            .replace('"/runs/a"', '"/runs/c"')
            .replace("{", '{"later": 1, ', 1)
            + "\n"
        )
        file.write(
            measured_path()
            .read_text()
            .splitlines()[0]
            .replace("1000000000000.0", "0.0")
            .replace('"/runs/a"', '"/runs/d"')
            + "\n"
        )
    assert [one.run for one in read_measurements()] == ["/runs/a", "/runs/c"]


def test_the_file_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "KEPT_RUNS", 3)
    monkeypatch.setattr(measured, "LINES_BEFORE_CUTTING", 8)
    for number in range(20):
        add_measurement(replace(ONE, run=str(number)))
    assert len(measured_path().read_bytes().splitlines()) <= 8
    assert [one.run for one in read_measurements()][-3:] == ["17", "18", "19"]


@pytest.mark.parametrize("asked", ["./model", "model", "../work/model", "~/work/model", "~/link", "ABSOLUTE"])
def test_a_folder_is_the_same_model_however_it_is_written(
    tmp_path: Path, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """./model was another model than the same folder by its absolute path: "judged by 1 run of other models"."""
    folder = tmp_path / "work" / "model"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "work")
    asked = str(folder) if asked == "ABSOLUTE" else asked
    here, other, hub = replace(ONE, model=str(folder)), replace(ONE, model="/absent/model"), replace(ONE, model="a/b")
    assert as_asked((here, other, hub), asked) == (replace(here, model=asked), other, hub)
    linked = replace(ONE, model=str(tmp_path / "work" / ".." / "link"))
    assert as_asked((linked,), asked) == (replace(linked, model=asked),)


def test_a_hub_id_is_no_folder_that_happens_to_have_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    hub = replace(ONE, model="a/b")
    assert as_asked((hub,), str(tmp_path / "a" / "b")) == (hub,)
    assert as_asked((hub,), "c/d") == (hub,)


def test_a_line_of_an_earlier_version_is_read() -> None:
    """It knows nothing of what surrounds the steps."""
    measured_path().parent.mkdir(parents=True, exist_ok=True)
    measured_path().write_text(
        '{"run": "/runs/a", "time": 1.0, "device": "A100", "method": "lora", "family": "llama", "model": "m", '
        '"flops_per_step": 1e12, "seconds_per_step": 0.5, "steps": 10}\n'
    )
    (one,) = read_measurements()
    assert (one.importing_seconds, one.loading_seconds, one.evaluating_seconds, one.ending_seconds) == (0, 0, 0, 0)
    add_measurement(replace(one, loading_seconds=2.5))
    assert [one.loading_seconds for one in read_measurements()] == [2.5]
