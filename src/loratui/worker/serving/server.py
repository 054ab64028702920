"""The server: OpenAI's paths, who may ask, and answers as JSON or as a stream of events."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from loratui.core.errors import LoratuiError
from loratui.worker.generation.batch import room
from loratui.worker.generation.prompt import conversation, render
from loratui.worker.serving.engine import Done, Engine, Failed, FullError, Job, Piece
from loratui.worker.serving.offered import Model
from loratui.worker.serving.requests import (
    IGNORED,
    MOST_PROMPTS,
    MOST_STOPS,
    ChatRequest,
    Common,
    CompletionRequest,
)
from loratui.worker.tokenise import Tokeniser

MOST_BODY_BYTES = 4 * 2**20
CLIENT_GONE = 499
"""As nginx calls it: nobody reads the answer any more."""
LOOK_SECONDS = 1.0
"""How often is looked whether the client is still there."""


@dataclass(frozen=True)
class Limits:
    """tokens: of an answer, at most. key: what clients must show; "" for none. hosts: names under which clients may
    call this server; none: any.
    """

    tokens: int
    key: str = ""
    hosts: frozenset[str] = frozenset()


class RefusedError(Exception):
    """A request that is not answered: status and words, in OpenAI's form."""

    def __init__(self, status: int, message: str, *, kind: str = "invalid_request_error", code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.code = status, message, kind, code

    def response(self) -> Response:
        """As the client gets it."""
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code or None}
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else None
        return JSONResponse({"error": error}, self.status, headers)


