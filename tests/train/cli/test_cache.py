"""`lamina cache`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lamina.backends.decorators.jit.objects import Objects, key_of


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "objects"))
    return tmp_path / "objects"


def test_it_shows_and_clears(lamina: Any, place: Path) -> None:
    assert lamina("cache --json").json == {"folder": str(place), "entries": 0, "bytes": 0, "cleared": False}
    for i in range(2):
        Objects(place).put(key_of(str(i)), bytes(10**6))
    shown = "".join(lamina("cache").stdout.split("\n"))
    assert shown == f"{place}: 2 compiled programs, 1.9 MB of at most 256 MB."
    assert lamina("cache --json").json["entries"] == 2
    cleared = "".join(lamina("cache --clear").stdout.split("\n"))
    assert cleared == f"Deleted 2 compiled programs, 1.9 MB, from {place}."
    assert lamina("cache --clear --json").json == {
        "folder": str(place),
        "entries": 0,
        "bytes": 0,
        "cleared": True,
    }
    assert list(place.iterdir()) == []


def test_it_is_off(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CACHE", "off")
    assert lamina("cache --clear").stdout == "The cache is off (LAMINA_CACHE=off).\n"
    assert lamina("cache --json").json["folder"] is None


def test_a_relative_folder_is_an_error(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CACHE", "here")
    assert "expected an absolute path or 'off', got 'here'" in lamina("cache", code=2).stderr
