"""The protocol, its op table, the backends, and the decorators over them. Imports nothing above it."""

from .base import Backend
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
    "describe_backends",
    "get_backend",
    "use_backend",
]
