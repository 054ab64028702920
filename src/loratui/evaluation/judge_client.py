"""A judge by OpenAI's interface, at an address that a person named: several asked at once, what it says kept.

Nothing is sent anywhere else, and no redirect is followed. The key comes from the environment alone.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loratui.core.errors import InputError, WorkerError
from loratui.evaluation.journal import Journal
from loratui.evaluation.judging import INSTRUCTIONS, Said, Shown, put, read
from loratui.evaluation.records import digest
from loratui.format import first_line

KEY = "LORATUI_JUDGE_KEY"
"""The environment variable with the judge's key; none is sent where it is not set."""
AT_ONCE, TRIES, TIMEOUT_SECONDS, MOST_TOKENS = 4, 4, 180.0, 1024
HOPELESS = 16
"""Of so many pairs, nothing made of the first ones ends it: more would not be answered either."""
MOST_BYTES = 4 * 2**20
"""Of one answer."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OF_THE_PAIR = (400, 413, 422)
"""Refusals that may be about what is asked: it is too long, say."""


@dataclass(frozen=True)
class Judge:
    """Who judges. url: the interface's address, up to `/v1`. model: its name there."""

    url: str
    model: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"{self.url!r} is no address.", where="--judge", hint="Write http://127.0.0.1:8000/v1, say."
            )
        if not self.model:
            raise InputError("the judge's model is not named.", hint="Name it with --judge-model.")
        if not (_key().isascii() and _key().isprintable()):
            raise InputError(f"the key in {KEY} holds characters that no key has.")
        if _key() and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise InputError(
                f"the key in {KEY} would go to {parts.hostname} unencrypted.", hint="Use https, or unset it."
            )

    @property
    def host(self) -> str:
        """Where texts are sent."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def ask(self, pairs: Sequence[Shown], kept: Path, tell: Callable[[int, int], None]) -> dict[Shown, Said]:
        """What it says of each pair, asked once; what is kept in the file is not asked again. tell: told how many have
        been asked of those that are, before anything is sent too.

        WorkerError where it does not answer, or refuses; what it said until then is kept. A pair of which alone it
        makes nothing (too long for it, say) is unclear, and asked again the next time.
        """
        journal = Journal(kept, {"url": self.url, "model": self.model, "instructions": digest(INSTRUCTIONS)})
        try:
            known = {str(line[0]): read(str(line[1])) for line in journal.lines if len(line) == 2}
            keys = {pair: digest([pair.asked, pair.expected, pair.first, pair.second]) for pair in pairs}
            left = [pair for pair in dict.fromkeys(pairs) if keys[pair] not in known]
            if left:
                tell(0, len(left))
            problem: WorkerError | None = None
            for number, (pair, text) in enumerate(self._all(left), start=1):
                if isinstance(text, WorkerError):
                    problem = text
                    continue
                journal.add([[keys[pair], text]])
                known[keys[pair]] = read(text)
                tell(number, len(left))
            if problem is not None and (not known or not isinstance(problem, NoVerdictError)):
                raise problem
            return {pair: known.get(keys[pair], "unclear") for pair in pairs}
        finally:
            journal.close()

    def _all(self, pairs: Sequence[Shown]) -> Iterator[tuple[Shown, str | WorkerError]]:
        """Each pair with what was said, or why nothing was; after one that is about more than its pair, no more are
        asked, and it comes last.
        """
        answers = False
        for start in range(0, len(pairs), AT_ONCE):  # few at once: an error ends it soon
            some = pairs[start : start + AT_ONCE]
            found = list(zip(some, self._together(some), strict=True))
            ended = [one for one in found if _ends_all(one[1])]
            yield from (one for one in found if not _ends_all(one[1]))
            if ended:
                yield ended[0]
                return
            answers = answers or any(isinstance(said, str) for _, said in found)
            last, said = found[-1]
            if not answers and start + len(some) >= HOPELESS and isinstance(said, WorkerError):
                yield last, WorkerError(said.message, hint=said.hint)
                return

    def _together(self, pairs: Sequence[Shown]) -> list[str | WorkerError]:
        """What is said of pairs that are asked at once, by threads that nobody waits for once a person interrupts."""
        found: list[Future[str | WorkerError]] = [Future() for _ in pairs]

        def ask(one: Future[str | WorkerError], pair: Shown) -> None:
            try:
                one.set_result(self._tried(pair))
            except Exception as error:  # noqa: BLE001 - result() raises it
                one.set_exception(error)

        for one, pair in zip(found, pairs, strict=True):
            threading.Thread(target=ask, args=(one, pair), daemon=True).start()
        return [one.result() for one in found]

    def _tried(self, pair: Shown) -> str | WorkerError:
        try:
            return self._one(pair)
        except WorkerError as error:
            return error

    def _one(self, pair: Shown) -> str:
        body = {"model": self.model, "messages": put(pair), "temperature": 0, "max_tokens": MOST_TOKENS}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {_key()}"} if _key() else {})
        asked = urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        opener = urllib.request.build_opener(_NoRedirect)
        for left in reversed(range(TRIES)):
            try:
                with opener.open(asked, timeout=TIMEOUT_SECONDS) as answer:
                    told = answer.read(MOST_BYTES + 1)
                    if len(told) > MOST_BYTES:
                        raise ValueError("no completion is as long")
                    return str(json.loads(told)["choices"][0]["message"]["content"] or "")
            except urllib.error.HTTPError as error:
                if error.code not in (429, 500, 502, 503, 504) or not left:
                    raise self._refused(error) from None
            except (OSError, HTTPException) as error:
                if not left:
                    raise WorkerError(
                        f"the judge at {self.host} cannot be reached: {first_line(error)}.",
                        hint="What it said is kept: give the same command again.",
                    ) from None
            except (ValueError, KeyError, IndexError, TypeError):
                if not left:
                    raise NoVerdictError(
                        f"the judge at {self.host} gave no chat completion.",
                        hint="What it said is kept: give the same command again.",
                    ) from None
            time.sleep(0.5 * 2 ** (TRIES - 1 - left))
        raise AssertionError("the last try returns or raises")

    def _refused(self, error: urllib.error.HTTPError) -> WorkerError:
        said = ""
        try:
            document: Any = json.loads(error.read(4096))
            said = first_line(document["error"]["message"], 200)
        except (ValueError, KeyError, TypeError, OSError):
            pass
        hint = f"Its key is read from {KEY}." if error.code in (401, 403) else ""
        kind = NoVerdictError if error.code in OF_THE_PAIR else WorkerError
        return kind(f"the judge at {self.host} refuses ({error.code}): {said or error.reason}", hint=hint)


class NoVerdictError(WorkerError):
    """Nothing came of one pair; of others it may."""


def _ends_all(said: str | WorkerError) -> bool:
    return isinstance(said, WorkerError) and not isinstance(said, NoVerdictError)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The texts and the key go where the person said, and nowhere else."""

    def redirect_request(self, *given: Any, **more: Any) -> None:
        return None


def _key() -> str:
    return os.environ.get(KEY, "").strip()
