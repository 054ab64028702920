"""The wheels that travel: what is taken out of them, and what would not fit together."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path

import pytest
import wheels


def make(folder: Path, name: str, version: str, files: dict[str, str], needs: tuple[str, ...] = ()) -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    told += "".join(f"Requires-Dist: {need}\n" for need in needs) + "\nRequires-Dist: prose>=9 (no need)\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**files, f"{about}/METADATA": told, f"{about}/RECORD": "old\n"}.items():
            wheel.writestr(file, text)
    return path


LIBRARIES = {
    f"bitsandbytes/libbitsandbytes_{one}.so": one * 50 for one in ("cpu", "cuda128", "cuda130", "rocm70", "xpu2025")
}


def test_bitsandbytes_keeps_the_one_cuda_that_was_asked_for(tmp_path: Path) -> None:
    wheel = make(tmp_path, "bitsandbytes", "0.50.2", {"bitsandbytes/__init__.py": "x = 1\n", **LIBRARIES})
    wheels.slim(tmp_path, "13.0")
    with zipfile.ZipFile(wheel) as read:
        kept = {name for name in read.namelist() if name.startswith("bitsandbytes/")}
        assert kept == {f"bitsandbytes/{one}" for one in (
            "__init__.py", "libbitsandbytes_cpu.so", "libbitsandbytes_cuda130.so"
        )}  # fmt: skip
        record = read.read("bitsandbytes-0.50.2.dist-info/RECORD").decode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).rstrip(b"=").decode()
    assert f"bitsandbytes/__init__.py,sha256={digest},6\n" in record
    assert "rocm" not in record and record.endswith("bitsandbytes-0.50.2.dist-info/RECORD,,\n")


def test_a_cuda_that_bitsandbytes_lacks_is_said(tmp_path: Path) -> None:
    make(tmp_path, "bitsandbytes", "0.50.2", LIBRARIES)
    with pytest.raises(SystemExit, match=r"no libbitsandbytes_cuda125\.so.*cuda130"):
        wheels.slim(tmp_path, "12.5")


def test_versions_are_those_of_the_constraints() -> None:
    found = wheels.wanted(("trl", "nvidia-ml-py", "uc-micro-py", "trl==1.15.0"))
    known = wheels.constrained()
    assert found == [
        f"trl=={known['trl']}", f"nvidia-ml-py=={known['nvidia-ml-py']}", "uc-micro-py", "trl==1.15.0"
    ]  # fmt: skip
    for name in ("rouge_score", "pydantic_core", "Pygments", "bitsandbytes"):
        assert "==" in wheels.wanted((name,))[0], name


def test_what_does_not_go_together_is_said(tmp_path: Path) -> None:
    needs = ("transformers<=5.16", "datasets>=4", "torch>=2.4; extra == 'never'", "numpy")
    make(tmp_path, "one", "1.0", {}, needs)
    make(tmp_path, "datasets", "3.0", {})
    assert list(wheels.conflicts(tmp_path)) == [
        "one wants transformers<=5.16, and 5.17.0 is there",
        "one wants datasets>=4, and 3.0 is there",
    ]


def test_rows_are_put_beside_them(tmp_path: Path) -> None:
    rows = [{"instruction": "Say hi.", "input": "", "output": "Hi.", "more": 1}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert wheels.put_rows(tmp_path / "rows.json", tmp_path / "rows.jsonl") == 1
    assert json.loads((tmp_path / "rows.jsonl").read_text()) == {"instruction": "Say hi.", "input": "", "output": "Hi."}
