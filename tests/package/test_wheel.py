"""The wheel, built and started in a clean environment that sees the present libraries and nothing of this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.package


def call(*command: str | Path, cwd: Path) -> str:
    """Output of a command that knows neither this checkout nor its environment."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LORATUI", "COVERAGE"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, "LORATUI_HOME": str(cwd / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
        ROOT,
        cwd=folder,
    )
    return next(folder.glob("loratui-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a program of a new environment that holds this wheel; libraries come from the present one."""
    place = tmp_path_factory.mktemp("clean")
    call(sys.executable, "-m", "venv", "--without-pip", place / "env", cwd=place)
    python = place / "env" / "bin" / "python"
    purelib = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip())
    # a path in a .pth is searched, but its own .pth files are not: an editable install of this checkout stays unseen
    libraries = [path for path in sys.path if Path(path).name == "site-packages"]
    (purelib / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")
    call(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
        wheel,
        cwd=place,
    )

    def run(program: str, *arguments: str) -> str:
        return call(place / "env" / "bin" / program, *arguments, cwd=place)

    return run


def test_everything_is_in_it(wheel: Path) -> None:
    """Each module and each file that is data, and no test."""
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if not name.startswith("loratui-")}
    wanted = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src" / "loratui").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for folder in ("presets", "themes"):
        wanted |= {f"loratui/{folder}/{path.name}" for path in (ROOT / folder).iterdir()}
    assert inside == wanted


def test_it_is_the_installed_one_that_runs(installed: Callable[..., str]) -> None:
    where = installed("python", "-c", "import loratui; print(loratui.__file__)").strip()
    assert not Path(where).is_relative_to(ROOT)
    version = installed("loratui", "--version").split()[-1]
    assert f'"{version}"' in (ROOT / "src" / "loratui" / "__init__.py").read_text(encoding="utf-8")


def test_the_demo_is_planned_from_what_was_shipped(installed: Callable[..., str]) -> None:
    """Demo model, demo data, a preset and the catalogue of GPUs are all found."""
    document = json.loads(
        installed("loratui", "plan", "-m", "demo", "-d", "demo", "--preset", "demo", "--gpu", "RTX 4090", "--json")
    )
    assert document["parameters"]["total"] > 0 and document["schedule"]["total_steps"] > 0
    code = "from loratui.presets_store import load_presets; a, b = load_presets(); print(len(a), len(b))"
    assert installed("python", "-c", code).split() == [str(len(list((ROOT / "presets").glob("*.toml")))), "0"]


def test_the_interface_starts_without_torch(installed: Callable[..., str]) -> None:
    code = (
        "import sys; from loratui.tui.app import LoratuiApp; from loratui.tui.themes import load_themes; "
        "LoratuiApp(); print('torch' in sys.modules)"
    )
    assert installed("python", "-c", code).strip() == "False"


def test_what_it_requires_is_said(wheel: Path) -> None:
    """The wheel's requirements are pyproject's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
    required = {
        line.removeprefix("Requires-Dist: ").split("<")[0].split(">")[0].strip()
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    assert required == {item.split("<")[0].split(">")[0].split("=")[0] for item in project["dependencies"]}
