"""16 requests at once beside 16 in turn, to a server of ours, by the official `openai` client, pairwise.

    loratui serve RUN &
    python benchmarks/serving.py RUN [--url http://127.0.0.1:8000/v1] [--pairs 5] [--tokens 64] [--save]

Asked for: at once at most 0.4 of the time in turn. Wall-clock time: neighbours on the machine disturb both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REQUESTS = 16
RESULT = Path(__file__).parent / "results" / "serving.json"


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="as /v1/models names it")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    import openai

    client = openai.OpenAI(base_url=given.url, api_key="none", max_retries=0)

    def ask(number: int) -> int:
        messages = [{"role": "user", "content": f"Order {number}: two large pizzas for Ann, please."}]
        found = client.chat.completions.create(
            model=given.model, messages=messages, max_tokens=given.tokens, temperature=0
        )
        return int(found.usage.completion_tokens)

    ask(0)
    pairs = []
    for _ in range(given.pairs):
        began = time.monotonic()
        tokens = sum(ask(number) for number in range(REQUESTS))
        in_turn = time.monotonic() - began
        began = time.monotonic()
        with ThreadPoolExecutor(REQUESTS) as pool:
            together = sum(pool.map(ask, range(REQUESTS)))
        at_once = time.monotonic() - began
        pairs.append({"in_turn": round(in_turn, 3), "at_once": round(at_once, 3), "ratio": round(at_once / in_turn, 3)})
        print(pairs[-1], f"{tokens} and {together} tokens", flush=True)
    median = statistics.median(one["ratio"] for one in pairs)
    print(f"median: {median:.2f} of the time in turn")
    if given.save:
        RESULT.write_text(json.dumps({"requests": REQUESTS, "median": median, "pairs": pairs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
