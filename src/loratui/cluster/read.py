"""What the cluster has, asked of `scontrol` and `sacctmgr`.

scontrol's `Key=value` lines, not sinfo's JSON: that one has no limits before Slurm 23.02 and another form since, while
these have been the same since Slurm 2.
"""

from __future__ import annotations

import getpass
import re

from loratui.cluster.facts import Cluster, Node, NodeState, Partition, Rights
from loratui.cluster.slurm import ClusterError, ask, is_here

UNUSABLE = frozenset(
    {
        "DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "ERROR", "MAINT", "NOT_RESPONDING", "UNKNOWN",
        "FUTURE", "POWERING_DOWN", "REBOOT_ISSUED", "REBOOT_REQUESTED",
    }
)  # fmt: skip
UNCONFIGURED = ("Could not establish a configuration source", "Unable to process configuration file")
"""What Slurm's commands say where they are installed and belong to no cluster."""
FEATURES = ("ActiveFeatures", "AvailableFeatures")
"""A job may ask for either: of the latter a node is made ready for it."""
_PAIR = re.compile(r"(?:^|\s)([A-Za-z_]+)=(\S*)")


def find_cluster() -> Cluster | None:
    """The cluster that this machine belongs to; None where it has no Slurm, or one that nobody configured. ClusterError
    where it does not answer.
    """
    if not is_here("scontrol"):
        return None
    try:
        return read_cluster()
    except ClusterError as error:
        if any(words in error.sentence for words in UNCONFIGURED):
            return None
        raise


def read_cluster() -> Cluster:
    """Partitions, nodes and rights as they are now. Raises ClusterError."""
    config = dict(_PAIR.findall(_plain(ask(["scontrol", "show", "config"]))))
    nodes = parse_nodes(ask(["scontrol", "-d", "-o", "-a", "show", "node"]))
    partitions = parse_partitions(ask(["scontrol", "-o", "-a", "show", "partition"]), nodes)
    accounts = config.get("AccountingStorageType", "").endswith("slurmdbd")
    return Cluster(
        name=config.get("ClusterName", ""),
        version=config.get("SLURM_VERSION", ""),
        partitions=partitions,
        rights=_rights() if accounts else Rights(),
    )


def _plain(text: str) -> str:
    """`Key     = value` as `Key=value`, which `show config` alone writes otherwise."""
    return re.sub(r"^(\w+)\s*=\s*", r"\1=", text, flags=re.MULTILINE)


def parse_nodes(text: str) -> tuple[Node, ...]:
    """The nodes of `scontrol -d -o show node`."""
    return tuple(_node(line) for line in text.splitlines() if line.startswith("NodeName="))


def _node(line: str) -> Node:
    head, _, reason = line.partition(" Reason=")
    pairs = dict(_PAIR.findall(head))
    said = pairs.get("State", "UNKNOWN")
    return Node(
        name=pairs["NodeName"],
        state=node_state(said),
        said=said,
        partitions=tuple(filter(None, pairs.get("Partitions", "").split(","))),
        cpus=_whole(pairs.get("CPUTot", "0")),
        memory_bytes=_whole(pairs.get("RealMemory", "0")) << 20,
        gpus=parse_gres(pairs.get("Gres", "")),
        gpus_used=parse_gres(pairs.get("GresUsed", "")),
        features=tuple(dict.fromkeys(one for key in FEATURES for one in _names(pairs.get(key, "")))),
        reason=reason.split(" [", 1)[0].strip(),
    )


def node_state(said: str) -> NodeState:
    """What a state such as `IDLE+DRAIN`, `MIXED` or `DOWN*` means for a job to come."""
    words = {word.rstrip("*~#!%$@^-") for word in said.upper().split("+")}
    if words & UNUSABLE or "*" in said:
        return "down"
    if "MIXED" in words:
        return "mixed"
    return "allocated" if words & {"ALLOCATED", "COMPLETING", "RESERVED", "BLOCKED"} else "idle"


def parse_gres(text: str) -> dict[str, int]:
    """GPUs by type of a list such as `gpu:h100:4(S:0-1),gpu:a100:2,shard:8`; type "" where it names none."""
    found: dict[str, int] = {}
    for part in re.sub(r"\([^)]*\)", "", text).split(","):
        words = part.strip().split(":")
        if words[0] != "gpu" or not words[-1].isdigit():
            continue
        kind = words[1] if len(words) > 2 else ""
        found[kind] = found.get(kind, 0) + int(words[-1])
    return {kind: count for kind, count in found.items() if count or kind}


def parse_partitions(text: str, nodes: tuple[Node, ...]) -> tuple[Partition, ...]:
    """The partitions of `scontrol -o show partition`, with their nodes."""
    found = []
    for line in text.splitlines():
        pairs = dict(_PAIR.findall(line))
        if "PartitionName" not in pairs:
            continue
        name = pairs["PartitionName"]
        found.append(
            Partition(
                name=name,
                default=pairs.get("Default") == "YES",
                up=pairs.get("State", "UP") == "UP",
                max_minutes=minutes(pairs.get("MaxTime", "")),
                default_minutes=minutes(pairs.get("DefaultTime", "")),
                max_nodes=_whole(pairs.get("MaxNodes", "")) or None,
                accounts=_names(pairs.get("AllowAccounts", "")),
                denied_accounts=_names(pairs.get("DenyAccounts", "")),
                qos=_names(pairs.get("AllowQos", "")),
                nodes=tuple(node for node in nodes if name in node.partitions),
            )
        )
    return tuple(sorted(found, key=lambda one: not one.default))


def _names(text: str) -> tuple[str, ...]:
    return () if text in ("", "ALL", "(null)", "N/A") else tuple(text.split(","))


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


def minutes(text: str) -> int | None:
    """Minutes of a time as Slurm writes it (`2-12:00:00`, `02:00:00`, `30`); None without a limit."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return int(text) if text.isdigit() else None
    days, hours, more, seconds = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + more + (seconds > 0)


def _rights() -> Rights:
    user = getpass.getuser()
    try:
        text = ask(["sacctmgr", "-n", "-P", "show", "assoc", f"user={user}", "format=Account,QOS,DefaultQOS,Partition"])
        first = ask(["sacctmgr", "-n", "-P", "show", "user", f"name={user}", "format=DefaultAccount"], check=False)
    except ClusterError:
        return Rights()
    return parse_rights(text, first)


def parse_rights(associations: str, user: str = "") -> Rights:
    """Accounts and QOS of `sacctmgr -n -P show assoc format=Account,QOS,…`; user: of `show user
    format=DefaultAccount`.
    """
    accounts: dict[str, None] = {}
    qos: dict[str, None] = {}
    for line in associations.splitlines():
        words = line.split("|")
        if words[0]:
            accounts.setdefault(words[0])
        for name in words[1].split(",") if len(words) > 1 else ():
            if name:
                qos.setdefault(name)
    return Rights(
        known=True, accounts=tuple(accounts), qos=tuple(qos), default_account=user.strip().split("\n")[0].split("|")[0]
    )
