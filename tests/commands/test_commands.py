"""Every command: its help, its JSON contract, its exit status, and one sentence for bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from loratui.commands.tree import COMMANDS
from loratui.commands.tree import loratui as entry

Loratui = Callable[..., "subprocess.CompletedProcess[str]"]

SHARED = Path(__file__).parents[3] / "shared" / "data"


def assert_sentence(result, status: int, *words: str) -> None:
    """Exit status, nothing on standard output, and one line on standard error that holds the words; no traceback."""
    assert result.returncode == status, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert "Traceback" not in result.stderr
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_is_there_and_helps(name: str) -> None:
    command = entry.get_command(click.Context(entry), name)
    assert isinstance(command, click.Command)
    assert command.get_short_help_str(200)


def test_the_queues_help_says_each_of_its_commands_whole(loratui: Loratui) -> None:
    listed = loratui("queue", "--help").stdout.partition("Commands:")[2]
    assert "at-boot" in listed and "add" in listed and "..." not in listed


def test_help_names_every_command(loratui: Loratui) -> None:
    result = loratui("--help")
    assert result.returncode == 0
    for name, words in COMMANDS.items():
        assert f"  {name} " in result.stdout and words in result.stdout


def test_a_wrong_command_names_the_nearest(loratui: Loratui) -> None:
    result = loratui("plam")
    assert result.returncode == 2
    assert "'plan'" in result.stderr


def test_the_wizard_without_a_terminal_says_so(loratui: Loratui) -> None:
    assert_sentence(loratui(), 1, "needs a terminal")


def test_plan_prints_the_contract(loratui: Loratui) -> None:
    result = loratui("plan", "-m", "demo", "-d", "demo", "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert set(facts) >= {
        "plan",
        "parameters",
        "memory",
        "schedule",
        "recommendations",
        "alternatives",
        "warnings",
        "methods",
    }
    methods = {one["method"]: one for one in facts["methods"]}
    assert list(methods) == ["full", "lora", "qlora"] and [
        one["method"] for one in facts["methods"] if one["chosen"]
    ] == [facts["plan"]["method"]["kind"]]
    assert methods[facts["plan"]["method"]["kind"]]["memory_total"] == facts["memory"]["total"]
    assert set(facts["parameters"]) >= {"total", "trainable"}
    memory = facts["memory"]
    assert set(memory) >= {"total", "budget", "headroom", "fits", "device_total", "device_free", "parts"}
    assert set(memory["parts"]) >= {"weights", "adapter", "gradients", "optimizer", "activations", "logits", "overhead"}
    assert sum(memory["parts"].values()) == memory["total"]
    assert memory["headroom"] == memory["budget"] - memory["total"]
    assert memory["fits"] is (memory["headroom"] >= 0)
    assert all(
        isinstance(facts["schedule"][key], int)
        for key in ("examples", "effective_batch_size", "steps_per_epoch", "total_steps", "warmup_steps")
    )
    one = facts["recommendations"]["training.learning_rate"]
    assert set(one) >= {"value", "why", "formula", "source", "rule_of_thumb"}
    assert one["value"] == facts["plan"]["training"]["learning_rate"]
    for change in facts["alternatives"]:
        assert set(change) >= {"change", "memory_total", "cost"}


def test_planning_for_another_gpu_asks_no_driver_of_this_machine() -> None:
    code = (
        "import sys; from loratui.commands.tree import loratui; "
        "loratui(['plan', '-m', 'Qwen/Qwen3-0.6B', '--gpu', 'T4', '--json'], standalone_mode=False); "
        "print({'pynvml', 'psutil'} & set(sys.modules), file=sys.stderr)"
    )
    answered = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answered.stderr.strip() == "set()" and json.loads(answered.stdout)["methods"]


def test_plan_for_another_gpu_and_settings(loratui: Loratui, tmp_path: Path) -> None:
    result = loratui("plan", "-m", "Qwen/Qwen3-4B", "--gpu", "T4", "--set", "lora.r=32", "-o", "plan.toml", "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    written = tomllib.loads((tmp_path / "plan.toml").read_text())
    assert written == facts["plan"]
    assert written["lora"]["r"] == 32
    assert written["training"]["precision"] == "fp16"
    assert facts["memory"]["device_total"] < 17 * 2**30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "-m", "demo", "--set", "lora.rr=3"), ("lora.rr", "lora.r")),
        (("plan", "-m", "demo", "--set", "lora.r=nine"), ("lora.r", "nine", "whole number")),
        (("plan", "-m", "demo", "--set", "lora.r"), ("lora.r", "=")),
        (("plan", "-m", "demo", "--gpu", "RTX 40900"), ("RTX 40900",)),
        (("plan", "-m", "demo", "--gpu-memory", "much"), ("much",)),
        (("plan", "-m", "demo", "--preset", "balanced"), ("balanced",)),
        (("plan", "-m", "nowhere/at-all"), ("nowhere/at-all",)),
        (("plan", "-m", "demo", "-d", "missing.jsonl"), ("missing.jsonl",)),
        (("train", "missing.toml"), ("missing.toml",)),
        (("attach", "nothing"), ("nothing", "no run")),
        (("stop", "nothing"), ("nothing", "no run")),
        (("resume", "nothing"), ("nothing", "no run")),
        (("inspect", "-m", "demo", "-d", "missing.jsonl"), ("missing.jsonl",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_bad_input_gets_one_sentence(loratui: Loratui, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    result = loratui(*arguments)
    assert_sentence(result, 1 if arguments[0] in ("attach", "stop", "resume") else 2, *words)


def test_a_plan_with_a_wrong_key_names_it(loratui: Loratui, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("version = 1\n[lora]\nrank = 8\n")
    assert_sentence(loratui("train", "plan.toml"), 2, "plan.toml", "lora.rank")
    (tmp_path / "plan.toml").write_text('version = 1\n[lora]\nr = "many"\n')
    assert_sentence(loratui("train", "plan.toml"), 2, "plan.toml", "lora.r", "many", "whole number")
    (tmp_path / "plan.toml").write_text("version = 1\n[lora\n")
    assert_sentence(loratui("train", "plan.toml"), 2, "plan.toml", "line 2")
    (tmp_path / "plan.toml").write_bytes(b"\xff\xfe\x00")
    assert_sentence(loratui("train", "plan.toml"), 2, "plan.toml", "UTF-8")


def test_a_folder_that_is_no_model_says_what_is_missing(loratui: Loratui, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_sentence(loratui("plan", "-m", "./empty"), 2, "empty", "config.json")


def test_a_directory_in_use_is_refused_and_left_alone(loratui: Loratui, tmp_path: Path) -> None:
    loratui("plan", "-m", "demo", "-d", "demo", "-o", "plan.toml")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert_sentence(loratui("train", "plan.toml", "--output", "out"), 1, "in use")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_no_runs_yet_says_how_to_start_one(loratui: Loratui) -> None:
    assert "loratui train" in loratui("runs").stdout
    assert json.loads(loratui("runs", "--json").stdout)["runs"] == []


def test_machine_prints_one_object(loratui: Loratui) -> None:
    facts = json.loads(loratui("machine", "--json").stdout)
    assert set(facts) >= {"host", "gpus", "problems"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real datasets are not beside this checkout (../shared/data)")
def test_plan_reads_real_data(loratui: Loratui) -> None:
    facts = json.loads(loratui("plan", "-m", "demo", "-d", str(SHARED / "gsm8k_train.jsonl"), "--json").stdout)
    assert facts["schedule"]["examples"] > 7000


@pytest.mark.worker
def test_relative_paths_of_a_plan_are_those_of_here(loratui: Loratui, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 4)
    assert loratui("plan", "-m", "demo", "-d", "rows.jsonl", "-o", "plan.toml").returncode == 0
    result = loratui("train", "plan.toml", "--detach", "--output", "out", "--set", "training.max_steps=1")
    assert result.returncode == 0, result.stderr
    assert "`loratui runs` does not list it" in result.stdout and "loratui attach ./out · " in result.stdout
    assert tomllib.loads((tmp_path / "out" / "plan.toml").read_text())["dataset"]["path"] == str(
        tmp_path / "rows.jsonl"
    )


def test_plan_shows_no_adapter_for_full_and_says_where_nothing_fits(loratui: Loratui) -> None:
    full = loratui("plan", "-m", "Qwen/Qwen3-0.6B", "--gpu", "T4", "--set", "method.kind=full")
    assert full.returncode == 0 and "\nlora." not in full.stdout
    hopeless = loratui("plan", "-m", "Qwen/Qwen3-32B", "--gpu", "T4", "--set", "method.kind=full")
    assert "it fit a single T4, nor do all together: take a smaller model or a larger GPU." in hopeless.stdout
    large = loratui("plan", "-m", "openai/gpt-oss-20b", "--gpu", "RTX 4090")
    assert "a single RTX 4090, nor do all together" in large.stdout and "a larger GPU, or 4 of them" in large.stdout
    settings = re.search(r"--set (hardware.devices=[\d,]+), which fits", large.stdout)
    assert settings is not None
    several = loratui("plan", "-m", "openai/gpt-oss-20b", "--gpu", "RTX 4090", "--set", settings[1], "--json")
    assert json.loads(several.stdout)["memory"]["verdict"] == "fits"
    empty = loratui("plan", "-m", "demo", "--gpu", "")
    assert empty.returncode == 2 and "--gpu is empty" in empty.stderr
