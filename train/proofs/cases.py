"""THE table: a row for every layer, loss and optimizer, in every mode that it has.

The tests, `lamina check` and every decorator run over it, on every backend. A new layer adds a row here,
not a test file; a public layer or loss without a row fails a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...backends import Backend
from ...backends.protocol import Shape
from ...layers import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Flatten,
    Identity,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Module,
    MSELoss,
    NLLLoss,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from ..optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from .case import LayerCase, LossCase, OptimizerCase

Host = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator], Host]
_INF, _NAN = math.inf, math.nan

# Zeros of both signs, kinks, tiny and huge values, what overflows e^x, infinities and NaN.
_EDGES = (
    0.0,
    -0.0,
    1e-300,
    -1e-300,
    1e-8,
    36.0,
    -36.0,
    88.8,
    -103.0,
    1e3,
    -1e3,
    1e300,
    -1e300,
    _INF,
    -_INF,
    _NAN,
)
_LOGIT_EDGES = (
    (0.0, 1000.0),
    (1000.0, 0.0),
    (2.0, 2.0),
    (-1e300, 1e300),
    (-_INF, 0.0),
    (-_INF, -1e3),
    (_NAN, 1.0),
)


# -- layers --------------------------------------------------------------------------------------


def _torch(name: str, *args: Any, **options: Any) -> Callable[[], Any]:
    """Return a maker of a torch.nn module; torch is imported when it is called."""

    def make() -> Any:
        from torch import nn

        return getattr(nn, name)(*args, **options)

    return make


def _torch_stack(*makers: Callable[[], Any]) -> Callable[[], Any]:
    def make() -> Any:
        from torch import nn

        return nn.Sequential(*(maker() for maker in makers))

    return make


def _shared(backend: Backend) -> Module:
    """Two layers with one weight (and biases of their own): its gradients add up."""
    first, second = Linear(4, 4, backend=backend), Linear(4, 4, backend=backend)
    second.weight = first.weight
    return Sequential(first, Tanh(backend=backend), second)


def _torch_shared() -> Any:
    from torch import nn

    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second)


def _nested(b: Backend) -> Module:
    head = Sequential(LeakyReLU(0.2, backend=b), Sequential(Linear(6, 3, backend=b), Tanh(backend=b)))
    return Sequential(Flatten(backend=b), Linear(12, 6, backend=b), head, Linear(3, 2, bias=False, backend=b))


_torch_nested = _torch_stack(
    _torch("Flatten"),
    _torch("Linear", 12, 6),
    _torch_stack(_torch("LeakyReLU", 0.2), _torch_stack(_torch("Linear", 6, 3), _torch("Tanh"))),
    _torch("Linear", 3, 2, bias=False),
)


def _linear(
    label: str, in_features: int, out_features: int, input_shape: Shape, bias: bool = True
) -> LayerCase:
    return LayerCase(
        f"Linear {label}",
        lambda b: Linear(in_features, out_features, bias, backend=b),
        input_shape,
        _torch("Linear", in_features, out_features, bias),
    )


def _activation(
    kind: Callable[..., Module], label: str = "", *args: Any, kinks: tuple[float, ...] = ()
) -> LayerCase:
    name = getattr(kind, "__name__", "")
    return LayerCase(
        f"{name} {label}".rstrip(),
        lambda b: kind(*args, backend=b),
        (3, 5),
        _torch(name, *args),
        kinks,
        _EDGES,
    )


def _along(kind: Callable[..., Module], dim: int, shape: Shape, special: tuple[Any, ...] = ()) -> LayerCase:
    name = getattr(kind, "__name__", "")
    axes = "x".join(map(str, shape))
    return LayerCase(
        f"{name} dim={dim} of {axes}",
        lambda b: kind(dim, backend=b),
        shape,
        _torch(name, dim),
        special=special,
    )


LAYER_CASES: tuple[LayerCase, ...] = (
    _linear("with bias", 4, 3, (5, 4)),
    _linear("without bias", 4, 3, (5, 4), bias=False),
    _linear("square, batch of one", 3, 3, (1, 3)),
    _linear("one to one", 1, 1, (4, 1)),
    _linear("of 3 axes", 4, 3, (2, 3, 4)),
    _linear("of 4 axes, without bias", 3, 2, (2, 2, 2, 3), bias=False),
    _activation(ReLU, kinks=(0.0,)),
    _activation(LeakyReLU, kinks=(0.0,)),
    _activation(LeakyReLU, "of slope 0.3", 0.3, kinks=(0.0,)),
    _activation(LeakyReLU, "of a negative slope", -0.5, kinks=(0.0,)),
    _activation(Sigmoid),
    _activation(Tanh),
    _along(Softmax, -1, (3, 4), _LOGIT_EDGES),
    _along(Softmax, 0, (3, 4)),
    _along(Softmax, 1, (2, 3, 2)),
    _along(LogSoftmax, -1, (3, 4), _LOGIT_EDGES),
    _along(LogSoftmax, 0, (3, 4)),
    _along(LogSoftmax, 1, (2, 3, 2)),
    LayerCase("Flatten", lambda b: Flatten(backend=b), (2, 3, 2), _torch("Flatten")),
    LayerCase("Flatten of 2 axes", lambda b: Flatten(backend=b), (2, 3), _torch("Flatten")),
    LayerCase(
        "Flatten from 1 to 2", lambda b: Flatten(1, 2, backend=b), (2, 3, 2, 2), _torch("Flatten", 1, 2)
    ),
    LayerCase("Flatten all", lambda b: Flatten(0, backend=b), (2, 3), _torch("Flatten", 0)),
    LayerCase("Identity", lambda b: Identity(backend=b), (2, 3), _torch("Identity"), special=_EDGES),
    LayerCase("Sequential of nothing", lambda b: Sequential(backend=b), (2, 3), _torch_stack()),
    LayerCase(
        "Sequential",
        lambda b: Sequential(Linear(2, 5, backend=b), ReLU(backend=b), Linear(5, 3, backend=b)),
        (4, 2),
        _torch_stack(_torch("Linear", 2, 5), _torch("ReLU"), _torch("Linear", 5, 3)),
    ),
    LayerCase("Sequential nested", _nested, (3, 3, 4), _torch_nested),
    LayerCase("Sequential with a shared weight", _shared, (3, 4), _torch_shared),
    LayerCase(
        "Sequential into Softmax",
        lambda b: Sequential(
            Linear(3, 4, backend=b), Sigmoid(backend=b), Linear(4, 3, backend=b), Softmax(1, backend=b)
        ),
        (3, 3),
        _torch_stack(_torch("Linear", 3, 4), _torch("Sigmoid"), _torch("Linear", 4, 3), _torch("Softmax", 1)),
    ),
)
"""Every layer, in every mode."""


# -- losses --------------------------------------------------------------------------------------


def _normal(*shape: int) -> Draw:
    return lambda source: np.asarray(source.standard_normal(shape))


def _unit(*shape: int) -> Draw:
    """Draw probabilities clear of 0 and 1."""
    return lambda source: np.asarray(source.uniform(0.05, 0.95, shape))


def _binary(*shape: int) -> Draw:
    return lambda source: source.integers(0, 2, shape).astype(np.float64)


def _labels(classes: int, *shape: int, ignore: int | None = None) -> Draw:
    """Draw labels; every third is `ignore`, where one is given."""

    def draw(source: np.random.Generator) -> Host:
        labels = source.integers(0, classes, shape)
        if ignore is not None:
            labels.flat[::3] = ignore
        return labels

    return draw


def _distribution(*shape: int) -> Draw:
    """Draw probabilities that sum to 1 along axis 1."""

    def draw(source: np.random.Generator) -> Host:
        q = source.uniform(0.05, 1.0, shape)
        return np.asarray(q / q.sum(axis=1, keepdims=True))

    return draw


def _log_distribution(*shape: int) -> Draw:
    return lambda source: np.log(_distribution(*shape)(source))


_ELEMENT_WEIGHTS = np.array([[0.5, 2.0, 0.0], [1.0, 0.25, 3.0]])
_POSITIVE_WEIGHTS = np.array([0.5, 3.0, 1.0])
_CLASS_WEIGHTS = np.array([0.25, 2.0, 1.0, 0.5])


def _brought(b: Backend, options: dict[str, Any]) -> dict[str, Any]:
    return {k: b.from_host(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def _loss(
    kind: Callable[..., Any],
    label: str,
    prediction: Draw,
    target: Draw,
    special: tuple[Any, ...] = (),
    **options: Any,
) -> LossCase:
    """Return the case of a loss whose options torch has under the same names; arrays become tensors."""
    name = getattr(kind, "__name__", "")

    def twin() -> Any:
        import torch

        own = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        return getattr(torch.nn, name)(**own)

    return LossCase(
        f"{name} {label}",
        lambda b: kind(**_brought(b, options), backend=b),
        prediction,
        target,
        twin,
        special,
    )


def _batch_mean(share: float) -> Callable[[], Any]:
    """Return the maker of torch's Σ (p - t)² times `share` over the number of samples."""

    def make() -> Any:
        from torch.nn.functional import mse_loss

        return lambda p, t: mse_loss(p, t, reduction="sum") * share / p.shape[0]

    return make


