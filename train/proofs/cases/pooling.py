"""Rows for pooling."""

from __future__ import annotations

from ..case import LayerCase

POOLING_CASES: tuple[LayerCase, ...] = ()
