"""An optimizer over 1,000 steps, compared at several: the last steps forget a fault in the first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ....backends import Backend
from ....backends.host import Host
from ....layers import Parameter
from ....layers.initializers import Constant
from ....layers.proofs.report import Report, close, compare
from ....layers.proofs.subject import bring, host
from ..optimizer import Optimizer
from .case import OptimizerCase

Trajectory = dict[str, Host]
"""Values by parameter and step: "p0 after 10"."""

STEPS = (1, 2, 3, 10, 100, 1000)
SHAPES = ((3, 2), (4,), ())


def starts() -> list[Host]:
    """Return the initial values of the parameters."""
    source = np.random.default_rng(1)
    return [np.asarray(source.standard_normal(shape)) for shape in SHAPES]


def slope(p: Host, step: int) -> Host:
    """Return the gradient of a swaying bowl; it depends on p, so that errors grow."""
    curvature = 0.5 + np.arange(p.size).reshape(p.shape) / max(p.size, 1)
    return np.asarray(curvature * (p - 0.3 * np.sin(0.05 * step)) + 0.05 * np.cos(step))


def parameters_on(b: Backend) -> list[Parameter]:
    """Return parameters at their initial values."""
    parameters = [Parameter(shape, Constant(0.0), b) for shape in SHAPES]
    for parameter, value in zip(parameters, starts(), strict=True):
        parameter.set(bring(b, value))
    return parameters


def drive(optimizer: Optimizer, parameters: Sequence[Parameter], steps: range) -> None:
    """Take the steps."""
    b = parameters[0].backend
    for step in steps:
        optimizer.zero_grad()
        for parameter in parameters:
            parameter.accumulate(bring(b, slope(host(b, parameter.data).astype(np.float64), step)))
        optimizer.step()


def trajectory(case: OptimizerCase, b: Backend) -> Trajectory:
    """Return the values after each of `STEPS`."""
    parameters = parameters_on(b)
    optimizer = case.make(parameters)
    values: Trajectory = {}
    for start, stop in itertools.pairwise((0, *STEPS)):
        drive(optimizer, parameters, range(start, stop))
        values |= {f"p{i} after {stop}": host(b, p.data) for i, p in enumerate(parameters)}
    return values


def torch_trajectory(case: OptimizerCase) -> Trajectory:
    """Return the values of torch.optim's twin; torch is imported here."""
    import torch

    assert case.torch is not None
    twins = [torch.nn.Parameter(torch.tensor(value)) for value in starts()]
    optimizer = case.torch(twins)
    values: Trajectory = {}
    for step in range(STEPS[-1]):
        for twin in twins:
            twin.grad = torch.tensor(slope(twin.detach().numpy(), step))
        optimizer.step()
        if step + 1 in STEPS:
            values |= {f"p{i} after {step + 1}": t.detach().numpy().copy() for i, t in enumerate(twins)}
    return values


def compare_trajectories(name: str, oracle: str, ours: Trajectory, theirs: Trajectory) -> Report:
    """Compare every value at 1e-9."""
    return Report(name, oracle, compare(ours, theirs, close))
