"""The names that columns go by in published datasets, and the parts that each format needs."""

from __future__ import annotations

from loratui.data.conversation import Role

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
    "goal",
    "premise",
    "nl",
    "问题",
    "问",
    "提问",
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
    "continuation",
    "chain_of_thought",
    "ground_truth",
    "label_text",
    "sql",
    "回答",
    "答案",
    "答",
)


INSTRUCTIONS = ("instruction", "instructions", "task", "指令")


INPUTS = ("input", "inputs", "context", "input_text")


SYSTEMS = ("system", "system_prompt", "system_message")


CONTEXTS = ("context", "passage", "article", "paragraph", "document", "story", "background", "body", "schema", "code")
"""What a question is asked about: it belongs into the prompt, before the question."""


CHOICES = ("choices", "options", "candidates")
"""Answers to choose from."""


TELLING = (*CHOICES, *CONTEXTS, "label", "labels", "reasoning", "rationale", "explanation", "hint", "evidence", "input")
"""Columns that most probably mean something for the answer: where they play no part, it is said."""


QUESTIONS_ABOUT = ("question", "query", "problem", "q")
"""Prompts that are asked about a context."""


SAMPLES = ("instances", "qas", "qa", "qa_pairs", "questions", "paragraphs", "examples", "samples", "items")
"""Lists within a row whose items are examples of their own."""


PAIRS = (
    ("chosen", "rejected"),
    ("chosen_messages", "rejected_messages"),
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("response_j", "response_k"),
    ("preferred", "dispreferred"),
    ("preferred_output", "non_preferred_output"),
    ("better_response", "worse_response"),
    ("answer_chosen", "answer_rejected"),
)
"""The answer that was preferred, and the other one."""


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


ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "question": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "ai": "assistant",
    "chatbot": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "function_call": "assistant",
    "answer": "assistant",
    "agent": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "ipython": "tool",
}
"""What a speaker is called, and whose turn it then is."""


FLAG_PARTS = ("label", "weight", "split", "images", "videos", "audios")
"""Parts of a row that say whether it can be learnt from at all."""


SCORE_PARTS = ("score_chosen", "score_rejected")
"""Parts of a preference that say how good each side is: not learnt, held against which one is called the chosen."""


SCORES = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("rating_chosen", "rating_rejected"),
    ("chosen_reward", "rejected_reward"),
    ("chosen_avg_rating", "rejected_avg_rating"),
)
"""What published sets call them."""


PARTS: dict[str, tuple[str, ...]] = {
    "prompt-completion": ("prompt", "completion", "system", "history", "tools", *FLAG_PARTS),
    "instruction": ("instruction", "input", "output", "system", "history", "tools", *FLAG_PARTS),
    "messages": ("messages", "system", "tools", *FLAG_PARTS),
    "text": ("text", *FLAG_PARTS),
    "tokens": ("input_ids", "labels", *FLAG_PARTS),
    "preference": ("prompt", "chosen", "rejected", "system", "tools", *SCORE_PARTS, *FLAG_PARTS),
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


JUDGING = frozenset(
    {
        "label", "labels", "is_correct", "correct", "score", "rating", "reward", "weight", "loss_weight", "loss",
        "train", "quality", "good", "bad", "accepted", "desirable", "preference", "train_on_input",
    }
)  # fmt: skip
"""Names of columns that judge a row by a number or a flag: whether it is a good answer, how much it should count."""
