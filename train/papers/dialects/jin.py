"""Jin, Shen, Zhu: one `Module` is a layer with its batch normalisation and its activation.

Section III. A `Module` with a shape of weights is one such layer; without, it is a sequence of appended
Modules. `NeuralNet` is a sequence that trains itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .... import layers
from ....backends import Backend, OptionError, ShapeError, StateError, Tensor, get_backend
from ....backends.host import Host
from ....backends.options import choice
from ...loop import metrics
from ...loop.history import History
from ...loop.trainer import Trainer
from ...models.names import ACTIVATIONS
from ...optimizers import SGD
from .arrays import column, tensor


class Module:
    """A layer with optional batch normalisation and activation; or a sequence of Modules (figure 1).

    Parameters
    ----------
    shape
        The weights': (in, out) for a linear layer, (out, in, height, width) for a convolution. None makes a
        sequence.
    batch_norm, activation
        Whether to normalise the output; and "relu", "sigmoid", "tanh" or None.
    stride, padding, naive
        A convolution's; naive uses the loops of section II-B, over a hundred times slower.
    rho
        The share of their old values that running statistics keep (section II-C): 1 - torch's momentum.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        batch_norm: bool = False,
        activation: str | None = None,
        *,
        stride: int = 1,
        padding: int = 0,
        naive: bool = False,
        rho: float = 0.9,
        backend: str | Backend | None = None,
    ) -> None:
        self.backend = b = get_backend(backend)
        self.shape = None if shape is None else tuple(shape)
        self.modules: list[Module] = []
        parts: list[layers.Module] = []
        if self.shape is None and (batch_norm or activation):
            raise OptionError("Module: batch_norm and activation need the shape of the weights")
        if self.shape is not None and len(self.shape) == 2:
            parts.append(layers.Linear(*self.shape, backend=b))
        elif self.shape is not None and len(self.shape) == 4:
            outputs, inputs, *kernel = self.shape
            kind = layers.NaiveConv2d if naive else layers.Conv2d
            parts.append(kind(inputs, outputs, tuple(kernel), stride, padding, backend=b))
        elif self.shape is not None:
            raise OptionError(f"Module: expected shape (in, out) or (out, in, height, width), got {shape}")
        if batch_norm and self.shape is not None:
            flat = len(self.shape) == 2
            norm = layers.BatchNorm1d if flat else layers.BatchNorm2d
            size = self.shape[1] if flat else self.shape[0]
            parts.append(norm(size, momentum=rho, momentum_of="old", biased_running_variance=True, backend=b))
        if activation is not None:
            choice("Module: activation", "", activation, ("relu", "sigmoid", "tanh"))
            parts.append(ACTIVATIONS[activation](b))
        self.net = layers.Sequential(*parts, backend=b)
        """Lamina's network, with all layers in one sequence."""
        self._loss = layers.MSELoss(backend=b)
        self._sgd: SGD | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.shape is None else ' x '.join(map(str, self.shape))})"

    @property
    def W(self) -> Tensor:  # noqa: N802
        """The weights: (in, out), or (out, in, height, width) for a convolution."""
        weight = self._layer().weight.data
        return weight if len(self.shape or ()) == 4 else self.backend.permute_dims(weight, (1, 0))

    @property
    def b(self) -> Tensor:
        """The bias (out,)."""
        return self._layer().bias.data  # type: ignore[no-any-return]

    def append(self, module: Module) -> None:
        """Append a Module; a Flatten comes between a convolution and a linear layer."""
        if self.shape is not None or not isinstance(module, Module):
            raise OptionError(
                f"append: expected a Module for a Module() or NeuralNet(); got {module!r} for {self}"
            )
        before = list(self._leaves())
        after = list(module._leaves())
        flattens = before and after and len(before[-1].shape or ()) == 4 and len(after[0].shape or ()) == 2
        between = [layers.Flatten(backend=self.backend)] if flattens else []
        try:
            self.net = layers.Sequential(*self.net, *between, *module.net, backend=self.backend)
        except ShapeError as error:
            raise ShapeError(f"append: {after[0]} does not fit after {before[-1]}: {error}") from error
        self.modules.append(module)
        self._sgd = None

    def forward(self, x: Any, test: bool = False) -> Tensor:
        """x: (N, ...) -> (N, ...); with `test`, running statistics normalise."""
        self.net.train(not test)
        return self.net(tensor(self.backend, x))

    __call__ = forward

    def loss(self, z: Any, y: Any) -> Tensor:
        """Return the mean squared error of outputs and targets (N, K), 0-d; labels (N,) become a column."""
        return self._loss(tensor(self.backend, z), tensor(self.backend, column(y)))

    def backward(self, gradient: Any = None) -> Any:
        """Backpropagate from the last `loss`, or from a gradient (N, K); return the input's gradient."""
        g = self._loss.backward() if gradient is None else tensor(self.backend, gradient)
        self.net.zero_grad()
        return self.net.backward(g)

    def update_params(self, lr: float, reg: float = 0.0) -> None:
        """w = w - lr (dL/dw + reg w): a step of gradient descent on the loss and reg/2 Σ w²."""
        optimizer = self._optimizer(lr, reg)
        if all(parameter.grad is None for parameter in self.net.parameters()):
            raise StateError("update_params: there is no gradient; call backward() first")
        optimizer.step()

    def _optimizer(self, lr: float, reg: float) -> SGD:
        if self._sgd is None:
            self._sgd = SGD(self.net.parameters())
        self._sgd.groups[0].options.update(lr=lr, weight_decay=reg)
        return self._sgd

    def _layer(self) -> Any:
        if self.shape is None:
            raise OptionError(f"{self} is a sequence without weights; read its Modules': modules[0].W")
        return self.net[0]

    def _leaves(self) -> Iterator[Module]:
        if self.shape is not None:
            yield self
        for module in self.modules:
            yield from module._leaves()


class NeuralNet(Module):
    """A sequence of Modules with the settings of its training (figure 2; defaults of section IV).

    Parameters
    ----------
    lr, reg, epochs, batch_size
        The learning rate, λ of λ/2 Σ w², the epochs and the size of a mini-batch.
    seed
        Of the order of mini-batches.

    """

    def __init__(
        self,
        lr: float = 2e-3,
        reg: float = 0.05,
        epochs: int = 1000,
        batch_size: int = 64,
        *,
        seed: int = 0,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(backend=backend)
        self.lr, self.reg, self.epochs, self.batch_size, self.seed = lr, reg, epochs, batch_size, seed

    def train(self, x: Any, y: Any, x_test: Any = None, y_test: Any = None) -> History:
        """Train on inputs (N, ...) and targets (N, K) or (N,); return the history."""
        trainer = Trainer(self.net, self._loss, self._optimizer(self.lr, self.reg), seed=self.seed)
        test = None if x_test is None else (x_test, column(y_test))
        return trainer.fit((x, column(y)), test, epochs=self.epochs, batch_size=self.batch_size)

    def predict(self, x: Any) -> Host:
        """Return the outputs (N, K), normalised by running statistics."""
        with layers.inference():
            return np.asarray(self.backend.to_host(self.forward(x, test=True)))

    def accuracy(self, x: Any, y: Any) -> float:
        """Return the accuracy: by the largest output, or by whether the only output exceeds 1/2."""
        return metrics.accuracy(self.predict(x), y)
