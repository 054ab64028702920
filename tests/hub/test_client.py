"""One client for the hub: the same token, place and answer for every part, and no token for anybody else."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hub_standin import set_hub
from loratui.core.errors import DatasetError, ModelError
from loratui.data.find import find_dataset
from loratui.hub.client import HubRefused, HubUnreached, HubUnreadable, ask, download, find_token, hub_cache
from loratui.hub.push import PushError, destination
from loratui.machine.doctor import hub_checks
from loratui.models.find import find_model
from loratui.models.hub import search_models

TOKEN = "hf_" + "t" * 30
Seen = list[tuple[str, str | None]]


@pytest.fixture
def redirecting() -> Iterator[tuple[str, Seen, Seen]]:
    """A hub that sends every request on to another host, and that host; what each was sent: path and authorisation."""
    own: Seen = []
    other: Seen = []

    def server(seen: Seen, target: str) -> ThreadingHTTPServer:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append((self.path, self.headers.get("Authorization")))
                content = json.dumps({"name": "eve"}).encode()
                self.send_response(302 if target else 200)
                if target:
                    self.send_header("Location", target + self.path)
                self.send_header("ETag", '"1"')
                self.send_header("X-Repo-Commit", "c" * 40)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        return made

    far = server(other, "")
    near = server(own, f"http://127.0.0.1:{far.server_port}")
    yield f"http://127.0.0.1:{near.server_port}", own, other
    for one in (near, far):
        one.shutdown()
        one.server_close()


@pytest.mark.parametrize("part", ["doctor", "model", "search", "dataset", "file", "push"])
def test_the_token_does_not_follow_to_another_host(
    redirecting: tuple[str, Seen, Seen], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str
) -> None:
    address, own, other = redirecting
    set_hub(monkeypatch, HF_ENDPOINT=address, HF_HOME=str(tmp_path), HF_TOKEN=TOKEN)
    asked = {
        "doctor": hub_checks,
        "model": lambda: find_model("me/tiny"),
        "search": lambda: search_models("tiny"),
        "dataset": lambda: find_dataset("me/rows"),
        "file": lambda: download("me/tiny", "generation_config.json"),
        "push": lambda: destination("x"),
    }[part]
    with contextlib.suppress(ModelError, DatasetError, PushError):  # what the other host says is of no interest here
        asked()
    assert any(token == f"Bearer {TOKEN}" for _, token in own), "the hub itself gets it"
    assert other, "the redirect was followed"
    assert [token for _, token in other if token] == []


def test_the_older_name_of_the_token_counts_everywhere(hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    set_hub(monkeypatch, HF_ENDPOINT=os.environ["HF_ENDPOINT"], HF_HOME=str(tmp_path), HUGGING_FACE_HUB_TOKEN=TOKEN)
    assert [check.state for check in hub_checks()] == ["ok", "ok"]
    assert "HUGGING_FACE_HUB_TOKEN" in hub_checks()[1].meaning
    hub.tokens.clear()
    assert destination("mine").account == "me"
    find_model("me/open")
    search_models("tiny")
    with pytest.raises(DatasetError, match="no access to it yet"):
        find_dataset("me/gated")
    assert set(hub.tokens) == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("written", ["$HOME/hh", "~/hh"])
def test_a_home_is_expanded_as_the_hubs_own_tools_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "hh").mkdir()
    (tmp_path / "hh" / "token").write_text(TOKEN)
    set_hub(monkeypatch, HF_HOME=written)
    assert (find_token().value, find_token().place, hub_cache()) == (
        TOKEN,
        str(tmp_path / "hh" / "token"),
        tmp_path / "hh" / "hub",
    )
    assert TOKEN not in repr(find_token())


def test_a_token_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert find_token().problem
    assert "cannot be used" in {check.name: check.meaning for check in hub_checks()}["hub token"]
    with pytest.raises(PushError, match="cannot be used"):
        destination("x")


def test_errors_are_told_apart_by_type(hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path, reason in (
        ("/me/gated/resolve/main/config.json", "gated"),
        ("/me/gguf/resolve/main/config.json", "file"),
        ("/api/models/me/none", "unseen"),
        ("/api/models/me/ill", "status"),
    ):
        with pytest.raises(HubRefused) as refused:
            ask(path)
        assert refused.value.reason == reason
    with pytest.raises(HubUnreadable):
        ask("/api/models/me/page")
    set_hub(monkeypatch, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path))
    with pytest.raises(HubUnreached):
        ask("/api/models/me/open")
    for nonsense in ("no address", "ftp://hub", "http://a b"):
        set_hub(monkeypatch, HF_ENDPOINT=nonsense, HF_HOME=str(tmp_path))
        with pytest.raises(HubUnreached):
            ask("/api/models/me/open")


def test_a_destination_is_new_only_where_the_hub_knows_none(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert destination("me/new").private is None
    for name in ("me/ill", "me/page"):
        with pytest.raises(PushError):
            destination(name)


def test_starting_the_interface_does_not_load_the_hubs_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys, loratui.cli, loratui.tui.app; print(*[name for name in sys.modules if name.split('.')[0] in "
        "('huggingface_hub', 'httpx', 'httpx2')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []
