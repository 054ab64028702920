"""A judge at a loopback server: both orders, ties, what is kept, its key, and agreement with a person's votes."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loratui.core.errors import InputError, WorkerError
from loratui.evaluation.judge_client import Judge
from loratui.evaluation.judging import Shown, agreement, lines, outcome, pairs, read, summary, winner
from loratui.evaluation.report import Side
from loratui.evaluation.scoring import Given, Item, Outcome
from loratui.runs.directory import Run
from loratui.runs.votes import Vote, add_vote
from loratui.worker.judged import judged


class Endpoint:
    """A stand-in: `say` makes its answer of what it is sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.say: Callable[[str, str], str] = lambda first, second: "Verdict: tie"
        self.statuses: list[int] = []
        self.broken: Callable[[str, str], bool] = lambda first, second: False
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked.append((self.headers.get("Authorization", ""), body))
                status = endpoint.statuses.pop(0) if endpoint.statuses else 200
                text = body["messages"][-1]["content"]
                first = text.partition("<answer_A>\n")[2].partition("\n</answer_A>")[0]
                second = text.partition("<answer_B>\n")[2].partition("\n</answer_B>")[0]
                answer: Any = {"choices": [{"message": {"content": endpoint.say(first, second)}}]}
                if endpoint.broken(first, second):
                    answer = {"choices": []}
                if status >= 400:
                    answer = {"error": {"message": "no such key"}}
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *given: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.delenv("LORATUI_JUDGE_KEY", raising=False)
    found = Endpoint()
    yield found
    found.server.shutdown()
    found.server.server_close()


def longer(first: str, second: str) -> str:
    return f"Reasons.\nVerdict: {'A' if len(first) > len(second) else 'B' if len(second) > len(first) else 'tie'}"


def sides(count: int = 30) -> tuple[list[Side], list[Item]]:
    """The result's answer is longer in two rows of three, as long in none, and equal in every tenth."""
    items = [Item(number, f"say {number}", "x") for number in range(count)]
    mine = [Outcome([Given("x" * (4 if number % 3 else 2), "stop token", 2)]) for number in range(count)]
    theirs = [Outcome([Given("x" * 3, "stop token", 2)]) for number in range(count)]
    return [Side("base", "base", theirs), Side("mine", "mine", mine)], items


def test_verdicts_are_read_and_both_orders_must_agree() -> None:
    assert [read(text) for text in ("Verdict: A", "so **Verdict:** B", "verdict - Tie", "B.", "Both are fine", "")] == [
        "first",
        "second",
        "tie",
        "second",
        "unclear",
        "unclear",
    ]
    assert read("Verdict: A … no, Verdict: B") == "second", "the last one counts"
    assert winner("first", "second") == "mine" and winner("second", "first") == "theirs"
    assert winner("first", "first") == "swayed", "the same place in both orders is no preference"
    assert winner("tie", "first") == "tie" and winner("first", "unclear") == "unclear"


