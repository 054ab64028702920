"""trackio: a run in its local database, or where TRACKIO_SPACE_ID or TRACKIO_SERVER_URL points."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from typing import Any

from loratui.trackers.rows import Row, Said
from loratui.trackers.tracker import Facts

REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
MOST_SAMPLES = 2_000
MOST_COPIES = 100


class Trackio:
    """One run there."""

    def begin(self, facts: Facts) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(facts.folder))  # read when it is imported
        with contextlib.redirect_stdout(sys.stderr):
            import trackio
            from trackio.sqlite_storage import SQLiteStorage

            self._project, self._samples = facts.project, list[Said]()
            self._remote = any(os.environ.get(name) for name in REMOTE)
            title = facts.title if self._remote else _title(SQLiteStorage, facts)
            quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
            known = inspect.signature(trackio.init).parameters
            self._run = trackio.init(
                facts.project,
                name=title,
                config=facts.as_config(),
                resume="never",
                **{name: value for name, value in quiet.items() if name in known},
            )

    def row(self, row: Row) -> None:
        self._run.log(dict(row.values), step=row.step)

    def said(self, said: Said) -> None:
        if len(self._samples) < MOST_SAMPLES:
            self._samples.append(said)

    def flush(self) -> None:
        """It writes by itself, some times a second."""

    def end(self, state: str) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            import trackio

            if self._samples and state != "superseded":
                columns = ["step", "prompt", "answer", "expected"]
                rows = [[one.step, one.prompt, one.answer, one.expected] for one in self._samples]
                self._run.log({"samples": _table(trackio, columns, rows)}, step=self._samples[-1].step)
            trackio.finish()

    @property
    def where(self) -> str:
        place = next((os.environ[name] for name in REMOTE if os.environ.get(name)), os.environ["TRACKIO_DIR"])
        how = "" if self._remote else f" Look at it with: TRACKIO_DIR={place} trackio show --project {self._project}"
        return f"{place}.{how}"


def _title(storage: Any, facts: Facts) -> str:
    """The run's name there, once its earlier copies are gone; another one where that is somebody else's."""
    for title in (facts.title, f"{facts.title}-{facts.identity}"):
        for _ in range(MOST_COPIES):
            if title not in storage.get_runs(facts.project):
                return title
            if (storage.get_run_config(facts.project, title) or {}).get("identity") != facts.identity:
                break
            storage.delete_run(facts.project, title)
    return title


def _table(trackio: Any, columns: list[str], rows: list[list[Any]]) -> Any:
    if "columns" in inspect.signature(trackio.Table).parameters:
        with contextlib.suppress(TypeError, ValueError, ImportError):
            return trackio.Table(columns=columns, data=rows)
    import pandas

    return trackio.Table(dataframe=pandas.DataFrame(rows, columns=columns))


def make() -> Trackio:
    """A new copy."""
    return Trackio()
