"""Pooling: the maximum or the mean of each window, or of the whole image."""
