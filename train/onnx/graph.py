"""`Graph`: a model read from an ONNX file, made of layers and functions that take each other's results."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from ...backends import Backend, DataError, DtypeError, LaminaError, ShapeError, StateError, Tensor
from ...backends.host import Host
from ...backends.protocol import Shape
from ...backends.shape_backend import ShapeBackend
from ...layers import Buffer, Module
from ...layers.faults import named_error
from .budget import Budget, meta_of
from .node import Node


class Function(Module):
    """An operator computed by a few ops from any number of tensors. It has no backward pass."""

    def __init__(self, node: Node, compute: Callable[..., Any], host: tuple[int, ...] = ()) -> None:
        super().__init__(node.backend)
        self.node, self.compute, self.host = node, compute, host

    @override
    def forward(self, *tensors: Any) -> Any:
        """Return the results; inputs at the positions in `host` are host arrays."""
        return self.compute(self.backend, self.node, *tensors)

    @override
    def backward(self, grad_output: Tensor) -> Any:
        raise StateError(
            f"{self.node}: it is no layer of Lamina and has no backward pass; use the model to predict"
        )

    def __repr__(self) -> str:
        return f"{self.node.operator}()"


@dataclass(frozen=True)
class Step:
    """A module with the names of its inputs and outputs."""

    name: str
    module: Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def on_host(self) -> tuple[int, ...]:
        """The positions of the inputs that the module takes as host arrays."""
        if not isinstance(self.module, Function):
            return ()
        return tuple(i for i in self.module.host if i < len(self.inputs) and self.inputs[i])


@dataclass(frozen=True)
class Input:
    """An input of a model: its name, its dtype ("float" for the default one) and its shape."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    """A label or None stands for an axis of any size; None for a shape of any rank."""

    def check(self, b: Backend, x: Tensor) -> None:
        """Raise DtypeError or ShapeError unless the tensor fits."""
        shape, dtype = tuple(b.shape(x)), b.dtype(x)
        expected = b.default_dtype if self.dtype == "float" else self.dtype
        if dtype != expected:
            raise DtypeError(f"input {self.name!r}: expected {expected}, got {dtype}")
        if self.shape is None:
            return
        fits = len(shape) == len(self.shape) and all(
            not isinstance(m, int) or n == m for n, m in zip(shape, self.shape, strict=True)
        )
        if not fits:
            sizes = ", ".join("?" if n is None else str(n) for n in self.shape)
            raise ShapeError(f"input {self.name!r}: expected shape ({sizes}), got {shape}")


class Graph(Module):
    """Modules run in order, each on inputs of the model or results of earlier modules.

    Parameters
    ----------
    steps
        Sorted so that every value is computed before its use.
    inputs, outputs
        The model's inputs, and the names of its outputs.
    constants
        Values stored in the file that are no layer's parameters.
    backend
        Where it computes.
    stored
        The bytes of the values in the file, by which memory is limited (see `Budget`).

    """

    def __init__(
        self,
        steps: Sequence[Step],
        inputs: Sequence[Input],
        outputs: Sequence[str],
        constants: Mapping[str, Host],
        backend: Backend,
        stored: int = 0,
    ) -> None:
        super().__init__(backend)
        self.inputs, self.outputs, self._stored = tuple(inputs), tuple(outputs), stored
        self._steps = tuple(steps)
        self._modules = {step.name: step.module for step in steps}
        self._host = dict(constants)  # host inputs of Functions are read here, without a device transfer
        self._constants = {name: _buffer(value, backend) for name, value in constants.items()}
        self._last_use = {name: i for i, step in enumerate(steps) for name in step.inputs}
        self._sizes_are_fixed = all(step.inputs[i] in constants for step in steps for i in step.on_host)
        self._checked: set[tuple[Shape, ...]] = set()
        """The shapes of inputs that fit in memory."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: the only input -> the only output. `run` serves models with several."""
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise StateError(
                f"the model has {len(self.inputs)} inputs and {len(self.outputs)} outputs; "
                "call run(inputs) with a dict of tensors"
            )
        return self.run({self.inputs[0].name: x})[self.outputs[0]]

    def run(self, inputs: Mapping[str, Tensor], budget: Budget | None = None) -> dict[str, Tensor]:
        """Return {name: output} for {name: input}; memory is limited by the budget, by default the file's."""
        b = self.backend
        names = [i.name for i in self.inputs]
        if inputs.keys() != set(names):
            raise DataError(f"expected the inputs {', '.join(names)}, got {', '.join(inputs) or 'none'}")
        for expected in self.inputs:
            expected.check(b, inputs[expected.name])
        shapes = tuple(tuple(b.shape(x)) for x in inputs.values())
        if budget is None and shapes not in self._checked and not isinstance(b, ShapeBackend):
            budget = Budget(b, self._stored, sum(meta_of(b, x).nbytes for x in inputs.values()))
        values: dict[str, Tensor] = dict(inputs)
        for i, step in enumerate(self._steps):
            results = self._run_step(step, values, budget)
            values.update({name: y for name, y in zip(step.outputs, results, strict=False) if name})
            for name in step.inputs:
                if self._last_use[name] == i and name not in self.outputs:
                    values.pop(name, None)
                    if budget is not None:
                        budget.drop(name)
        if self._sizes_are_fixed:
            self._checked.add(shapes)
        self.keep()
        return {name: values[name] if name in values else self._tensor(name) for name in self.outputs if name}

    @override
    def backward(self, grad_output: Tensor) -> Any:
        """Apply the chain rule from the first output; gradients of a value used twice add up."""
        self.kept()
        gradients: dict[str, Any] = {self.outputs[0]: grad_output}
        for step in reversed(self._steps):
            if step.outputs[0] not in gradients:
                continue
            grad = step.module.backward(gradients.pop(step.outputs[0]))
            earlier = gradients.get(step.inputs[0])
            gradients[step.inputs[0]] = grad if earlier is None else self.backend.add(earlier, grad)
        return gradients.get(self.inputs[0].name)

    @override
    def output_shape(self, shape: Shape) -> Shape:
        b = self.backend
        counter = ShapeBackend(dtype=b.default_dtype)  # type: ignore[abstract]  # made by funnelled
        twin = copy.deepcopy(self).to(counter).eval()
        dtype = self.inputs[0].dtype
        return counter.shape(twin(counter.full(tuple(shape), 0, dtype=None if dtype == "float" else dtype)))

    @property
    @override
    def input_shape(self) -> Shape | None:
        shape = self.inputs[0].shape if len(self.inputs) == 1 else None
        if not shape or not all(isinstance(n, int) for n in shape[1:]):
            return None
        return tuple(int(n) for n in shape[1:] if n is not None)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The modules in order, with the names of their inputs and outputs."""
        return self._steps

    @override
    def named_children(self) -> Any:
        """Yield the modules by their nodes' names."""
        yield from self._modules.items()

    def __repr__(self) -> str:
        inner = "".join(f"\n  ({step.name}): {step.module}" for step in self._steps)
        return f"Graph({inner}\n)"

    def _run_step(
        self, step: Step, values: Mapping[str, Tensor], budget: Budget | None
    ) -> tuple[Tensor, ...]:
        module, on_host = step.module, step.on_host
        names = step.inputs if isinstance(module, Function) else step.inputs[:1]
        inputs = [self._value(name, values, i in on_host) for i, name in enumerate(names)]
        try:
            if budget is not None:
                known = [
                    x if x is None or i in on_host else meta_of(self.backend, x) for i, x in enumerate(inputs)
                ]
                budget.check(module, known, step.outputs)
            results: Any = module.forward(*inputs)
        except Exception as error:
            raise _explained(error, module) from error
        return results if type(results) is tuple else (results,)  # a handle may be a tuple's subclass

    def _value(self, name: str, values: Mapping[str, Tensor], on_host: bool) -> Any:
        if not name:
            return None
        if on_host:
            return self._host[name] if name in self._host else self.backend.to_host(values[name])
        return values[name] if name in values else self._tensor(name)

    def _tensor(self, name: str) -> Tensor:
        return self._constants[name].data


def evaluate(
    step: Step, constants: Mapping[str, Host], backend: Backend, budget: Budget | None = None
) -> dict[str, Host]:
    """Return {name: value} of the outputs of a step that takes constants alone."""
    inputs = {name: constants[name] for name in step.inputs if name}
    results = Graph([step], [], step.outputs, inputs, backend).run({}, budget)
    return {name: np.asarray(backend.to_host(value)) for name, value in results.items()}


def _explained(error: Exception, module: Module) -> Exception:
    """Return an error that names the module; what goes wrong inside a Function is the file's fault."""
    if isinstance(module, Function) and not isinstance(error, (LaminaError, MemoryError)):
        return module.node.error(f"it cannot be computed: {error or type(error).__name__}")
    return named_error(error, module)


def _buffer(value: Host, backend: Backend) -> Buffer:
    tensor = backend.from_host(value)
    buffer = Buffer(tuple(value.shape), 0, backend, dtype=backend.dtype(tensor))
    buffer.set(tensor)
    return buffer