def _mse(reduction: str, share: float) -> LossCase:
    return LossCase(
        f"MSELoss {reduction}",
        lambda b: MSELoss(reduction, backend=b),
        _normal(4, 3),
        _normal(4, 3),
        _batch_mean(share),
    )


_BCE_EDGES = ((0.0, 0.0, 1.0, 1.0, 0.5, 1e-30), (1.0, 0.0, 1.0, 0.0, 0.25, 1.0))
_BCE_LOGIT_EDGES = (
    (1000.0, 1000.0, -1000.0, -1000.0, 0.0, 37.0, -745.2, 1e300),
    (0.0, 1.0, 0.0, 1.0, 0.5, 1.0, 1.0, 0.0),
)
_CLASS_EDGES = (
    ((0.0, 1000.0), (0.0, 1000.0), (3.0, 3.0), (-_INF, 0.0), (-1e300, 1e300)),
    (0, 1, 0, 1, 1),
)
_LOG_P_EDGES = (((-0.5, -_INF), (0.0, -_INF), (-1e300, -1.0)), (0, 0, 1))

_classes = partial(_labels, 4)
_nll = partial(_loss, NLLLoss)
_cross = partial(_loss, CrossEntropyLoss)

LOSS_CASES: tuple[LossCase, ...] = (
    _loss(MSELoss, "mean", _normal(4, 3), _normal(4, 3), ((0.0, 1e200, _INF), (0.0, 0.0, 1.0))),
    _loss(MSELoss, "sum", _normal(4, 3), _normal(4, 3), reduction="sum"),
    _loss(MSELoss, "none", _normal(4, 3), _normal(4, 3), reduction="none"),
    _loss(MSELoss, "mean of 3 axes", _normal(2, 2, 2), _normal(2, 2, 2)),
    _mse("batchmean", 1.0),
    _mse("half_batchmean", 0.5),
    _loss(BCELoss, "mean", _unit(4, 3), _binary(4, 3), _BCE_EDGES),
    _loss(BCELoss, "sum of soft targets", _unit(4), _unit(4), reduction="sum"),
    _loss(BCELoss, "none", _unit(4, 3), _binary(4, 3), _BCE_EDGES, reduction="none"),
    _loss(BCELoss, "weighted", _unit(2, 3), _binary(2, 3), weight=_ELEMENT_WEIGHTS),
    _loss(BCELoss, "weighted by class", _unit(4, 3), _binary(4, 3), weight=_POSITIVE_WEIGHTS),
    _loss(BCEWithLogitsLoss, "mean", _normal(4, 3), _binary(4, 3), _BCE_LOGIT_EDGES),
    _loss(BCEWithLogitsLoss, "sum of soft targets", _normal(4), _unit(4), reduction="sum"),
    _loss(BCEWithLogitsLoss, "none", _normal(4, 3), _binary(4, 3), _BCE_LOGIT_EDGES, reduction="none"),
    _loss(BCEWithLogitsLoss, "weighted", _normal(2, 3), _unit(2, 3), weight=_ELEMENT_WEIGHTS),
    _loss(BCEWithLogitsLoss, "pos_weight", _normal(4, 3), _unit(4, 3), pos_weight=_POSITIVE_WEIGHTS),
    _loss(
        BCEWithLogitsLoss,
        "weight and pos_weight, none",
        _normal(2, 3),
        _binary(2, 3),
        weight=_ELEMENT_WEIGHTS,
        pos_weight=_POSITIVE_WEIGHTS,
        reduction="none",
    ),
    _nll("mean", _log_distribution(5, 4), _classes(5), _LOG_P_EDGES),
    _nll("sum", _log_distribution(5, 4), _classes(5), reduction="sum"),
    _nll("none", _log_distribution(5, 4), _classes(5), _LOG_P_EDGES, reduction="none"),
    _nll("weighted mean", _log_distribution(6, 4), _classes(6), weight=_CLASS_WEIGHTS),
    _nll("ignoring -100", _log_distribution(6, 4), _classes(6, ignore=-100)),
    _nll(
        "ignoring a class, weighted",
        _log_distribution(7, 4),
        _classes(7, ignore=2),
        weight=_CLASS_WEIGHTS,
        ignore_index=2,
    ),
    _nll("of (N, C, d)", _log_distribution(3, 4, 2), _classes(3, 2)),
    _nll("of (N, C, d, e), none", _log_distribution(2, 4, 2, 3), _classes(2, 2, 3), reduction="none"),
    _cross("mean", _normal(5, 4), _classes(5), _CLASS_EDGES),
    _cross("sum", _normal(5, 4), _classes(5), reduction="sum"),
    _cross("none", _normal(5, 4), _classes(5), _CLASS_EDGES, reduction="none"),
    _cross("weighted mean", _normal(6, 4), _classes(6), weight=_CLASS_WEIGHTS),
    _cross("weighted, none", _normal(6, 4), _classes(6), weight=_CLASS_WEIGHTS, reduction="none"),
    _cross("ignoring 1", _normal(7, 4), _classes(7, ignore=1), ignore_index=1),
    _cross("smoothed", _normal(5, 4), _classes(5), label_smoothing=0.1),
    _cross("smoothed to the full, sum", _normal(5, 4), _classes(5), label_smoothing=1.0, reduction="sum"),
    _cross(
        "smoothed, weighted, ignoring 2",
        _normal(7, 4),
        _classes(7, ignore=2),
        weight=_CLASS_WEIGHTS,
        ignore_index=2,
        label_smoothing=0.2,
    ),
    _cross(
        "smoothed, ignoring -100, none",
        _normal(7, 4),
        _classes(7, ignore=-100),
        label_smoothing=0.2,
        reduction="none",
    ),
    _cross("of (N, C, d)", _normal(3, 4, 2), _classes(3, 2)),
    _cross(
        "of (N, C, d), smoothed, weighted",
        _normal(3, 4, 2),
        _classes(3, 2, ignore=-100),
        weight=_CLASS_WEIGHTS,
        label_smoothing=0.1,
    ),
    _cross("of probabilities", _normal(5, 4), _distribution(5, 4)),
    _cross("of probabilities, none", _normal(5, 4), _distribution(5, 4), reduction="none"),
    _cross(
        "of probabilities (N, C, d), smoothed, weighted",
        _normal(3, 4, 2),
        _distribution(3, 4, 2),
        weight=_CLASS_WEIGHTS,
        label_smoothing=0.3,
    ),
)
"""Every loss, in every mode."""


