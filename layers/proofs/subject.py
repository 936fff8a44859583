"""`Subject`: a layer or a loss with host arrays at both ends; every proof is written once, against it.

It uses `from_host`, `to_host` and the public interface only, so it runs on every backend and stack.
"""

from __future__ import annotations

import contextlib
import copy

import numpy as np

from ...backends import Backend, DtypeError, Tensor
from ...backends.host import Host
from ...backends.protocol import Shape
from ...backends.random import generator
from .. import Loss, Module, inference
from ..faults import layer_name


class Subject:
    """A layer with its input, or a loss with its prediction and target."""

    def __init__(self, module: Module | Loss) -> None:
        self.module = module
        self.is_layer = isinstance(module, Module)
        self.inputs = ("input",) if self.is_layer else ("prediction", "target", "weight")
        self.output = "output" if self.is_layer else "loss"

    @property
    def backend(self) -> Backend:
        """Where it computes."""
        return self.module.backend

    def __str__(self) -> str:
        return layer_name(self.module)

    def copy(self, backend: Backend | None = None) -> Subject:
        """Return an independent copy, on another backend if one is named."""
        twin = copy.deepcopy(self.module)
        return Subject(twin if backend is None else twin.to(backend))

    def require_float64(self) -> Subject:
        """Return self; raise DtypeError unless the backend's default is float64."""
        if (dtype := self.backend.default_dtype) != "float64":
            raise DtypeError(
                f"{self}: expected a float64 backend, got {dtype}; pass get_backend(name, dtype='float64')"
            )
        return self

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the output of a layer, or the value of a loss."""
        return self.module(*inputs)

    def backward(self, grad_output: Tensor) -> Tensor | None:
        """Return the gradient of the first input; a reduced loss takes no `grad_output`."""
        if isinstance(self.module, Loss) and self.module.reduction != "none":
            return self.module.backward()
        return self.module.backward(grad_output)

    def cotangent(self, shape: Shape) -> Host:
        """Return a gradient for an output of a shape: random, and 1 for a reduced loss."""
        reduced = isinstance(self.module, Loss) and self.module.reduction != "none"
        return np.ones(tuple(shape)) if reduced else cotangent(shape)

    def value(self, *inputs: Host) -> Host:
        """Return the output; a layer keeps nothing for backward."""
        b = self.backend
        with inference() if self.is_layer else contextlib.nullcontext():
            return host(b, self.forward(*(bring(b, x) for x in inputs)))

    def run(self, *inputs: Host, grad_output: Host | None = None) -> dict[str, Host]:
        """Run forward and backward; return the output and every gradient.

        Parameters
        ----------
        inputs
            A layer's input (N, ...), or a loss's prediction and target.
        grad_output
            The gradient of the output; `cotangent` if None.

        Returns
        -------
        dict
            "output" or "loss", the gradient of "input" or "prediction" (integers have none), and each
            parameter's gradient by its name. Earlier gradients are overwritten.

        """
        b = self.backend
        if isinstance(self.module, Module):
            self.module.zero_grad()
        y = self.forward(*(bring(b, x) for x in inputs))
        g = self.cotangent(b.shape(y)) if grad_output is None else grad_output
        gradient = self.backward(bring(b, g))
        results = {self.output: host(b, y)}
        if gradient is not None:
            results[self.inputs[0]] = host(b, gradient)
        return results | self.gradients()

    def gradients(self) -> dict[str, Host]:
        """Return every parameter's gradient; zeros where none was accumulated."""
        parameters = self.module.named_parameters() if isinstance(self.module, Module) else ()
        return {
            name: np.zeros_like(host(p.backend, p.data)) if p.grad is None else host(p.backend, p.grad)
            for name, p in parameters
        }

    def state(self) -> dict[str, Host]:
        """Return a layer's parameters and buffers; a loss has none."""
        return self.module.state_dict() if isinstance(self.module, Module) else {}


def cotangent(shape: Shape) -> Host:
    """Return a random gradient of an output (*shape), in float64.

    One backward pass with it gives every derivative of Σ c y at once.
    """
    return np.asarray(generator(0, "cotangent").standard_normal(tuple(shape)))


def bring(b: Backend, array: Host) -> Tensor:
    """Return a host array on a backend: floats in its default dtype, others unchanged."""
    return b.from_host(array, dtype=b.default_dtype if array.dtype.kind == "f" else None)


def host(b: Backend, x: Tensor) -> Host:
    """Return a tensor as a host array."""
    return np.asarray(b.to_host(x))
