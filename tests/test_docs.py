"""The code in README and docs runs, and the op page is the op table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lamina.backends.optable import page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
IN_ORDER = ("jit.md",)
"""Pages whose blocks use what earlier blocks define."""


def blocks(path: Path) -> list[str]:
    found = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    return ["\n".join(found[: i + 1]) for i in range(len(found))] if path.name in IN_ORDER else found


BLOCKS = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}-{i}")
    for path in PAGES
    for i, code in enumerate(blocks(path))
]


@pytest.mark.parametrize("code", BLOCKS)
def test_code_in_the_docs_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "import torch" in code:
        pytest.importorskip("torch", reason="the example is about torch")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs", "exec"), {"__name__": "docs"})


def test_the_op_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m lamina.backends.optable > docs/ops.md"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_page_is_empty(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").split()) > 100


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert not missing
