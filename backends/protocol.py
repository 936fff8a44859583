"""The protocol: the 54 primitives that a backend implements, over opaque handles.

A *handle* (`Tensor`) is whatever a backend likes: a numpy array, a torch tensor, a recorded variable.
Layers, losses and optimizers do one thing with a handle: pass it to a method of the backend that made it.

Rules for every op:

- Two tensors in one op must have equal dtypes, or the op raises DtypeError. A Python scalar takes the
  tensor's dtype; a float scalar with an integer tensor is a DtypeError.
- Broadcasting is numpy's. Indices are int64. Comparisons give bool.
- Bad shapes, axes, bounds and indices raise ShapeError, OptionError or DataError by the rules of shapes.py
  (on a GPU, indices are left to torch).
- Transcendental ops and `divide` take floating tensors only.

Values, cells and storage:

- An op returns a *value*. Values never change.
- A *cell* is the buffer that `cells` returns, or one of its views. It lasts and can change. `assign`, the
  only op with a side effect, takes a cell and nothing else. A reshape, a slice or another view of a cell
  is good until the next assignment to the cell.
- `empty` returns *storage*, which serves only as `out`. Its content is undefined until an op has written
  it; no other op reads it, and it is not a cell.
- `out` is a hint to reuse memory: storage, a cell, or a value that the caller made and no longer needs. A
  backend may write the result there or ignore `out`, so callers use the handle that the op returns, and
  what they passed as `out` is dead. A dead value, or a view that shares its memory, cannot be used again.
  Storage can be passed as `out` again; what an earlier op wrote there is then dead, too. A cell cannot be
  read until it is assigned. Assigning the op's result to that cell is free if it was written there.
- `out` must have the result's shape and dtype, or the op raises ShapeError or DtypeError. It may be an
  input only in elementwise ops of equal shape, and the first tensor of `slice_add`, `index_add` and
  `scatter_add`.

Names follow the array-API standard; † marks those that are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, NewType, Protocol, runtime_checkable

from .host import Host
from .random import Distribution
from .windows import Window

Tensor = NewType("Tensor", object)
"""An opaque handle. mypy rejects operators and attributes on it, and so does the `strict` decorator."""

Scalar = int | float | bool
Shape = tuple[int, ...]
Axis = int | tuple[int, ...] | None
Operand = Tensor | Scalar
Widths = Sequence[tuple[int, int]]
NO_NUMBERS: Mapping[str, Host] = MappingProxyType({})
Step = Callable[[tuple[Tensor, ...], Mapping[str, float]], tuple[Tensor, ...]]
"""A function of a batch, tensors (n, ...), and of the step's numbers; it returns tensors () or (n, ...).

