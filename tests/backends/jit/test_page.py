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
    assert shown == 3


def test_files_import_what_stands_above_them() -> None:
    order = re.findall(r"^\| `([a-z]+)(?:\.py|/)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert order[0] == "instructions"
    assert order[-1] == "decorator"
    for place, name in enumerate(order):
        for path in (
            [JIT / f"{name}.py"] if (JIT / f"{name}.py").exists() else sorted((JIT / name).glob("*.py"))
        ):
            above = {*order[:place], name} if path.parent != JIT else set(order[:place])
            assert _imports(path) <= above, path


def _imports(path: Path) -> set[str]:
    """Return the modules and folders of `jit` that a file imports."""
    level = len(path.relative_to(JIT).parts)
    nodes = [
        n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)
    ]
    inside = {(n.module or "").split(".")[0] for n in nodes if n.level == level and n.module}
    siblings = {path.parent.name for n in nodes if 0 < n.level < level}
    return inside | siblings
