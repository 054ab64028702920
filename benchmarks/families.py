"""Chat templates of other projects: whether ids and labels are the template's own, or what differs is said.

    python benchmarks/families.py FOLDER [--only WORD] [--show] [--save]

FOLDER holds *.jinja files, named REPOSITORY@COMMIT@NAME.jinja where it is known whose they are (owner and repository
joined by +). Each is tried on rows of every kind (ROWS) with the demo's tokenizer, to which the template's control
tokens are added. Four things are held against `apply_chat_template` and a plain search for the rows' words:

- the ids are those of the row as it is, or of the same row with arguments as text, as objects, with content as parts;
- every word of an answer that stands in the text is learnt, from where the template asks for an answer on, through the
  token that ends it, and no word of anyone else is;
- a word that does not stand in the text is in the ledger of characters as dropped, and an answer that begins otherwise
  than it is asked for in the ledger of thinking;
- a row is refused only where the template refuses it too, or really leaves out what it is refused for.

--save writes benchmarks/results/families.json.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.characters import pieces_of, rendered_characters
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.recognition import Recognition
from loratui.paths import demo_model_path
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import IGNORED, Tokenised

RESULTS = Path(__file__).parent / "results" / "families.json"
CONTROL = re.compile(
    r"<[|｜][^<>\s|｜]{1,40}[|｜]>|\[\|\w{1,20}\|\]|<(?:bos|eos|pad)>|</?s>|<(?:start|end)_of_\w+>|<turn_end>|"
    r"\[/?[A-Z_]{3,20}\]|</?think>|<\|channel>|<channel\|>|<\|turn>|<turn\|>|</?tool_(?:call|response)>|"
    r"<(?:extra_id|SPECIAL|reserved)_\d+>|<end_of_utterance>|\[e~\[|\]~b\]|\]~!b\[|</?(?:user|assistant|system)>|"
    r"<step>|<seed:\w+>|<sep>"
)
PLAIN = re.compile(r"</?(?:think|tool_call|tool_response)>")
"""Added to vocabularies, and no control tokens there."""
PARTS = {
    "U": ("user",),
    "S": ("system",),
    "T": ("tool",),
    "C": ("tool call",),
    "A": ("answer", "earlier answer"),
    "R": ("reasoning", "earlier reasoning", "answer", "earlier answer"),
    "tools": ("tools",),
}
"""Parts, as the ledger of characters calls them, by the first letter of their words."""
READING = Recognition("messages", {"messages": "messages", "tools": "tools"}, "")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Dforecast of a town",
            "parameters": {
                "type": "object",
                "properties": {"town": {"type": "string", "description": "Dname of it"}},
                "required": ["town"],
            },
        },
    }
]


def user(number: int) -> dict[str, Any]:
    return {"role": "user", "content": f"Uask{number} what is it"}


def system() -> dict[str, Any]:
    return {"role": "system", "content": "Srule be brief"}


def answer(number: int, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": f"Asay{number} so it is", **fields}


def thought(number: int) -> dict[str, Any]:
    return {"role": "assistant", "content": f"<think>\nRmull{number} hard\n</think>\n\nAsay{number} so it is"}


def call(number: int, *, as_text: bool = False) -> dict[str, Any]:
    arguments: Any = {"town": f"Ctown{number}"}
    return {
        "id": f"call0000{number}",
        "type": "function",
        "function": {"name": "get_weather", "arguments": json.dumps(arguments) if as_text else arguments},
    }


def calling(*calls: dict[str, Any], content: str | None = "", **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **fields}


def result(number: int) -> dict[str, Any]:
    return {"role": "tool", "name": "get_weather", "tool_call_id": f"call0000{number}", "content": f"Train{number} wet"}


def _reasoned(number: int) -> dict[str, Any]:
    return {"reasoning_content": f"Rmull{number} hard"}


ROWS: dict[str, dict[str, Any]] = {
    "plain": {"messages": [user(1), answer(1)]},
    "multi-turn": {"messages": [user(1), answer(1), user(2), answer(2), user(3), answer(3)]},
    "system": {"messages": [system(), user(1), answer(1)]},
    "system, multi-turn": {"messages": [system(), user(1), answer(1), user(2), answer(2)]},
    "last answer alone": {"messages": [user(1), {**answer(1), "train": False}, user(2), answer(2)]},
    "tools, no call": {"messages": [user(1), answer(1)], "tools": TOOLS},
    "call": {"messages": [user(1), calling(call(1)), result(1), answer(2)], "tools": TOOLS},
    "call, arguments as text": {
        "messages": [user(1), calling(call(1, as_text=True), content=None), result(1), answer(2)],
        "tools": TOOLS,
    },
    "call with words": {
        "messages": [user(1), calling(call(1), content="Asay1 let me see"), result(1), answer(2)],
        "tools": TOOLS,
    },
    "call at the end": {"messages": [system(), user(1), calling(call(1))], "tools": TOOLS},
    "two calls": {
        "messages": [user(1), calling(call(1), call(2)), result(1), result(2), answer(2)],
        "tools": TOOLS,
    },
    "calls in turn": {
        "messages": [user(1), calling(call(1)), result(1), calling(call(2)), result(2), answer(3), user(4), answer(4)],
        "tools": TOOLS,
    },
    "reasoning_content": {"messages": [user(1), answer(1, **_reasoned(1))]},
    "think tags": {"messages": [user(1), thought(1)]},
    "reasoning_content, multi-turn": {
        "messages": [user(1), answer(1, **_reasoned(1)), user(2), answer(2, **_reasoned(2))]
    },
    "think tags, multi-turn": {"messages": [user(1), thought(1), user(2), thought(2), user(3), thought(3)]},
    "reasoning_content and a call": {
        "messages": [user(1), calling(call(1), **_reasoned(1)), result(1), answer(2, **_reasoned(2))],
        "tools": TOOLS,
    },
}


@dataclass(frozen=True, slots=True)
class Word:
    """A word that stands in one part of one message. part: as the ledger of characters calls it."""

    text: str
    message: int
    part: str
    trained: bool


@dataclass
class Outcome:
    """One template. rows: kind of row → equal, or what differs and is said, or why it is refused. faults: what is wrong
    and not said.
    """

    name: str
    repository: str = ""
    commit: str = ""
    rows: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def tokenizer_for(template: str) -> tuple[Any, str]:
    """The demo's tokenizer with the template and its control tokens; and the one that ends an answer, "" without."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(demo_model_path()))
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    tokenizer.chat_template = template
    texts = [
        rendered(tokenizer, form, row.get("tools"), prompt=prompt) or ""
        for row in ROWS.values()
        for form in forms(row["messages"])
        for prompt in (False, True)
    ]
    control = sorted({"<s>", "</s>"}.union(*(CONTROL.findall(text) for text in texts)))
    tokenizer.add_tokens([AddedToken(text, special=not PLAIN.fullmatch(text), normalized=False) for text in control])
    for messages in ([user(1), answer(1)], [user(1), answer(1), user(2), answer(2)]):
        after = (rendered(tokenizer, messages, None) or "").partition(answer(1)["content"])[2]
        if "<|END_OF_TURN_TOKEN|>" in after:  # Cohere's, which the end of a response stands before
            return tokenizer, "<|END_OF_TURN_TOKEN|>"
        if found := CONTROL.match(after.lstrip()):
            return tokenizer, found.group()
    return tokenizer, ""


