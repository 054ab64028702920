"""A model that brings code of its own: the demo with a class in its folder that leaves a mark wherever it runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from loratui.paths import demo_model_path

MODELING = """
from pathlib import Path
from transformers import LlamaForCausalLM

Path({mark!r}).open("a").write("ran\\n")


class OwnForCausalLM(LlamaForCausalLM):
    pass
"""


def remote_model(folder: Path, mark: Path) -> Path:
    """Make it in `folder`; its code writes a line into `mark`."""
    shutil.copytree(demo_model_path(), folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_own.py").write_text(MODELING.format(mark=str(mark)))
    return folder