def test_the_better_side_wins_in_both_orders_and_nothing_is_asked_twice(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.say = longer
    given, items = sides()
    told: list[str] = []
    found = judged(Judge(endpoint.url, "strict"), given, items, None, tmp_path, told.append)
    (pair,) = found["pairs"]
    assert (pair["wins"], pair["losses"], pair["ties"], pair["rows"]) == (20, 10, 0, 30)
    assert pair["value"] == pytest.approx(2 / 3) and pair["low"] < 2 / 3 < pair["high"]
    assert len(endpoint.asked) == 60 and "60 pairs" in told[0] and endpoint.url.split("/")[2] in told[0]
    orders = [body["messages"][1]["content"] for _, body in endpoint.asked]
    assert sum("<answer_A>\nxxx\n" in text for text in orders) == 30, "each side stands first as often"
    again = judged(Judge(endpoint.url, "strict"), given, items, None, tmp_path, told.append)
    assert again == found and len(endpoint.asked) == 60
    assert sum("go to strict at" in words for words in told) == 1, "what is kept goes nowhere"
    assert "mine, beside base:" in "\n".join(lines(found))


def test_a_judge_that_likes_a_place_tells_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.say = lambda first, second: "Verdict: A"
    given, items = sides()
    (pair,) = judged(Judge(endpoint.url, "m"), given, items, None, tmp_path, lambda words: None)["pairs"]
    assert pair["swayed_by_order"] == 30 and pair["value"] == 0.5 and pair["told"] == "no difference"


def test_equal_answers_are_ties_without_asking_and_silence_is_no_tie() -> None:
    rows = [Shown("q", "", "same ", "same"), Shown("q", "", "a", "b")]
    assert len(pairs(rows)) == 2
    assert outcome(rows, {rows[1]: "unclear", rows[1].swapped: "first"}) == ["tie", "unclear"]
    found = summary("mine", "base", ["tie", "unclear"])
    assert (found["ties"], found["unclear"], found["rows"], found["value"]) == (1, 1, 1, 0.5)


def test_rows_that_all_ended_alike_are_no_proof_of_more_than_their_number_shows() -> None:
    """Thirty ties were 50 % with an interval of no width at all; four wins and ties were told as better."""
    tied = summary("mine", "base", ["tie"] * 30)
    assert tied["told"] == "no difference" and tied["low"] < 0.47 and tied["high"] > 0.53
    more = summary("mine", "base", ["tie"] * 300)
    assert tied["low"] < more["low"] < 0.5 < more["high"] < tied["high"], "more rows say more"
    assert summary("mine", "base", ["mine"] * 4 + ["tie"] * 26)["told"] == "no difference"
    assert summary("mine", "base", ["mine"] * 12 + ["tie"] * 18)["told"] == "better"
    assert summary("mine", "base", ["unclear"] * 3)["told"] is None


def test_a_person_who_interrupts_does_not_wait_for_a_slow_judge(endpoint: Endpoint, tmp_path: Path) -> None:
    """ctrl+c waited for the threads that asked: as long as the slowest answer."""
    asked, go_on, answered = threading.Event(), threading.Event(), threading.Event()

    def slow(first: str, second: str) -> str:
        asked.set()
        go_on.wait(280)
        answered.set()
        return "Verdict: A"

    endpoint.say = slow

    def interrupt() -> None:
        asked.wait(120)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            Judge(endpoint.url, "big").ask([Shown("say", "", "a", "b")], tmp_path / "kept.jsonl", lambda done, of: None)
        assert not answered.is_set(), "the judge has not answered yet"
    finally:
        signal.signal(signal.SIGINT, before)
        go_on.set()


def test_a_judge_that_makes_nothing_of_any_pair_is_not_asked_all_of_them(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.evaluation.judge_client.TRIES", 1)
    endpoint.broken = lambda first, second: True
    rows = [Shown("say", "", str(number), "b") for number in range(100)]
    with pytest.raises(WorkerError, match="gave no chat completion"):
        Judge(endpoint.url, "big").ask(rows, tmp_path / "kept.jsonl", lambda done, of: None)
    assert len(endpoint.asked) == 16
    endpoint.broken = lambda first, second: False
    endpoint.say = lambda first, second: "x" * 2**23
    with pytest.raises(WorkerError, match="gave no chat completion"):
        Judge(endpoint.url, "big").ask(rows[:1], tmp_path / "kept.jsonl", lambda done, of: None)


def test_agreement_with_a_persons_votes(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.say = longer
    run = Run(tmp_path / "run")
    run.path.mkdir()
    asked = [{"role": "user", "content": "hello"}]
    for liked, one, two in (("base", "long long", "short"), ("adapter", "long long", "short"), ("", "even", "same")):
        add_vote(run, Vote("hello", ("base", "adapter"), liked, asked, {"base": one, "adapter": two}))
    given, items = sides(6)
    found = judged(Judge(endpoint.url, "m"), given, items, run, tmp_path, lambda words: None)
    assert (found["agreement"]["votes"], found["agreement"]["agreed"]) == (3, 2)
    assert agreement(["mine"], ["unclear"])["votes"] == 0


def test_the_key_comes_from_the_environment_and_is_sent_to_the_named_place_alone(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, items = sides(2)
    monkeypatch.setenv("LORATUI_JUDGE_KEY", "sesame-open")
    judged(Judge(endpoint.url, "m"), given, items, None, tmp_path, lambda words: None)
    assert {key for key, _ in endpoint.asked} == {"Bearer sesame-open"}
    assert b"sesame" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    with pytest.raises(InputError, match="unencrypted"):
        Judge("http://judge.example/v1", "m")
    endpoint.statuses = [401] * 9
    with pytest.raises(WorkerError, match=r"refuses \(401\): no such key Its key is read from LORATUI_JUDGE_KEY"):
        judged(Judge(endpoint.url, "other"), given, items, None, tmp_path, lambda words: None)
    endpoint.statuses = [302] * 9
    with pytest.raises(WorkerError, match=r"refuses \(302\)"):
        judged(Judge(endpoint.url, "third"), given, items, None, tmp_path, lambda words: None)


def test_what_a_judge_said_before_it_failed_is_kept_and_a_rerun_goes_on(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.evaluation.judge_client.time.sleep", lambda seconds: None)
    given, items = sides(4)
    endpoint.statuses = [200] * 5 + [503] * 99
    with pytest.raises(WorkerError, match=r"refuses \(503\)"):
        judged(Judge(endpoint.url, "m"), given, items, None, tmp_path, lambda words: None)
    endpoint.asked.clear()
    endpoint.statuses = []
    (pair,) = judged(Judge(endpoint.url, "m"), given, items, None, tmp_path, lambda words: None)["pairs"]
    assert pair["ties"] == 4 and len(endpoint.asked) == 8 - 5


def test_one_pair_that_a_judge_makes_nothing_of_is_unclear_and_of_none_it_is_an_error(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.evaluation.judge_client.time.sleep", lambda seconds: None)
    given, items = sides(4)
    endpoint.broken = lambda first, second: "xx" in (first, second)
    (pair,) = judged(Judge(endpoint.url, "m"), given, items, None, tmp_path, lambda words: None)["pairs"]
    assert (pair["ties"], pair["unclear"]) == (2, 2)
    endpoint.broken = lambda first, second: True
    with pytest.raises(WorkerError, match="gave no chat completion"):
        judged(Judge(endpoint.url, "other"), given, items, None, tmp_path, lambda words: None)


def test_a_busy_judge_is_asked_again_and_wrong_addresses_are_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.statuses = [429]
    given, items = sides(1)
    (pair,) = judged(Judge(endpoint.url, "m"), given, items, None, tmp_path, lambda words: None)["pairs"]
    assert pair["ties"] == 1 and len(endpoint.asked) == 3
    for url, model in (("judge", "m"), ("ftp://x/v1", "m"), (endpoint.url, "")):
        with pytest.raises(InputError):
            Judge(url, model)
    with pytest.raises(InputError, match="compares two sides"):
        judged(Judge(endpoint.url, "m"), given[1:], items, None, tmp_path, lambda words: None)
