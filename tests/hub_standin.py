"""A small HTTP server that answers as the hub does: open, gated, missing and broken models, and one search."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 128, "tie_word_embeddings": True,
}
ABOUT = {"id": "me/open", "gated": False, "tags": ["license:mit"], "siblings": [{"rfilename": "model.safetensors"}, {"rfilename": "chat_template.jinja"}]}
HITS = [{"id": "me/open", "downloads": 5, "likes": 2, "gated": "auto", "tags": ["license:mit"], "safetensors": {"total": 123}}, {"id": "me/other"}]


class Hub(BaseHTTPRequestHandler):
    tokens: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        Hub.tokens.append(self.headers.get("Authorization"))
        answers = {
            "/api/models/me/open": (200, "", ABOUT), "/me/open/resolve/main/config.json": (200, "", CONFIG),
            "/api/models/me/gated": (200, "", {**ABOUT, "gated": "manual"}), "/me/gated/resolve/main/config.json": (401 if not self.headers.get("Authorization") else 403, "GatedRepo", {}),
            "/api/models/me/gguf": (200, "", ABOUT), "/me/gguf/resolve/main/config.json": (404, "EntryNotFound", {}),
            "/api/models/me/open/revision/v2": (404, "RevisionNotFound", {}), "/api/models/me/ill": (500, "", {}), "/api/models/me/page": (200, "", None),
        }
        status, code, body = (200, "", HITS) if self.path.startswith("/api/models?") else answers.get(self.path, (401, "RepoNotFound", {}))
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
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    Hub.tokens = []
    yield Hub
    server.shutdown()
    thread.join()
    server.server_close()