def words_of(row: Conversation) -> list[Word]:
    """The words of a row that are looked for."""
    found = [Word(word, -1, "tools", False) for word in re.findall(r"\bD\w+", json.dumps(row.tools))]
    for number, message in enumerate(row.messages):
        for text in message.texts:
            for word in re.findall(r"\b(?:Uask|Srule|Asay|Rmull|Ctown|Train)\d*", text):
                found.append(Word(word, number, word[0], message.trained))
    return found


def forms(messages: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The row's messages as they are; arguments as objects and as text, no words as null and as empty; in parts."""
    bare = [{key: value for key, value in message.items() if key != "train"} for message in messages]
    yield bare
    for as_text in (False, True):
        for nothing in ("", None):
            turns = [{**turn, "content": turn["content"] or nothing} for turn in bare]
            for turn in turns:
                if "tool_calls" in turn:
                    numbers = [int(one["id"][-1]) for one in turn["tool_calls"]]
                    turn["tool_calls"] = [call(number, as_text=as_text) for number in numbers]
            yield turns
            yield [
                {**turn, "content": [{"type": "text", "text": turn["content"]}] if turn["content"] else []}
                for turn in turns
            ]


def rendered(tokenizer: Any, messages: list[dict[str, Any]], tools: Any, *, prompt: bool = False) -> str | None:
    """What `apply_chat_template` writes; None where the template refuses."""
    options = {"tools": tools} if tools else {}
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt, **options))
    except Exception:  # noqa: BLE001 - whatever a template raises
        return None


