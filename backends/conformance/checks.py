"""Checks of every case: value, shape, dtype, unchanged inputs, and `out`.

Each raises an AssertionError that names the op, the case, the worst element, its expected and actual value,
and the error allowed.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base import Backend
from ..differences import flushes
from ..errors import LaminaError
from ..host import Host, is_floating
from ..meta import Meta
from ..ops import OPS
from ..protocol import Tensor
from ..shape_backend import ShapeBackend
from ..tolerance import Tolerance, shares
from ..wrapper import Wrapper
from . import oracles
from .case import Case, T
from .effects import new_cell

_BIT_EQUAL_KINDS = ("create", "move")
_BIT_EQUAL = ("negative", "abs", "take", "take_along_axis", "unfold", "where")
# Kinds of ops, and derived ops, whose `out` may be an input.
_ALIASING = ("unary", "binary")
_ALIASING_DERIVED = ("square", "add_scaled", "sgd_step", "adam_step")
# Ops that add to their first tensor: it may be `out`.
_ADDING = ("index_add", "scatter_add", "slice_add")


def values(backend: Backend, case: Case, dtype: str) -> None:
    """Compare value, shape and dtype with the oracle and the op table; the inputs must not change."""
    args, kwargs = case.map(lambda tensor: tensor.handle(backend, dtype))
    with _quiet(backend, case):
        result = getattr(backend, case.op)(*args, **kwargs)
    compare(backend, case, dtype, result)
    unchanged(backend, case, dtype, args, kwargs)


def out_view(backend: Backend, case: Case, dtype: str) -> None:
    """Pass storage that is not contiguous as `out`."""
    out(backend, case, dtype, permuted=True)


def out(backend: Backend, case: Case, dtype: str, *, permuted: bool = False) -> None:
    """Pass storage full of junk as `out`: the returned handle holds the right result.

    Afterwards `out` is dead, and not read.
    """
    metas = result_meta(case, dtype, backend.default_dtype)
    many = not isinstance(metas, Meta)
    stores = tuple(_junk(backend, meta, permuted) for meta in (metas if many else (metas,)))
    args, kwargs = case.map(lambda tensor: tensor.handle(backend, dtype))
    with _quiet(backend, case):
        result = getattr(backend, case.op)(*args, **kwargs, out=stores if many else stores[0])
    compare(backend, case, dtype, result)
    unchanged(backend, case, dtype, args, kwargs)


def out_cell(backend: Backend, case: Case, dtype: str) -> None:
    """Pass cells as `out` and assign the results: the cells hold them."""
    metas = result_meta(case, dtype, backend.default_dtype)
    many = not isinstance(metas, Meta)
    cells = tuple(new_cell(backend, meta.shape, meta.dtype) for meta in (metas if many else (metas,)))
    args, kwargs = case.map(lambda tensor: tensor.handle(backend, dtype))
    with _quiet(backend, case):
        result = getattr(backend, case.op)(*args, **kwargs, out=cells if many else cells[0])
    for place, value in zip(cells, result if many else (result,), strict=True):
        backend.assign(place, value)
    compare(backend, case, dtype, cells if many else cells[0])
    unchanged(backend, case, dtype, args, kwargs)


def out_value(backend: Backend, case: Case, dtype: str) -> None:
    """Pass a value made in a session as `out` outside it."""
    metas = result_meta(case, dtype, backend.default_dtype)
    many = not isinstance(metas, Meta)
    with backend.session():
        made = tuple(
            backend.add(backend.full(m.shape, 1.0, dtype=m.dtype), 1.0) for m in (metas if many else (metas,))
        )
    args, kwargs = case.map(lambda tensor: tensor.handle(backend, dtype))
    with _quiet(backend, case):
        result = getattr(backend, case.op)(*args, **kwargs, out=made if many else made[0])
    compare(backend, case, dtype, result)
    unchanged(backend, case, dtype, args, kwargs)


def own_storage(backend: Backend, case: Case, dtype: str) -> None:
    """Reuse the result as storage, as its owner may: the inputs must not change."""
    args, kwargs = case.map(lambda tensor: tensor.handle(backend, dtype))
    with _quiet(backend, case):
        results = getattr(backend, case.op)(*args, **kwargs)
    metas = result_meta(case, dtype, backend.default_dtype)
    if OPS[case.op].gives == "tensor":
        results, metas = (results,), (metas,)
    for result, meta in zip(results, metas, strict=True):
        for value in () if meta is None else (0, 1):
            kind = float if is_floating(meta.dtype) else int if meta.dtype == "int64" else bool
            backend.copy(backend.full(meta.shape, kind(value), dtype=meta.dtype), out=result)
            unchanged(backend, case, dtype, args, kwargs)


def alias(backend: Backend, case: Case, dtype: str) -> None:
    """Pass an input as `out`, for each input of the result's shape and dtype."""
    meta = result_meta(case, dtype, backend.default_dtype)
    if case.op == "adam_step":
        _alias_adam(backend, case, dtype)
        return
    for i, value in enumerate(case.args[:1] if case.op in _ADDING else case.args):
        if not isinstance(value, T) or Meta(value.array.shape, _name(value, dtype)) != meta:
            continue
        args, kwargs = case.map(lambda tensor: _filled(backend, tensor, dtype))
        with _quiet(backend, case):
            result = getattr(backend, case.op)(*args, **kwargs, out=args[i])
        compare(backend, case, dtype, result)


