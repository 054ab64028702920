"""What code a model brings, what agreeing to it covers, and what a loader is then told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from loratui.core.errors import ModelError
from loratui.models.trust import CodeNotAgreedError, agree, load_options, not_agreed, remote_code
from remote_model import remote_model


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    return remote_model(tmp_path / "model", tmp_path / "ran")


def test_a_model_without_code_is_never_asked_about(tmp_path: Path) -> None:
    assert load_options("demo", wanted=True) == {"trust_remote_code": False}
    assert load_options(str(tmp_path / "nothing"), wanted=True) == {"trust_remote_code": False}


def test_code_is_refused_until_it_is_agreed_to_and_again_when_it_changed(model: Path) -> None:
    assert load_options(str(model), wanted=False) == {"trust_remote_code": False}
    with pytest.raises(CodeNotAgreedError, match=r"nobody agreed.*modeling_own\.py"):
        load_options(str(model), wanted=True)
    code = remote_code(str(model))
    assert code is not None and "modeling_own.py" in code.question
    agree(code)
    assert load_options(str(model), wanted=True) == {"trust_remote_code": True}
    (model / "more.py").write_text("import os\n")
    with pytest.raises(CodeNotAgreedError, match="another than was agreed to"):
        load_options(str(model), wanted=True)


def test_another_model_with_the_same_code_is_asked_about_but_a_copy_made_from_it_is_not(
    model: Path, tmp_path: Path
) -> None:
    code = remote_code(str(model))
    assert code is not None
    agree(code)
    copy = shutil.copytree(model, tmp_path / "copy")
    with pytest.raises(CodeNotAgreedError):
        load_options(str(copy), wanted=True)
    assert load_options(str(copy), wanted=True, base=str(model))["trust_remote_code"] is True
    (copy / "tokenization_own.py").write_text("import os\n")  # a stranger's adapter may bring more than its base
    with pytest.raises(CodeNotAgreedError):
        load_options(str(copy), wanted=True, base=str(model))


def test_a_hubs_code_is_pinned_to_the_commit_that_was_seen(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr("loratui.models.trust.hub_cache", lambda: cache)
    repository = cache / "models--some--model"
    shutil.copytree(model, repository / "snapshots" / "c0ffee")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    code = remote_code("some/model")
    assert code is not None and code.commit == "c0ffee"
    agree(code)
    assert load_options("some/model", wanted=True) == {"trust_remote_code": True, "revision": "c0ffee"}
    with pytest.raises(CodeNotAgreedError):  # another revision is another question
        load_options("some/model", "c0ffee", wanted=True)


def test_code_of_another_repository_counts_too(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr("loratui.models.trust.hub_cache", lambda: cache)
    beside = shutil.copytree(model, cache / "models--some--code" / "snapshots" / "abc")
    (cache / "models--some--code" / "refs").mkdir()
    (cache / "models--some--code" / "refs" / "main").write_text("abc")
    (model / "modeling_own.py").unlink()
    config = json.loads((model / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "some/code--modeling_own.OwnForCausalLM"}
    (model / "config.json").write_text(json.dumps(config))
    code = remote_code(str(model))
    assert code is not None and list(code.files) == ["some/code/modeling_own.py"]
    agree(code)
    assert load_options(str(model), wanted=True) == {"trust_remote_code": True, "code_revision": "abc"}
    (beside / "modeling_own.py").write_text("import os\n")
    with pytest.raises(CodeNotAgreedError):
        load_options(str(model), wanted=True)
    config["auto_map"]["AutoConfig"] = "configuration_own.OwnConfig"
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="more than one repository"):
        load_options(str(model), wanted=True)


def test_a_pipe_among_the_code_is_a_sentence_and_no_wait(model: Path) -> None:
    import os

    os.mkfifo(model / "pipe.py")
    with pytest.raises(ModelError, match="named pipe"):
        load_options(str(model), wanted=True)
    (model / "pipe.py").unlink()
    code = remote_code(str(model))
    assert code is not None and not_agreed(code).exit_status == 2