class Trial:
    """One template, tried on every kind of row."""

    def __init__(self, template: str) -> None:
        self.tokenizer, self.stop = tokenizer_for(template)
        stops = [self.tokenizer.convert_tokens_to_ids(self.stop)] if self.stop else []
        self.tokeniser = Tokeniser(self.tokenizer, stop_ids=stops)
        self.accounting = Tokeniser(self.tokenizer, stop_ids=stops)
        self.accounting.texts_within = 1_000_000

    def row(self, row: dict[str, Any]) -> tuple[str, str]:
        """What came of a row, and what is silently wrong; the second is empty where nothing is."""
        conversation = to_conversation(row, READING)
        whole = [(form, text) for form in forms(row["messages"]) if (text := self._text(form, row)) is not None]
        try:
            made = self.tokeniser.one(conversation)
        except ModelError as error:
            return f"refused: {error.sentence}", self._refusal(error, conversation, [text for _, text in whole])
        for form, text in whole:
            if self._ids(text) == made.input_ids:
                return self._accepted(row, conversation, made, form, text)
        return "other ids", f"ids are those of no form of the row: {self.tokenizer.decode(made.input_ids)!r}"

    def _text(self, form: list[dict[str, Any]], row: dict[str, Any]) -> str | None:
        return rendered(self.tokenizer, form, row.get("tools"))

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _refusal(self, error: ModelError, row: Conversation, texts: list[str]) -> str:
        """Empty where the reason is true."""
        if "refuses this conversation" in error.message:
            return f"refused, but it can be rendered: {error.message}" if texts else ""
        if "leaves out" in error.message:
            wanted = [word.text for word in words_of(row) if word.trained]
            whole = [text for text in texts if all(word in text for word in wanted)]
            return f"refused for what stands in the text: {error.message} {whole[0]!r}" if whole else ""
        if "into the middle of" in error.message:
            number = int(error.message.partition("message ")[2].split()[0]) - 1
            return "" if any(self._within(row, number, text) for text in texts) else f"not so: {error.message}"
        return f"refused otherwise: {error.message}"

    def _within(self, row: Conversation, number: int, text: str) -> bool:
        """Whether a message's words stand between those of an answer before it."""
        places = {word.text: (text.find(word.text), word) for word in words_of(row)}
        own = min(at for at, word in places.values() if word.message == number)
        return any(
            min(at for at, word in places.values() if word.message == other)
            < own
            < max(at for at, word in places.values() if word.message == other)
            for other in range(number)
        )

    def _accepted(
        self, row: dict[str, Any], conversation: Conversation, made: Tokenised, form: list[dict[str, Any]], text: str
    ) -> tuple[str, str]:
        offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        learnt = [False] * (len(text) + 1)
        for (start, end), label in zip(offsets, made.labels, strict=True):
            for at in range(start, end if label != IGNORED else start):
                learnt[at] = True
        faults: list[str] = []
        said: list[str] = []
        self._words(conversation, text, learnt, faults, said)
        self._edges(row, conversation, made, form, text, learnt, faults, said)
        if made.thinking is not None and made.thinking.filler:
            said.append("learns the template's filler for thinking")
        if made.answers_ended < made.answers:
            said.append("the stop token is missing")
        return "; ".join(["equal", *dict.fromkeys(said)]), "; ".join(faults)

    def _words(
        self, conversation: Conversation, text: str, learnt: list[bool], faults: list[str], said: list[str]
    ) -> None:
        account = self.accounting.one(conversation)
        assert account.text is not None
        ledger = rendered_characters(pieces_of(conversation), account.text, account.learnt, account.kept_characters)
        dropped = {part for part, count in ledger.dropped.items() if count}
        for word in words_of(conversation):
            places = [found.start() for found in re.finditer(re.escape(word.text) + r"(?!\d)", text)]
            known = [all(learnt[place : place + len(word.text)]) for place in places]
            if not places:
                if not dropped & set(PARTS[word.part]):
                    faults.append(f"{word.text} is dropped, and no ledger says so: {dropped}")
                said.append(f"the template drops text of: {', '.join(sorted(dropped))}")
            elif word.trained and not any(known):
                thinking = account.thinking
                if word.part == "R" and thinking is not None and thinking.shown:
                    said.append("thinking is shown, not learnt")
                else:
                    faults.append(f"{word.text} of an answer is not learnt")
            elif not word.trained and any(known):
                faults.append(f"{word.text} is no answer's and is learnt")

    def _edges(
        self,
        row: dict[str, Any],
        conversation: Conversation,
        made: Tokenised,
        form: list[dict[str, Any]],
        text: str,
        learnt: list[bool],
        faults: list[str],
        said: list[str],
    ) -> None:
        """Where each answer's learnt stretch begins and ends."""
        stretches = [found.span() for found in re.finditer("1+", "".join("01"[one] for one in learnt))]
        words = words_of(conversation)
        thinking = made.thinking
        for number, message in enumerate(conversation.messages):
            if not message.trained:
                continue
            own = [text.find(word.text) for word in words if word.message == number and text.find(word.text) >= 0]
            here = next((span for span in stretches if own and span[0] <= max(own) < span[1]), None)
            if here is None:
                faults.append(f"answer {number + 1} has no learnt stretch")
                continue
            before = rendered(self.tokenizer, form[:number], row.get("tools"), prompt=True)
            if before is not None and text.startswith(before):
                between = text[min(here[0], len(before)) : max(here[0], len(before))]
                if between and thinking is not None and thinking.unprompted:
                    said.append("begins within a token of what asks for it")
                elif between.strip() and not (
                    here[0] < len(before) and any(word.trained and word.text in between for word in words)
                ):
                    faults.append(
                        f"answer {number + 1} is learnt from {text[here[0] : here[0] + 30]!r} on, asked for "
                        f"at {text[len(before) : len(before) + 30]!r}"
                    )
            elif thinking is not None and thinking.unprompted:
                said.append("begins otherwise than it is asked for")
            elif before is not None and not self._asked_alike(form, number, row, text[: here[0]]):
                faults.append(
                    f"answer {number + 1} begins otherwise than it is asked for: {text[: here[0]][-40:]!r}, "
                    f"asked: {before[-40:]!r}"
                )
            asked_exactly = before is not None and text.startswith(before)
            self._end(number, conversation, text, here, words, faults, asked_exactly=asked_exactly)

    def _asked_alike(self, form: list[dict[str, Any]], number: int, row: dict[str, Any], before: str) -> bool:
        """Whether a text ends as the template asks for an answer."""
        closed = rendered(self.tokenizer, form[:number], row.get("tools")) or ""
        opened = rendered(self.tokenizer, form[:number], row.get("tools"), prompt=True) or ""
        return opened.startswith(closed) and before.endswith(opened[len(closed) :])

    def _end(
        self,
        number: int,
        conversation: Conversation,
        text: str,
        here: tuple[int, int],
        words: list[Word],
        faults: list[str],
        *,
        asked_exactly: bool,
    ) -> None:
        last = number + 1 == len(conversation.messages)
        later = [at for word in words if word.message > number and (at := text.find(word.text, here[1])) >= 0]
        rest = text[here[1] : min(later, default=len(text))]
        tail = text[max(text.rfind(word.text, here[0], here[1]) for word in words if word.message == number) : here[1]]
        ends = bool(self.stop) and self.stop in tail
        if last and rest.strip() and not ends:
            faults.append(f"answer {number + 1}: {rest!r} at its end is not learnt")
        if not ends and not last and self.stop and self.stop in rest:
            faults.append(f"answer {number + 1} ends {tail[-30:]!r}, before {rest!r}")
        beyond = tail.partition(self.stop)[2] if ends else ""
        if beyond.strip() and not any(word.text in beyond for word in words if word.trained):
            faults.append(f"answer {number + 1}: {beyond!r} is learnt beyond the stop token")
        places = [at for word in words if word.message == number and (at := text.find(word.text, *here)) >= 0]
        head = text[here[0] : min(places, default=here[0])]
        if self.stop and self.stop in head and not asked_exactly:
            faults.append(f"answer {number + 1} begins before the turn before it ends: {head!r}")
        if re.match(r"\w*[|｜]?>", head):
            faults.append(f"answer {number + 1} begins within a tag: {head!r}")
        ended = text[here[0] : here[1]].rstrip()
        if not CONTROL.search(ended[-30:]) and CONTROL.match(rest.lstrip()) and not last:
            faults.append(f"answer {number + 1} ends {ended[-30:]!r}, and {rest[:30]!r} is not learnt")


