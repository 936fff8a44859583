"""Boschin, Rebjock, Lei: `add_layer`, `gradient_step`, `fit`, `predict`, and a loss of two static methods.

Sections III to V. `fit` is a `Trainer` with the paper's settings: one sample per step, the step size times
0.9 after each epoch, and momentum as an average of gradients.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from typing_extensions import override

from .... import layers
from ....backends import Backend, StateError, Tensor, get_backend
from ....backends.host import Host
from ....backends.protocol import Shape
from ....layers.summary import Summary
from ...data import Dataset
from ...loop import metrics
from ...loop.history import History
from ...loop.samples import Pair
from ...loop.schedules import ExponentialLR
from ...loop.trainer import Trainer
from ...optimizers import SGD
from .arrays import tensor


class Module(layers.Module):
    """The four methods of section IV: forward, backward, gradient_step, summary."""

    def __call__(self, x: Any) -> Tensor:
        """Run `forward` on an array or a handle (N, ...)."""
        return super().__call__(tensor(self.backend, x))

    def backward(self, grad_wrt_output: Any) -> Any:
        """Replace the parameters' gradients, and return the input's."""
        self.zero_grad()
        return super().backward(tensor(self.backend, grad_wrt_output))

    def gradient_step(self, step_size: float) -> None:
        """w = w - η dL/dw for each parameter (eq. 6 and 7)."""
        b = self.backend
        for name, parameter in self.named_parameters():
            if parameter.grad is None:
                raise StateError(f"gradient_step: {name} has no gradient; call backward first")
            parameter.set(b.sgd_step(parameter.data, parameter.grad, step_size))

    def summary(self, input_shape: Shape | None = None) -> Summary:
        """Print the table of layers and return it. input_shape: one sample's, if layers need it."""
        summary = super().summary(input_shape or self.input_shape or (1,))
        print(summary)
        return summary


class Linear(Module, layers.Linear):
    """s = W x + b, with W and b initially from U[-1, 1] (section IV)."""

    def __init__(self, input_size: int, output_size: int, *, backend: str | Backend | None = None) -> None:
        start = layers.Uniform(-1.0, 1.0)
        super().__init__(input_size, output_size, weight_init=start, bias_init=start, backend=backend)


class ReLU(Module, layers.ReLU):
    """max(s, 0); the derivative at 0 is 0."""


class Tanh(Module, layers.Tanh):
    """tanh s."""


class MSE:
    """1/n Σ ‖ŷ - t‖² over n samples (section III)."""

    @staticmethod
    def compute_loss(predictions: Any, targets: Any, *, backend: str | Backend | None = None) -> Tensor:
        """Return the loss of predictions and targets (N, K), 0-d."""
        b = get_backend(backend)
        return layers.MSELoss("batchmean", backend=b)(tensor(b, predictions), tensor(b, targets))

    @staticmethod
    def compute_grad(predictions: Any, targets: Any, *, backend: str | Backend | None = None) -> Tensor:
        """Return the gradient (N, K) with respect to the predictions (eq. 1)."""
        b = get_backend(backend)
        loss = layers.MSELoss("batchmean", backend=b)
        loss(tensor(b, predictions), tensor(b, targets))
        return loss.backward()


class Sequential(Module, layers.Sequential):
    """A model with `add_layer`, `fit` and `predict` (section IV)."""

    @override
    def forward(self, model_input: Any) -> Tensor:
        """model_input: an array or a handle (N, F) -> (N, K)."""
        return super().forward(tensor(self.backend, model_input))

    def fit(
        self,
        x_train: Any,
        y_train: Any,
        x_validation: Any = None,
        y_validation: Any = None,
        epochs: int = 100,
        step_size: float = 0.1,
        batch_size: int | None = None,
        momentum: float | None = None,
        *,
        seed: int = 0,
    ) -> History:
        """Train by stochastic gradient descent and return the history.

        Parameters
        ----------
        x_train, y_train, x_validation, y_validation
            Inputs (N, F) and targets (N, K). The history has accuracies if the targets are one-hot.
        epochs, step_size
            Epochs, and η, which is multiplied by 0.9 after each epoch.
        batch_size
            None: one sample per step (algorithm 1); else batch gradient descent (section V-A).
        momentum
            β in v = β v + (1 - β) g (section V-B); None for no momentum.
        seed
            Of the samples' order, which is new in each epoch.

        """
        optimizer = SGD(self.parameters(), step_size, momentum=momentum or 0.0, momentum_form="ema")
        loss = layers.MSELoss("batchmean", backend=self.backend)
        trainer = Trainer(self, loss, optimizer, schedule=ExponentialLR(0.9), seed=seed)
        validation = None if x_validation is None else _data("validation", x_validation, y_validation)
        train = _data("train", x_train, y_train)
        return trainer.fit(train, validation, epochs=epochs, batch_size=batch_size or 1)

    @overload
    def predict(self, x: Any) -> Host: ...
    @overload
    def predict(self, x: Any, y: Any) -> tuple[Host, float, float]: ...

    def predict(self, x: Any, y: Any = None) -> Host | tuple[Host, float, float]:
        """Return the outputs (N, K) for inputs (N, F); with targets, also the loss and the accuracy."""
        b = self.backend
        with layers.inference():
            outputs = self(x)
            if y is None:
                return np.asarray(b.to_host(outputs))
            loss = float(b.item(MSE.compute_loss(outputs, y, backend=b)))
        host = np.asarray(b.to_host(outputs))
        return host, loss, metrics.accuracy(host, y)


def _data(name: str, x: Any, y: Any) -> Dataset | Pair:
    """Return a data set with classes if the targets are one-hot, else a pair."""
    inputs, targets = np.asarray(x), np.asarray(y)
    one_hot = targets.ndim == 2 and targets.shape[1] > 1 and np.isin(targets, (0, 1)).all()
    if one_hot and len(inputs) == len(targets) and (targets.sum(axis=1) == 1).all():
        classes = tuple(map(str, range(targets.shape[1])))
        return Dataset(name, inputs, targets.argmax(axis=1), classes)
    return inputs, targets
