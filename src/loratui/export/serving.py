"""Commands of existing servers for what a run made: the merged model, or the adapter on its base. Loopback unless told
otherwise.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from loratui.export.steps import Step

SERVER_NEEDS = ("fastapi", "uvicorn")
"""Packages that our server needs besides ours; `transformers serve` wants `openai`, too."""
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


def can_serve(needs: Sequence[str] = SERVER_NEEDS) -> str:
    """ "" where our server can run, or what is missing."""
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    return f"{', '.join(missing)} missing: {GET_SERVER}" if missing else ""


def serving_steps(what: Served, *, host: str = "127.0.0.1", port: int = 8000) -> tuple[Step, ...]:
    """The servers that can take it, the merged model first, then the adapter where a server can switch it on a shared
    base.
    """
    vllm = shutil.which("vllm")
    no_vllm = "" if vllm else "pip install vllm into an environment of its own (it pins its own torch)"
    where = ("--host", host, "--port", str(port))
    remote = ("--trust-remote-code",) if what.trust_remote_code else ()
    steps = [
        Step(
            "transformers serve",
            ("transformers", "serve", what.merged, *where, *remote),
            can_serve((*SERVER_NEEDS, "openai")),
        ),
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


def question(model: str, *, host: str = "127.0.0.1", port: int = 8000, key: str = "") -> str:
    """A command that asks the server something. key: the API key, as a shell writes it."""
    import json
    import shlex

    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]}, ensure_ascii=False)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    shows = f' -H "Authorization: Bearer {key}"' if key else ""
    return (
        f"curl http://{shown}:{port}/v1/chat/completions -H 'Content-Type: application/json'{shows} "
        f"-d {shlex.quote(body)}"
    )