class Server:
    """Answers for these models, the first of which is the base."""

    def __init__(self, engine: Engine, models: Sequence[Model], limits: Limits) -> None:
        self._engine, self._limits = engine, limits
        self._models = {one.name: one for one in models}
        self._began = int(time.time())
        self._tokeniser = Tokeniser(engine.models.tokenizer)
        self.app = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/v1/models", self._list),
                Route("/v1/models/{name:path}", self._one),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._complete, methods=["POST"]),
            ],
            exception_handlers={RefusedError: _refused, HTTPException: _no_such_path, Exception: _fault},
        )

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _list(self, request: Request) -> Response:
        self._may_ask(request)
        return JSONResponse({"object": "list", "data": [self._described(one) for one in self._models.values()]})

    async def _one(self, request: Request) -> Response:
        self._may_ask(request)
        return JSONResponse(self._described(self._model(request.path_params["name"])))

    def _described(self, model: Model) -> dict[str, Any]:
        return {"id": model.name, "object": "model", "created": self._began, "owned_by": f"loratui ({model.words})"}

    async def _chat(self, request: Request) -> Response:
        asked = await self._read(request, ChatRequest)
        assert isinstance(asked, ChatRequest)
        messages = [one.as_dict() for one in asked.messages]
        ids = await asyncio.to_thread(self._ids, conversation(messages))
        return await self._answer(request, asked, [ids], chat=True)

    async def _complete(self, request: Request) -> Response:
        asked = await self._read(request, CompletionRequest)
        assert isinstance(asked, CompletionRequest)
        if not 0 < len(asked.prompts) <= MOST_PROMPTS:
            raise RefusedError(400, f"a request may have 1 to {MOST_PROMPTS} prompts.")
        prompts = [
            await asyncio.to_thread(self._ids, conversation([], one)) if isinstance(one, str) else self._known(one)
            for one in asked.prompts
        ]
        return await self._answer(request, asked, prompts, chat=False)

    def _ids(self, question: Any) -> list[int]:
        try:
            return render(self._engine.models.tokenizer, question, self._tokeniser)[1]
        except LoratuiError as error:
            raise RefusedError(400, error.sentence) from error

    def _known(self, ids: list[int]) -> list[int]:
        vocabulary = len(self._engine.models.tokenizer)
        if not ids or not all(0 <= one < vocabulary for one in ids):
            raise RefusedError(400, f"token ids of this model are 0 to {vocabulary - 1}, one at least.")
        return ids

    def _may_ask(self, request: Request) -> None:
        """Raises RefusedError where the key is wrong, or a page of a browser calls this machine by another name."""
        host = request.headers.get("host", "").rsplit(":", 1)[0].strip("[]")
        if self._limits.hosts and host not in self._limits.hosts:
            raise RefusedError(421, "this server answers under the names of its own machine alone.")
        if not self._limits.key:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._limits.key.encode()):
            raise RefusedError(401, "this server wants its API key: Authorization: Bearer KEY.", code="invalid_api_key")

    def _model(self, name: str) -> Model:
        if name not in self._models:
            known = ", ".join(self._models)
            raise RefusedError(
                404, f"there is no model {name[:200]!r} here; there are: {known}.", code="model_not_found"
            )
        return self._models[name]

    async def _read(self, request: Request, kind: type[Common]) -> Common:
        self._may_ask(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(415, "a request is application/json.")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BODY_BYTES:
                raise RefusedError(413, f"a request may have {MOST_BODY_BYTES >> 20} MiB.")
        try:
            document = json.loads(body)
            json.dumps(document, ensure_ascii=False).encode()  # half of a surrogate pair is no text
            given = {key: value for key, value in document.items() if key not in IGNORED}
            asked = kind.model_validate(given)
        except ValidationError as error:
            raise RefusedError(400, _words(error)) from error
        except UnicodeEncodeError as error:
            raise RefusedError(400, f"{error.object[error.start]!r} is half of a surrogate pair: no text.") from error
        except (ValueError, AttributeError, RecursionError) as error:
            raise RefusedError(400, "the body is no JSON object.") from error
        self._model(asked.model)
        return asked

    async def _answer(self, request: Request, asked: Common, prompts: Sequence[list[int]], *, chat: bool) -> Response:
        """Put every prompt `n` times; their answers as they come, or all at once."""
        if len(asked.stops) > MOST_STOPS:
            raise RefusedError(400, f"a request may have {MOST_STOPS} stop texts at most.")
        answers = _Answers(asked, chat, sum(map(len, prompts)))
        jobs: list[Job] = []
        for prompt in prompts:
            try:
                limit = room(self._engine.models, prompt, asked.settings(0, self._limits.tokens))
            except LoratuiError as error:
                raise RefusedError(400, error.sentence, code="context_length_exceeded") from error
            limit = min(limit, asked.wanted_tokens or limit)
            for _ in range(asked.n or 1):
                number = len(jobs)
                seed = secrets.randbits(32) if asked.seed is None else (asked.seed + number) % 2**32
                settings = asked.settings(seed, limit)
                jobs.append(
                    Job(self._model(asked.model).side, prompt, settings, limit, answers.listener(number), asked.stops)
                )
        try:
            self._engine.put(jobs)
        except FullError:
            raise RefusedError(
                429, "too many requests wait here; ask again later.", kind="rate_limit_error", code="queue_full"
            ) from None
        if asked.stream:
            return StreamingResponse(_streamed(request, answers, jobs), media_type="text/event-stream")
        async for _ in _events(request, answers, jobs):
            pass
        if answers.failed:
            raise RefusedError(500, answers.failed, kind="server_error")
        if not answers.over:
            return Response(status_code=CLIENT_GONE)
        return JSONResponse(answers.whole())


class _Answers:
    """The answers to one request while they grow, and their forms. Texts are counted from 0 by `number`."""

    def __init__(self, asked: Common, chat: bool, prompt_tokens: int) -> None:
        self._asked, self._chat, self._prompt_tokens = asked, chat, prompt_tokens
        self._id = ("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12)
        self._created = int(time.time())
        self._loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[tuple[int, Piece | Done | Failed]] = asyncio.Queue()
        self._texts: dict[int, list[str]] = {}
        self._ended: dict[int, Done] = {}
        self.failed = ""

    def listener(self, number: int) -> Any:
        """What the engine's thread tells of one answer."""
        self._texts[number] = []

        def tell(event: Piece | Done | Failed) -> None:
            with suppress(RuntimeError):  # the server has ended meanwhile
                self._loop.call_soon_threadsafe(self.events.put_nowait, (number, event))

        return tell

    def take(self, number: int, event: Piece | Done | Failed) -> None:
        """Keep what came."""
        if isinstance(event, Piece):
            self._texts[number].append(event.text)
        elif isinstance(event, Done):
            self._ended[number] = event
        else:
            self.failed = event.sentence

    @property
    def over(self) -> bool:
        """Whether all have ended."""
        return bool(self.failed) or len(self._ended) == len(self._texts)

    @property
    def wants_usage(self) -> bool:
        """Whether the client wants to be told at the stream's end how many tokens there were."""
        options = self._asked.stream_options
        return options is not None and options.include_usage

    def whole(self) -> dict[str, Any]:
        """All answers at once."""
        choices = []
        for number, parts in self._texts.items():
            text = "".join(parts)
            said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
            choices.append({"index": number, **said, "logprobs": None, "finish_reason": self._ended[number].ended})
        return self._head("") | {"choices": choices, "usage": self.usage()}

    def chunk(self, number: int, text: str, ended: str | None, *, first: bool = False) -> dict[str, Any]:
        """A piece of a stream."""
        delta = ({"role": "assistant"} if first else {}) | ({"content": text} if text or first else {})
        said: dict[str, Any] = {"delta": delta} if self._chat else {"text": text}
        choice = {"index": number, **said, "logprobs": None, "finish_reason": ended}
        return self._head(".chunk") | {"choices": [choice]}

    def last(self) -> dict[str, Any]:
        """The piece of a stream that counts its tokens."""
        return self._head(".chunk") | {"choices": [], "usage": self.usage()}

    def usage(self) -> dict[str, int]:
        """Tokens of prompts and answers."""
        own = sum(done.tokens for done in self._ended.values())
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": own,
            "total_tokens": self._prompt_tokens + own,
        }

    def _head(self, piece: str) -> dict[str, Any]:
        kind = f"chat.completion{piece}" if self._chat else "text_completion"
        return {"id": self._id, "object": kind, "created": self._created, "model": self._asked.model}


async def _events(
    request: Request, answers: _Answers, jobs: Sequence[Job]
) -> AsyncIterator[tuple[int, Piece | Done | Failed]]:
    """What comes, until all have ended; where the client is gone, or reads no more, its jobs are given up."""
    try:
        while not answers.over:
            try:
                number, event = await asyncio.wait_for(answers.events.get(), LOOK_SECONDS)
            except TimeoutError:
                if await request.is_disconnected():
                    return
                continue
            answers.take(number, event)
            yield number, event
    finally:
        for job in jobs:
            job.cancelled = True


async def _streamed(request: Request, answers: _Answers, jobs: Sequence[Job]) -> AsyncIterator[bytes]:
    for number in range(len(jobs)):
        yield _line(answers.chunk(number, "", None, first=True))
    async for number, event in _events(request, answers, jobs):
        match event:
            case Piece(text):
                yield _line(answers.chunk(number, text, None))
            case Done(ended):
                yield _line(answers.chunk(number, "", ended))
            case Failed(sentence):
                yield _line({"error": {"message": sentence, "type": "server_error", "param": None, "code": None}})
    if answers.wants_usage and not answers.failed:
        yield _line(answers.last())
    yield b"data: [DONE]\n\n"


def _line(document: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"


def _words(error: ValidationError) -> str:
    """What is wrong with a request, field by field."""
    found = []
    for one in error.errors()[:3]:
        place = ".".join(str(part) for part in one["loc"])
        unknown = one["type"] == "extra_forbidden"
        found.append(f"{place}: this server does not know it." if unknown else f"{place}: {one['msg']}.")
    return " ".join(found)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return error.response()


async def _fault(request: Request, error: Exception) -> Response:
    """A defect of ours, which the log has: clients read no other form."""
    return RefusedError(500, "the server failed at this request; its log says how.", kind="server_error").response()


async def _no_such_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return RefusedError(error.status_code, f"{request.method} {request.url.path}: {error.detail}").response()
