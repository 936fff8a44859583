"""Rows for dropout, embeddings and residual blocks."""

from __future__ import annotations

from ..case import LayerCase

REGULARIZATION_CASES: tuple[LayerCase, ...] = ()
