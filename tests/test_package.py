"""The package: its import graph, what is loaded, and the effects of importing."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import lamina

pytestmark = pytest.mark.without_torch
ROOT = Path(lamina.__file__).parent


def files(*folders: str) -> list[Path]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert paths, f"no files in {folders}"
    return paths


@functools.cache
def statements(path: Path) -> tuple[tuple[ast.Import | ast.ImportFrom, bool], ...]:
    """Return every import of a file, at any depth, and whether it stands under TYPE_CHECKING."""
    found: list[tuple[ast.Import | ast.ImportFrom, bool]] = []

    def visit(node: ast.AST, types: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append((node, types))
        elif not isinstance(node, ast.expr):
            only_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            body = {id(child) for child in node.body} if only_types else set()
            for child in ast.iter_child_nodes(node):
                visit(child, types or id(child) in body)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return tuple(found)


def imports(path: Path, types: bool = True) -> Iterator[str]:
    """Yield the absolute names that a file imports, at any depth; types: also under TYPE_CHECKING."""
    package = ["lamina", *path.relative_to(ROOT).parent.parts]
    for node, hidden in statements(path):
        if hidden and not types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *(node.module or "").split(".")]).strip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("library", ["torch", "numpy", "llvmlite", "scipy"])
def test_layers_and_optimizers_import_no_array_library(library: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): name
        for path in files("layers", "train/optimizers")
        if "proofs" not in path.relative_to(ROOT).parts
        for name in imports(path)
        if within(name, library)
    }
    assert wrong == {}


def test_the_check_would_see_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "layers" / "deep").mkdir(parents=True)
    path = tmp_path / "layers" / "deep" / "a.py"
    lines = ["def f():", "import numpy as np", "from torch.nn import Linear", "from ...train import x"]
    path.write_text("\n    ".join(lines))
    assert list(imports(path)) == ["numpy", "torch.nn.Linear", "lamina.train.x"]


# What the modules of a folder may import besides their own folder; "" is the package's face (`__version__`).
BELOW: dict[str, tuple[str, ...]] = {
    "": (),
    "backends": (),
    "backends.numpy_backend": ("backends",),
    "backends.torch_backend": ("backends",),
    "backends.decorators": ("backends",),
    "backends.conformance": ("backends", "backends.numpy_backend"),
    "layers": ("backends",),
    "train": ("", "backends", "backends.decorators", "backends.conformance", "layers"),
}
FACES = {"backends": "backends.decorators"}
"""What a package's `__init__` offers from a folder above its own modules."""


def import_graph() -> dict[str, list[str]]:
    """Return the modules that each module imports, in functions too, except under TYPE_CHECKING."""
    paths = {_module(path): path for path in [ROOT / "__init__.py", *files("backends", "layers", "train")]}
    return {name: sorted(set(_imported(name, path, paths))) for name, path in paths.items()}


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(name: str, path: Path, modules: Container[str]) -> Iterator[str]:
    for full in imports(path, types=False):
        inside = full.removeprefix("lamina").removeprefix(".")
        module = inside if inside in modules else inside.rpartition(".")[0]
        if within(full, "lamina") and module in modules and module != name:
            yield module


def circle(graph: Mapping[str, Sequence[str]]) -> str:
    """Return a circle as "a -> b -> a"; "" if there is none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        loop = next((c for other in graph[module] if (c := visit(other, [*path, module]))), [])
        done.add(module)
        return loop

    return next((" -> ".join(c) for module in graph if (c := visit(module, []))), "")


def upward(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the imports that BELOW does not allow."""

    def folder(module: str) -> str:
        return max((name for name in BELOW if not name or within(module, name)), key=len)

    return [
        f"{module} -> {other}"
        for module, others in graph.items()
        for other in others
        if folder(other) not in (folder(module), *BELOW[folder(module)], FACES.get(module))
    ]


def test_no_module_imports_itself_through_others() -> None:
    assert circle(import_graph()) == ""


def test_dependencies_point_one_way() -> None:
    assert upward(import_graph()) == []


def test_the_import_graph_shows_circles_and_upward_arrows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    sources = {
        "__init__": "",
        "train/__init__": "",
        "layers/__init__": "",
        "layers/a": "def f():\n    from .b import x",
        "layers/b": "import typing\nif typing.TYPE_CHECKING:\n    from ..train import y\nfrom .c import z",
        "layers/c": "from . import a\nfrom ..backends.numpy_backend import d",
        "backends/numpy_backend": "from ..train import x",
    }
    for name, source in sources.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    graph = import_graph()
    assert circle(graph) == "layers.a -> layers.b -> layers.c -> layers.a"
    assert upward(graph) == ["backends.numpy_backend -> train", "layers.c -> backends.numpy_backend"]


def test_the_package_imports_itself_relatively() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in files("backends", "layers", "train")
        for node, _ in statements(path)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""] * (not node.level)
        )
        if name.split(".")[0] in ("lamina", "layers", "backends", "train")
    ]
    assert wrong == []


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
        "heavy = {'torch', 'matplotlib', 'llvmlite', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    # These names are wrong, but only the first use of a backend reads them.
    result = run(code, LAMINA_BACKEND="nowhere", LAMINA_DTYPE="float7")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_proofs_are_imported_without_torch() -> None:
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
