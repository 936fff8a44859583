"""What only the torch backend has: inference mode as a session, devices, its own rule for large scalars."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, DtypeError, get_backend

torch = pytest.importorskip("torch", reason="these are about torch")


def inside() -> bool:
    return bool(torch.is_inference_mode_enabled())


@pytest.fixture
def raw() -> Any:
    assert not inside()
    yield get_backend("torch")
    assert not inside(), "inference mode leaked"


def test_two_sessions_made_before_either_is_entered(raw: Any) -> None:
    first, second = raw.session(), raw.session()
    with first, second:
        assert inside()
    assert not inside()
    with second:
        assert inside()
        with first:
            assert inside()
        assert inside()


def test_a_session_inside_inference_mode_off_inside_a_session(raw: Any) -> None:
    with raw.session():
        with torch.inference_mode(False):
            assert not inside()
            with raw.session():
                assert inside()
                with torch.inference_mode(False), raw.session():
                    assert inside()
                assert inside()
            assert not inside()
        assert inside()


def test_a_session_inside_the_users_inference_mode(raw: Any) -> None:
    with torch.inference_mode():
        with raw.session():
            assert inside()
        assert inside()


def test_exceptions_leave_every_session(raw: Any) -> None:
    for depth in (1, 3):
        with pytest.raises(KeyError):
            enter(raw, depth)
        assert not inside()


def enter(raw: Any, depth: int) -> None:
    if depth == 0:
        raise KeyError("out")
    with raw.session():
        enter(raw, depth - 1)


def test_each_thread_has_its_own_sessions(raw: Any) -> None:
    shared = raw.session()
    seen: list[bool] = []

    def work() -> None:
        seen.append(inside())
        with shared:
            seen.append(inside())
        seen.append(inside())

    with shared:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert inside()
    assert seen == [False, True, False]


def test_sessions_that_end_in_another_order(raw: Any) -> None:
    def values() -> Any:
        with raw.session():
            yield 1

    running = values()
    next(running)
    with raw.session():
        running.close()
        assert inside()
    assert not inside()


def test_nested_sessions_make_nothing(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lamina.backends.torch_backend import backend as module

    made: list[bool] = []
    guard = module.InferenceMode
    monkeypatch.setattr(module, "InferenceMode", lambda on: made.append(on) or guard(on))
    with raw.session():
        for _ in range(5):
            with raw.session():
                pass
    assert made == [True]


def test_a_tensor_of_another_device_is_refused() -> None:
    from lamina.backends.torch_backend import TorchBackend

    second = TorchBackend()
    second._index = 1  # as if it were on the second GPU
    for op in (second.shape, second.dtype):
        with pytest.raises(DtypeError, match="got one on cpu"):
            op(torch.ones(2))


def test_linear_names_the_foreign_tensor(raw: Any) -> None:
    x, weight, bias = raw.full((2, 4), 1.0), raw.full((3, 4), 1.0), raw.full((3,), 1.0)
    for args in (
        (x, raw.to_host(weight), bias),
        (x, weight, raw.to_host(bias)),
        (x, raw.astype(weight, "float64"), bias),
        (x, weight, raw.astype(bias, "float64")),
    ):
        with pytest.raises(DtypeError, match="linear: "):
            raw.linear(*args)


def test_linear_grad_checks_both_places(raw: Any) -> None:
    grad, x = raw.full((2, 3), 1.0), raw.full((2, 4), 1.0)
    for dtypes in (("float64", "float32"), ("float32", "float64")):
        places = raw.empty((3, 4), dtype=dtypes[0]), raw.empty((3,), dtype=dtypes[1])
        with pytest.raises(DtypeError, match="expected out of the result's dtype float32"):
            raw.linear_grad(grad, x, out=places)


BEYOND: dict[str, Callable[[Backend, Any, float], Any]] = {
    "full": lambda b, x, s: b.full((2,), s),
    "pad": lambda b, x, s: b.pad(x, ((1, 2),), value=s),
    "add": lambda b, x, s: b.add(x, s),
    "multiply": lambda b, x, s: b.multiply(s, x),
    "pow": lambda b, x, s: b.pow(x, s),
    "where": lambda b, x, s: b.where(b.greater(x, 0.0), x, s),
    "less": lambda b, x, s: b.less(x, s),
    "clip": lambda b, x, s: b.clip(x, -abs(s), abs(s)),
    "leaky_relu": lambda b, x, s: b.leaky_relu(x, s),
    "leaky_relu_grad": lambda b, x, s: b.leaky_relu_grad(x, x, s),
    "add_scaled": lambda b, x, s: b.add_scaled(x, x, s),
    "sgd_step": lambda b, x, s: b.sgd_step(x, x, s),
    "adam_step": lambda b, x, s: b.adam_step(
        x, x, x, b.abs(x), learning_rate=s, beta1=0.9, beta2=0.999, epsilon=abs(s),
        correction1=1.0, correction2=1.0,
    )[0],
}  # fmt: skip


@pytest.mark.parametrize("op", BEYOND)
@pytest.mark.parametrize("scalar", [1e39, -1e39, 1e300])
def test_a_scalar_beyond_float32_is_infinite(op: str, scalar: float) -> None:
    """torch raises RuntimeError where it converts the scalar itself; numpy rounds it to infinity."""
    results = []
    for name in ("numpy", "torch"):
        b = get_backend(name)
        with np.errstate(all="ignore"):
            result = BEYOND[op](b, b.from_host(np.array([1.0, -2.0, 0.0, 3e38], np.float32)), scalar)
        results.append(np.asarray(b.to_host(result)))
    np.testing.assert_array_equal(results[1], results[0])
