"""Which backends the suite runs over: `--backends a,b`, else LAMINA_BACKEND, else all that there are.

A backend that was named must run: if it cannot, its tests fail. One that is only absent is skipped.
"""

from __future__ import annotations

import os

import pytest

from lamina.backends import Backend, BackendError, get_backend

EVERY = ("numpy", "torch", "strict+numpy", "strict+torch", "torch:cuda")
# The other decorators run over every op and layer, not over all: tox.ini names them.


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backends", default="", help="comma-separated backends that must run")


def named(config: pytest.Config) -> tuple[str, ...]:
    text = config.getoption("--backends") or os.environ.get("LAMINA_BACKEND", "")
    return tuple(name.strip() for name in text.split(",") if name.strip())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture in ("backend", "backend64"):
        if fixture in metafunc.fixturenames:
            names = named(metafunc.config) or EVERY
            marks = [pytest.param(n, marks=[pytest.mark.cuda] if "cuda" in n else []) for n in names]
            metafunc.parametrize(fixture, marks, indirect=True)


def _resolve(request: pytest.FixtureRequest, dtype: str) -> Backend:
    try:
        return get_backend(request.param, dtype=dtype)
    except BackendError as error:
        if named(request.config):
            pytest.fail(f"{request.param} was named and cannot run: {error}")
        pytest.skip(f"{request.param}: {error}")


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend and stack, in float32."""
    return _resolve(request, "float32")


@pytest.fixture
def backend64(request: pytest.FixtureRequest) -> Backend:
    """Each backend and stack, in float64."""
    return _resolve(request, "float64")
