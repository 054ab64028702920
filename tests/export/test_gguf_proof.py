"""A GGUF file held against its run: with llama.cpp's own tools where they are, and their failures by stand-ins."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from loratui.commands.gguf import command
from loratui.core.errors import InputError, LoratuiError, WorkerError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.export.gguf import find_llama_cpp
from loratui.export.gguf_proof import GgufProof, Reference, missing_for_proof, prove
from loratui.export.llama_server import LlamaServer
from loratui.runs.directory import Run
from loratui.runs.start import create_run

SERVER = """#!{python}
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
import os
port = int(sys.argv[sys.argv.index("--port") + 1])
class Handler(BaseHTTPRequestHandler):
    def log_message(self, *given): pass
    def do_GET(self): self.answer(200, {{"status": "ok"}})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer " + os.environ["LLAMA_API_KEY"]:
            return self.answer(401, {{"error": "no key"}})
        if {status} != 200:
            return self.answer({status}, {{"error": "out of luck"}})
        tokens = [ord(one) + {shift} for one in asked.get("content", "")]
        self.answer(200, {{"tokens": tokens}} if "content" in asked else {{"content": "yes" * len(asked["prompt"])}})
    def answer(self, status, document):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
TOLD = "0.02183 ±    0.01799       0.04740 ±    0.01324     6.192 ±  0.919 %"
PERPLEXITY = f"""#!/bin/sh
echo 'chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence'
echo '   1       9.9999 ±    0.9       {TOLD}    90.000 ±  0.559 %'
echo '   2       {{value}} ±    0.4133       {TOLD}    98.500 ±  0.499 %'
"""
TEXTS = [("ab", [97, 98])]