def wrong_out(backend: Backend, case: Case, dtype: str) -> None:
    """Pass an `out` of another shape or dtype: a ShapeError or a DtypeError, and nothing resized."""
    meta = result_meta(case, dtype, backend.default_dtype)
    assert isinstance(meta, Meta)
    other = "float64" if meta.dtype == "float32" else "float32"
    for wrong, error in (
        (Meta((*meta.shape, 2), meta.dtype), ValueError),
        (Meta((*meta.shape[:-1], meta.shape[-1] + 1) if meta.shape else (1,), meta.dtype), ValueError),
        (Meta(meta.shape, other), TypeError),
    ):
        store = _junk(backend, wrong)
        args, kwargs = case.map(lambda tensor: tensor.handle(backend, dtype))
        try:
            result = getattr(backend, case.op)(*args, **kwargs, out=store)
        except error as raised:
            if not isinstance(raised, LaminaError):
                raise AssertionError(
                    _message(case, f"out of {wrong}: expected a {error.__name__} of Lamina, got {raised!r}")
                ) from raised
        else:
            # A decorator may ignore `out`, and returns the right result then.
            assert isinstance(backend, Wrapper), _message(
                case, f"expected out to be {meta}, got {wrong}, and took it"
            )
            compare(backend, case, dtype, result)
        assert backend.shape(store) == wrong.shape, _message(
            case, f"expected out to keep shape {wrong.shape}, got {backend.shape(store)}"
        )


def compare(backend: Backend, case: Case, dtype: str, result: Any) -> None:
    """Raise unless a result has the op table's shape and dtype, and the oracle's value."""
    row = OPS[case.op]
    right = oracles.expected(case, dtype, backend.default_dtype)
    if row.gives == "host":
        _compare_host(case, result, right)
        return
    metas = result_meta(case, dtype, backend.default_dtype)
    if row.gives == "tensors":
        assert isinstance(result, tuple), _message(case, f"expected a tuple, got a {type(result).__name__}")
        for i, (handle, meta, wide) in enumerate(zip(result, metas, right, strict=True)):
            if meta is None:
                assert handle is None, _message(case, f"expected None as result {i}, got a tensor")
                continue
            _compare_tensor(backend, case, dtype, handle, meta, np.asarray(wide), i)
    else:
        _compare_tensor(backend, case, dtype, result, metas, np.asarray(right))


def judge(
    what: str,
    actual: Host,
    expected: Host,
    tolerance: Tolerance,
    *,
    terms: int = 1,
    magnitude: Host | None = None,
    cuda: bool = False,
    flush: bool = False,
) -> None:
    """Raise unless every element of `actual` is within the tolerance of the oracle's `expected`.

    With `flush`, 0 may stand for a subnormal number.
    """
    assert actual.shape == expected.shape, f"{what}: expected shape {expected.shape}, got {actual.shape}"
    how: dict[str, Any] = {"terms": terms, "magnitude": magnitude, "cuda": cuda}
    ratio = shares(actual, expected, tolerance, flush=flush, **how)
    if not ratio.size or np.max(ratio) <= 1.0:
        return
    worst = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    allowed: Any = 0.0
    if actual.dtype.kind == "f":
        allowed = tolerance.allowed(expected.astype(np.float64), actual.dtype.name, **how)[worst]
    raise AssertionError(
        f"{what}: at {tuple(map(int, worst))} expected {expected[worst]!r}, got {actual[worst]!r}, allowed "
        f"error {allowed:.3g} ({tolerance.kind}); {int(np.sum(ratio > 1))} of {ratio.size} elements are wrong"
    )


def unchanged(backend: Backend, case: Case, dtype: str, args: Any, kwargs: Any) -> None:
    """Raise if an op changed one of its inputs."""
    before: list[Host] = []
    case.map(lambda tensor: before.append(tensor.value(dtype)))
    after: list[Host] = []
    OPS[case.op].map_arguments(lambda handle: after.append(backend.to_host(handle)), args, kwargs)
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        same = old.dtype == new.dtype and np.array_equal(old, new, equal_nan=old.dtype.kind == "f")
        assert same, _message(case, f"changed input {i}: expected {old}, got {new}")


@functools.cache
def result_meta(case: Case, dtype: str, default_dtype: str) -> Any:
    """Return the shape and dtype of the result by the op table's rules: a `Meta`, or several."""
    args, kwargs = case.map(lambda tensor: Meta(tensor.array.shape, _name(tensor, dtype)))
    shapes: Any = ShapeBackend  # its methods are generated, which mypy does not see
    return getattr(shapes("cpu", default_dtype), case.op)(*args, **kwargs)


def aliases(case: Case) -> bool:
    """Whether `out` may be an input of this case's op."""
    return OPS[case.op].kind in _ALIASING or case.op in (*_ALIASING_DERIVED, *_ADDING)


def _compare_tensor(
    backend: Backend, case: Case, dtype: str, handle: Any, meta: Meta, right: Host, part: int | None = None
) -> None:
    what = f"{case.op} [{case.label}] in {dtype} on {backend!r}"
    shape, name = backend.shape(handle), backend.dtype(handle)
    assert isinstance(shape, tuple), f"{what}: expected a tuple from shape(), got a {type(shape).__name__}"
    assert shape == meta.shape, f"{what}: expected shape {meta.shape}, got {tuple(shape)}"
    assert name == meta.dtype, f"{what}: expected dtype {meta.dtype}, got {name}"
    if case.op == "empty":
        return  # its content is undefined
    actual = backend.to_host(handle)
    assert type(actual) is np.ndarray, (
        f"{what}: expected a numpy array from to_host, got a {type(actual).__name__}"
    )
    host = (actual.shape, actual.dtype.name)
    assert host == tuple(meta), f"{what}: expected {meta} from to_host, got {actual.dtype} {actual.shape}"
    row = OPS[case.op]
    how: dict[str, Any] = {"cuda": "cuda" in backend.device, "flush": flushes(backend, case.op)}
    if row.tolerance.kind == "summed":
        size = oracles.magnitude(case, dtype)
        how |= {
            "terms": oracles.terms(case, dtype),
            "magnitude": np.asarray(size if part is None else size[part], np.float64),
        }
    judge(what, actual, right, row.tolerance, **how)
    if actual.dtype.kind == "f" and (row.kind in _BIT_EQUAL_KINDS or row.name in _BIT_EQUAL):
        signs = np.signbit(actual) == np.signbit(right)
        assert np.all(signs | np.isnan(actual)), f"{what}: expected zeros to keep their sign"


def _compare_host(case: Case, result: Any, right: Any) -> None:
    if isinstance(right, np.ndarray):
        nans = right.dtype.kind == "f"
        equal = result.dtype == right.dtype and np.array_equal(result, right, equal_nan=nans)
        assert result.flags.writeable, _message(case, "expected a writable array, got a read-only one")
    else:
        equal = result == right and (case.op != "item" or type(result) is type(right))
    assert equal, _message(case, f"expected {right!r}, got {result!r}")


def _alias_adam(backend: Backend, case: Case, dtype: str) -> None:
    args, kwargs = case.map(lambda tensor: _filled(backend, tensor, dtype))
    result = backend.adam_step(*args, **kwargs, out=(args[0], args[2], args[3]))
    compare(backend, case, dtype, result)


def _filled(backend: Backend, tensor: T, dtype: str) -> Tensor:
    """Return a cell that holds the tensor's value."""
    value = tensor.value(dtype)
    place = new_cell(backend, value.shape, value.dtype.name)
    backend.assign(place, backend.from_host(value, dtype=value.dtype.name))
    return place


def _junk(backend: Backend, meta: Meta, permuted: bool = False) -> Tensor:
    """Return storage full of NaN or 1; `permuted`, with its axes reversed."""
    shape = meta.shape[::-1] if permuted else meta.shape
    full = backend.full(shape, float("nan") if is_floating(meta.dtype) else 1, dtype=meta.dtype)
    store = backend.copy(full, out=backend.empty(shape, dtype=meta.dtype))
    return backend.permute_dims(store, tuple(reversed(range(len(shape))))) if permuted else store


def _name(tensor: T, dtype: str) -> str:
    return dtype if tensor.floating else tensor.array.dtype.name


def _message(case: Case, message: str) -> str:
    return f"{case.op} [{case.label}]: {message}"


@contextlib.contextmanager
def _quiet(backend: Backend, case: Case) -> Iterator[None]:
    """Run a special case in a session, without its warnings."""
    if not case.special:
        yield
        return
    with warnings.catch_warnings(), backend.session():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
