"""Plans from other tools' configurations, with a list of what did not carry over. Pure: takes what a YAML reader
made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loratui.core.errors import PlanError
from loratui.core.imports.reader import Imported
from loratui.core.imports.tools import import_axolotl, import_llama_factory, import_trl


def import_configuration(document: Any, where: str = "") -> Imported:
    """A configuration of whichever tool it is for, told by its keys. Raises PlanError where it is none that is
    known.
    """
    if not isinstance(document, Mapping):
        raise PlanError("this is not a configuration: it holds no keys.", where=where)
    keys = {str(key) for key in document}
    settings = {str(key): value for key, value in document.items()}
    if "base_model" in keys:
        return import_axolotl(settings)
    if keys & {"finetuning_type", "cutoff_len", "stage", "lora_rank", "lora_target"}:
        return import_llama_factory(settings)
    if keys & {
        "model_name_or_path",
        "per_device_train_batch_size",
        "num_train_epochs",
        "lr_scheduler_type",
        "use_peft",
        "max_seq_length",
        "learning_rate",
    }:
        return import_trl(settings)
    raise PlanError(
        "this is no configuration that loratui knows.",
        where=where,
        hint="It reads those of Axolotl (base_model), LLaMA-Factory (finetuning_type) and TRL (model_name_or_path).",
    )


__all__ = ["Imported", "import_axolotl", "import_configuration", "import_llama_factory", "import_trl"]