def look_at(path: Path) -> Outcome:
    """Try one template."""
    repository, commit, name = ["", "", path.stem, *path.stem.split("@")][-3:]
    outcome = Outcome(name, repository.replace("+", "/"), commit)
    trial = Trial(path.read_text(encoding="utf-8"))
    for kind, row in ROWS.items():
        outcome.rows[kind], fault = trial.row(row)
        if fault:
            outcome.faults[kind] = fault
    return outcome


def main() -> None:
    """Try every template of the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--save", action="store_true")
    asked = parser.parse_args()
    outcomes: list[Outcome] = []
    tally: Counter[str] = Counter()
    for path in sorted(one for one in asked.folder.glob("*.jinja") if asked.only in one.name):
        outcome = look_at(path)
        outcomes.append(outcome)
        counts = Counter(
            "silent"
            if kind in outcome.faults
            else words.split(":")[0].split(";")[0] + (", said" if ";" in words else "")
            for kind, words in outcome.rows.items()
        )
        tally.update(counts)
        print(f"{path.stem}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()), flush=True)
        for kind, words in outcome.rows.items():
            if kind in outcome.faults:
                print(f"  SILENT {kind}: {outcome.faults[kind]}")
            if asked.show:
                print(f"  {kind}: {words}")
    print(f"\n{len(outcomes)} templates: " + ", ".join(f"{count} {name}" for name, count in tally.most_common()))
    if asked.save:
        whole = report(outcomes, tally)
        lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in whole.pop("of"))
        head = json.dumps(whole, ensure_ascii=False)[:-1]
        RESULTS.write_text(f'{head}, "of": [\n{lines}\n]}}\n', encoding="utf-8")


def report(outcomes: list[Outcome], tally: Counter[str]) -> dict[str, Any]:
    """The outcome as it is kept: names, counts and what is said, no template's text."""
    return {
        "templates": len(outcomes),
        "kinds_of_rows": len(ROWS),
        "rows": dict(tally.most_common()),
        "of": [
            {
                "name": one.name,
                "repository": one.repository,
                "commit": one.commit,
                "equal": sum(words == "equal" for words in one.rows.values()),
                "said": dict(
                    Counter(part for words in one.rows.values() for part in words.split("; ") if part != "equal")
                ),
                **({"silent": one.faults} if one.faults else {}),
            }
            for one in outcomes
        ],
    }


if __name__ == "__main__":
    main()
