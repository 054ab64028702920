"""`loratui evaluate --tasks`: a task of the person's own through lm-evaluation-harness, base beside adapter."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_models import make_adapter, make_model

from loratui.commands.evaluate import command
from loratui.core.errors import InputError
from loratui.evaluation.benchmarks import Figure, as_document, compare, from_document, read_results, table
from loratui.evaluation.measures import MissingLibraryError

HAS_LIBRARY = importlib.util.find_spec("lm_eval") is not None


def results(right: list[int], *, total: float | None = None) -> dict[str, Any]:
    """What the library returns, in its form."""
    samples = [{"doc_id": number, "filter": "none", "acc": float(one)} for number, one in enumerate(right)]
    mean = sum(right) / len(right) if total is None else total
    metrics = {"alias": "t", "acc,none": mean, "acc_stderr,none": "N/A", "sample_len": len(right)}
    return {"results": {"t": metrics}, "samples": {"t": samples}, "higher_is_better": {"t": {"acc": True}}}


def test_figures_of_rows_become_intervals_and_a_comparison() -> None:
    base, tuned = read_results(results([0, 1] * 50)), read_results(results([1] * 90 + [0] * 10))
    assert base == {"t acc": Figure(0.5, 1, {str(number): float(number % 2) for number in range(100)})}
    assert from_document(json.loads(json.dumps(as_document(tuned)))) == tuned
    found = compare({"base": base, "mine": tuned})
    (difference,) = found["differences"]
    assert difference["value"] == pytest.approx(0.4) and difference["told"] == "better"
    assert 0.25 < difference["low"] < 0.4 < difference["high"] < 0.55
    shown = "\n".join(table(found))
    assert "50.0 % (40." in shown and "t acc: better by 40.0 points" in shown


def test_a_metric_that_is_no_mean_of_its_rows_has_no_interval() -> None:
    found = compare({"base": read_results(results([0, 1], total=0.9)), "mine": read_results(results([0, 1]))})
    assert found["sides"][0]["figures"]["t acc"] == {
        "value": 0.9,
        "low": None,
        "high": None,
        "rows": 0,
        "unit": "share",
    }
    assert found["differences"] == []


def test_without_the_library_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from loratui.worker import benchmarks
    from loratui.worker.evaluate import EvaluateRequest

    monkeypatch.setattr(benchmarks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'loratui\[tasks\]'"):
        benchmarks.run_tasks(EvaluateRequest("demo"), benchmarks.Tasks(["arc_easy"]))
    refused = CliRunner().invoke(command, ["demo", "--tasks", "arc_easy", "--data", "x.jsonl"])
    assert refused.exit_code == 2 and "leave out --data" in refused.output


def test_a_file_of_tasks_that_is_not_there_is_said_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from loratui.worker import benchmarks
    from loratui.worker.evaluate import EvaluateRequest

    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(benchmarks.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(benchmarks, "load_models", lambda *given: pytest.fail("a model was loaded"))
    with pytest.raises(InputError, match="this file cannot be read: No such file"):
        benchmarks.run_tasks(EvaluateRequest("demo"), benchmarks.Tasks([str(tmp_path / "gone.yaml")]))


@pytest.mark.parametrize("change", [{"device": "cuda"}, {"dtype": "bf16"}, {"revision": "v2"}])
def test_figures_are_kept_by_how_the_model_was_held(change: dict[str, str]) -> None:
    from loratui.worker.evaluate import Contender
    from loratui.workers.target import find_target

    target = find_target("demo")
    other = replace(target, load=replace(target.load, **change))
    assert Contender("base", target, "base").identity != Contender("base", other, "base").identity


@pytest.mark.worker
def test_a_models_own_generate_ends_at_our_stop_tokens_in_a_batch(tmp_path: Path) -> None:
    """As lm-evaluation-harness calls it: with no stop token of its own. What came behind one counted as answered."""
    import torch

    from loratui.worker.benchmarks import ending
    from loratui.worker.generation.batch import padded
    from loratui.worker.generation.load import LoadedModels
    from loratui.workers.target import find_target

    adapter = make_adapter(make_model(tmp_path / "base"), tmp_path / "adapter")
    models = LoadedModels(find_target(str(adapter)).load)
    asked = padded(models, [[70, 71, 72], [80, 81, 82, 83]])
    for side in ("base", "adapter"):
        with torch.inference_mode():
            endless = models.use(side).generate(**asked, max_new_tokens=12, do_sample=False)[:, 4:].tolist()
            models.stop_ids = [endless[0][5]]
            ended = ending(models, side).generate(**asked, max_new_tokens=12, do_sample=False)[:, 4:].tolist()
        first = endless[0].index(models.stop_ids[0]) + 1
        assert ended[0][:first] == endless[0][:first]
        assert set(ended[0][first:]) <= {models.pad_id}, side
        models.base.generation_config.eos_token_id = None


def test_the_librarys_own_tasks_are_read_only_where_one_may_be_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from loratui.worker import benchmarks

    read: list[bool] = []
    library, tasks = ModuleType("lm_eval"), ModuleType("lm_eval.tasks")
    tasks.TaskManager = lambda include_defaults: read.append(include_defaults)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lm_eval", library)
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", tasks)
    (tmp_path / "one.yaml").write_text("task: one\ntag: group_of_mine\n")
    (tmp_path / "group.yaml").write_text("group: mine\ntask:\n  - arc_easy\n")
    for names in (["one.yaml"], ["one.yaml", "group.yaml"], ["one.yaml", "arc_easy"]):
        benchmarks._known([str(tmp_path / name) if "." in name else name for name in names])
    assert read == [False, True, True]


@pytest.mark.worker
@pytest.mark.skipif(not HAS_LIBRARY, reason="lm-eval is not installed: pip install 'loratui[tasks]'")
def test_base_and_adapter_answer_a_task_and_the_likelihoods_are_the_librarys(tmp_path: Path) -> None:
    rows = [
        {"q": f"{number} and so on", "choices": [letter * 3 for letter in "abc"], "label": number % 3}
        for number in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = tmp_path / "tiny.yaml"
    task.write_text(
        f"task: tiny_choice\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {tmp_path}/rows.jsonl\n"
        'test_split: test\noutput_type: multiple_choice\ndoc_to_text: "{{q}}"\ndoc_to_target: "{{label}}"\n'
        'doc_to_choice: "{{choices}}"\nmetric_list:\n  - metric: acc\n'
        "    aggregation: mean\n    higher_is_better: true\n"
    )
    adapter = make_adapter(make_model(tmp_path / "base"), tmp_path / "adapter")
    environment = dict(
        os.environ, LORATUI_HOME=str(tmp_path / "home"), HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf")
    )
    code = "import sys; from loratui.cli import main; sys.argv = ['loratui', *sys.argv[1:]]; main()"
    asked = [sys.executable, "-c", code, "evaluate", str(adapter), "--tasks", str(task), "--limit", "9", "--json"]
    done = subprocess.run(asked, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert [side["name"] for side in found["sides"]] == ["base", "adapter"]
    for side in found["sides"]:
        (figure,) = side["figures"].values()
        assert figure["rows"] == 9 and figure["low"] <= figure["value"] <= figure["high"]
    assert found["differences"][0]["measure"] == "tiny_choice acc" and "on 9 rows" in found["differences"][0]["words"]
    again = subprocess.run(asked, capture_output=True, text=True, env=environment)
    assert json.loads(again.stdout) == found and "PyTorch" not in again.stderr, "what is kept needs no model"
    unknown = subprocess.run([*asked[:5], "--tasks", "no_such_task"], capture_output=True, text=True, env=environment)
    assert unknown.returncode == 2 and "knows no such task" in unknown.stderr and "Traceback" not in unknown.stderr
