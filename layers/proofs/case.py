"""What a row of the table of cases is: how to make the thing, what to feed it, and its twin in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ...backends import Backend
from ...backends.protocol import Shape
from ...backends.random import generator
from .. import Loss, Module
from ..random import seeded

Host = np.ndarray[Any, Any]
Made = TypeVar("Made")
_MARGIN = 0.05


@dataclass(frozen=True)
class LayerCase:
    """A layer, an input for it, and the torch module that must agree.

    Parameters
    ----------
    name
        Unique in the table; it begins with the class that it is about.
    make
        Makes the layer on a backend. Call it through `build`, which fixes the seed.
    input_shape
        The input's shape, batch axis first.
    torch
        Makes the equal torch.nn module, whose state_dict has the layer's names; None if there is none.
    kinks
        Input values at which the derivative jumps: `inputs` stays clear of them.
    special
        An input of its own on kinks, with huge or infinite values, ties, NaN: forward and gradients must
        agree with torch there, too.
    batch_statistics
        Whether it needs a batch of at least two values to normalise by; an empty one is an error.
    integers
        Above 0, the input is int64 numbers below it, which have no gradient.
    whole_derivative
        False where the backward pass leaves a part out on purpose, as torch does: finite differences differ.

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
        """Return the layer with the parameters of a seed; the caller's own seed goes on undisturbed."""
        return _seeded(self.make, backend, seed)

    def inputs(self, seed: int = 0) -> Host:
        """Return an input (input_shape) in float64, clear of the kinks; in int64 for `integers`."""
        if self.integers:
            source = generator(seed, f"input of {self.name}")
            return np.asarray(source.integers(0, self.integers, self.input_shape))
        x = generator(seed, f"input of {self.name}").standard_normal(self.input_shape)
        for kink in self.kinks:
            near = np.abs(x - kink) < _MARGIN
            x = np.where(near, kink + np.copysign(_MARGIN, x - kink), x)
        return x

    def special_inputs(self) -> Host | None:
        """Return the special input in float64, or None."""
        return np.array(self.special, dtype=np.float64) if self.special else None


@dataclass(frozen=True)
class LossCase:
    """A loss, a prediction and a target for it, and the torch function that must agree.

    Parameters
    ----------
    name
        Unique in the table; it begins with the class that it is about.
    make
        Makes the loss on a backend.
    prediction, target
        Draw host arrays from a numpy generator: floats in float64, labels in int64.
    torch
        Makes a callable of (prediction, target) torch tensors; None if there is none. It gets the
        prediction's and target's dtype: float64, and int64 for labels.
    special
        (prediction, target) at the edges: probabilities of 0 and 1, huge logits.

    """

    name: str
    make: Callable[[Backend], Loss]
    prediction: Callable[[np.random.Generator], Host]
    target: Callable[[np.random.Generator], Host]
    torch: Callable[[], Any] | None = field(default=None, repr=False)
    special: tuple[Any, ...] = field(default=(), repr=False)

    def build(self, backend: Backend) -> Loss:
        """Return the loss."""
        return self.make(backend)

    def inputs(self, seed: int = 0) -> tuple[Host, Host]:
        """Return (prediction, target)."""
        source = generator(seed, f"input of {self.name}")
        return self.prediction(source), self.target(source)

    def special_inputs(self) -> tuple[Host, Host] | None:
        """Return the special (prediction, target), or None."""
        if not self.special:
            return None
        prediction, target = self.special
        return np.array(prediction, dtype=np.float64), np.array(target)


def _seeded(make: Callable[[Backend], Made], backend: Backend, seed: int) -> Made:
    with seeded(seed):
        return make(backend)
