"""What docs/jit.md says is true: its code prints what it shows; files import what stands above them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import lamina

pytestmark = pytest.mark.without_torch
JIT = Path(lamina.__file__).parent / "backends" / "decorators" / "jit"
PAGE = Path(__file__).parents[3] / "docs" / "jit.md"


def test_the_printed_programs_are_the_codes_own(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {"__name__": "docs"}
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    printed, shown = "", 0
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, str(PAGE), "exec"), namespace)
            printed = capsys.readouterr().out
        else:
            assert printed.startswith(block), printed
            shown += 1
    assert shown == 4


def test_files_import_what_stands_above_them() -> None:
    order = re.findall(r"^\| `([a-z]+)(?:\.py|/)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    there = {path.stem for path in JIT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(order) == there - {"__init__"}
    for place, name in enumerate(order):
        file = JIT / f"{name}.py"
        for path in [file] if file.exists() else sorted((JIT / name).glob("*.py")):
            assert _imports(path) <= {*order[:place], *({name} if path != file else ())}, path


def _imports(path: Path) -> set[str]:
    """Return the modules and folders of `jit` that a file imports, except for types alone."""
    level, tree = len(path.relative_to(JIT).parts), ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        n for n in tree.body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))
    ]
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    inside = {(n.module or "").split(".")[0] for n in nodes if n.level == level and n.module}
    siblings = {path.parent.name for n in nodes if 0 < n.level < level}
    return inside | siblings
