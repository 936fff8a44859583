"""Rows for the smooth and the piecewise linear activations."""

from __future__ import annotations

from ..case import LayerCase

ACTIVATIONS_CASES: tuple[LayerCase, ...] = ()
