"""What the cluster has and gives, found out and said before anything is submitted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from slurm_here import plan_for, said

from loratui.cluster.read import read_cluster
from loratui.commands.tree import loratui
from loratui.core.plan_text import plan_to_toml


def test_the_machine_knows_its_cluster(own_home: Path) -> None:
    done = CliRunner().invoke(loratui, ["machine", "--json"])
    cluster = json.loads(done.output)["cluster"]
    assert [one["name"] for one in cluster["partitions"]] == ["gpu", "urgent", "closed"]
    gpu = cluster["partitions"][0]
    assert gpu["default"] and gpu["max_minutes"] == 120 and gpu["nodes"]["total"] == 2
    (kind,) = gpu["gpus"]
    assert (kind["type"], kind["per_node"], kind["total"], kind["card"]) == ("h100", 2, 4, "H100 80GB")
    assert cluster["partitions"][2]["accounts"] == ["physics"] and cluster["version"].startswith("2")
    said("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=fan broken, really")
    try:
        text = CliRunner().invoke(loratui, ["machine"]).output
        assert "h100: 2 a node" in text and "n2 is idle+drain: fan broken, really" in text
        assert read_cluster().partitions[0].count("down") == 1
    finally:
        said("scontrol", "update", "NodeName=n2", "State=RESUME")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cluster__partition": "gpus"}, "there is no partition gpus. Did you mean gpu?"),
        ({"cluster__gpus_per_node": 3}, "no node of partition gpu has 3 GPUs of type h100: the most is 2."),
        ({"cluster__gpus_per_node": 1, "cluster__gpu_type": "a100"}, "no GPUs of type a100. It has h100."),
        ({"cluster__nodes": 3}, "gives at most 2 such nodes to a job, and the plan asks for 3."),
        (
            {"cluster__time_limit_minutes": 180, "cluster__requeue": False},
            "ends a job after 2 h 00 min, and the plan asks for 3 h 00 min. Set it to 120, or cluster.requeue = true",
        ),
        ({"cluster__partition": "closed"}, "not for everybody, and the plan names no account. It is for: physics."),
        ({"cluster__partition": "closed", "cluster__account": "nlp"}, "partition closed is not for account nlp."),
        ({"cluster__constraint": "a100"}, "no node of partition gpu has the feature a100. Its nodes have no features"),
        ({"cluster__memory_gib": 100}, "no node of partition gpu has 100 GiB of memory"),
        ({"cluster__cpus_per_gpu": 3}, "no node of partition gpu has 3 processors: the most is 2."),
    ],
)
def test_what_cannot_be_given_is_said_before_submission(
    slurm: Path, own_home: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "plan.toml").write_text(plan_to_toml(plan_for(slurm, **changes)))
    before = said("squeue", "-h", "-t", "all", "-o", "%i")
    done = CliRunner().invoke(loratui, ["train", str(tmp_path / "plan.toml")])
    assert done.exit_code != 0 and sentence in str(done.exception), done.exception
    assert said("squeue", "-h", "-t", "all", "-o", "%i") == before and not (own_home / "runs").exists()


def test_slurms_own_refusal_comes_back_with_advice(own_home: Path, tmp_path: Path) -> None:
    from loratui.cluster.slurm import ClusterError
    from loratui.cluster.submit import submit

    script = tmp_path / "job.sh"
    for option, words in (
        ("--partition=nosuch", "invalid partition.*`loratui machine` lists the partitions"),
        ("--constraint=a&b", "feature spec.*set cluster.constraint"),
        ("--gpus-per-node=3", "node configuration.*`loratui machine` shows what a node has"),
    ):
        script.write_text(f"#!/bin/bash\n#SBATCH {option}\nsleep 1\n")
        with pytest.raises(ClusterError, match=f"Slurm refused the job: .*{words}"):
            submit(script)


def test_print_shows_the_script_and_submits_nothing(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    changes = {"cluster__nodes": 2, "cluster__gpus_per_node": 2, "cluster__setup": ["module load cuda"]}
    (tmp_path / "plan.toml").write_text(plan_to_toml(plan_for(slurm, cluster__time_limit_minutes=500, **changes)))
    done = CliRunner().invoke(loratui, ["train", str(tmp_path / "plan.toml"), "--print"])
    for line in ("--partition=gpu", "--nodes=2", "--gpus-per-node=2", "--time=120", "--requeue"):
        assert f"#SBATCH {line}\n" in done.output
    assert "\nmodule load cuda\n" in done.output and not (own_home / "runs").exists()
    (tmp_path / "job.sh").write_text(done.output)
    assert subprocess.run(["bash", "-n", str(tmp_path / "job.sh")], check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_home_that_the_nodes_do_not_see_is_said_before_submission(
    slurm: Path, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "plan.toml").write_text(plan_to_toml(plan_for(slurm)))
    (tmp_path / "alone").mkdir()
    script = (
        f"mount -t tmpfs none {tmp_path}/alone && LORATUI_HOME={tmp_path}/alone/home exec "
        f"{sys.executable} -m loratui train {tmp_path}/plan.toml"
    )
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.returncode == 1, done
    assert "the nodes of partition gpu do not see" in done.stderr and "tmpfs of this machine alone" in done.stderr


def test_a_cluster_s_card_is_planned_for(own_home: Path) -> None:
    asked = ["plan", "-m", "demo", "--json", "-s", "cluster.engine=slurm", "-s", "cluster.nodes=2"]
    done = CliRunner().invoke(loratui, [*asked, "-s", "cluster.gpus_per_node=2"])
    facts = json.loads(done.output)
    assert facts["plan"]["cluster"]["nodes"] == 2 and facts["memory"]["device_total"] > 79 * 2**30
    training = facts["plan"]["training"]
    assert facts["schedule"]["effective_batch_size"] == training["batch_size"] * training["accumulation"] * 4
    limit = facts["recommendations"]["cluster.time_limit_minutes"]
    assert facts["plan"]["cluster"]["time_limit_minutes"] == limit["value"] >= 30 and "a quarter more" in limit["why"]


def test_a_site_writes_its_own_once(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        'name = "site"\ntitle = "Ours"\ndescription = "Two nodes."\n[values]\n"cluster.engine" = "slurm"\n'
        '"cluster.nodes" = 2\n"cluster.gpus_per_node" = 2\n"cluster.setup" = ["module load cuda, now"]\n'
    )
    done = CliRunner().invoke(loratui, ["plan", "-m", "demo", "--preset", str(tmp_path / "site.toml"), "--json"])
    facts = json.loads(done.output)
    assert facts["plan"]["cluster"]["setup"] == ["module load cuda, now"] and facts["plan"]["cluster"]["nodes"] == 2
    assert facts["memory"]["device_total"] > 79 * 2**30, "planned for the partition's cards, four of them"
    training = facts["plan"]["training"]
    assert facts["schedule"]["effective_batch_size"] == training["batch_size"] * training["accumulation"] * 4
