"""Dropout (Srivastava et al. 2014): random values, or whole channels, are 0 in training."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from ..backends import Backend, StateError, Tensor
from ..backends.options import integer, number, shown
from ..backends.protocol import Shape
from .module import Module
from .random import next_stream


class Dropout(Module):
    """y = m x / (1 - p) in training, where m is 0 with probability p, else 1; y = x in evaluation.

    The k-th mask is a function of the seed, the layer's stream and k, and equal on every backend.

    Parameters
    ----------
    p
        The probability of a 0.
    backend
        The backend that computes; the current one if None.

    """

    def __init__(self, p: float = 0.5, *, backend: str | Backend | None = None) -> None:
        p = number(type(self).__name__, "p", p, least=0, most=1)
        super().__init__(backend)
        self.p = p
        self.seed, self.stream = next_stream()
        self.draws = self.buffer((), 0, dtype="int64", persistent=False)
        """The number of masks drawn so far, a cell ()."""

    @property
    def step(self) -> int:
        """The number of masks drawn so far; set it to draw one again."""
        return int(self.backend.item(self.draws.data))

    @step.setter
    def step(self, step: int) -> None:
        b = self.backend
        b.assign(self.draws.data, b.full((), integer("Dropout", "step", step, least=0), dtype="int64"))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        b = self.backend
        shape, dtype = b.shape(x), self.check_floating(x)
        mask_shape = self.mask_shape(shape)
        if not self.training or self.p == 0.0:
            self.keep(None, shape, dtype)
            return x
        step = self.draws.data
        mask = b.bernoulli(
            mask_shape, 1.0 - self.p, seed=self.seed, stream=self.stream, step=step, dtype=dtype
        )
        self.draws.set(b.add(step, 1))
        if self.p < 1.0:
            mask = b.divide(mask, 1.0 - self.p, out=mask)
        self.keep(mask, shape, dtype)
        return b.multiply(x, mask)

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = m g / (1 - p) in training, g in evaluation."""
        mask, shape, dtype = self.kept()
        self.check_gradient(grad_output, shape, dtype)
        return grad_output if mask is None else self.backend.multiply(grad_output, mask)

    def mask_shape(self, shape: Shape) -> Shape:
        """Return the shape of m for an input of `shape`."""
        return shape

    @override
    def get_extra_state(self) -> Any:
        """Return the seed and the stream of the masks."""
        return {"seed": self.seed, "stream": self.stream}

    @override
    def set_extra_state(self, state: Any) -> None:
        if not isinstance(state, dict) or set(state) != {"seed", "stream"}:
            raise StateError(f"{self}: expected a seed and a stream, got {shown(state)}")
        seed, stream = integer("Dropout", "seed", state["seed"], least=0, most=2**64 - 1), state["stream"]
        if not isinstance(stream, str):
            raise StateError(f"{self}: expected a stream that is a text, got {shown(stream)}")
        self.seed, self.stream = seed, stream

    @override
    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout2d(Dropout):
    """Dropout of whole channels of (N, C, H, W): m is (N, C, 1, 1)."""

    @override
    def mask_shape(self, shape: Shape) -> Shape:
        return (*self.output_shape(shape)[:2], 1, 1)

    @override
    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 4:
            raise self.misfit("(N, C, H, W)", shape)
        return shape