def tools(folder: Path, *, shift: int = 0, status: int = 200, perplexity: str = "4.25") -> None:
    for name, text in (
        ("llama-server", SERVER.format(python=sys.executable, shift=shift, status=status)),
        ("llama-perplexity", PERPLEXITY.format(value=perplexity)),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    return tmp_path


def said(logits: Path | None = Path("run.logits")) -> Reference:
    return Reference(
        "mine", TEXTS, [[1], [1, 2]], ["yes", "no"], 8, 64, logits, 512, [5.0, 4.2, 4.1], "its held-out rows"
    )


def test_what_both_say_is_counted_and_told(here: Path) -> None:
    """The tool's last lines may be missing: then both are taken over the pieces that it told of."""
    tools(here)
    proof = prove(here / "x.gguf", "q8_0", said(), find_llama_cpp(), lambda what: None)
    assert (proof.texts_equal, proof.answers, proof.answers_equal) == (1, 2, 1)
    assert (proof.perplexity, proof.run_perplexity, proof.same_token) == (4.25, 4.2, 0.985)
    assert proof.holds
    assert proof.words == (
        "1 of 2 greedy answers are the same as the run's; over 510 tokens of its held-out rows its perplexity is "
        "4.25, the run's 4.2; at 98.5 % of them both find the same token likeliest."
    )
    bare = prove(here / "x.gguf", "q8_0", said(None), find_llama_cpp(), lambda what: None)
    assert bare.perplexity is None and "perplexity" not in bare.words


def test_other_tokens_and_another_perplexity_are_not_the_run(here: Path) -> None:
    tools(here, shift=1)
    other = prove(here / "x.gguf", "q8_0", said(), find_llama_cpp(), lambda what: None)
    assert not other.holds and "cuts 1 of 1 texts into other tokens" in other.words
    tools(here, perplexity="4.5")
    worse = prove(here / "x.gguf", "q8_0", said(), find_llama_cpp(), lambda what: None)
    assert not worse.holds and replace(worse, kind="Q4_K_M").holds, "four bits may round that much"
    assert not replace(worse, kind="Q2_K", perplexity=9.0).holds
    tools(here, perplexity="nan")
    assert not prove(here / "x.gguf", "Q2_K", said(), find_llama_cpp(), lambda what: None).holds


def test_tools_that_fail_are_a_sentence(here: Path) -> None:
    tools(here, status=500)
    with pytest.raises(WorkerError, match=r"llama-server refuses \(500\): .*out of luck"):
        prove(here / "x.gguf", "q8_0", said(), find_llama_cpp(), lambda what: None)
    tools(here)
    (here / "llama-perplexity").write_text("#!/bin/sh\necho 'main: n_vocab differs'\nexit 3\n")
    with pytest.raises(WorkerError, match=r"llama-perplexity could not read it \(exit status 3\): main: n_vocab"):
        prove(here / "x.gguf", "q8_0", said(), find_llama_cpp(), lambda what: None)
    (here / "llama-server").write_text("#!/bin/sh\necho 'loading'\necho 'error: unknown model architecture'\nexit 1\n")
    with pytest.raises(WorkerError, match="does not take it: error: unknown model architecture"):
        LlamaServer(str(here / "llama-server"), here / "x.gguf", 64).__enter__()
    (here / "llama-perplexity").unlink()
    assert missing_for_proof(find_llama_cpp()).startswith("llama-perplexity is not here")


def gguf_of(kind: int) -> bytes:
    """The head of a GGUF file: a text, a list of texts, and the format."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    entries = [
        text("general.name") + struct.pack("<I", 8) + text("mine"),
        text("general.tags") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc"),
        text("general.file_type") + struct.pack("<II", 4, kind),
    ]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)


def test_a_file_that_is_there_is_proved_and_stays(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a proof, or with one from before it was written; with one, its words are told."""
    tools(here)
    monkeypatch.setattr("loratui.commands.gguf_proof._reference", lambda source, folder: said())
    model, file, kept = here / "model", here / "x.gguf", here / "x.proof.json"
    model.mkdir()
    (model / "config.json").write_text("{}")
    file.write_bytes(gguf_of(7))

    def again(*options: str) -> str:
        result = CliRunner().invoke(command, [str(model), "-o", str(file), *options])
        if isinstance(result.exception, LoratuiError):
            raise result.exception
        return result.output

    with pytest.raises(InputError, match="holds q8_0 instead of Q4_K_M"):
        again()
    with pytest.raises(InputError, match=r"already\. Choose another name with -o; without --no-proof"):
        again("--format", "q8_0", "--no-proof")
    assert not kept.exists()
    told = again("--format", "q8_0")
    assert "stays as it is. 1 of 2 greedy answers" in told and file.read_bytes() == gguf_of(7)
    assert json.loads(kept.read_text())["perplexity"] == 4.25
    with pytest.raises(InputError, match="with its proof: 1 of 2 greedy answers"):
        again("--format", "q8_0")
    os.utime(file, ns=(kept.stat().st_mtime_ns + 1,) * 2)
    tools(here, perplexity="9")
    with pytest.raises(WorkerError, match="does not answer as the run does"):
        again("--format", "q8_0")
    assert not json.loads(kept.read_text())["holds"], "an older proof speaks of another file"
    kept.unlink()
    for content, problem in ((gguf_of(7)[:-6], "not whole"), (b"GGUF", "not whole"), (b"a person's notes", "no GGUF")):
        file.write_bytes(content)
        with pytest.raises(InputError, match=problem):
            again("--format", "q8_0")
    (here / "llama-server").unlink()
    with pytest.raises(InputError, match="cannot be proved: llama-server is not here"):
        again("--format", "q8_0")


@pytest.mark.worker
def test_logits_are_packed_as_llama_perplexity_reads_them() -> None:
    torch = pytest.importorskip("torch")
    import numpy as np

    from loratui.worker.gguf_reference import _packed

    torch.manual_seed(0)
    logits = torch.randn(7, 33) * 3
    packed = _packed(logits)
    assert packed.shape == (7, 2 * ((33 + 1) // 2) + 4) and packed.dtype == np.uint16
    head = np.ascontiguousarray(packed[:, :4]).view("<f4")
    back = head[:, :1] * packed[:, 4:37] + head[:, 1:]  # scale times number, after the least log-probability
    wanted = logits.log_softmax(-1).numpy()
    near = wanted > wanted.max(-1, keepdims=True) - 15
    assert np.abs(back - wanted)[near].max() < 5e-4


REAL = find_llama_cpp()
WHERE = "set LLAMA_CPP to a built llama.cpp whose .venv has its requirements"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short run on the demo."""
    from loratui.paths import demo_dataset_path, demo_model_path

    values = {
        "model.id": str(demo_model_path()),
        "model.dtype": "fp32",
        "dataset.path": str(demo_dataset_path()),
        "dataset.eval_fraction": 0.1,
        "training.precision": "fp32",
        "training.batch_size": 8,
        "training.max_steps": 12,
        "training.learning_rate": 5e-3,
        "evaluation.every_steps": 12,
    }
    made = create_run(with_values(Plan(), values), output=tmp_path_factory.mktemp("run") / "run")
    subprocess.run([sys.executable, "-m", "loratui.worker", "train", str(made.path)], check=True, capture_output=True)
    return made


@pytest.mark.worker
@pytest.mark.skipif(
    not (REAL.converter and REAL.quantiser and REAL.imatrix) or bool(missing_for_proof(REAL)),
    reason=f"llama.cpp is not here: {WHERE}",
)
@pytest.mark.parametrize("options", [["--format", "f16"], ["--format", "Q3_K_M"], ["--lora"]], ids=" ".join)
def test_a_run_becomes_gguf_to_its_end_and_answers_as_it_was_trained(
    run: Run, options: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "made.gguf"
    result = CliRunner().invoke(command, [str(run.path), *options, "-o", str(output), "--json"])
    if isinstance(result.exception, LoratuiError):
        raise result.exception
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout[result.stdout.index("{") :])
    figures = made["figures"]
    assert made["holds"] and figures["texts_equal"] == figures["texts"] > 10
    assert figures["positions"] >= 1_000 and "held-out rows" in made["proof"]
    exact = options[-1] != "Q3_K_M"
    assert figures["same_token"] > (0.98 if exact else 0.8)
    assert abs(figures["perplexity"] / figures["run_perplexity"] - 1) < (0.01 if exact else 0.5)
    if exact:
        assert figures["answers_equal"] >= 0.7 * figures["answers"]
    assert json.loads((tmp_path / "made.proof.json").read_text())["words"] == made["proof"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.gguf", "made.proof.json"], "nothing else is left"
    if options[-1] == "f16":
        (tmp_path / "made.proof.json").unlink()
        again = CliRunner().invoke(command, [str(run.path), *options, "-o", str(output), "--json"])
        anew = json.loads(again.stdout[again.stdout.index("{") :])["figures"]
        equal = ("kind", "texts_equal", "answers", "answers_equal", "rows")  # the tool's last lines may be missing
        assert [anew[name] for name in equal] == [figures[name] for name in equal]


def test_a_proof_without_a_perplexity_wants_answers() -> None:
    assert not GgufProof("f16", 1, 1, 4, 0).holds and GgufProof("f16", 1, 1, 4, 3).holds
    assert GgufProof("Q2_K", 1, 1, 4, 0).holds
