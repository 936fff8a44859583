"""Residual connections (He et al. 2016): a block of layers adds to its input."""

from __future__ import annotations

from typing_extensions import override

from ..backends import Backend, OptionError, ShapeError, Tensor
from ..backends.protocol import Shape
from .call import without_input_gradient
from .faults import named_error
from .module import Module
from .sequential import Sequential


class Residual(Module):
    """y = f(x) + x, or f(x) + s(x) with a shortcut s.

    Parameters
    ----------
    *layers
        f: the layers of the block, in order.
    shortcut
        s; needed if f changes the shape: a 1x1 convolution with a stride, for example.
    backend
        The backend that computes; the first layer's if None.

    """

    def __init__(
        self, *layers: Module, shortcut: Module | None = None, backend: str | Backend | None = None
    ) -> None:
        self.body = Sequential(*layers, backend=backend)
        super().__init__(self.body.backend)
        if shortcut is not None and (
            not isinstance(shortcut, Module) or shortcut.backend is not self.backend
        ):
            where = f" on {shortcut.backend!r}" if isinstance(shortcut, Module) else ""
            raise OptionError(
                f"Residual: expected shortcut to be a Module on {self.backend!r}, got {shortcut!r}{where}"
            )
        self.shortcut = shortcut

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, ...) -> (N, ...)."""
        b = self.backend
        self.keep()
        y = self.body.forward(x)
        other = x if self.shortcut is None else self.shortcut(x)
        if tuple(b.shape(y)) != tuple(b.shape(other)):
            raise self._unequal(b.shape(y), b.shape(other))
        return b.add(y, other)

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dx = f'(g) + g, or f'(g) + s'(g)."""
        self.kept()
        if self.input_gradient:
            through = self.body.backward(grad_output)
            around = grad_output if self.shortcut is None else self.shortcut.backward(grad_output)
            return self.backend.add(through, around)
        for _, branch in self.named_children():
            with without_input_gradient(branch):
                branch.backward(grad_output)
        return None

    @override
    def output_shape(self, shape: Shape) -> Shape:
        y = self.body.output_shape(shape)
        other = shape if self.shortcut is None else self.shortcut.output_shape(shape)
        if tuple(y) != tuple(other):
            raise self._unequal(y, other)
        return y

    @property
    @override
    def input_shape(self) -> Shape | None:
        return self.body.input_shape

    def _unequal(self, y: Shape, other: Shape) -> Exception:
        what, advice = (
            ("input", "add a shortcut that changes the input's shape")
            if self.shortcut is None
            else ("shortcut", "give both the same shape")
        )
        return named_error(
            ShapeError(
                f"expected layers that give the {what}'s shape {tuple(other)}, got {tuple(y)}; {advice}"
            ),
            self,
        )

    def __repr__(self) -> str:
        inner = "".join(
            f"\n  ({name}): {layer!r}".replace("\n", "\n  ") for name, layer in self.named_children()
        )
        return f"Residual({inner}\n)"
