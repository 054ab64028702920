"""A small HTTP server that answers as the hub does: open, gated, missing and broken models, one search, and
repositories to push to.

`Hub.account` is whom a token belongs to (None: it is not accepted), `Hub.repositories` what exists (name → private),
`Hub.commits` what was sent, `Hub.refuse` a status and a sentence for the next commit.
"""

from __future__ import annotations

import base64
import importlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

VARIABLES = (
    "HF_ENDPOINT",
    "HF_HOME",
    "XDG_CACHE_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_OIDC_RESOURCE",
)


def read_environment() -> None:
    """Have huggingface_hub read the environment again: it does so once, when it is imported."""
    from huggingface_hub import constants

    importlib.reload(constants)
    if (auth := sys.modules.get("huggingface_hub.utils._auth")) is not None:
        auth._OAUTH_REFRESH_CACHE = None  # type: ignore[attr-defined]


def set_hub(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Exactly these variables of the hub in the environment, for this process and the ones that it starts."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    read_environment()


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
ABOUT = {
    "id": "me/open",
    "gated": False,
    "tags": ["license:mit"],
    "siblings": [{"rfilename": "model.safetensors"}, {"rfilename": "chat_template.jinja"}],
}
HITS = [
    {
        "id": "me/open",
        "downloads": 5,
        "likes": 2,
        "gated": "auto",
        "tags": ["license:mit"],
        "safetensors": {"total": 123},
    },
    {"id": "me/other"},
]


class Hub(BaseHTTPRequestHandler):
    tokens: ClassVar[list[str | None]] = []
    account: ClassVar[dict[str, Any] | None] = {
        "name": "me",
        "orgs": [{"name": "acme"}],
        "auth": {"accessToken": {"role": "write"}},
    }
    repositories: ClassVar[dict[str, bool]] = {}
    commits: ClassVar[list[tuple[str, dict[str, bytes]]]] = []
    refuse: ClassVar[tuple[int, str] | None] = None
    datasets: ClassVar[dict[str, dict[str, bytes]]] = {}
    """Datasets by id: their files by name."""
    fetched: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._file(head=True)

    def _file(self, *, head: bool) -> bool:
        """Answer for `/datasets/ORG/NAME/resolve/REVISION/FILE`; False where it is none of these."""
        parts = self.path.split("?")[0].strip("/").split("/")
        if len(parts) < 6 or parts[0] != "datasets" or parts[3] != "resolve":
            return False
        content = Hub.datasets.get("/".join(parts[1:3]), {}).get("/".join(parts[5:]))
        self.send_response(200 if content is not None else 404)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("ETag", f'"{len(content or b"")}-{hash(content)}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if not head and content is not None:
            Hub.fetched.append("/".join(parts[5:]))
            self.wfile.write(content)
        return True

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = self.path.strip("/").split("/")
        if self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            about = json.loads(sent)
            owner = about.get("organization") or Hub.account["name"] if Hub.account else ""
            private = about.get("private") or about.get("visibility") == "private"
            Hub.repositories[f"{owner}/{about['name']}"] = bool(private)
            self._answer(200, {"url": f"https://huggingface.co/{owner}/{about['name']}", "name": about["name"]})
        elif len(parts) > 4 and parts[4] == "preupload":
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for one in json.loads(sent)["files"]
            ]
            self._answer(200, {"files": files})
        elif len(parts) > 4 and parts[4] == "commit":
            if Hub.refuse:
                self._answer(Hub.refuse[0], {"error": Hub.refuse[1]})
                return
            lines = [json.loads(line) for line in sent.splitlines()]
            files = {
                one["value"]["path"]: base64.b64decode(one["value"]["content"]) for one in lines if one["key"] == "file"
            }
            Hub.commits.append((f"{parts[2]}/{parts[3]}", files))
            self._answer(
                200,
                {
                    "commitUrl": f"https://huggingface.co/{parts[2]}/{parts[3]}/commit/{'a' * 40}",
                    "commitOid": "a" * 40,
                    "success": True,
                },
            )
        else:
            self._answer(404, {"error": "there is no such address"})

    def _answer(self, status: int, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        Hub.tokens.append(self.headers.get("Authorization"))
        if self._file(head=False):
            return
        if (
            self.path.startswith("/api/datasets/")
            and (files := Hub.datasets.get("/".join(self.path.split("/")[3:5]))) is not None
        ):
            self._answer(200, {"id": self.path, "sha": "c" * 40, "siblings": [{"rfilename": name} for name in files]})
            return
        if self.path == "/api/whoami-v2":
            self._answer(200, Hub.account) if Hub.account else self._answer(401, {"error": "Invalid user token."})
            return
        if self.path.startswith("/api/models/") and (name := "/".join(self.path.split("/")[3:5])) in Hub.repositories:
            self._answer(200, {"id": name, "private": Hub.repositories[name], "siblings": []})
            return
        answers = {
            "/api/datasets/me/gated": (401 if not self.headers.get("Authorization") else 403, "GatedRepo", {}),
            "/api/models/me/open": (200, "", ABOUT),
            "/me/open/resolve/main/config.json": (200, "", CONFIG),
            "/api/models/me/gated": (200, "", {**ABOUT, "gated": "manual"}),
            "/me/gated/resolve/main/config.json": (
                401 if not self.headers.get("Authorization") else 403,
                "GatedRepo",
                {},
            ),
            "/api/models/me/gguf": (200, "", ABOUT),
            "/me/gguf/resolve/main/config.json": (404, "EntryNotFound", {}),
            "/api/models/me/open/revision/v2": (404, "RevisionNotFound", {}),
            "/api/models/me/ill": (500, "", {}),
            "/api/models/me/page": (200, "", None),
        }
        status, code, body = (
            (200, "", HITS)
            if self.path.startswith("/api/models?")
            else answers.get(self.path, (401, "RepoNotFound", {}))
        )
        content = json.dumps(body).encode() if body is not None else b"<html>please sign in</html>"
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    set_hub(monkeypatch, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}", HF_HOME=str(tmp_path))
    Hub.datasets, Hub.fetched = {}, []
    Hub.tokens, Hub.repositories, Hub.commits, Hub.refuse = [], {}, [], None
    Hub.account = {"name": "me", "orgs": [{"name": "acme"}], "auth": {"accessToken": {"role": "write"}}}
    yield Hub
    server.shutdown()
    thread.join()
    server.server_close()
