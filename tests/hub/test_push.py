"""Pushing to a stand-in hub: private by default, asked about, and the true reason where it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub_standin import Hub, hub, set_hub
from loratui.commands import push as pushing
from loratui.core.errors import InputError, LoratuiError
from loratui.hub.push import PushError, destination, pack
from loratui.runs.model_card import MARK, PLACE

__all__ = ["hub"]

HEADER = b'{"w": {"dtype": "U8", "shape": [700], "data_offsets": [0, 700]}}'
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + b"weights" * 100


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "orders-1" / "adapter"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "acme/base"}))
    (folder / "adapter_model.safetensors").write_bytes(WEIGHTS)
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\nmade here\n")
    (folder / "training_args.bin").write_bytes(b"pickle")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    (folder / ".cache").mkdir()
    (folder / ".secret").write_text("x")
    return folder


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    return "hf_" + "x" * 30


def push(*arguments: str, answer: str = "") -> Result:
    result = CliRunner().invoke(pushing.command, arguments, input=answer)
    if isinstance(result.exception, LoratuiError):
        raise result.exception
    return result


def test_only_what_others_need_is_sent_to_a_new_private_repository(hub: type[Hub], token: str, adapter: Path) -> None:
    result = push(str(adapter), "--yes", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["private"] is True and json.loads(result.stdout)["repository"] == "me/orders-1"
    assert Hub.repositories == {"me/orders-1": True}, "named after the run, private"
    assert [(name, sorted(files)) for name, files in Hub.commits] == [
        ("me/orders-1", ["README.md", "adapter_config.json", "adapter_model.safetensors"])
    ]
    assert Hub.commits[0][1]["adapter_model.safetensors"] == WEIGHTS
    assert token not in result.output


def test_public_only_when_asked(hub: type[Hub], token: str, adapter: Path) -> None:
    assert "PUBLIC" in push(str(adapter), "acme/mine", "--public", "--yes").output
    assert Hub.repositories == {"acme/mine": False}
    with pytest.raises(PushError, match=r"everybody can read it.*--public"):
        push(str(adapter), "acme/mine", "--yes")
    assert len(Hub.commits) == 1


def test_nothing_is_sent_unasked(hub: type[Hub], token: str, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="nobody to ask"):
        push(str(adapter))
    for module in ("loratui.commands.push", "loratui.terminal"):
        monkeypatch.setattr(f"{module}.has_person", lambda: True)
    result = push(str(adapter), answer="n\n")
    assert (
        "adapter_model.safetensors" in result.output
        and "Nothing was sent" in result.output
        and "private, a new repository; as me" in result.output
    )
    assert not Hub.commits and not Hub.repositories
    assert push(str(adapter), answer="y\n").exit_code == 0
    assert len(Hub.commits) == 1


def test_without_a_token(hub: type[Hub], adapter: Path) -> None:
    with pytest.raises(PushError, match=r"no token.*hf auth login"):
        push(str(adapter), "--yes")


def test_a_token_that_may_only_read(hub: type[Hub], token: str, adapter: Path) -> None:
    Hub.account = {"name": "me", "auth": {"accessToken": {"role": "read"}}}
    with pytest.raises(PushError, match="may only read"):
        push(str(adapter), "--yes")


def test_a_token_that_was_revoked(hub: type[Hub], token: str, adapter: Path) -> None:
    Hub.account = None
    with pytest.raises(PushError, match="does not accept the token"):
        push(str(adapter), "--yes")


def test_anothers_name_and_no_name(hub: type[Hub], token: str, adapter: Path) -> None:
    with pytest.raises(PushError, match=r"me may not write for google\. This account writes for: acme, me"):
        push(str(adapter), "google/mine", "--yes")
    with pytest.raises(InputError, match="no name for a repository"):
        push(str(adapter), "me/a b", "--yes")


def test_the_hubs_refusal_in_its_own_words(hub: type[Hub], token: str, adapter: Path) -> None:
    Hub.refuse = (403, "You have exceeded your private storage.")
    with pytest.raises(PushError, match="exceeded your private storage") as refused:
        push(str(adapter), "--yes")
    assert token not in refused.value.sentence
    Hub.refuse = (400, "Bad metadata in README.md")
    with pytest.raises(PushError, match="status 400: Bad metadata"):
        push(str(adapter), "--yes")


def test_no_network_and_offline(hub: type[Hub], token: str, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_hub(monkeypatch, HF_ENDPOINT="http://127.0.0.1:9", HF_TOKEN=token)
    with pytest.raises(LoratuiError, match="cannot be reached"):
        push(str(adapter), "--yes")
    set_hub(monkeypatch, HF_HUB_OFFLINE="1")
    with pytest.raises(PushError, match="HF_HUB_OFFLINE"):
        destination("me/x")


def test_no_path_of_this_machine_is_sent_and_the_card_names_its_own_repository(
    hub: type[Hub], token: str, adapter: Path, tmp_path: Path
) -> None:
    given = json.dumps({"base_model_name_or_path": str(tmp_path / "secret" / "base"), "r": 4})
    (adapter / "adapter_config.json").write_text(given)
    card = f"{MARK}\nmodel = PeftModel.from_pretrained(base, {json.dumps(PLACE)})\n"
    (adapter / "README.md").write_text(card)
    result = push(str(adapter), "me/shared", "--yes", "--public")
    assert "only its name (base) is sent" in result.stderr
    ((_, files),) = Hub.commits
    assert json.loads(files["adapter_config.json"]) == {"base_model_name_or_path": "base", "r": 4}
    assert files["README.md"].decode() == card.replace(PLACE, "me/shared")
    assert b"secret" not in b"".join(files.values())
    assert (adapter / "README.md").read_text() == card and (adapter / "adapter_config.json").read_text() == given


def test_a_local_base_and_a_missing_card_are_told(adapter: Path, tmp_path: Path) -> None:
    (adapter / "README.md").unlink()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "base")}))
    doubts = pack(adapter).doubts
    assert "model card" in doubts[0] and "only its name (base) is sent" in doubts[1]
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        pack(adapter)
