"""`Loss`: the error of a prediction, and its gradient."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from ...backends import Backend, OptionError, ShapeError, StateError, Tensor, get_backend
from ...backends.protocol import Shape
from ..call import CHECKED_TARGETS, INFERENCE, Kept
from ..faults import raise_named
from ..parameter import check_same_shape

Self = TypeVar("Self", bound="Loss")
REDUCTIONS = ("mean", "sum", "none")


class Loss:
    """A function of prediction and target; `backward` returns the gradient of the prediction.

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

    def __init__(self, reduction: str = "mean", *, backend: str | Backend | None = None) -> None:
        if reduction not in self.reductions:
            known = ", ".join(map(repr, self.reductions))
            raise OptionError(
                f"{type(self).__name__}: expected reduction to be one of {known}, got {reduction!r}"
            )
        self.backend = get_backend(backend)
        self.reduction = reduction
        self.validate = True
        """Whether each call checks the targets' values (labels in range, ...), outside `checked_targets()`.
        The check waits for the device."""
        self._kept = Kept()

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a 0-d handle (or one per element with "none")."""
        try:
            return self.forward(prediction, target)
        except Exception as error:
            raise_named(error, self)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss and keep what `backward` needs."""
        raise TypeError(f"{type(self).__name__} must define forward(prediction, target)")

    def backward(self, grad_output: Tensor | None = None) -> Tensor:
        """Return dL/dprediction; reduction "none" needs the gradient of each element's loss."""
        raise TypeError(f"{type(self).__name__} must define backward(grad_output=None)")

    def check_targets(self, prediction_shape: tuple[int, ...], target: Tensor) -> None:
        """Raise DataError unless this loss is defined for the values of the targets."""

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

    def checks_values(self) -> bool:
        """Return whether this call checks the values of prediction and target."""
        return self.validate and not CHECKED_TARGETS.get()

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
            raise ShapeError(f"the mean over an empty batch is undefined: prediction {tuple(shape)}")
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

    def reduce(self, losses: Tensor) -> Tensor:
        """Return the elementwise losses, reduced."""
        if self.reduction == "mean":
            return self.backend.mean(losses)
        return self.backend.sum(losses) if self.reduction == "sum" else losses

    def scaled(self, grad: Tensor, grad_output: Tensor | None, size: int) -> Tensor:
        """Return the gradient of the elementwise losses times the derivative of the reduction."""
        if grad_output is not None:
            b = self.backend
            check_same_shape(f"{self}: backward", b.shape(grad), b.shape(grad_output))
            return b.multiply(grad, grad_output)
        return self.backend.multiply(grad, 1.0 / size) if self.reduction == "mean" else grad
