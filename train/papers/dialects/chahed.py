"""Chahed, Karray, Hammami: a loss is made with its network, and backpropagation starts at the loss.

Section IV. `loss.backward()` takes and returns nothing. It stores gradients in the network, and an optimizer
over `network.param()` uses them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from typing_extensions import override

from .... import layers
from ....backends import Backend, OptionError, Tensor
from ....layers.module import ParameterList
from ... import optimizers
from ...optimizers import SGD, Adam
from .arrays import tensor

__all__ = [
    "BCE",
    "MSE",
    "SGD",
    "Adam",
    "LeakyReLU",
    "Linear",
    "Loss",
    "Module",
    "Momentum",
    "RMSprop",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
]


class Module(layers.Module):
    """A module with `param()` for its parameters (section IV-A)."""

    def __call__(self, x: Any) -> Tensor:
        """Run `forward` on an array or a handle (N, ...)."""
        return super().__call__(tensor(self.backend, x))

    def param(self) -> ParameterList:
        """Return the parameters, for an optimizer."""
        return self.parameters()


class Sequential(Module, layers.Sequential):
    """Modules in order (section IV-B, eq. 1 and 2)."""

    @override
    def forward(self, x: Any) -> Tensor:
        """x: an array or a handle (N, ...) -> (N, ...)."""
        return super().forward(tensor(self.backend, x))


class Linear(Module, layers.Linear):
    """y = x Wᵀ + b, initially W by Xavier's rule and b = 0 (section IV-C)."""

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        initializer: layers.Initializer | None = None,
        *,
        backend: str | Backend | None = None,
    ) -> None:
        weight, bias = initializer or layers.XavierUniform(), layers.Constant(0.0)
        super().__init__(dim_in, dim_out, weight_init=weight, bias_init=bias, backend=backend)


class ReLU(Module):
    """max(0, x); the derivative at 0 is `at_zero`: 1 in table I, 0 in Lamina and torch."""

    def __init__(self, at_zero: Literal[0, 1] = 1, *, backend: str | Backend | None = None) -> None:
        if at_zero not in (0, 1):
            raise OptionError(f"ReLU: expected at_zero 0 or 1, got {at_zero!r}")
        super().__init__(backend)
        self.at_zero = at_zero

    @override
    def forward(self, x: Tensor) -> Tensor:
        self.keep(x)
        return self.backend.relu(x)

    @override
    def backward(self, grad_output: Tensor) -> Tensor:
        """dL/dx = g where x > 0 (x ≥ 0 if `at_zero` is 1), else 0."""
        b, (x,) = self.backend, self.kept()
        above = b.less_equal(0.0, x) if self.at_zero else b.less(0.0, x)
        return b.where(above, grad_output, 0.0)


class LeakyReLU(Module, layers.LeakyReLU):
    """max(0, x) + α min(0, x); the derivative at 0 is α (table I, and torch)."""


class Sigmoid(Module, layers.Sigmoid):
    """1 / (1 + e⁻ˣ) (table I)."""


class Tanh(Module, layers.Tanh):
    """tanh x (table I); the printed exponentials would give NaN at large x."""


class Loss:
    """A loss with its network (section IV-E).

    Parameters
    ----------
    network
        `backward` continues through it.
    gradient
        "mean": the derivative of the loss. "sum": the same without 1/n, as table II prints it.

    """

    kind: ClassVar[type[layers.MSELoss] | type[layers.BCELoss]]
    reduction: ClassVar[str]

    def __init__(self, network: layers.Module, *, gradient: Literal["mean", "sum"] = "mean") -> None:
        name = type(self).__name__
        if not isinstance(network, layers.Module):
            raise OptionError(f"{name}: expected a network, got {network!r}")
        if gradient not in ("mean", "sum"):
            raise OptionError(f"{name}: expected gradient 'mean' or 'sum', got {gradient!r}")
        self.network = network
        self._value = self.kind(reduction=self.reduction, backend=network.backend)
        self._slope = self._value
        if gradient == "sum":
            self._slope = self.kind(reduction="sum", backend=network.backend)

    def __call__(self, prediction: Any, target: Any) -> Tensor:
        """Return the loss of a prediction and a target (N, ...), 0-d."""
        b = self.network.backend
        prediction, target = tensor(b, prediction), tensor(b, target)
        if self._slope is not self._value:
            self._slope(prediction, target)
        return self._value(prediction, target)

    forward = __call__

    def backward(self) -> None:
        """Backpropagate from the loss through the network; gradients replace earlier ones."""
        gradient = self._slope.backward()
        self.network.zero_grad()
        self.network.backward(gradient)


class MSE(Loss):
    """1/n Σ (y - ŷ)² over n samples (table II)."""

    kind, reduction = layers.MSELoss, "batchmean"


class BCE(Loss):
    """-y ln ŷ - (1 - y) ln(1 - ŷ), averaged over all elements (table II)."""

    kind, reduction = layers.BCELoss, "mean"


class Momentum(SGD):
    """v = γ v + η g, θ = θ - v: the learning rate inside v (eq. 5)."""

    def __init__(self, parameters: Iterable[Any], lr: float = 1e-2, gamma: float = 0.9) -> None:
        super().__init__(parameters, lr, momentum=gamma, momentum_form="lr_inside")


class RMSprop(optimizers.RMSprop):
    """v = γ v + (1 - γ) g², θ = θ - η g / √(v + ε): epsilon inside the root (eq. 6)."""

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3, gamma: float = 0.9, eps: float = 1e-8
    ) -> None:
        super().__init__(parameters, lr, alpha=gamma, eps=eps, eps_inside_root=True)
