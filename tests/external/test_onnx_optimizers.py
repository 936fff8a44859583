"""ONNX's cases of optimizers: one step of ours from the case's state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rows import each

from lamina.backends import Backend
from lamina.layers import Parameter
from lamina.layers.initializers import Constant
from lamina.train.optimizers import SGD, Adagrad, Adam, Optimizer

from .onnx_cases import Case, cases

onnx = pytest.importorskip("onnx", reason="the cases come with the onnx package")


def of_optimizers() -> list[Case]:
    found = [c for c in cases("node") if c.operators[0] in ("Adam", "Adagrad", "Momentum")]
    assert len(found) == 7
    return found


class UncorrectedAdam(Adam):
    """Adam without bias correction, which is ONNX's step 0."""

    def group_scalars(self, group: Any, step: int) -> dict[str, float]:
        return {"lr": self.rate(group), "correction1": 1.0, "correction2": 1.0}


def optimizer(kind: str, parameters: list[Parameter], lr: float, options: dict[str, Any]) -> Optimizer:
    decay = options["norm_coefficient"]
    if kind == "Adam":
        betas = (options["alpha"], options["beta"])
        return UncorrectedAdam(parameters, lr, betas, options["epsilon"], decay)
    if kind == "Adagrad":
        return Adagrad(
            parameters, lr, lr_decay=options["decay_factor"], weight_decay=decay, eps=options["epsilon"]
        )
    nesterov = options["mode"] == b"nesterov"
    return SGD(parameters, lr, momentum=options["alpha"], weight_decay=decay, nesterov=nesterov)


STATE = {"Adam": ("first_moment", "second_moment"), "Adagrad": ("sum",), "Momentum": ("momentum",)}


@each(of_optimizers)
def test_one_step(case: Case, backend: Backend) -> None:
    b = backend
    (node,) = case.proto.graph.node
    options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    ((inputs, expected),) = case.data
    rate, step, *tensors = inputs
    assert step == 0
    names = STATE[node.op_type]
    count = len(tensors) // (2 + len(names))
    values, gradients, *states = (tensors[i * count : (i + 1) * count] for i in range(2 + len(names)))
    parameters = [Parameter(value.shape, Constant(0.0), b) for value in values]
    ours = optimizer(node.op_type, parameters, float(rate), options)
    (group,) = ours.groups
    for parameter, value, gradient in zip(parameters, values, gradients, strict=True):
        parameter.set(b.from_host(value))
        parameter.accumulate(b.from_host(gradient))
    for name, parts in zip(names, states, strict=True):
        group.put(name, b.from_host(np.concatenate(parts)))
    ours.step()
    results = [b.to_host(parameter.data) for parameter in parameters]
    sizes = np.cumsum([value.size for value in values])[:-1]
    for name in names:
        results += np.split(np.asarray(b.to_host(group.cells[name])), sizes)
    for value, right in zip(results, expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=case.rtol, atol=case.atol)
