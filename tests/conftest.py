"""Fixtures that tests of several floors share."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from hub_standin import hub, read_environment

__all__ = ["hub"]


PYTHON = sys.executable


os.environ["LORATUI_CPU_BF16"] = "1"
"""What is proposed does not depend on the processor that the tests run on; tests of its measurement unset it."""

# A time limit for each example says how busy the machine is, and nothing else.
hypothesis_settings.register_profile("here", hypothesis_settings.default, deadline=None)
hypothesis_settings.load_profile("here")


@pytest.fixture(autouse=True, scope="module")
def homes_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes a person's own runs, memories, tokens and settings, nor those of another file's tests."""
    folder = tmp_path_factory.mktemp("homes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATUI_HOME", str(folder / "home"))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        yield


@pytest.fixture(autouse=True, scope="module")
def nothing_is_carried_along() -> Iterator[None]:
    """What a file's tests leave is let go, and what stays is looked through no more: each training in this process
    has Python collect garbage several times, which costs seconds where screens were painted before it.
    """
    yield
    if "textual" in sys.modules:
        from textual._styles_cache import StylesCache

        StylesCache.get_inner_outer.cache_clear()  # a thousand widgets that are gone, with all that they painted
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def hub_of_the_environment() -> Iterator[None]:
    """What a test told huggingface_hub of the environment ends with the test."""
    yield
    if "huggingface_hub.constants" in sys.modules:
        read_environment()


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """What a worker that ran in this process set ends with the test: its signals, umask, no GPU, a silent log."""
    blocked, mask = signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.umask(0)
    os.umask(mask)
    visible, silent = os.environ.get("CUDA_VISIBLE_DEVICES"), logging.root.manager.disable
    yield
    logging.disable(silent)
    os.umask(mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    if visible is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


@pytest.fixture(scope="session")
def forking_interpreter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A program that stands for the interpreter: the workers that it is asked for are forks of a process that has
    imported torch already.
    """
    sys.path.append(str(Path(__file__).parent / "worker"))
    from ready_workers import serve, shared

    if "PYTEST_XDIST_WORKER" in os.environ:  # one for all of them, until the process above them ends
        yield shared(tmp_path_factory.getbasetemp().parent / "ready", os.getppid())
        return
    with serve(tmp_path_factory.mktemp("ready")) as python:
        yield python


@pytest.fixture(scope="module")
def ready_workers(forking_interpreter: str) -> Iterator[None]:
    """Workers that start in a moment, for modules that test what they do: the start itself is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", forking_interpreter)
        yield


@pytest.fixture
def whole_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreters of their own, for what is done to processes as such, or read by libraries as they are imported."""
    monkeypatch.setattr(sys, "executable", PYTHON)


TRAINED_ONCE = ("begun", "divided", "finished", "learnt", "trained", "uninterrupted", "wheel", "whole")
"""Fixtures of a module that train a model or build the wheel."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share such a fixture run in one of the parallel processes, so that it is made once."""
    for item in items:
        shared = [name for name in TRAINED_ONCE if name in getattr(item, "fixturenames", ())]
        if shared:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{shared[0]}"))
