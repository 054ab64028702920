"""What lies in each tracker's own local store, read by its own reader: {metric: [(step, value), …]}."""

from __future__ import annotations

import json
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Figures = dict[str, list[tuple[int, float]]]


def tensorboard(folder: Path, title: str) -> tuple[Figures, str]:
    """By TensorBoard's EventAccumulator; and all texts."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    read = EventAccumulator(str(folder / title), size_guidance={"tensors": 0})
    read.Reload()
    found: Figures = {}
    texts = []
    for tag in read.Tags()["tensors"]:
        for event in read.Tensors(tag):
            value = tensor_util.make_ndarray(event.tensor_proto)
            if value.dtype.kind == "f":
                found.setdefault(tag, []).append((event.step, float(value)))
            else:
                texts.append(str(value))
    return found, "\n".join(texts)


def wandb(folder: Path) -> tuple[Figures, str]:
    """From the one transaction log that wandb wrote, by wandb's own record types; and config and tables as text."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    found: Figures = defaultdict(list)
    texts = []
    for data in _records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            texts += [item.value_json for item in record.run.config.update]
        if kind == "history":
            row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = int(row.get("_step", record.history.step.num))
            for name, value in row.items():
                if "/" in name and not isinstance(value, dict):
                    found[name].append((step, float(value)))
    texts += [table.read_text() for table in path.parent.rglob("*.table.json")]
    return dict(found), "\n".join(texts)


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's form: blocks of 32 KiB, each part with checksum, length and kind."""
    assert data[:4] == b":W&B"
    place, block, parts = 7, 32768, b""
    while place + 7 <= len(data):
        left = block - place % block
        if left < 7:
            place += left
            continue
        checksum, length, kind = struct.unpack("<IHB", data[place : place + 7])
        part = data[place + 7 : place + 7 + length]
        if kind == 0:
            return
        assert checksum == zlib.crc32(bytes([kind]) + part), "wandb's own checksum"
        parts += part
        place += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


def trackio(project: str, title: str) -> tuple[Figures, str]:
    """From trackio's own storage; and config and tables as text."""
    from trackio.sqlite_storage import SQLiteStorage

    assert SQLiteStorage.get_runs(project) == [title]
    found: Figures = defaultdict(list)
    texts = [json.dumps(SQLiteStorage.get_run_config(project, title), default=str)]
    for row in SQLiteStorage.get_logs(project, title):
        for name, value in row.items():
            if "/" in name:
                found[name].append((row["step"], float(value)))
            elif isinstance(value, dict):
                texts.append(json.dumps(value, default=str))
    return dict(found), "\n".join(texts)


def mlflow(folder: Path, project: str) -> tuple[Figures, str]:
    """By MLflow's client, of the one run that is not deleted."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=folder.resolve().as_uri())
    experiment = client.get_experiment_by_name(project)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    found: Figures = {}
    for name in run.data.metrics:
        found[name] = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
    texts: list[Any] = [json.dumps(run.data.params)]
    local = Path(client.download_artifacts(run.info.run_id, ""))
    texts += [file.read_text() for file in local.iterdir()]
    return found, "\n".join(texts)