While it is traced, each number is a `Number`, which has no value. If what the code does depends on something
that is neither an argument nor in a cell, such as an option of a layer, the step has an attribute `key`: a
function that returns it, as one hashable object. A run asks it before its first step; a backend that traces
steps traces them again for another answer.
"""


class Run(Protocol):
    """A step over batches, with the loop inside."""

    def __call__(
        self,
        data: Sequence[Tensor],
        order: Host | None = None,
        *,
        batch_size: int,
        numbers: Mapping[str, Host] = NO_NUMBERS,
    ) -> tuple[Tensor, ...]:
        """Run the step on each batch; return its results, () stacked to (S,), (n, ...) joined to (M, ...).

        Everything is checked before the first step. An error (or an interrupt) in step k, from 0, leaves the
        cells as step k - 1 did, but for what step k had assigned; its attribute `steps_done` is k.

        Parameters
        ----------
        data
            Tensors (N, ...) of one N.
        order
            Row numbers (M,), int64, M at least 1; None for the N rows as they stand.
        batch_size
            B: batch k has the rows order[k B : (k + 1) B]; the last may have fewer.
        numbers
            float64 (S,) by name: a value for each of the S steps.

        """
        ...


@runtime_checkable
class Primitives(Protocol):
    """What a backend must implement. `Backend` (base.py) adds the ops that are derived from these."""

    # -- metadata ------------------------------------------------------------------------------

    def shape(self, x: Tensor) -> Shape:
        """Return the extents of x (*). † Raises DtypeError for a handle of another backend."""
        ...

    def dtype(self, x: Tensor) -> str:
        """Return "float32", "float64", "int64" or "bool". † Raises DtypeError for a foreign handle."""
        ...

    # -- create and transfer -------------------------------------------------------------------

    def from_host(self, array: Any, *, dtype: str | None = None) -> Tensor:
        """Copy a numpy array (or nested lists) (*) in -> (*). †

        Without `dtype`, floats take the backend's default dtype, integers become int64, bool stays. What
        would change by more than a float's rounding is refused: NaN to int64, uint64 from 2⁶³ on, text.
        """
        ...

    def to_host(self, x: Tensor) -> Any:
        """Copy x (*) out, into a numpy array (*) of the same dtype. †"""
        ...

    def item(self, x: Tensor) -> Any:
        """Return the one element of x, () or (1, ...), as a Python scalar. †"""
        ...

    def empty(self, shape: Shape, *, dtype: str | None = None) -> Tensor:
        """Return storage for `out` -> (*shape); its content is undefined, and it is not a cell."""
        ...

    def full(self, shape: Shape, value: Scalar, *, dtype: str | None = None) -> Tensor:
        """Return `value` everywhere -> (*shape), in the default dtype if none is given."""
        ...

    def arange(self, start: int, stop: int, step: int = 1, *, dtype: str = "int64") -> Tensor:
        """Return Python's range(start, stop, step) -> (ceil((stop - start) / step),)."""
        ...

    def astype(self, x: Tensor, dtype: str) -> Tensor:
        """Return x (*) -> (*) converted; float to int truncates towards zero, anything to bool is x != 0."""
        ...

    def copy(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return the value of x (*) -> (*) in storage of its own. †"""
        ...

    def random(
        self,
        shape: Shape,
        *,
        seed: int,
        stream: int | str,
        step: int | Tensor = 0,
        distribution: Distribution = "uniform",
        dtype: str | None = None,
    ) -> Tensor:
        """Draw -> (*shape) from (seed, stream, step) alone, bit-equal on every backend. †

        Uniform on [0, 1) or standard normal, from counter-based Philox (see random.py). `step` may be an
        int64 tensor (), such as a cell that counts.
        """
        ...

    # -- unary, elementwise: x (*) -> (*) --------------------------------------------------------

    def negative(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return -x: (*) -> (*)."""
        ...

    def abs(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return |x|: (*) -> (*); its derivative at 0 is 0."""
        ...

    def sign(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return -1, 0 or 1 (NaN for NaN): (*) -> (*)."""
        ...

    def exp(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return e^x: (*) -> (*)."""
        ...

    def log(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return ln x: (*) -> (*); -inf at 0, NaN below."""
        ...

    def log1p(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return ln(1 + x), exact near 0: (*) -> (*)."""
        ...

    def sqrt(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return the square root, correctly rounded: (*) -> (*); NaN below 0."""
        ...

    def tanh(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return the hyperbolic tangent: (*) -> (*), within [-1, 1] however large x is."""
        ...

    # -- binary, elementwise: x (*), y (*) broadcast; either may be a scalar ----------------------

    def add(self, x: Operand, y: Operand, *, out: Tensor | None = None) -> Tensor:
        """Return x + y: (*), (*) -> their broadcast shape (*)."""
        ...

    def subtract(self, x: Operand, y: Operand, *, out: Tensor | None = None) -> Tensor:
        """Return x - y: (*), (*) -> (*)."""
        ...

    def multiply(self, x: Operand, y: Operand, *, out: Tensor | None = None) -> Tensor:
        """Return x y: (*), (*) -> (*)."""
        ...

    def divide(self, x: Operand, y: Operand, *, out: Tensor | None = None) -> Tensor:
        """Return x / y: (*), (*) -> (*); IEEE, so that 1 / 0 is inf."""
        ...

    def pow(self, x: Operand, y: Operand, *, out: Tensor | None = None) -> Tensor:
        """Return x to the power y: (*), (*) -> (*)."""
        ...

    def maximum(self, x: Operand, y: Operand, *, out: Tensor | None = None) -> Tensor:
        """Return the larger: (*), (*) -> (*); NaN where either is. A tie gives half the gradient to each."""
        ...

    def minimum(self, x: Operand, y: Operand, *, out: Tensor | None = None) -> Tensor:
        """Return the smaller: (*), (*) -> (*); NaN where either is. A tie gives half the gradient to each."""
        ...

    # -- select --------------------------------------------------------------------------------

    def equal(self, x: Operand, y: Operand) -> Tensor:
        """Return x == y: (*), (*) -> (*) bool, False where either is NaN."""
        ...

    def less_equal(self, x: Operand, y: Operand) -> Tensor:
        """Return x <= y: (*), (*) -> (*) bool, False where either is NaN."""
        ...

    def greater(self, x: Operand, y: Operand) -> Tensor:
        """Return x > y: (*), (*) -> (*) bool, False where either is NaN."""
        ...

    def logical_not(self, x: Tensor) -> Tensor:
        """Return not x, for a bool x: (*) -> (*)."""
        ...

    def where(self, condition: Tensor, x: Operand, y: Operand) -> Tensor:
        """Return x where condition (bool), else y: (*), (*), (*) -> (*); one of x, y may be a scalar."""
        ...

    # -- reduce: axis an int, a tuple, or None for all ---------------------------------------------

    def sum(
        self, x: Tensor, *, axis: Axis = None, keepdims: bool = False, out: Tensor | None = None
    ) -> Tensor:
        """Return the sum over axis: (*) -> (*) without it, or 1 there with keepdims.

        float32 is accumulated pairwise or in float64. int64 and bool give int64.
        """
        ...

    def max(
        self, x: Tensor, *, axis: Axis = None, keepdims: bool = False, out: Tensor | None = None
    ) -> Tensor:
        """Return the maximum over axis: (*) -> (*) as `sum`; NaN if there is one. Ties share the gradient."""
        ...

    def argmax(self, x: Tensor, *, axis: int, keepdims: bool = False) -> Tensor:
        """Return the index (int64) of the first maximum along axis: (*) -> (*) without it."""
        ...

    # -- contract ------------------------------------------------------------------------------

    def matmul(self, x: Tensor, y: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return x y: (..., M, K) times (..., K, N) -> (..., M, N), leading axes broadcast."""
        ...

    # -- move ----------------------------------------------------------------------------------

    def reshape(self, x: Tensor, shape: Shape) -> Tensor:
        """Return x (*) -> (*shape) of equal size; one extent may be -1."""
        ...

    def permute_dims(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return x (n0, n1, ...) -> (n[axes[0]], n[axes[1]], ...)."""
        ...

    def broadcast_to(self, x: Tensor, shape: Shape) -> Tensor:
        """Return x (*) -> (*shape), repeated along axes that are 1 or absent."""
        ...

    def concat(self, tensors: Sequence[Tensor], *, axis: int = 0) -> Tensor:
        """Return (.., n, ..), (.., m, ..) -> (.., n + m, ..) joined along an axis that they have."""
        ...

    def pad(self, x: Tensor, widths: Widths, *, value: Scalar = 0.0) -> Tensor:
        """Return x (n, ...) -> (before + n + after, ...): elements of `value` added on each axis. †"""
        ...

    def slice(
        self,
        x: Tensor,
        starts: tuple[int, ...],
        stops: tuple[int, ...],
        *,
        steps: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Return x[starts[0]:stops[0]:steps[0], ...] -> (ceil((stop - start) / step), ...). †

        0 <= start <= stop <= extent, one of each per axis.
        """
        ...

    # -- index: indices int64, from 0 to the extent (unchecked on a GPU, where a check would wait) ----

    def take(self, x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
        """Return the slices of x (.., n, ..) at indices (K,) along axis -> (.., K, ..)."""
        ...

    def index_add(
        self, x: Tensor, indices: Tensor, values: Tensor, *, axis: int, out: Tensor | None = None
    ) -> Tensor:
        """Return x (.., n, ..) -> (.., n, ..) with values (.., K, ..) added at indices (K,). †"""
        ...

    def take_along_axis(self, x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
        """Return x's elements at indices (.., K, ..), of x's shape but for `axis` -> (.., K, ..)."""
        ...

    def scatter_add(
        self, x: Tensor, indices: Tensor, values: Tensor, *, axis: int, out: Tensor | None = None
    ) -> Tensor:
        """Return x (.., n, ..) with values (.., K, ..) added at indices (.., K, ..) -> (.., n, ..). †"""
        ...

    def slice_add(
        self,
        x: Tensor,
        values: Tensor,
        starts: tuple[int, ...],
        stops: tuple[int, ...],
        *,
        steps: tuple[int, ...] | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Return x (*) -> (*) with values added to the part that `slice` with these bounds takes. †"""
        ...

    # -- window: over 1 to 4 spatial axes (`Window`, in windows.py) ----------------------------------

    def unfold(self, x: Tensor, window: Window, *, out: Tensor | None = None) -> Tensor:
        """Return every window of x as a column: x (N, C, *window.size) -> (N, C K, L). †

        K places in the kernel, channels outermost; L windows in row-major order. Padding is 0.
        """
        ...

    def fold(self, columns: Tensor, window: Window, *, out: Tensor | None = None) -> Tensor:
        """Return the adjoint of `unfold`: columns (N, C K, L) added up -> (N, C, *window.size). †"""
        ...

    # -- storage -------------------------------------------------------------------------------

    def cells(
        self, shapes: Mapping[str, Shape], *, dtype: str | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Allocate a flat buffer of zeros (size,), and return it with a named view for each shape. †

        The views lie in it one after the other. The buffer and the views are cells: `assign` takes them.
        """
        ...

    def assign(self, cell: Tensor, value: Tensor) -> None:
        """Put `value` (*) into `cell` (*), of equal dtype: the only op with a side effect. †

        A cell comes from `cells`. Free if `value` was written into it already, through `out`.
        """
        ...

    # -- other ---------------------------------------------------------------------------------

    def synchronize(self) -> None:
        """Wait until every op issued so far is done. †"""
        ...

    def scope(self, name: str) -> AbstractContextManager[None]:
        """Name the layer that runs inside; for decorators, nothing on raw backends. †"""
        ...

    def session(self) -> AbstractContextManager[None]:
        """Return a context to enter around each step; it may make ops cheaper (inference mode). †"""
        ...

    def compile(self, step: Step) -> Run:
        """Return a run of a step over batches, with the step's effects; `Loop` on raw backends. †

        The step returns values, not cells. Its Python may run up to three times more, or less often, than
        the batches: it keeps what changes from step to step in cells.
        """
        ...
