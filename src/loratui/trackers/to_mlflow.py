"""MLflow: a run in a store of files, or where MLFLOW_TRACKING_URI points."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any

from loratui.trackers.rows import Row, Said
from loratui.trackers.tracker import Facts

TAG = "loratui.identity"
AT_ONCE = 500
"""Metrics, and parameters a fifth of that, in one message: a server takes 1,000 and 100."""
LONGEST = 500
"""Characters of a parameter that every version takes."""
ENDS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "lost": "FAILED", "superseded": "KILLED"}


class MLflow:
    """One run there; an earlier copy is deleted, as MLflow deletes: it can be restored until it is swept away."""

    def begin(self, facts: Facts) -> None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a store of files is what the copy here is for
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # for minutes it is tried again as a whole
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric, self._waiting = Metric, list[Any]()
        self._samples: list[Said] = []
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or facts.folder.resolve().as_uri()
        self._client = MlflowClient(tracking_uri=self._uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", facts.project)
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found is not None else self._client.create_experiment(name)
        for before in self._client.search_runs([experiment], f"tags.`{TAG}` = '{facts.identity}'"):
            self._client.delete_run(before.info.run_id)
        tags = {"mlflow.runName": facts.title, "loratui.run": facts.run, TAG: facts.identity}
        made = self._client.create_run(experiment, start_time=round(facts.created * 1000), tags=tags)
        self._id = made.info.run_id
        params = [Param(key, str(value)[:LONGEST]) for key, value in facts.plan.items()]
        for start in range(0, len(params), AT_ONCE // 5):
            self._client.log_batch(self._id, params=params[start : start + AT_ONCE // 5])
        self._client.log_text(self._id, facts.plan_text, "plan.toml")
        for file, value in (("machine.json", facts.machine), ("data.json", facts.data)):
            self._client.log_text(self._id, json.dumps(dict(value), indent=1, default=str), file)

    def row(self, row: Row) -> None:
        when = round(row.time * 1000)
        self._waiting += [self._metric(name, value, when, row.step) for name, value in row.values.items()]
        if len(self._waiting) >= AT_ONCE:
            self.flush()

    def said(self, said: Said) -> None:
        self._samples.append(said)

    def flush(self) -> None:
        while self._waiting:
            self._client.log_batch(self._id, metrics=self._waiting[:AT_ONCE])
            del self._waiting[:AT_ONCE]

    def end(self, state: str) -> None:
        self.flush()
        if self._samples and state != "superseded":
            lines = "".join(json.dumps(vars(one), ensure_ascii=False) + "\n" for one in self._samples)
            self._client.log_text(self._id, lines, "samples.jsonl")
        self._client.set_terminated(self._id, status=ENDS.get(state, "KILLED"))

    @property
    def where(self) -> str:
        place = self._uri.rpartition("@")[2]
        look = f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {shlex.quote(place)}"
        return f"{place}, run {self._id}." + (f" Look at it with: {look}" if place.startswith("file:") else "")


def make() -> MLflow:
    """A new copy."""
    return MLflow()
