"""Félisaz, Jacqueroud, Rezaie: inputs as columns, named layers, and optimizer settings in the model.

Section II. `model(x)`, `model.grad(y)` and `model.backward()` make one step; `model.layers` shows weights and
gradients.
"""

from __future__ import annotations

from collections import UserDict
from typing import Any, Literal

from .... import layers
from ....backends import Backend, OptionError, ShapeError, StateError, Tensor
from ....backends.errors import did_you_mean
from ....backends.options import number
from ....layers.parameter import Parameter
from ...optimizers import SGD
from ..runner.mean_error import MeanErrorLoss
from .arrays import tensor

_LOSSES: dict[str, tuple[type[layers.Loss], str]] = {
    "sum": (layers.MSELoss, "sum"),
    "mean": (layers.MSELoss, "batchmean"),
    "mean_error": (MeanErrorLoss, "sum"),
}


class Linear(layers.Linear):
    """A fully connected layer with the paper's names of parameters (section II-E)."""

    def __init__(self, in_features: int, out_features: int, *, backend: str | Backend | None = None) -> None:
        super().__init__(in_features, out_features, backend=backend)

    @property
    def _weights(self) -> Tensor:
        """W: (out, in)."""
        return self.weight.data

    @property
    def _bias(self) -> Tensor:
        """b: (out,)."""
        assert self.bias is not None
        return self.bias.data

    @property
    def _d_weights(self) -> Tensor:
        """dL/dW (out, in) of the last `model.grad`."""
        return self._gradient("_d_weights", self.weight)

    @property
    def _d_bias(self) -> Tensor:
        """dL/db (out,) of the last `model.grad`."""
        assert self.bias is not None
        return self._gradient("_d_bias", self.bias)

    def _gradient(self, name: str, parameter: Parameter) -> Tensor:
        if parameter.grad is None:
            raise StateError(f"{name}: there is no gradient yet; call model.grad(y) first")
        return parameter.grad

    def __repr__(self) -> str:
        return f"Fully-connected layer: in_features:{self.in_features}, out_features:{self.out_features}"


class ReLU(layers.ReLU):
    """max(x, 0)."""

    def __repr__(self) -> str:
        return "ReLU activation"


class Tanh(layers.Tanh):
    """tanh x."""

    def __repr__(self) -> str:
        return "Tanh activation"


class LossMSE:
    """The squared error, summed over the K outputs and averaged over the samples (section II-C)."""

    def __init__(self, *, backend: str | Backend | None = None) -> None:
        self._loss = layers.MSELoss("batchmean", backend=backend)

    def __call__(self, prediction: Any, target: Any) -> Tensor:
        """Return the loss of columns (B, K, 1) and (B, K, 1), 0-d."""
        b = self._loss.backend
        return self._loss(tensor(b, prediction), tensor(b, target))


class Settings(UserDict[str, float]):
    """The optimizer's settings; an unknown key is an error."""

    def __setitem__(self, key: str, value: float) -> None:
        if key != "eta":
            raise OptionError(f"optimizer: expected the key 'eta', got {key!r}.{did_you_mean(key, ['eta'])}")
        super().__setitem__(key, number("optimizer", "eta", value, least=0.0))

    def __delitem__(self, key: str) -> None:
        raise OptionError(f"optimizer: {key!r} cannot be deleted; set it instead")


class Sequential:
    """A model of columns (figures 1 to 5).

    Parameters
    ----------
    *layers_
        `Linear`, `ReLU` and `Tanh`, or any of Lamina's layers.
    gradient
        The gradient of a batch, which the paper does not give. "mean_error" (`MeanErrorLoss`) reproduces its
        table; there errors of opposite sign cancel. "sum" and "mean" are over the samples' gradients.

    """

    def __init__(
        self,
        *layers_: layers.Module,
        gradient: Literal["sum", "mean", "mean_error"] = "mean_error",
        backend: str | Backend | None = None,
    ) -> None:
        if gradient not in _LOSSES:
            known = ", ".join(map(repr, _LOSSES))
            raise OptionError(f"Sequential: expected gradient to be one of {known}, got {gradient!r}")
        self.network = layers.Sequential(*layers_, backend=backend)
        """Lamina's network, which takes rows (B, F)."""
        self.backend = self.network.backend
        self.optimizer = Settings(eta=1e-3)
        kind, reduction = _LOSSES[gradient]
        self._loss = kind(reduction, backend=self.backend)
        self._prediction: Tensor | None = None
        self._sgd: SGD | None = None
        self._ready = False

    @property
    def layers(self) -> dict[str, layers.Module]:
        """The layers by name: fc_1, act_1, fc_2, ... (figure 5)."""
        return self.network.layers

    def __call__(self, x_batch: Any) -> Tensor:
        """Return the outputs for a batch: columns (B, F, 1) -> (B, K, 1)."""
        b = self.backend
        rows = self._rows("the input", x_batch)
        self._prediction = prediction = self.network(rows)
        return b.reshape(prediction, (*b.shape(prediction), 1))

    def grad(self, y_batch: Any) -> None:
        """Compute the gradients for the last batch's targets (B, K, 1); they replace earlier ones."""
        if self._prediction is None:
            raise StateError("grad needs the outputs of a batch; call model(x_batch) first")
        self._loss(self._prediction, self._rows("the target", y_batch))
        self.network.zero_grad()
        with layers.without_input_gradient(self.network):
            self.network.backward(self._loss.backward())
        self._ready = True

    def backward(self) -> None:
        """Update: w = w - eta dL/dw."""
        if not self._ready:
            raise StateError("backward needs gradients; call model.grad(y_batch) first, once per step")
        if self._sgd is None:
            self._sgd = SGD(self.network.parameters())
        self._sgd.groups[0].options["lr"] = self.optimizer["eta"]
        self._sgd.step()
        self._ready, self._prediction = False, None

    def _rows(self, what: str, x: Any) -> Tensor:
        """(B, F, 1) -> (B, F)."""
        b = self.backend
        values = tensor(b, x)
        shape = tuple(b.shape(values))
        if len(shape) != 3 or shape[2] != 1:
            advice = "; add the axis: x[:, :, None]" if len(shape) == 2 else ""
            raise ShapeError(f"Sequential: expected {what} as columns (B, F, 1), got {shape}{advice}")
        return b.reshape(values, shape[:2])
