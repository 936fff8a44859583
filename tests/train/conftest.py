"""Pictures that take no time, except where a test looks at them."""

from __future__ import annotations

import functools

import pytest

from lamina.train import pictures
from lamina.train.pictures.picture import Picture


@pytest.fixture(autouse=True)
def quick_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pictures' files almost empty and boundaries coarse, unless the test asks for pictures."""
    if not {"whole_pictures", "small_pictures"} & set(request.fixturenames):
        start = {"png": b"\x89PNG", "svg": b"<?xml"}
        monkeypatch.setattr(Picture, "encoded", lambda picture, kind: start[kind])
        coarse = functools.partial(pictures.decision_boundary, resolution=20)
        monkeypatch.setattr(pictures, "decision_boundary", coarse)


@pytest.fixture
def whole_pictures() -> None:
    """Let pictures be drawn as a user sees them."""


@pytest.fixture
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pictures be drawn, with fewer pixels."""
    monkeypatch.setattr(Picture, "savefig", functools.partialmethod(Picture.savefig, dpi=40))
