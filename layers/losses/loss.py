"""`Loss`: the error of a prediction, and its gradient."""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

from ...backends import (
    Backend,
    DataError,
    DtypeError,
    OptionError,
    ShapeError,
    StateError,
    Tensor,
    get_backend,
)
from ...backends.errors import foreign
from ...backends.host import is_floating
from ...backends.options import choice
from ...backends.protocol import Shape
from ..call import CHECKED_TARGETS, INFERENCE, Kept
from ..faults import raise_named
from ..parameter import check_same_shape

Self = TypeVar("Self", bound="Loss")
REDUCTIONS = ("mean", "sum", "none")


class Loss:
    """A function of prediction and target; `backward` returns the gradient of the prediction.

    A loss of one's own defines `forward` and `backward`. `terms` too, if the mean is not over the samples.

    Parameters
    ----------
    reduction
        "mean", "sum", or "none" (one loss per element).
    backend
        The backend that computes; the current one if None.

    """

    reductions: tuple[str, ...] = REDUCTIONS
    tensors: tuple[str, ...] = ()
    """The attributes that hold tensors or None, such as class weights."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "forward" in vars(cls) and "terms" not in vars(cls):
            # The terms that it inherits are those of another forward.
            cls.terms = Loss.terms  # type: ignore[method-assign]
        if inspect.isfunction(own := vars(cls).get("backward")):
            setattr(cls, "backward", _named(own))  # noqa: B010

    def __init__(self, reduction: str = "mean", *, backend: str | Backend | None = None) -> None:
        self.reduction = choice(type(self).__name__, "reduction", reduction, self.reductions)
        self.backend = get_backend(backend)
        self.validate = True
        """Whether each call checks the targets' values, outside `checked_targets()`: it waits for the device.
        Labels need no check on a CPU, where an op refuses those out of range."""
        self._kept = Kept()

    def __call__(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss, a 0-d handle (or one per element with "none").

        weight: a weight for each sample (N,), or for each of its losses (N, ...). A sample of weight 2
        counts as two, and one of weight 0 not at all, whatever its prediction is.
        """
        try:
            return self._forward(prediction, target, weight)
        except Exception as error:
            raise_named(error, self)

    def fraction(
        self, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (numerator, denominator), 0-d handles, and keep what `backward` needs, as a call does.

        The loss over several batches is the sum of their numerators over the sum of their denominators. A
        batch without a target that counts gives 0 and 0. A summed loss has the number of samples as its
        denominator, a "none" that of the mean.
        """
        try:
            return self.terms(prediction, target, weight)
        except Exception as error:
            raise_named(error, self)

    def reduced(self, numerator: Tensor, denominator: Tensor) -> Tensor:
        """Return the loss, 0-d, from its fraction."""
        return numerator if self.reduction == "sum" else self.backend.divide(numerator, denominator)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss and keep what `backward` needs; a third parameter, `weight=None`, is optional."""
        raise TypeError(f"{type(self).__name__} must define forward(prediction, target)")

    def terms(
        self, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return numerator and denominator; here those of a mean, or a sum, over the samples."""
        b = self.backend
        value = self._forward(prediction, target, weight)
        value = b.sum(value) if self.reduction == "none" else value
        shape, dtype = b.shape(prediction), b.dtype(prediction)
        samples = float(shape[0]) if shape else 1.0
        if self.reduction in ("sum", "none"):
            return value, self.counted(samples, weight, dtype)
        if weight is None:
            return b.multiply(value, samples), self.constant(samples, dtype)
        total = self.counted(samples, weight, dtype)
        # The mean of nothing may be NaN.
        return b.where(b.equal(total, 0.0), 0.0, b.multiply(value, total)), total

    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """Return dL/dprediction; reduction "none" needs the gradient of each element's loss."""
        raise TypeError(f"{type(self).__name__} must define backward(grad_output=None)")

    def check_targets(self, prediction_shape: tuple[int, ...], target: Tensor) -> None:
        """Raise DataError unless this loss is defined for the values of the targets."""

    def check_prediction(self, prediction: Tensor) -> None:
        """Raise DataError unless this loss is defined for the values of the prediction."""

    def __repr__(self) -> str:
        shown = [self.extra_repr(), "" if self.reduction == "mean" else f"reduction={self.reduction!r}"]
        return f"{type(self).__name__}({', '.join(filter(None, shown))})"

    def extra_repr(self) -> str:
        """Return the text before the reduction in the repr."""
        return ""

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes of a copy, which has kept nothing for `backward`."""
        return {**vars(self), "_kept": Kept()}

    def to(self: Self, backend: str | Backend, *, dtype: str | None = None) -> Self:
        """Move to another backend, in place; values kept for `backward` are dropped."""
        target = get_backend(backend, dtype=dtype)
        own = {name: getattr(self, name) for name in self.tensors}
        moved = {
            name: None if value is None else target.from_host(self.backend.to_host(value))
            for name, value in own.items()
        }
        vars(self).update(moved, backend=target, _kept=Kept())
        return self

    def __deepcopy__(self: Self, memo: dict[int, object]) -> Self:
        """Copy everything except tensors: values never change."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        for name, value in self.__getstate__().items():
            vars(twin)[name] = value if name in self.tensors else copy.deepcopy(value, memo)
        return twin

    # -- for the losses' own use ---------------------------------------------------------------------

    def weights(self, option: str, value: Tensor | None) -> Tensor | None:
        """Return an option's weights; raise unless they are None, or floating and finite on this backend."""
        if value is None:
            return None
        b, name = self.backend, type(self).__name__
        try:
            shape, dtype = b.shape(value), b.dtype(value)
        except DtypeError as error:
            raise foreign(f"{name}: {option}", value, f"a tensor of {b!r}") from error
        if not is_floating(dtype):
            raise DtypeError(f"{name}: expected {option} to be floating, got {dtype}; convert it with astype")
        largest = 0.0 if 0 in shape else b.item(b.max(b.abs(value)))
        if not largest < math.inf:
            raise DataError(f"{name}: expected {option} to be finite, got {largest}")
        return value

    def checks_values(self) -> bool:
        """Return whether this call checks the values of prediction and target."""
        return self.validate and not CHECKED_TARGETS.get()

    def checks_late(self) -> bool:
        """Return whether the values of a pass may be checked after it, all at once, not at each call."""
        checks = ("check_targets", "check_prediction")
        reads = any(getattr(type(self), name) is not getattr(Loss, name) for name in checks)
        return reads and self.checks_values()

    def keep(self, *values: Any) -> None:
        """Keep the values that `backward` needs; none under `inference()`."""
        self._kept.values = None if INFERENCE.get() else values

    def kept(self, grad_output: Tensor | None) -> tuple[Any, ...]:
        """Return what this thread's last call kept; check that `backward` got a gradient if it needs one."""
        values = self._kept.values
        if values is None:
            raise StateError(
                f"{self}: backward needs a call with prediction and target before it, "
                "in this thread and not under inference()"
            )
        if (grad_output is not None) != (self.reduction == "none"):
            need = "needs the gradient of each element's loss" if grad_output is None else "takes no gradient"
            raise StateError(f"{self}: backward {need} when the reduction is {self.reduction!r}")
        return values

    def check_pair(self, prediction: Tensor, target: Tensor) -> Shape:
        """Return the shape of both; raise if they differ, or are empty under "mean"."""
        b = self.backend
        shape, other = b.shape(prediction), b.shape(target)
        if shape != other:
            raise ShapeError(
                f"expected a target of the prediction's shape {tuple(shape)}, got {tuple(other)}"
            )
        if 0 in shape and self.reduction not in ("sum", "none"):
            raise ShapeError(f"expected at least one element for the mean, got prediction {tuple(shape)}")
        return shape

    def check_weight(self, name: str, weight: Tensor | None, shape: Shape) -> None:
        """Raise unless a weight is None or broadcasts to the prediction's shape."""
        if weight is None:
            return
        got = self.backend.shape(weight)
        fits = len(got) <= len(shape) and all(
            n in (1, m) for n, m in zip(reversed(got), reversed(shape), strict=False)
        )
        if not fits:
            raise ShapeError(
                f"expected {name} to broadcast to the prediction's shape {tuple(shape)}, got {tuple(got)}"
            )

    def scaled(self, grad: Tensor, grad_output: Tensor | None, size: float) -> Tensor:
        """Return the gradient of the elements' losses times the derivative of "mean", "sum" or "none"."""
        b = self.backend
        if grad_output is not None:
            check_same_shape(f"{self}: backward", b.shape(grad), b.shape(grad_output))
            return b.multiply(grad, grad_output)
        return b.multiply(grad, 1.0 / size) if self.reduction == "mean" else grad

    def constant(self, number: float, dtype: str) -> Tensor:
        """Return a number as a 0-d tensor; the last one serves again, as most batches have one size."""
        b, last = self.backend, self._kept.constant
        if last is not None and last[:3] == (b, number, dtype):
            known: Tensor = last[3]
            return known
        tensor = b.full((), number, dtype=dtype)
        if not b.tracing:
            self._kept.constant = b, number, dtype, tensor
        return tensor

    def counted(self, number: float, weight: Tensor | None, dtype: str) -> Tensor:
        """Return a number of samples (or elements), 0-d; each counts with its weight."""
        b = self.backend
        if weight is None:
            return self.constant(number, dtype)
        places = 1
        for n in b.shape(weight):
            places *= n
        return b.multiply(b.sum(weight), number / max(places, 1))

    def _forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return self.forward(prediction, target)
        if not _takes_weight(type(self).forward):
            raise OptionError(
                "expected no weight, for forward(prediction, target) takes none, got one; give it "
                "weight=None as a third parameter"
            )
        forward: Any = self.forward
        return forward(prediction, target, weight)  # type: ignore[no-any-return]


def _named(own: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a loss's `backward` whose errors name the loss."""

    @functools.wraps(own)
    def backward(self: Loss, grad_output: Tensor | None = None) -> Tensor:
        try:
            return own(self) if grad_output is None else own(self, grad_output)
        except Exception as error:
            raise_named(error, self)

    return backward


@functools.lru_cache(maxsize=64)
def _takes_weight(forward: Any) -> bool:
    try:
        inspect.signature(forward).bind(None, None, None, None)
    except TypeError:
        return False
    return True
