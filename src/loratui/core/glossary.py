"""The words of the field that somebody new to it meets on the screens, each explained in one line.

The one place where they are explained: screens show a line where its word first stands and under F1, the pages under
`docs/` list them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

WIDEST = 76
"""Characters of a word with its line: what a terminal of 80 columns shows whole."""


class Term(NamedTuple):
    """A word, what it means in one line, and the plan keys whose values it is the word for."""

    word: str
    line: str
    keys: tuple[str, ...] = ()
    value: str = ""
    """What such a value begins with, where the word is that value: it stands on screens only then."""

    def stands(self, values: Callable[[str], object] | None) -> bool:
        """Whether the word stands where a plan is shown. values: the plan's value of a key; None where there is no
        plan.
        """
        return not self.value or (
            values is not None and any(str(values(key)).startswith(self.value) for key in self.keys)
        )


def _table(*terms: Term) -> Mapping[str, Term]:
    return {term.word: term for term in terms}


TERMS: Mapping[str, Term] = _table(
    Term("fine-tuning", "trains a finished model a little further, on your own examples."),
    Term("budget", "the memory that is free for you now, less a reserve for the system."),
    Term("overhead", "memory beside the tensors: driver, libraries, and slack."),
    Term("TFLOPS", "a million million calculations a second: a device's top speed."),
    Term("compute capability", "NVIDIA's number for a GPU's generation and its skills."),
    Term("fp8", "numbers in 1 byte, in which the newest GPUs calculate."),
    Term("sdpa", "torch's own attention kernels, which every device has."),
    Term("paged optimizer", "its figures move out of a full card, and back."),
    Term("slurm", "shares a cluster's machines out: a training waits its turn."),
    Term("hub", "huggingface.co: where models and datasets are published."),
    Term("access token", "your key to the hub, for models that are not open to all."),
    Term("params", "the numbers a model consists of. 1 B is a thousand million of them."),
    Term("full", "fine-tuning of every weight: the most memory, makes a whole model.", ("method.kind",)),
    Term("LoRA", "trains a small adapter beside frozen weights: far less memory.", ("method.kind",)),
    Term("QLoRA", "LoRA on a base held in 4 bits: its weights take a quarter.", ("method.kind",)),
    Term("adapter", "what LoRA makes: a small file that changes the base under it.", ("lora.adapter",)),
    Term("base", "the model as it was before this training."),
    Term("chat template", "how a model wants questions and answers marked in its text."),
    Term("token", "a piece of a word, some four letters: what models read and write."),
    Term("stop token", "ends an answer. A model that never learns it talks on and on."),
    Term("held out", "rows kept from training, to test what was learnt.", ("dataset.eval_fraction",)),
    Term("rank", "how wide an adapter is: more can learn more, and takes more.", ("lora.r",)),
    Term("alpha", "how strongly an adapter counts; mostly twice its rank.", ("lora.alpha",)),
    Term("learning rate", "how far a step moves: too far diverges, too little idles.", ("training.learning_rate",)),
    Term("epoch", "one pass over all training rows.", ("training.epochs",)),
    Term("batch", "the rows that go through the model together.", ("training.batch_size",)),
    Term("accumulation", "batches added up before the weights move once.", ("training.accumulation",)),
    Term("maximum length", "tokens of a row that are read; the rest is cut.", ("training.max_length",)),
    Term("packing", "short rows joined into long ones, so that none is padded.", ("training.packing",)),
    Term("checkpointing", "computes again instead of keeping: less memory, slower.", ("training.checkpointing",)),
    Term("compile", "torch writes kernels for this very model: faster steps.", ("training.compile",)),
    Term("Liger kernels", "small operations in one go: faster, and less is kept.", ("training.liger",)),
    Term("checkpoint", "the state of a training on disk, from which it can go on.", ("saving.every_steps",)),
    Term("warm-up", "the first steps, in which the rate rises to its peak.", ("training.warmup_steps",)),
    Term("optimizer", "the rule by which weights move; keeps figures of its own.", ("training.optimizer",)),
    Term("quantisation", "weights held in fewer bits: smaller, a little coarser.", ("method.quantization",)),
    Term("AdamW", "the usual optimizer: keeps two figures for each trained one.", ("training.optimizer",), "adamw"),
    Term("bf16", "numbers in 2 bytes with the range of 4: halves the memory.", ("training.precision",), "bf16"),
    Term("fp16", "numbers in 2 bytes of a narrow range, for older cards.", ("training.precision",), "fp16"),
    Term("float32", "numbers in 4 bytes: the long name of fp32."),
    Term("fp32", "numbers in 4 bytes: exact, and twice the memory of bf16.", ("training.precision",), "fp32"),
    Term("NF4", "4 bits a weight, on levels that suit how weights are spread.", ("method.quantization",), "nf4"),
    Term("cosine", "from its peak the rate falls gently, then fast, then gently.", ("training.scheduler",), "cosine"),
    Term("linear", "from its peak the rate falls in a straight line.", ("training.scheduler",), "linear"),
    Term("PEFT", "the library whose adapters these are; also their file format."),
    Term("gradients", "which way each trained weight is to move: a figure each."),
    Term("activations", "what layers keep of a batch until its gradients are known."),
    Term("rehearsal", "two real steps on the longest rows, before the run: does it fit?"),
    Term("evaluation", "the held-out rows are tested, nothing is learnt.", ("evaluation.every_steps",)),
    Term("logits", "a score for each token of the vocabulary, at each place of a row."),
    Term("loss", "how much the right words surprised the model: lower is better."),
    Term("nats", "the unit of loss: 0.69 nats is the surprise of one fair coin."),
    Term("accuracy", "share of tokens guessed right, each alone; not of answers."),
    Term("gradient norm", "how hard a step pulls at the weights; leaps mean trouble."),
    Term("temperature", "how freely the next token is drawn; 0 takes the likeliest."),
    Term("greedy", "always takes the likeliest token: the same answer each time."),
    Term("top-p", "draws only from the likeliest tokens that make up this share."),
    Term("seed", "where chance begins: the same seed draws the same answer."),
    Term("system prompt", "stands before a conversation: who the model is to be."),
    Term("pinned prompts", "a few questions, asked again at each evaluation of a run."),
    Term("exact match", "share of answers equal to the expected, letter for letter."),
    Term("ROUGE", "share of the expected words, or pairs of them, in an answer."),
    Term("BLEU", "overlap of one to four words in a row, 0 to 100: for translations."),
    Term("chrF", "overlap of pieces of letters, 0 to 100: half right words count."),
    Term("perplexity", "exp of the loss: among how many tokens it wavers; 1 is sure."),
    Term("token accuracy", "share of the written answer's tokens that it ranks first."),
    Term("95 % between", "where the figure would lie for 95 of 100 such draws of rows."),
    Term("preset", "a recipe by name: values for some fields, the rest is proposed."),
    Term("merge", "adds an adapter into its base: one model, which runs anywhere."),
    Term("GGUF", "a file format for models, of llama.cpp and Ollama."),
)
"""All of them, in the order in which one meets them."""


def terms_of(key: str) -> tuple[Term, ...]:
    """The terms that explain a plan key."""
    return tuple(term for term in TERMS.values() if key in term.keys)
