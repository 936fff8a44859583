"""The numpy backend: handles are numpy arrays. It is the cross-check of every other backend."""

from .backend import NumpyBackend

__all__ = ["NumpyBackend"]
