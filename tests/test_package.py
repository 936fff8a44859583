"""The house: what imports what, what is loaded, and what importing does."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lamina

ROOT = Path(lamina.__file__).parent


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, f"no files in {folders}"
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute names of all modules that a file imports, wherever the import stands."""
    package = ["lamina", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *(node.module or "").split(".")]).strip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("library", ["torch", "numpy", "numba", "scipy"])
def test_layers_and_optimizers_know_no_array_library(library: str) -> None:
    guilty = {
        str(path.relative_to(ROOT)): name
        for path in files("layers", "train/optimizers")
        if "proofs" not in path.relative_to(ROOT).parts
        for name in imports(path)
        if within(name, library)
    }
    assert guilty == {}


def test_the_check_would_see_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "layers" / "deep").mkdir(parents=True)
    path = tmp_path / "layers" / "deep" / "a.py"
    lines = ["def f():", "import numpy as np", "from torch.nn import Linear", "from ...train import x"]
    path.write_text("\n    ".join(lines))
    assert list(imports(path)) == ["numpy", "torch.nn.Linear", "lamina.train.x"]


@pytest.mark.parametrize(
    ("folder", "above"),
    [
        ("backends", ("layers", "train", "bench", "tests")),
        ("layers", ("train", "bench", "tests")),
        ("train", ("bench", "tests")),
    ],
)
def test_dependencies_point_one_way(folder: str, above: tuple[str, ...]) -> None:
    guilty = {
        str(path.relative_to(ROOT)): name
        for path in files(folder)
        for name in imports(path)
        for other in above
        if within(name, f"lamina.{other}") or within(name, other)
    }
    assert guilty == {}


def test_the_package_imports_itself_relatively() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in files("backends", "layers", "train")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""] * (not node.level)
        )
        if name.split(".")[0] in ("lamina", "layers", "backends", "train")
    ]
    assert guilty == []


def test_one_package_of_layers_is_loaded() -> None:
    import lamina.layers

    # pytest makes an empty `tests.layers` for the folder of tests.
    loaded = [name for name in sys.modules if name.endswith(".layers") and name != "tests.layers"]
    assert loaded == ["lamina.layers"]
    assert "layers" not in sys.modules
    assert Path(lamina.layers.__file__).parent == ROOT / "layers"


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {k: v for k, v in os.environ.items() if not k.startswith("LAMINA_")} | environment
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=settings, check=False
    )


@pytest.mark.parametrize("module", ["lamina", "lamina.backends", "lamina.layers", "lamina.train.optimizers"])
def test_importing_is_silent_and_light(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'matplotlib', 'numba', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    # Names that nothing could run: they are looked at when a backend is first used, not at import.
    result = run(code, LAMINA_BACKEND="nowhere", LAMINA_DTYPE="float7")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_proofs_need_no_torch_to_be_read() -> None:
    result = run("import sys, lamina.layers.proofs; assert 'torch' not in sys.modules")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_every_package_is_in_the_wheel() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = ROOT / "pyproject.toml"
    if not project.exists():
        pytest.skip("this is an installed wheel")
    listed = set(tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"])
    there = {
        ".".join(["lamina", *path.parent.relative_to(ROOT).parts])
        for path in files("backends", "layers", "train")
        if path.name == "__init__.py"
    }
    assert there | {"lamina"} == listed
    bare = {path.parent for path in files("backends", "layers", "train")} - {
        path.parent for path in files("backends", "layers", "train") if path.name == "__init__.py"
    }
    assert bare == set(), "these folders have no __init__.py"


@pytest.mark.parametrize("folder", ["layers", "layers/losses", "train/optimizers"])
def test_the_lint_rule_refuses_torch_and_numpy(folder: str) -> None:
    code = "import numpy as np\nimport torch\n\nprint(np, torch)\n"
    command = ["check", "--select", "TID251", "--stdin-filename", f"{folder}/new.py", "-"]
    root = Path(__file__).parents[1]
    ruff = subprocess.run(
        [sys.executable, "-m", "ruff", *command],
        input=code,
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    assert ruff.returncode == 1, ruff.stderr
    assert ruff.stdout.count("TID251") == 2
