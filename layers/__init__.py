"""Layers, losses and initialisers, written only against the backend protocol."""

from .activations import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    NaiveConv2d,
)
from .initializers import (
    Constant,
    Initializer,
    KaimingNormal,
    KaimingUniform,
    Normal,
    TorchDefault,
    Uniform,
    XavierNormal,
    XavierUniform,
)
from .linear import Linear
from .losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss, NLLLoss
from .module import Module, inference
from .parameter import Parameter
from .random import manual_seed
from .sequential import Sequential
from .shaping import Flatten, Identity

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "Constant",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CrossEntropyLoss",
    "Flatten",
    "Identity",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "Module",
    "NLLLoss",
    "NaiveConv2d",
    "Normal",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "TorchDefault",
    "Uniform",
    "XavierNormal",
    "XavierUniform",
    "inference",
    "manual_seed",
]
