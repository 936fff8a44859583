"""A model read from an ONNX file: layers and functions, each fed by the results of others."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...backends import Backend, DataError, DtypeError, ShapeError, StateError, Tensor
from ...backends.protocol import Shape
from ...backends.shape_backend import ShapeBackend
from ...layers import Buffer, Module
from ...layers.module import named_error
from .node import Node

Host = np.ndarray[Any, Any]
Extents = tuple[int | str | None, ...]


class Function(Module):
    """An operator that is no layer: a few ops of the protocol, of any number of tensors. Forward only."""

    def __init__(self, node: Node, compute: Callable[..., Any], host: tuple[int, ...]) -> None:
        super().__init__(node.backend)
        self.node, self.compute, self.host = node, compute, host

    def forward(self, *tensors: Any) -> Any:
        """Compute the results from the node's inputs; those in `host` are host arrays."""
        return self.compute(self.backend, self.node, *tensors)

    def backward(self, grad_output: Tensor) -> Any:
        """Raise StateError."""
        raise StateError(
            f"{self.node}: it is no layer of Lamina and has no backward pass; use the model to predict"
        )

    def __repr__(self) -> str:
        return f"{self.node.operator}()"


@dataclass(frozen=True)
class Step:
    """A module with the names of the values that it takes and gives."""

    name: str
    module: Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Input:
    """What a model is given: a name, a dtype, and the extents that the file fixes."""

    name: str
    dtype: str
    shape: Extents | None

    def check(self, b: Backend, x: Tensor) -> None:
        """Raise unless the tensor is of this kind."""
        got, dtype = tuple(b.shape(x)), b.dtype(x)
        wanted = b.default_dtype if self.dtype == "float" else self.dtype
        if dtype != wanted:
            raise DtypeError(f"input {self.name!r}: expected {wanted}, got {dtype}")
        if self.shape is None:
            return
        fits = len(got) == len(self.shape) and all(
            not isinstance(m, int) or n == m for n, m in zip(got, self.shape, strict=True)
        )
        if not fits:
            want = ", ".join("?" if n is None else str(n) for n in self.shape)
            raise ShapeError(f"input {self.name!r}: expected shape ({want}), got {got}")


class Graph(Module):
    """Modules run one after the other, each on results of those before it.

    Parameters
    ----------
    steps
        In an order in which every value is made before it is taken.
    inputs, outputs
        What the model is given, and the names of the values that it gives.
    constants
        Values that the file holds and that belong to no layer.
    backend
        Where it computes.

    """

    enters_scopes = True

    def __init__(
        self,
        steps: Sequence[Step],
        inputs: Sequence[Input],
        outputs: Sequence[str],
        constants: Mapping[str, Host],
        backend: Backend,
    ) -> None:
        super().__init__(backend)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._steps = tuple(steps)
        self._modules = {step.name: step.module for step in steps}
        # What is wanted on the host stays there as well, so that no step need wait for a device.
        self._host = dict(constants)
        self._constants = {name: _buffer(value, backend) for name, value in constants.items()}
        self._last_use = {name: i for i, step in enumerate(steps) for name in step.inputs}

    def forward(self, x: Tensor) -> Tensor:
        """x: the model's one input -> its one output; `run` is for models with more of either."""
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise StateError(
                f"the model has {len(self.inputs)} inputs and {len(self.outputs)} outputs; "
                "call run(inputs) with a dict of tensors"
            )
        return self.run({self.inputs[0].name: x})[self.outputs[0]]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return {name: tensor} of the outputs for {name: tensor} of the inputs."""
        b = self.backend
        if inputs.keys() != {one.name for one in self.inputs}:
            raise DataError(
                f"expected the inputs {', '.join(one.name for one in self.inputs)}, got {', '.join(inputs)}"
            )
        for one in self.inputs:
            one.check(b, inputs[one.name])
        values: dict[str, Tensor] = dict(inputs)
        for i, step in enumerate(self._steps):
            with b.scope(step.name):
                results = self._run_step(step, values)
            values.update({name: y for name, y in zip(step.outputs, results, strict=False) if name})
            for name in step.inputs:
                if self._last_use[name] == i and name not in self.outputs:
                    values.pop(name, None)
        self.keep()
        return {name: values[name] if name in values else self._tensor(name) for name in self.outputs if name}

    def backward(self, grad_output: Tensor) -> Any:
        """Apply the chain rule: the gradient of the one input, through layers that each feed one other."""
        self.kept()
        gradients: dict[str, Any] = {self.outputs[0]: grad_output}
        for step in reversed(self._steps):
            if step.outputs[0] not in gradients:
                continue
            with self.backend.scope(f"{step.name}.backward"):
                grad = step.module.backward(gradients.pop(step.outputs[0]))
            earlier = gradients.get(step.inputs[0])
            gradients[step.inputs[0]] = grad if earlier is None else self.backend.add(earlier, grad)
        return gradients.get(self.inputs[0].name)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the output's shape for an input of `shape`, found without computing anything."""
        b = self.backend
        counter = ShapeBackend(dtype=b.default_dtype)  # type: ignore[abstract]  # made by funnelled
        twin = copy.deepcopy(self).to(counter).eval()
        dtype = self.inputs[0].dtype
        return counter.shape(twin(counter.empty(tuple(shape), dtype=None if dtype == "float" else dtype)))

    @property
    def input_shape(self) -> Shape | None:
        """One sample's shape, where there is one input and the file fixes it."""
        shape = self.inputs[0].shape if len(self.inputs) == 1 else None
        if not shape or not all(isinstance(n, int) for n in shape[1:]):
            return None
        return tuple(int(n) for n in shape[1:] if n is not None)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The modules in the order in which they run, with what each takes and gives."""
        return self._steps

    def named_children(self) -> Any:
        """Yield the modules under the names of their nodes."""
        yield from self._modules.items()

    def __repr__(self) -> str:
        inner = "".join(f"\n  ({step.name}): {step.module}" for step in self._steps)
        return f"Graph({inner}\n)"

    def _run_step(self, step: Step, values: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        module = step.module
        try:
            if isinstance(module, Function):
                on_host = {step.inputs[i] for i in module.host if i < len(step.inputs)}
                given = [self._given(name, values, name in on_host) for name in step.inputs]
                results = module.forward(*given)
            else:
                results = module.forward(self._given(step.inputs[0], values, False))
        except Exception as error:
            raise named_error(error, module) from error
        return results if type(results) is tuple else (results,)  # a handle may be a tuple of another kind

    def _given(self, name: str, values: Mapping[str, Tensor], on_host: bool) -> Any:
        if not name:
            return None
        if on_host:
            return self._host[name] if name in self._host else self.backend.to_host(values[name])
        return values[name] if name in values else self._tensor(name)

    def _tensor(self, name: str) -> Tensor:
        return self._constants[name].data


def of_constants(step: Step, constants: Mapping[str, Host], backend: Backend) -> dict[str, Host]:
    """Return what a step gives whose inputs are all known."""
    kept = {name: constants[name] for name in step.inputs if name}
    results = Graph([step], [], step.outputs, kept, backend).run({})
    return {name: np.asarray(backend.to_host(value)) for name, value in results.items()}


def _buffer(value: Host, backend: Backend) -> Buffer:
    tensor = backend.from_host(value)
    found = Buffer(tuple(value.shape), 0, backend, dtype=backend.dtype(tensor))
    found.set(tensor)
    return found
