"""Rows for every loss, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ....backends import Backend
from ....backends.host import Host
from ... import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss, NLLLoss
from ..case import LossCase
from .twins import INF, NAN

Draw = Callable[[np.random.Generator], Host]
Divisor = Callable[[Any, Any], Any]


def _normal(*shape: int) -> Draw:
    return lambda source: np.asarray(source.standard_normal(shape))


def _unit(*shape: int) -> Draw:
    """Draw probabilities clear of 0 and 1."""
    return lambda source: np.asarray(source.uniform(0.05, 0.95, shape))


def _binary(*shape: int) -> Draw:
    return lambda source: source.integers(0, 2, shape).astype(np.float64)


def _labels(classes: int, *shape: int, ignore: int | None = None) -> Draw:
    """Draw labels; every third is `ignore`, unless None."""

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
_NEGATIVE_WEIGHTS = np.array([-3.0, 0.5, -0.25, -1.0])


def _one(weights: Any, target: Any) -> Any:
    return 1.0


def _total(weights: Any, target: Any) -> Any:
    return weights.sum()


def _of_labels(weights: Any, target: Any) -> Any:
    """Return the labels' class weights times the samples', summed over the labels that count."""
    import torch

    own = torch.tensor(_CLASS_WEIGHTS)[target.clamp(min=0)]
    return torch.where(target < 0, 0.0, own * weights).sum()


def _on_backend(b: Backend, options: dict[str, Any]) -> dict[str, Any]:
    return {k: b.from_host(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def _loss(
    kind: Callable[..., Any],
    label: str,
    prediction: Draw,
    target: Draw,
    special: tuple[Any, ...] = (),
    **options: Any,
) -> LossCase:
    """Return the row of a loss with the same options in torch; arrays become tensors."""
    name = getattr(kind, "__name__", "")

    def twin() -> Any:
        import torch

        own = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        return getattr(torch.nn, name)(**own)

    return LossCase(
        f"{name} {label}",
        lambda b: kind(**_on_backend(b, options), backend=b),
        prediction,
        target,
        twin,
        special,
    )


def _batch_mean(share: float) -> Callable[[], Any]:
    """Return a maker of torch's Σ (p - t)² times `share` / N."""

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


def _weights(*shape: int) -> Draw:
    """Draw samples' weights; the first of them is 0."""

    def draw(source: np.random.Generator) -> Host:
        weights = source.uniform(0.5, 3.0, shape)
        weights[0] = 0.0
        return np.asarray(weights)

    return draw


def _losses(name: str, options: dict[str, Any], prediction: Any, target: Any) -> Any:
    """Return torch's losses (N, ...) by the name of the function."""
    import torch

    own = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    return getattr(torch.nn.functional, name)(prediction, target, reduction="none", **own)


_FUNCTIONS: dict[Any, str] = {
    MSELoss: "mse_loss",
    BCELoss: "binary_cross_entropy",
    BCEWithLogitsLoss: "binary_cross_entropy_with_logits",
    NLLLoss: "nll_loss",
    CrossEntropyLoss: "cross_entropy",
}


def _by_sample(
    kind: Callable[..., Any],
    label: str,
    prediction: Draw,
    target: Draw,
    samples: Draw,
    special: tuple[Any, ...] = (),
    divisor: Divisor = _total,
    **options: Any,
) -> LossCase:
    """Return the row of a loss with samples' weights: torch's Σ w l / divisor over the samples that count.

    divisor: a function of the losses' weights and the targets.
    """
    name = _FUNCTIONS[kind]
    for_torch = {k: v for k, v in options.items() if k != "reduction"}

    def twin(p: Any, t: Any, w: Any) -> Any:
        counted = w.reshape(len(w), -1).amax(1) > 0
        p, t, w = p[counted], t[counted], w[counted]
        losses = _losses(name, for_torch, p, t)
        weights = w.reshape(*w.shape, *(1,) * (losses.ndim - w.ndim)).expand_as(losses)
        return (weights * losses).sum() / divisor(weights, t)

    return LossCase(
        f"{kind.__name__} of weighted samples, {label}",
        lambda b: kind(**_on_backend(b, options), backend=b),
        prediction,
        target,
        lambda: twin,
        special,
        samples,
    )


_BCE_EDGES = ((0.0, 0.0, 1.0, 1.0, 0.5, 1e-30), (1.0, 0.0, 1.0, 0.0, 0.25, 1.0))
_BCE_LOGIT_EDGES = (
    (1000.0, 1000.0, -1000.0, -1000.0, 0.0, 37.0, -745.2, 1e300),
    (0.0, 1.0, 0.0, 1.0, 0.5, 1.0, 1.0, 0.0),
)
_CLASS_EDGES = (
    ((0.0, 1000.0), (0.0, 1000.0), (3.0, 3.0), (-INF, 0.0), (-1e300, 1e300)),
    (0, 1, 0, 1, 1),
)
_UNCOUNTED = (((NAN, INF), (1.0, 2.0)), ((0.0, 0.0), (0.0, 0.5)), (0.0, 2.0))
_UNCOUNTED_LOGITS = (((NAN, INF), (1.0, -1000.0)), ((0.0, 1.0), (1.0, 1.0)), (0.0, 2.0))
_UNCOUNTED_LABELS = (((NAN, INF), (-INF, -INF), (-1.0, -2.0)), (1, 0, 1), (0.0, 0.0, 2.0))
_SMOOTH_EDGES = (((0.0, 0.0), (1000.0, -1000.0), (-1000.0, 1000.0), (0.0, 1e-8)), (0, 0, 0, -100))
_ALL_IGNORED = (((0.5, -1.0), (1000.0, 0.0)), (1, 1))
_SOME_IGNORED = (((0.0, 0.0), (1000.0, -1000.0), (1000.0, -1000.0), (0.0, 0.0)), (0, -100, 1, -100))
_SOFT_EDGES = ((0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 1.0), (0.5, 0.5, 0.25, 0.75, 0.5, 1.0, 0.0))
_LOG_P_EDGES = (((-0.5, -INF), (0.0, -INF), (-1e300, -1.0)), (0, 0, 1))

