"""Every op of the table, over every backend and stack, against the float64 oracle."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from judged import judged
from rows import each_op

from lamina.backends import Backend, get_backend
from lamina.backends.conformance import all_cases, items, run
from lamina.backends.conformance.checks import result_meta
from lamina.backends.conformance.oracles import ORACLES, expected
from lamina.backends.conformance.refusals import strangers
from lamina.backends.conformance.suite import attempt
from lamina.backends.differences import UNDERFLOW
from lamina.backends.numpy_backend import NumpyBackend
from lamina.backends.ops import OPS, Op
from lamina.backends.wrapper import Wrapper

EFFECTS = {"assign", "cells", "synchronize", "scope", "session", "compile"}


@pytest.mark.parametrize("op", OPS)
def test_op(backend: Backend, op: str) -> None:
    results = [attempt(item, backend) for item in judged(op, backend)]
    failures = [f"{r.check} [{r.label}]: {r.message}" for r in results if not r.passed]
    assert not failures, "\n".join(failures[:10])


@pytest.mark.parametrize(
    "op", ["from_host", "full", "empty", "random", "cells", "assign", "one_hot", "bernoulli"]
)
def test_default_dtype_float64(backend64: Backend, op: str) -> None:
    failures = [r for r in (attempt(item, backend64) for item in items(op)) if not r.passed]
    assert not failures, failures[:10]


def test_no_op_is_missing() -> None:
    assert set(all_cases()) | EFFECTS == set(OPS), "expected cases for every row of the op table"
    assert all(items(op) for op in OPS)


def test_every_primitive_has_an_oracle() -> None:
    tensors = {
        op for op, row in OPS.items() if row.gives == "tensor" and row.kind not in ("derived", "create")
    }
    assert tensors <= set(ORACLES)


@each_op(op for op in OPS if OPS[op].takes_out)
def test_every_out_is_checked(op: str) -> None:
    assert {"out"} <= {item.check for item in items(op)}


@each_op(op for op in all_cases() if OPS[op].gives in ("tensor", "tensors"))
def test_shape_rules_agree_with_the_oracle(op: str) -> None:
    for case in all_cases()[op]:
        metas, right = result_meta(case, "float32", "float32"), expected(case, "float32", "float32")
        if OPS[op].gives == "tensor":
            metas, right = (metas,), (right,)
        found = [None if meta is None else meta.shape for meta in metas]
        assert found == [None if value is None else np.shape(value) for value in right], case.label


@each_op(op for op, row in OPS.items() if row.tensors)
def test_handles_of_another_backend_are_refused(op: str) -> None:
    torch = pytest.importorskip("torch", reason="the other backend is torch's")
    case = next((c for c in all_cases().get(op, ()) if c.tensors() and not c.special), None)
    if case is None:
        assert op == "assign"
        return
    numpy, other = get_backend("numpy"), get_backend("torch")
    foreign: list[Any] = [torch.ones(2, 2), torch.nn.Parameter(torch.ones(2, 2))]
    strangers(numpy, case, foreign[:1])
    strangers(other, case, [np.ones((2, 2), np.float32), *foreign[1:]])
    for raw, mine in ((numpy, np.ones((2, 2), np.float32)), (other, torch.ones(2, 2))):
        first, second = get_backend(f"strict+{raw.name}"), get_backend(f"strict+{raw.name}")
        strangers(first, case, [mine, second.full((2, 2), 1.0)])


class Faulty(NumpyBackend):
    """A backend with planted faults."""

    def exp(self, x: Any, *, out: Any = None) -> Any:
        return super().exp(x) * np.float32(1.00001)

    def negative(self, x: Any, *, out: Any = None) -> Any:
        return np.negative(x, x)

    def add(self, x: Any, y: Any, *, out: Any = None) -> Any:
        return np.add(x, y)

    def relu(self, x: Any) -> Any:
        return np.where(x > 0, x, x.dtype.type(0))

    def argmax(self, x: Any, *, axis: int, keepdims: bool = False) -> Any:
        last = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis=axis, keepdims=keepdims)
        return last

    def sum(self, x: Any, *, axis: Any = None, keepdims: bool = False, out: Any = None) -> Any:
        return np.sum(x, axis=axis, keepdims=keepdims, out=out)

    def index_add(self, x: Any, indices: Any, values: Any, *, axis: int, out: Any = None) -> Any:
        result = np.array(x)
        np.moveaxis(result, axis, 0)[indices] += np.moveaxis(values, axis, 0)
        return result

    def assign(self, cell: Any, value: Any) -> None:
        cell[...] = value

    def from_host(self, array: Any, *, dtype: str | None = None) -> Any:
        return np.asarray(array, dtype or self.default_dtype)

    def random(self, shape: Any, **options: Any) -> Any:
        return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("op", [name for name in vars(Faulty) if not name.startswith("_")])
def test_planted_faults_are_found(op: str) -> None:
    with np.errstate(all="ignore"):
        assert not run(Faulty(), only=op).passed


class FaultyOut(NumpyBackend):
    """A backend that breaks the rule about `out`."""

    def add(self, x: Any, y: Any, *, out: Any = None) -> Any:
        """Return `out` unwritten."""
        result = super().add(x, y)
        return result if out is None else out

    def subtract(self, x: Any, y: Any, *, out: Any = None) -> Any:
        """Overwrite `out` before reading the inputs, although it may be one."""
        if out is not None:
            out[...] = 0
        return super().subtract(x, y, out=out)

    def multiply(self, x: Any, y: Any, *, out: Any = None) -> Any:
        """Return a cell unwritten."""
        return super().multiply(x, y, out=out) if out is None or out.base is None else out

    def matmul(self, x: Any, y: Any, *, out: Any = None) -> Any:
        """Add to `out`."""
        result = super().matmul(x, y)
        return result if out is None else np.add(result, out, out=out)


class FaultyStorage(NumpyBackend):
    """A backend that breaks the rule about `empty` and `cells`."""

    def empty(self, shape: Any, *, dtype: str | None = None) -> Any:
        """Return the same storage again."""
        stores = vars(self).setdefault("stores", {})
        return stores.setdefault((tuple(shape), dtype), super().empty(shape, dtype=dtype))

    def cells(self, shapes: Any, *, dtype: str | None = None) -> Any:
        """Return copies instead of views."""
        flat, views = super().cells(shapes, dtype=dtype)
        return flat, {name: np.array(view) for name, view in views.items()}


@pytest.mark.parametrize(
    ("faulty", "op", "check"),
    [
        (FaultyOut, "add", "out"),
        (FaultyOut, "subtract", "out is an input"),
        (FaultyOut, "multiply", "out is a cell"),
        (FaultyOut, "empty", "out is handed on"),
        (FaultyStorage, "empty", "empty is storage"),
        (FaultyStorage, "cells", "cells are views"),
        (FaultyStorage, "cells", "cells take ops of the buffer"),
    ],
)
def test_faults_of_storage_are_found(faulty: type[NumpyBackend], op: str, check: str) -> None:
    assert check in {result.check for result in run(faulty(), only=op).failures}


class Functional(Wrapper):
    """A backend of values that never change: it ignores `out`."""

    def around(self, op: Op, args: Any, kwargs: Any) -> Any:
        return getattr(self.inner, op.name)(*args, **{k: v for k, v in kwargs.items() if k != "out"})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_backend_that_ignores_out_passes() -> None:
    about_out = ["out", "out is a view", "out is a value", "out is a cell", "out is an input"]
    report = run(
        Functional(get_backend("strict+numpy")), only=[*about_out, "empty", "cells", "assign", "copy"]
    )
    assert report.passed, str(report)


def test_the_report() -> None:
    good = run(get_backend("numpy"), only=["exp", "wrong out"])
    assert good.passed
    assert str(good).startswith("Conformance of <backend numpy float32>: ")
    seen: list[Any] = []
    bad = run(Faulty(), only="relu", on_result=seen.append)
    assert not bad.passed
    assert seen == bad.results
    assert "\nrelu: " in str(bad)
    assert "special values" in str(bad)
    assert not run(get_backend("numpy"), only="nothing").passed


def test_the_suite_needs_numpy_only() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'pytest', 'hypothesis', 'scipy'): sys.modules[name] = None\n"
        "from lamina.backends.conformance import run\n"
        "from lamina.backends import get_backend\n"
        "print(run(get_backend('numpy'), only=['matmul', 'softmax']).passed)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize(("implementation", "op"), UNDERFLOW)
def test_known_differences_remain(implementation: str, op: str) -> None:
    pytest.importorskip("torch", reason="the difference is torch's")
    backend = get_backend(implementation)
    lowest = backend.to_host(getattr(backend, op)(backend.from_host([-100.0] * 64)))
    assert np.all(lowest == 0), f"{op}: expected 0, got numbers; remove it from the list of differences"
