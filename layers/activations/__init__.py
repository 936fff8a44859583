"""Activations: piecewise linear, smooth, and softmax."""

from .piecewise import Hardtanh, LeakyReLU, ReLU, ReLU6
from .smooth import ELU, GELU, SELU, Sigmoid, SiLU, Softplus, Tanh
from .softmax import LogSoftmax, Softmax

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Hardtanh",
    "LeakyReLU",
    "LogSoftmax",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]
