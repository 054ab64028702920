"""The names that columns go by in published datasets, and the parts that each format needs."""

from __future__ import annotations

PROMPTS = (
    "prompt",
    "question",
    "query",
    "user",
    "human",
    "request",
    "problem",
    "input",
    "input_text",
    "source",
    "user_input",
    "user_message",
    "utterance",
    "document",
    "article",
    "context",
    "src",
    "inputs",
    "ask",
    "q",
)


COMPLETIONS = (
    "completion",
    "response",
    "answer",
    "output",
    "solution",
    "assistant",
    "target",
    "reply",
    "chosen_response",
    "output_text",
    "generated_output",
    "answer_text",
    "bot",
    "gpt",
    "summary",
    "highlights",
    "model_output",
    "targets",
    "outputs",
    "tgt",
    "a",
)


INSTRUCTIONS = ("instruction", "instructions", "task")


INPUTS = ("input", "inputs", "context", "input_text")


SYSTEMS = ("system", "system_prompt", "system_message")


MESSAGES = (
    "messages",
    "conversations",
    "conversation",
    "dialogue",
    "dialog",
    "chat",
    "turns",
    "message",
    "conversations_v2",
)


TEXTS = (
    "text",
    "content",
    "document",
    "body",
    "passage",
    "story",
    "article",
    "code",
    "raw_content",
    "sentence",
    "markdown",
)


HISTORIES = ("history",)


TOOLS = ("tools", "functions")


TOKENS = ("input_ids",)


ROLE_KEYS = ("role", "from", "speaker", "author")


CONTENT_KEYS = ("content", "value", "text", "message", "utterance")


PARTS: dict[str, tuple[str, ...]] = {
    "prompt-completion": ("prompt", "completion", "system", "history", "tools"),
    "instruction": ("instruction", "input", "output", "system", "history", "tools"),
    "messages": ("messages", "system", "tools"),
    "text": ("text",),
    "tokens": ("input_ids", "labels"),
    "preference": ("prompt", "chosen", "rejected", "system", "tools"),
}


NEEDED: dict[str, tuple[str, ...]] = {
    "prompt-completion": ("prompt", "completion"),
    "instruction": ("instruction", "output"),
    "messages": ("messages",),
    "text": ("text",),
    "tokens": ("input_ids",),
    "preference": ("chosen",),
}


METADATA = frozenset(
    {
        "id", "ids", "uid", "uuid", "idx", "index", "index_level_0", "row", "row_number", "number", "key", "guid",
        "source", "sources", "data_source", "dataset", "dataset_name", "origin", "url", "link", "license", "citation",
        "lang", "language", "locale", "timestamp", "time", "date", "created", "created_at", "updated_at", "author",
        "username", "user_name", "annotator", "model", "model_name", "generator", "engine", "category", "categories",
        "subject", "topic", "topics", "domain", "difficulty", "level", "tag", "tags", "type", "kind", "hash", "sha",
        "sha256", "md5", "version", "file", "file_name", "filename", "path", "repo", "repo_name", "meta", "metadata",
        "tokens", "token_count", "num_tokens", "num_turns", "length", "split", "extra_info", "ability",
    }
)  # fmt: skip
"""Names of columns that describe a row: not trained on, and nobody expects them to be."""


TELLING = frozenset(
    {
        "label", "labels", "is_correct", "correct", "score", "rating", "reward", "weight", "loss_weight", "loss",
        "train", "quality", "good", "bad", "accepted", "desirable", "preference", "train_on_input",
    }
)  # fmt: skip
"""Names of columns that judge a row by a number or a flag: whether it is a good answer, how much it should count."""
