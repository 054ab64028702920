"""What the hub answers becomes its true reason; a small server stands in for it."""

from __future__ import annotations

import pytest

from hub_standin import set_hub
from loratui.core.errors import ModelError
from loratui.models.find import find_model
from loratui.models.hub import search_models


def test_an_open_model_is_read(hub):
    found = find_model("me/open")
    assert (found.kind, found.licence, found.gated, found.has_chat_template, found.spec.layers) == (
        "hub",
        "mit",
        False,
        True,
        2,
    )
    assert hub.tokens == [None, None]


@pytest.mark.parametrize(
    ("id", "token", "fragment"),
    [
        ("me/gated", "", "gated, and no token was found"),
        ("me/gated", "hf_x", "your account has no access"),
        ("me/none", "", "For a private model, run: hf auth login"),
        ("me/none", "hf_x", "knows no model of this name"),
        ("me/gguf", "", "no config.json"),
        ("me/ill", "", "status 500"),
        ("me/page", "", "answer cannot be read"),
    ],
)
def test_refusals_say_why(hub, monkeypatch, id, token, fragment):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelError) as raised:
        find_model(id)
    assert fragment in raised.value.sentence
    assert "hf_x" not in raised.value.sentence
    assert hub.tokens[-1] == (f"Bearer {token}" if token else None)


def test_a_revision_that_is_not_there(hub):
    with pytest.raises(ModelError, match="no such revision"):
        find_model("me/open", revision="v2")


def test_a_search_lists_size_licence_and_gate(hub):
    first, second = search_models("tiny")
    assert (first.id, first.downloads, first.likes, first.licence, first.gated, first.parameters) == (
        "me/open",
        5,
        2,
        "mit",
        True,
        123,
    )
    assert (second.id, second.parameters, second.gated) == ("me/other", None, False)


def test_a_search_without_a_connection_says_so(hub, monkeypatch):
    set_hub(monkeypatch, HF_ENDPOINT="http://127.0.0.1:9")
    with pytest.raises(ModelError, match="the hub cannot be reached"):
        search_models("tiny")
