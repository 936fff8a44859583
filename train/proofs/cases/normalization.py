"""Rows for batch, layer and group normalisation."""

from __future__ import annotations

from ..case import LayerCase

NORMALIZATION_CASES: tuple[LayerCase, ...] = ()
