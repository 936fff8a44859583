"""Carlier: modules with a forward pass alone, and parameters that are attributes.

Section 2. `Variable` is Lamina's `variable`: `x.t() - x.exp()`, `pow`, `sum`, `draw_graph`, `backward`,
`grad`. A loss is a Variable; its `backward()` walks the graph of operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .... import layers
from ....backends import Backend, OptionError, ShapeError, StateError
from ....backends.decorators.autodiff import no_grad, tape_backend
from ....backends.decorators.autodiff import variable as Variable  # noqa: N812  # called as a class in the paper
from ....backends.decorators.variable import Variable as Handle
from ....layers.parameter import Parameter
from .arrays import tensor

__all__ = ["Linear", "Module", "ReLU", "Sequential", "Sigmoid", "Softmax", "Variable"]


class _Dialect(layers.Module):
    """The methods of every module in this paper (section 2.3)."""

    def __call__(self, x: Any) -> Any:
        """Run `forward` on a Variable or an array (N, ...)."""
        return super().__call__(tensor(self.backend, x))

    def params(self) -> list[Handle]:
        """Return the Variables among the attributes, in lists of them, and in sub-modules."""
        return list({id(v): v for v in self._attributes()}.values())

    def zero_grad(self) -> None:
        """Forget all gradients."""
        super().zero_grad()
        for variable in self.params():
            variable.zero_grad()

    def gradient_step(self, lr: float) -> None:
        """p = p - lr dL/dp for each parameter."""
        b, params, cells = self.backend, self.params(), {id(p.data): p for p in self.parameters()}
        if any(variable.grad is None for variable in params):
            raise StateError("gradient_step: a parameter has no gradient; call loss.backward() first")
        with no_grad():
            for variable in params:
                grad: Any = variable.grad
                value: Any = b.sgd_step(variable, grad, lr)  # type: ignore[arg-type]  # handles are Variables
                if id(variable) in cells:
                    cells[id(variable)].set(value)
                else:
                    variable.tensor = value.tensor

    def _attributes(self) -> Iterator[Handle]:
        for _, module in self.named_modules():
            for attribute in list(vars(module).values()):
                for item in attribute if isinstance(attribute, list | tuple) else (attribute,):
                    value: Any = item.data if isinstance(item, Parameter) else item
                    if isinstance(value, Handle) and value.requires_grad and value.grad_op is None:
                        yield value


class Module(_Dialect):
    """Base of modules: a subclass sets Variables and Modules as attributes and defines `forward(input)`.

    Parameters
    ----------
    backend
        Where it computes: an `autodiff` stack around this backend, or around the current one.

    """

    def __init__(self, backend: str | Backend | None = None) -> None:
        super().__init__(tape_backend(backend))


class Linear(_Dialect, layers.Linear):
    """y = x Wᵀ + b, initially W by Xavier's rule and b = 0."""

    def __init__(self, in_dim: int, out_dim: int, *, backend: str | Backend | None = None) -> None:
        weight, bias = layers.XavierNormal(), layers.Constant(0.0)
        super().__init__(in_dim, out_dim, weight_init=weight, bias_init=bias, backend=tape_backend(backend))

    def __repr__(self) -> str:
        return f"Linear(in_dim={self.in_features}, out_dim={self.out_features})"


class ReLU(Module, layers.ReLU):
    """max(x, 0)."""

    def __repr__(self) -> str:
        return "ReLU"


class Sigmoid(Module, layers.Sigmoid):
    """1 / (1 + e⁻ˣ)."""

    def __repr__(self) -> str:
        return "Sigmoid"


class Softmax(Module):
    """e^x / Σ e^x along `dim`; the sum is repeated to x's shape instead of broadcast.

    x is first shifted by its maximum, which the paper omits; without it, large values overflow.
    """

    def __init__(self, dim: int, *, backend: str | Backend | None = None) -> None:
        super().__init__(backend)
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """x: (*) -> (*), positive, with sum 1 along dim."""
        shape = x.shape
        if not -len(shape) <= self.dim < len(shape):
            raise ShapeError(f"expected an input with an axis {self.dim}, got {shape}")
        dim = self.dim % len(shape)
        times = [n if axis == dim else 1 for axis, n in enumerate(shape)]
        powers = (x - x.max(dim, keepdims=True).detach().repeat(*times)).exp()
        return powers / powers.sum(dim, keepdims=True).repeat(*times)

    def __repr__(self) -> str:
        return f"Softmax(dim={self.dim})"


class Sequential(_Dialect, layers.Sequential):
    """Modules in order, printed as in section 3.1."""

    def __init__(self, *modules: layers.Module, backend: str | Backend | None = None) -> None:
        if not modules and backend is None:
            raise OptionError("Sequential: expected Modules, got none")
        super().__init__(*modules, backend=None if backend is None else tape_backend(backend))

    def forward(self, x: Any) -> Any:
        """x: a Variable or an array (N, ...) -> (N, ...)."""
        return super().forward(tensor(self.backend, x))

    def __repr__(self) -> str:
        inner = "".join(f"\n  {i}: {module!r}" for i, module in enumerate(self))
        return f"Sequential({inner}\n)"
