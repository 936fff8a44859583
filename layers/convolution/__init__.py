"""Convolution: as its definition says, by unfold, and transposed."""