_classes = partial(_labels, 4)
_nll = partial(_loss, NLLLoss)
_cross = partial(_loss, CrossEntropyLoss)

LOSS_CASES: tuple[LossCase, ...] = (
    _loss(MSELoss, "mean", _normal(4, 3), _normal(4, 3), ((0.0, 1e200, INF), (0.0, 0.0, 1.0))),
    _loss(MSELoss, "sum", _normal(4, 3), _normal(4, 3), reduction="sum"),
    _loss(MSELoss, "none", _normal(4, 3), _normal(4, 3), reduction="none"),
    _loss(MSELoss, "mean of 3 axes", _normal(2, 2, 2), _normal(2, 2, 2)),
    _mse("batchmean", 1.0),
    _mse("half_batchmean", 0.5),
    _loss(BCELoss, "mean", _unit(4, 3), _binary(4, 3), _BCE_EDGES),
    _loss(BCELoss, "sum of soft targets", _unit(4), _unit(4), _SOFT_EDGES, reduction="sum"),
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
    _nll("ignoring -100", _log_distribution(6, 4), _classes(6, ignore=-100), (((-1.0, -INF),), (-100,))),
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
    _cross("ignoring 1", _normal(7, 4), _classes(7, ignore=1), _ALL_IGNORED, ignore_index=1),
    _cross("ignoring -100", _normal(7, 4), _classes(7, ignore=-100), _SOME_IGNORED),
    _cross("with a negative sum of weights", _normal(6, 4), _classes(6), weight=_NEGATIVE_WEIGHTS),
    _cross("smoothed", _normal(5, 4), _classes(5), _SMOOTH_EDGES, label_smoothing=0.1),
    _cross("smoothed to the full", _normal(5, 4), _classes(5), _SMOOTH_EDGES, label_smoothing=1.0),
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
    _by_sample(MSELoss, "mean", _normal(4, 3), _normal(4, 3), _weights(4), _UNCOUNTED),
    _by_sample(MSELoss, "mean, by element", _normal(4, 3), _normal(4, 3), _weights(4, 3)),
    _by_sample(
        MSELoss,
        "batchmean",
        _normal(4, 3),
        _normal(4, 3),
        _weights(4),
        divisor=lambda weights, target: weights[:, 0].sum(),
        reduction="batchmean",
    ),
    _by_sample(MSELoss, "sum", _normal(4), _normal(4), _weights(4), divisor=_one, reduction="sum"),
    _by_sample(
        BCELoss,
        "weighted by class",
        _unit(4, 3),
        _binary(4, 3),
        _weights(4),
        weight=_POSITIVE_WEIGHTS,
    ),
    _by_sample(
        BCELoss,
        "mean",
        _unit(4, 2),
        _unit(4, 2),
        _weights(4),
        (((NAN,), (0.5,)), ((1.0,), (0.0,)), (0.0, 2.0)),
    ),
    _by_sample(BCEWithLogitsLoss, "mean", _normal(4, 3), _binary(4, 3), _weights(4), _UNCOUNTED_LOGITS),
    _by_sample(
        BCEWithLogitsLoss, "pos_weight", _normal(4, 3), _unit(4, 3), _weights(4), pos_weight=_POSITIVE_WEIGHTS
    ),
    _by_sample(NLLLoss, "mean", _log_distribution(5, 4), _classes(5), _weights(5), _UNCOUNTED_LABELS),
    _by_sample(
        NLLLoss,
        "weighted, ignoring -100",
        _log_distribution(6, 4),
        _classes(6, ignore=-100),
        _weights(6),
        divisor=_of_labels,
        weight=_CLASS_WEIGHTS,
    ),
    _by_sample(CrossEntropyLoss, "mean", _normal(5, 4), _classes(5), _weights(5), _UNCOUNTED_LABELS),
    _by_sample(
        CrossEntropyLoss, "sum", _normal(5, 4), _classes(5), _weights(5), divisor=_one, reduction="sum"
    ),
    _by_sample(
        CrossEntropyLoss,
        "of (N, C, d) by place, smoothed, weighted",
        _normal(3, 4, 2),
        _classes(3, 2, ignore=-100),
        _weights(3, 2),
        divisor=_of_labels,
        weight=_CLASS_WEIGHTS,
        label_smoothing=0.1,
    ),
    _by_sample(
        CrossEntropyLoss,
        "of probabilities, smoothed, weighted",
        _normal(5, 4),
        _distribution(5, 4),
        _weights(5),
        weight=_CLASS_WEIGHTS,
        label_smoothing=0.3,
    ),
)
"""Every loss, in every mode."""
