"""The protocol, its op table, the backends, and the decorators over them. Imports nothing above it."""

from .base import Backend
from .decorators.autodiff import grad, no_grad, variable
from .decorators.variable import Variable
from .errors import (
    BackendError,
    DataError,
    DivergenceError,
    DtypeError,
    LaminaError,
    OptionError,
    ShapeError,
    StateError,
)
from .protocol import Primitives, Tensor
from .select import describe_backends, get_backend, use_backend
from .windows import Window

__all__ = [
    "Backend",
    "BackendError",
    "DataError",
    "DivergenceError",
    "DtypeError",
    "LaminaError",
    "OptionError",
    "Primitives",
    "ShapeError",
    "StateError",
    "Tensor",
    "Variable",
    "Window",
    "describe_backends",
    "get_backend",
    "grad",
    "no_grad",
    "use_backend",
    "variable",
]
