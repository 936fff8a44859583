"""Dropout (Srivastava et al. 2014): values, or whole channels, set to 0 at random while training."""

from __future__ import annotations

from ..backends import Backend, DtypeError, OptionError, Tensor
from ..backends.host import is_floating
from ..backends.protocol import Shape
from .module import Module
from .random import next_stream


class Dropout(Module):
    """y = m x / (1 - p) in training, m being 0 with probability p, else 1; y = x in evaluation.

    The k-th mask of a layer is a function of the seed, of which layer it is, and of k: the same on every
    backend.

    Parameters
    ----------
    p
        The probability of a 0.
    backend
        Where it computes; the current backend if None.

    """

    def __init__(self, p: float = 0.5, *, backend: str | Backend | None = None) -> None:
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
            raise OptionError(f"{type(self).__name__}: p must be a probability from 0 to 1, got {p!r}")
        super().__init__(backend)
        self.p = float(p)
        self.seed, self.stream = next_stream()
        self.step = 0
        """How many masks were drawn; set it to draw one again."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (*) -> (*)."""
        b = self.backend
        shape = self.mask_shape(b.shape(x))
        if not self.training or self.p == 0.0:
            self.keep(None)
            return x
        dtype = b.dtype(x)
        if not is_floating(dtype):
            raise DtypeError(f"expected floats, got {dtype}")
        mask = b.bernoulli(
            shape, 1.0 - self.p, seed=self.seed, stream=self.stream, step=self.step, dtype=dtype
        )
        self.step += 1
        if self.p < 1.0:
            mask = b.divide(mask, 1.0 - self.p, out=mask)
        self.keep(mask)
        return b.multiply(x, mask)

    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = m g / (1 - p) in training, g in evaluation."""
        (mask,) = self.kept()
        return grad_output if mask is None else self.backend.multiply(grad_output, mask)

    def mask_shape(self, shape: Shape) -> Shape:
        """Return the shape of m for an input of `shape`."""
        return shape

    def extra_repr(self) -> str:
        """p."""
        return f"p={self.p}"


class Dropout2d(Dropout):
    """Dropout of whole channels of (N, C, H, W)."""

    def mask_shape(self, shape: Shape) -> Shape:
        """(N, C, 1, 1)."""
        if len(shape) != 4:
            raise self.misfit("(N, C, H, W)", shape)
        return (*shape[:2], 1, 1)
