"""Rows for convolutions, plain and transposed."""

from __future__ import annotations

from ..case import LayerCase

CONVOLUTION_CASES: tuple[LayerCase, ...] = ()
