"""Rows of the table of cases: how to make a layer or a loss, its inputs, and its twin in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...backends import Backend
from ...backends.host import Host
from ...backends.protocol import Shape
from ...backends.random import generator
from .. import Loss, Module
from ..random import seeded

_MARGIN = 0.05


@dataclass(frozen=True)
class LayerCase:
    """A layer, an input for it, and the torch module that must agree.

    Parameters
    ----------
    name
        Unique in the table; its first word is the class.
    make
        Makes the layer on a backend. Call `build`, which fixes the seed.
    input_shape
        The input's shape, batch axis first.
    torch
        Makes the equal torch.nn module, with the same names in its state_dict; None if there is none.
    kinks
        Input values at which the derivative jumps: `input` stays clear of them.
    special
        A second input: kinks, huge and infinite values, ties, NaN. Forward and gradients must agree with
        torch there, too.
    batch_statistics
        Whether it normalises by the batch, and so needs at least two values.
    integers
        If above 0, the input is int64 numbers below it, which have no gradient.
    whole_derivative
        False if the backward pass omits a part on purpose, as torch does: finite differences differ.

    """

    name: str
    make: Callable[[Backend], Module]
    input_shape: Shape
    torch: Callable[[], Any] | None = field(default=None, repr=False)
    kinks: tuple[float, ...] = ()
    special: tuple[Any, ...] = field(default=(), repr=False)
    batch_statistics: bool = False
    integers: int = 0
    whole_derivative: bool = True

    def build(self, backend: Backend, seed: int = 0) -> Module:
        """Return the layer with the parameters of a seed; the caller's own seed is undisturbed."""
        with seeded(seed):
            return self.make(backend)

    @property
    def graph_at_special(self) -> bool:
        """Whether autodiff must agree at the special input."""
        return self.whole_derivative

    def input(self, seed: int = 0) -> Host:
        """Return an input (input_shape): float64 clear of the kinks, or int64 for `integers`."""
        source = generator(seed, f"input of {self.name}")
        if self.integers:
            return np.asarray(source.integers(0, self.integers, self.input_shape))
        x = source.standard_normal(self.input_shape)
        for kink in self.kinks:
            near = np.abs(x - kink) < _MARGIN
            x = np.where(near, kink + np.copysign(_MARGIN, x - kink), x)
        return x

    def inputs(self, seed: int = 0) -> tuple[Host, ...]:
        """Return (input,)."""
        return (self.input(seed),)

    def special_inputs(self) -> tuple[Host, ...] | None:
        """Return (the special input in float64,), or None."""
        return (np.array(self.special, dtype=np.float64),) if self.special else None


@dataclass(frozen=True)
class LossCase:
    """A loss, a prediction and a target for it, and the torch function that must agree.

    Parameters
    ----------
    name
        Unique in the table; its first word is the class.
    make
        Makes the loss on a backend.
    prediction, target
        Draw host arrays from a numpy generator: float64, or int64 labels.
    torch
        Makes a callable of torch tensors (prediction, target), or of these and the weight; None if none.
    special
        A second (prediction, target), or with a weight: probabilities of 0 and 1, huge logits.
    weight
        Draws the samples' weights (N,) or (N, ...), if the call has them.

    """

    name: str
    make: Callable[[Backend], Loss]
    prediction: Callable[[np.random.Generator], Host]
    target: Callable[[np.random.Generator], Host]
    torch: Callable[[], Any] | None = field(default=None, repr=False)
    special: tuple[Any, ...] = field(default=(), repr=False)
    weight: Callable[[np.random.Generator], Host] | None = None
    whole_derivative: ClassVar[bool] = True
    graph_at_special: ClassVar[bool] = True

    def build(self, backend: Backend) -> Loss:
        """Return the loss."""
        return self.make(backend)

    def inputs(self, seed: int = 0) -> tuple[Host, ...]:
        """Return (prediction, target), or (prediction, target, weight)."""
        source = generator(seed, f"input of {self.name}")
        pair = self.prediction(source), self.target(source)
        return pair if self.weight is None else (*pair, self.weight(source))

    def special_inputs(self) -> tuple[Host, ...] | None:
        """Return the special (prediction, target), or these and a weight, or None."""
        if not self.special:
            return None
        prediction, target, *weight = self.special
        return np.array(prediction, dtype=np.float64), np.array(target), *map(np.array, weight)
