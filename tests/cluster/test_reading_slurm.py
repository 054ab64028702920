"""What Slurm's commands print, in the forms that they have had, read without a Slurm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loratui.cluster.checks import chain_words, require_possible
from loratui.cluster.facts import Cluster, Rights
from loratui.cluster.job_script import Script, script_text
from loratui.cluster.queue import Job, parse_jobs
from loratui.cluster.read import minutes, node_state, parse_gres, parse_nodes, parse_partitions, parse_rights
from loratui.cluster.shared import mount_of
from loratui.cluster.slurm import ClusterError, own_words
from loratui.cluster.words import end_words, job_words
from loratui.core.cluster_section import ClusterSection

NODES = """\
NodeName=n1 Arch=x86_64 CoresPerSocket=32 CPUAlloc=8 CPUTot=64 AvailableFeatures=ib,hdr ActiveFeatures=ib \
Gres=gpu:h100:4(S:0-1),shard:8 GresUsed=gpu:h100:1(IDX:0),shard:0 RealMemory=512000 State=MIXED Partitions=gpu,all
NodeName=n2 CPUTot=64 Gres=gpu:h100:4 GresUsed=gpu:h100:0 RealMemory=512000 State=IDLE+DRAIN Partitions=gpu,all \
Reason=fan broken State=really [root@2026-01-01T00:00:00]
""".replace("\\\n", "")
PARTITIONS = """\
PartitionName=gpu AllowAccounts=nlp,vision AllowQos=ALL Default=YES MaxNodes=UNLIMITED MaxTime=2-00:00:00 State=UP
PartitionName=all AllowAccounts=ALL AllowQos=long Default=NO MaxNodes=1 MaxTime=UNLIMITED State=UP
"""


def test_nodes_and_partitions() -> None:
    nodes = parse_nodes(NODES)
    gpu, everybody = parse_partitions(PARTITIONS, nodes)
    assert (gpu.max_minutes, gpu.accounts, gpu.default) == (2880, ("nlp", "vision"), True)
    assert (everybody.max_minutes, everybody.max_nodes, everybody.qos) == (None, 1, ("long",))
    (kind,) = gpu.gpus
    assert (kind.type, kind.per_node, kind.total, kind.free) == ("h100", 4, 8, 3), "what is drained is not free"
    assert nodes[0].features == ("ib", "hdr") and nodes[1].features == ()
    assert [node.state for node in nodes] == ["mixed", "down"] and nodes[1].reason == "fan broken State=really"


@pytest.mark.parametrize(
    ("said", "meant"),
    [("IDLE", "idle"), ("IDLE+CLOUD+POWERED_DOWN", "idle"), ("DOWN*", "down"), ("MIXED+DRAIN", "down"),
     ("ALLOCATED", "allocated"), ("IDLE*", "down"), ("IDLE+MAINT", "down")],
)  # fmt: skip
def test_states_of_nodes(said: str, meant: str) -> None:
    assert node_state(said) == meant


CLUSTER = Cluster(name="c", version="23.11", partitions=parse_partitions(PARTITIONS, parse_nodes(NODES)))


def asking(constraint: str) -> ClusterSection:
    return ClusterSection(engine="slurm", gpus_per_node=1, account="nlp", constraint=constraint)


@pytest.mark.parametrize("constraint", ["ib", "hdr", "ib&hdr", "[ib|tcp]", "ib*2", ""])
def test_a_feature_that_a_node_has_is_asked_for(constraint: str) -> None:
    assert require_possible(asking(constraint), CLUSTER).name == "gpu"


def test_a_feature_that_no_node_has_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"no node of partition gpu has the feature tcp\. There are: hdr, ib\."):
        require_possible(asking("tcp"), CLUSTER)


def test_times_and_gpus() -> None:
    assert [minutes(text) for text in ("2-12:00:00", "02:00:00", "30", "UNLIMITED", "NONE", "00:00:30")] == [
        3600, 120, 30, None, None, 1,
    ]  # fmt: skip
    assert parse_gres("gpu:4") == {"": 4} and parse_gres("gpu:a100:2(S:0),gpu:t4:1") == {"a100": 2, "t4": 1}
    assert parse_gres("(null)") == {} and parse_gres("shard:gpu:4") == {}


def test_jobs_of_newer_versions() -> None:
    number = {"set": True, "infinite": False}
    one = {
        "job_id": 12,
        "name": "run",
        "job_state": ["PENDING"],
        "state_reason": "Priority",
        "partition": "gpu",
        "submit_time": number | {"number": 100},
        "start_time": number | {"number": 200},
        "end_time": {"set": True, "infinite": True, "number": 0},
        "restart_cnt": 2,
        "exit_code": {"return_code": number | {"number": 0}, "signal": {"id": {"set": False, "number": 0}}},
    }
    ended = {"job_id": 13, "job_state": ["FAILED", "COMPLETING"], "exit_code": {"return_code": number | {"number": 3}}}
    first, second = parse_jobs(json.dumps({"jobs": [one, ended]}))
    assert (first.life, first.submitted, first.start, first.end, first.restarts) == ("waiting", 100, 200, 0, 2)
    assert (second.life, second.exit_status) == ("running", 3), "it is not over before its processes are"
    assert (
        parse_jobs(json.dumps({"jobs": [{"job_id": 14, "job_state": "FAILED", "exit_code": 256}]}))[0].exit_status == 1
    )
    with pytest.raises(ClusterError, match="cannot be read"):
        parse_jobs("squeue: error")


def test_accounts() -> None:
    rights = parse_rights("nlp|normal,long|normal|\nvision|normal||gpu\n", "nlp|\n")
    assert rights == Rights(known=True, accounts=("nlp", "vision"), qos=("normal", "long"), default_account="nlp")
    cluster = Cluster(name="c", version="1", partitions=parse_partitions(PARTITIONS, parse_nodes(NODES)), rights=rights)
    assert require_possible(ClusterSection(engine="slurm", account="vision"), cluster).name == "gpu"
    for changes, words in (
        ({"account": "physics"}, "account physics is not yours. Yours: nlp, vision."),
        ({"qos": "short"}, "QOS short is not yours. Yours: normal, long."),
        ({"partition": "all", "qos": "normal"}, "partition all does not take QOS normal. It takes: long."),
        ({"partition": "all", "nodes": 2}, "at most 1 such node to a job"),
    ):
        with pytest.raises(ClusterError) as caught:
            require_possible(ClusterSection(engine="slurm", **changes), cluster)
        assert words in caught.value.sentence
    (gpu, _) = cluster.partitions
    assert "about 3 jobs" in chain_words(ClusterSection(engine="slurm", time_limit_minutes=6000), gpu)


def test_mounts() -> None:
    table = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "30 22 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw\n"
        "31 22 0:41 / /scratch\\040fast rw - lustre mds@o2ib:/fast rw\n"
    )
    assert mount_of(Path("/home/ann/runs"), table).network and not mount_of(Path("/var/tmp"), table).network
    assert mount_of(Path("/scratch fast/x"), table).kind == "lustre" and mount_of(Path("/homes"), table).point == "/"


def test_words_of_slurm_on_one_line() -> None:
    said = 2 * "sbatch: error: Batch job submission failed: Invalid qos\n"
    assert own_words(said) == "Batch job submission failed: Invalid qos"


def test_a_script_s_words_are_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "my 100% runs"
    section = ClusterSection(engine="slurm", nodes=2, gpus_per_node=4, gpu_type="h100", cpus_per_gpu=8, requeue=False)
    text = script_text(
        Script(
            name=folder.name, argument=str(folder), folder=folder, section=section, partition="gpu",
            command=["python", str(folder)], watch=["watch", str(folder)],
            environment={"A": "x y"},
        )
    )  # fmt: skip
    assert f'--output="{tmp_path}/my 100%% runs/worker.log"' in text and "--job-name=my-100-runs\n" in text
    assert "--gpus-per-node=h100:4\n" in text and "#SBATCH --cpus-per-task=32\n" in text and "--no-requeue" in text
    assert f"loratui resume '{folder}'\n" in text
    assert f"python '{folder}'" in text and "export A='x y'" in text and "scontrol requeue" not in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"exit_status": 1}, "it ended on n1 with exit status 1"),
        ({"exit_status": 137}, "it ended on n1 with exit status 137 (killed by signal 9)"),
        ({"signal": 9}, "it ended on n1 by signal 9"),
    ],
)
def test_how_a_job_failed(fields: dict[str, int], words: str) -> None:
    assert end_words(Job(id=1, state="FAILED", nodes="n1", **fields)) == words


def test_why_a_job_waits() -> None:
    assert "no nodes are free yet (Resources)" in job_words(
        Job(id=1, state="PENDING", reason="Resources", partition="gpu")
    )
    assert "SomethingNew" in job_words(Job(id=1, state="PENDING", reason="SomethingNew", partition="gpu"))