# -- optimizers ----------------------------------------------------------------------------------


def _optimizer(kind: Callable[..., Any], label: str = "", **options: Any) -> OptimizerCase:
    """Return the case of an optimizer whose options torch has under the same names."""
    name = getattr(kind, "__name__", "")

    def twin(parameters: Any) -> Any:
        from torch import optim

        return getattr(optim, name)(parameters, **options)

    return OptimizerCase(f"{name} {label}".rstrip(), lambda p: kind(p, **options), twin)


def _papers(kind: Callable[..., Any], label: str, **options: Any) -> OptimizerCase:
    name = getattr(kind, "__name__", "")
    return OptimizerCase(f"{name} {label}", lambda p: kind(p, **options))


OPTIMIZER_CASES: tuple[OptimizerCase, ...] = (
    _optimizer(SGD, lr=0.05),
    _optimizer(SGD, "weight decay", lr=0.05, weight_decay=0.1),
    _optimizer(SGD, "momentum", lr=0.02, momentum=0.9),
    _optimizer(SGD, "dampening", lr=0.05, momentum=0.8, dampening=0.5, weight_decay=0.01),
    _optimizer(SGD, "nesterov", lr=0.02, momentum=0.9, nesterov=True),
    _optimizer(RMSprop, lr=0.01),
    _optimizer(RMSprop, "centered", lr=0.01, alpha=0.9, centered=True),
    _optimizer(RMSprop, "momentum", lr=0.003, alpha=0.9, momentum=0.7, weight_decay=0.05),
    _optimizer(RMSprop, "centered momentum", lr=0.003, eps=1e-4, momentum=0.5, centered=True),
    _optimizer(Adagrad, lr=0.1),
    _optimizer(Adagrad, "decay", lr=0.1, lr_decay=0.01, weight_decay=0.05, initial_accumulator_value=0.5),
    _optimizer(Adam, lr=0.01),
    _optimizer(Adam, "weight decay", lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    _optimizer(AdamW, lr=0.01),
    _optimizer(AdamW, "decay", lr=0.02, betas=(0.5, 0.9), weight_decay=0.3),
    _papers(SGD, "ema", lr=0.1, momentum=0.9, momentum_form="ema"),
    _papers(SGD, "lr_inside", lr=0.02, momentum=0.9, momentum_form="lr_inside"),
    _papers(RMSprop, "eps_inside_root", lr=0.01, alpha=0.9, eps=1e-3, eps_inside_root=True),
)
"""Every optimizer, in every mode; those of papers without a twin in torch."""
