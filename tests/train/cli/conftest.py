"""An empty working folder, data of several kinds, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command
import pytest
from user_files import write_files

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LAMINA_DTYPE", "LAMINA_SEED", "LAMINA_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAMINA_BACKEND", "numpy")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def lamina() -> Run:
    """Return a function that runs a command line; it checks the exit code and allows no traceback."""

    def run(line: str, code: int = 0) -> Any:
        result = command.run(line.split())
        assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
        assert "Traceback" not in result.output
        if "--json" in line.split():
            assert result.stdout.count("\n") == 1
            result.json = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(word))
            assert isinstance(result.json, dict)
        return result

    return run


@pytest.fixture
def files(folder: Path) -> Path:
    """Write one file of each kind into the folder."""
    write_files()
    return folder
