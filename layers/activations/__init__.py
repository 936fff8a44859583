"""Activations: piecewise linear ones, smooth ones, and softmax."""

from .piecewise import LeakyReLU, ReLU
from .smooth import Sigmoid, Tanh
from .softmax import LogSoftmax, Softmax

__all__ = ["LeakyReLU", "LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Tanh"]
