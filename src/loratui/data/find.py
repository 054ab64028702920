"""Find a dataset: the demo, a file, a folder of files, or a dataset of the hub in the local cache."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from loratui.core.errors import DatasetError
from loratui.core.near import near
from loratui.core.plan import DatasetSection
from loratui.data.archive import members, unpacked
from loratui.data.contents import head_of, is_json, splits_of
from loratui.data.encodings import UTF8, require_encoding
from loratui.data.found import DataFile, FoundDataset
from loratui.data.hub import find_cached
from loratui.data.hub_download import fetch_dataset
from loratui.data.open_file import data_kind, open_bytes
from loratui.data.pointers import require_file, require_no_annex_link
from loratui.paths import demo_dataset_path, demo_heldout_path, is_there, without_tilde

READABLE = "JSON, JSONL, CSV, TSV, Parquet, Arrow and text files are read, also as .gz, .bz2, .xz, .zst or .zip."
IGNORED = frozenset(
    {
        "dataset_info.json",
        "dataset_infos.json",
        "dataset_dict.json",
        "state.json",
        "package.json",
        "config.json",
        "requirements.txt",
        "license.txt",
        "readme.txt",
        "index.json",
    }
)
OF_A_MODEL = frozenset(
    {
        "added_tokens.json",
        "chat_template.json",
        "generation_config.json",
        "merges.txt",
        "preprocessor_config.json",
        "processor_config.json",
        "quantize_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "trainer_state.json",
        "vocab.json",
        "vocab.txt",
    }
)
"""Names that are no rows where they lie beside a model's or an adapter's own description."""
MODEL_DESCRIPTION = "config.json"
DESCRIPTIONS = (MODEL_DESCRIPTION, "adapter_config.json")
DESCRIPTION_BYTES = 1 << 20
"""So much of a description is looked at."""
WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".gguf", ".pth", ".pt")
EVALUATION_WORDS = frozenset({"test", "valid", "validation", "eval", "evaluation", "dev", "val", "heldout"})


def find_dataset(path: str, *, split: str = "train", configuration: str = "", encoding: str = UTF8) -> FoundDataset:
    """The dataset that `path` names: `demo`, a file, a folder or a hub id. DatasetError in one sentence."""
    encoding = require_encoding(encoding)
    found = _find(path, split, configuration, encoding)
    if encoding == UTF8:
        return found
    files, held = (
        tuple(file._replace(encoding=encoding) for file in files) for files in (found.files, found.eval_files)
    )
    return replace(found, files=files, eval_files=held)


def lies_here(path: str) -> bool:
    """Whether a dataset that a plan names is on this disk already, so that nothing is fetched to find it."""
    return path == "demo" or is_there(path)


def require_findable(path: str) -> None:
    """DatasetError where a dataset that a plan names is neither on this disk nor called as one of the hub."""
    if path and not lies_here(path) and not _may_be_of_hub(path):
        raise _missing(path, without_tilde(path))


def _may_be_of_hub(path: str) -> bool:
    place = without_tilde(path)
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", path)) and not data_kind(place) and not place.parent.is_dir()


def _find(path: str, split: str, configuration: str, encoding: str) -> FoundDataset:
    if not path.strip():
        raise DatasetError("no dataset was named.", hint="Give a file, a folder, a hub id, or demo.")
    if path == "demo":  # also where a run or a folder of that name lies here, which ./demo names
        return _demo()
    place = without_tilde(path)
    try:
        if place.is_dir():
            return _folder(path, place)
        if place.exists():
            return _one_file(path, place, encoding)
    except OSError as error:
        raise DatasetError(f"it cannot be looked at: {error.strerror or error}.", where=path) from error
    except ValueError as error:
        raise DatasetError(f"this cannot be a path: {error}.", where=repr(path)) from error
    if _may_be_of_hub(path):
        return _of_hub(path, split, configuration)
    raise _missing(path, place)


def _one_file(path: str, place: Path, encoding: str) -> FoundDataset:
    """A file: its rows, those of its splits, or those of the files that an archive holds."""
    if _is_of_a_model(place):
        raise _no_dataset(path, f"{place.name} is part of", place.parent)
    require_file(place)
    if place.stat().st_size and len(members(place)) > 1:
        inside = _folder(path, unpacked(place))
        return FoundDataset(path, place.name, "file", inside.files, inside.eval_files, f"archive: {inside.note}")
    file = _file(place)._replace(encoding=encoding)
    training, held_out = splits_of(file)
    if not training:
        return FoundDataset(path, place.name, "file", (file,), note=_surprise(file))
    names = [", ".join(part.part for part in parts) for parts in (training, held_out)]
    return FoundDataset(
        path, place.name, "file", training, held_out, f"trained on: {names[0]}; held out by name: {names[1]}"
    )


def _surprise(file: DataFile) -> str:
    """What a file holds that its name does not say."""
    return "its lines are JSON, though its name says text" if data_kind(file.path) == "txt" != file.kind else ""


def _of_hub(id: str, split: str, configuration: str) -> FoundDataset:
    """A dataset of the hub: from the local cache, fetched into it first where it is not there."""
    found = find_cached(id, split=split, configuration=configuration)
    if found is None:
        fetch_dataset(id, split=split, configuration=configuration)
        found = find_cached(id, split=split, configuration=configuration)
    if found is None:
        raise DatasetError(
            "it was fetched, and there are no rows in it.", where=id, hint="Choose another split or configuration."
        )
    return found


def find_planned(section: DatasetSection) -> FoundDataset:
    """The dataset that a plan names, as it names it."""
    return find_dataset(
        section.path, split=section.split, configuration=section.configuration, encoding=section.encoding
    )


def find_evaluation(section: DatasetSection) -> FoundDataset:
    """The evaluation file or folder that a plan names."""
    return find_dataset(section.eval_path, split="test", encoding=section.encoding)


def _demo() -> FoundDataset:
    rows, heldout = demo_dataset_path(), demo_heldout_path()
    if not rows.is_file():
        raise DatasetError("the demo's rows are missing.", where=str(rows), hint="Install loratui again.")
    evaluation = (_file(heldout),) if heldout.is_file() else ()
    return FoundDataset("demo", "demo", "demo", (_file(rows),), evaluation)


def _missing(path: str, place: Path) -> DatasetError:
    require_no_annex_link(place)
    folder = place.parent
    if not folder.is_dir():
        return DatasetError("no such file or folder.", where=path, hint=f"There is no folder {folder} either.")
    seen = [item for item in folder.iterdir() if not item.name.startswith(".")]
    names = sorted(item.name for item in seen if item.is_dir() or data_kind(item) not in ("", "unknown"))
    meant = near(place.name, names, 3)
    shown = folder if str(folder) != "." else "this folder"
    if meant:
        return DatasetError("no such file or folder.", where=path, hint=f"Did you mean {' or '.join(meant)}?")
    hint = (
        f"In {shown} there are: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}."
        if names
        else f"There is no data in {shown}."
    )
    return DatasetError("no such file or folder.", where=path, hint=hint)


def _file(path: Path) -> DataFile:
    require_file(path)
    kind = data_kind(path)
    if kind in ("", "unknown"):
        kind = _kind_by_content(path)
    about = path.stat()
    if about.st_size == 0:
        raise DatasetError("the file is empty.", where=str(path), hint="Give a file that holds rows.")
    if kind == "txt" and is_json(head_of(path)):
        kind = "jsonl"
    return DataFile(path, kind, about.st_size, about.st_mtime_ns)


def _kind_by_content(path: Path) -> str:
    with open_bytes(path) as stream:
        try:
            start = stream.read(4096)
        except (OSError, EOFError) as error:
            raise DatasetError(f"the file cannot be read: {error}.", where=str(path)) from error
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"ARROW1"):
        return "arrow"
    if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return "jsonl"
    raise DatasetError(
        f"{path.suffix or 'this file'} is no kind of data file that loratui reads.", where=str(path), hint=READABLE
    )


def is_data_file(path: Path) -> bool:
    """Whether a name in a listing looks like a data file: for the file browser, without opening it."""
    return (
        not path.name.startswith((".", "_"))
        and path.name.lower() not in IGNORED
        and data_kind(path) not in ("", "unknown")
    )


def _folder(path: str, place: Path) -> FoundDataset:
    files = sorted(item for item in _below(place) if _may_hold_rows(item) and item.stat().st_size > 0)
    if not any(item.parent == place for item in files) and any(_is_of_a_model(item) for item in place.iterdir()):
        raise _no_dataset(path, "this folder is", place)
    if not files:
        for item in sorted(place.iterdir()):
            require_no_annex_link(item)
        if (place / MODEL_DESCRIPTION).is_file():
            raise _no_dataset(path, "this folder is", place)
        raise DatasetError("there is no data file in this folder.", where=path, hint=READABLE)
    kinds = [data_kind(item) for item in files]
    kind = max(
        sorted(set(kinds)),
        key=lambda name: sum(f.stat().st_size for f, k in zip(files, kinds, strict=True) if k == name),
    )
    taken = [item for item, name in zip(files, kinds, strict=True) if name == kind]
    left = [item.name for item, name in zip(files, kinds, strict=True) if name != kind]
    evaluation = [item for item in taken if is_evaluation(item, place)]
    training = [item for item in taken if item not in evaluation] or taken
    evaluation = [item for item in evaluation if item not in training]
    notes = [
        (
            f"{len(training)} {kind} file{'s' if len(training) > 1 else ''}: "
            f"{', '.join(item.name for item in training[:4])}{' …' if len(training) > 4 else ''}"
        )
    ]
    if evaluation:
        notes.append(f"held out by name: {', '.join(item.name for item in evaluation[:4])}")
    if left:
        notes.append(f"not read: {', '.join(left[:4])}{' …' if len(left) > 4 else ''}")
    taken_files = tuple(map(_file, training))
    if surprise := next(filter(None, map(_surprise, taken_files)), ""):
        notes.append(surprise)
    return FoundDataset(
        path, place.resolve().name, "folder", taken_files, tuple(map(_file, evaluation)), "; ".join(notes)
    )


def _below(place: Path) -> list[Path]:
    """Files in a folder and, where it has none itself, in the folders below it (two deep)."""
    for pattern in ("*", "*/*", "*/*/*"):
        files = [
            item
            for item in place.glob(pattern)
            if item.is_file() and not any(part.startswith(".") for part in item.relative_to(place).parts)
        ]
        if any(_may_hold_rows(item) for item in files):
            return files
    return []


def _may_hold_rows(path: Path) -> bool:
    return is_data_file(path) and not _is_of_a_model(path)


def _is_of_a_model(path: Path) -> bool:
    """Whether a file belongs to the model or the adapter in whose folder it lies."""
    name = path.name.lower()
    if not (name in DESCRIPTIONS or name in OF_A_MODEL or name.endswith(WEIGHTS)):
        return False
    return any(_describes_a_model(path.parent / about) for about in DESCRIPTIONS)


def _describes_a_model(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(DESCRIPTION_BYTES)
    except OSError:
        return False
    return any(word in start for word in (b'"model_type"', b'"architectures"', b'"peft_type"'))


def _no_dataset(path: str, what: str, folder: Path) -> DatasetError:
    """Where the folder of a model, or a file of it, was given as the rows: what it is, and where it belongs."""
    kind, belongs = "an adapter", "name it as lora.adapter to train it further"
    if (folder / MODEL_DESCRIPTION).is_file():
        kind, belongs = "a model", "choose it as the model (step 2, or --model)"
    words = f"{what} {kind}, not a dataset: {belongs}, and a file with rows as the dataset."
    return DatasetError(words, where=path)


def is_evaluation(path: Path, root: Path) -> bool:
    """Whether a file's name or folder says that it holds evaluation rows."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else (path.name,)
    words = {word for part in parts for word in re.split(r"[^a-z]+", part.lower().split(".")[0])}
    return bool(words & EVALUATION_WORDS) and "train" not in words
