"""Legends of curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lamina.train.papers.runner import pictures
from lamina.train.papers.runner.pictures import Band, Panel


def panel(*labels: str) -> Panel:
    """Return a panel with one curve per label, of two runs and three epochs."""
    return Panel(
        "loss", "loss", [Band(label, (1, 2, 3), [(3.0, 2.0, 1.0), (2.0, 1.0, 0.5)]) for label in labels]
    )


@pytest.mark.parametrize(
    ("panels", "below", "inside"),
    [
        ([panel("a", "b"), panel("a", "b")], 0, 2),
        ([panel(*"abcd"), panel(*"abcd")], 1, 0),
        ([panel(*"abcd"), panel(*"abce")], 0, 2),  # different curves
        ([panel("a"), panel()], 0, 1),
    ],
)
def test_panels_with_the_same_many_curves_share_a_legend(
    panels: list[Panel], below: int, inside: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []

    def save(draw: Any, path: Path) -> None:
        from matplotlib.figure import Figure

        draw(figure := Figure(layout="constrained"))
        figures.append(figure)

    monkeypatch.setattr(pictures, "make_figure", save)
    pictures.curves(tmp_path / "curves.png", panels)
    assert len(figures[0].legends) == below
    assert sum(axes.get_legend() is not None for axes in figures[0].axes) == inside
