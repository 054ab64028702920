"""Commands of existing servers for what a run made: the merged model, or the adapter on its base. Loopback unless told
otherwise.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from loratui.export.steps import Step

SERVER_NEEDS = ("fastapi", "uvicorn", "openai")
"""Packages that `transformers serve` needs besides ours."""
GET_SERVER = "pip install 'loratui[serve]' (fastapi, uvicorn, openai)"
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Served:
    """What a run made, as a server needs to know it."""

    name: str
    """What clients call the model."""
    merged: str
    """Folder of the merged, or wholly trained, model."""
    base: str = ""
    adapter: str = ""
    """Folder of the adapter; "" where there is none."""
    rank: int = 0
    variant: str = "lora"
    revision: str = ""
    quantization: str = "none"
    trust_remote_code: bool = False


def can_serve() -> str:
    """ "" where the installed transformers can serve, or what is missing."""
    missing = [name for name in SERVER_NEEDS if importlib.util.find_spec(name) is None]
    if importlib.util.find_spec("transformers") is None:
        missing.insert(0, "transformers")
    return f"{', '.join(missing)} missing: {GET_SERVER}" if missing else ""


def transformers_command(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "",
    trust_remote_code: bool = False,
    python: str = "",
) -> tuple[str, ...]:
    """`transformers serve` for one model: the command beside this Python, or its module where there is none."""
    python = python or sys.executable
    beside = Path(python).with_name("transformers")
    start = (str(beside),) if beside.is_file() else (python, "-m", "transformers.cli.transformers")
    options = ["--host", host, "--port", str(port)]
    options += ["--device", device] if device else []
    options += ["--trust-remote-code"] if trust_remote_code else []
    return (*start, "serve", model, *options)


def serving_steps(what: Served, *, host: str = "127.0.0.1", port: int = 8000) -> tuple[Step, ...]:
    """The servers that can take it, the merged model first, then the adapter where a server can switch it on a shared
    base.
    """
    vllm = shutil.which("vllm")
    no_vllm = "" if vllm else "pip install vllm into an environment of its own (it pins its own torch)"
    where = ("--host", host, "--port", str(port))
    remote = ("--trust-remote-code",) if what.trust_remote_code else ()
    steps = [
        Step("transformers serve", ("transformers", "serve", what.merged, *where, *remote), can_serve()),
        Step(
            "vLLM", (vllm or "vllm", "serve", what.merged, "--served-model-name", what.name, *where, *remote), no_vllm
        ),
    ]
    if what.adapter and what.base and what.variant != "dora":
        rank = next((one for one in VLLM_RANKS if one >= what.rank), None)
        if rank is not None:
            base = ("--revision", what.revision) if what.revision else ()
            quantised = ("--quantization", "bitsandbytes") if what.quantization in ("nf4", "fp4") else ()
            steps.append(
                Step(
                    "vLLM, the adapter on its base",
                    (
                        vllm or "vllm",
                        "serve",
                        what.base,
                        *base,
                        *quantised,
                        "--enable-lora",
                        "--max-lora-rank",
                        str(rank),
                        "--lora-modules",
                        f"{what.name}={what.adapter}",
                        *where,
                        *remote,
                    ),
                    no_vllm,
                    ("one base in memory answers for many adapters; ask for the model by the adapter's name",),
                )
            )
    return tuple(steps)


def question(model: str, *, host: str = "127.0.0.1", port: int = 8000) -> str:
    """A command that asks the server something."""
    import json
    import shlex

    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]}, ensure_ascii=False)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"curl http://{shown}:{port}/v1/chat/completions -H 'Content-Type: application/json' -d {shlex.quote(body)}"
