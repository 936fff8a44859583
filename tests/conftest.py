"""Options of a test run: `--backends a,b` (else LAMINA_BACKEND, else all) and `--requires module,module`.

A backend that is named must run: its tests fail if it cannot. An unnamed one is skipped. A required module
that cannot be imported stops the run, so that no test is skipped for lack of it.
"""

from __future__ import annotations

import importlib
import os

import pytest

from lamina.backends import Backend, BackendError, get_backend

EVERY = ("numpy", "torch", "strict+numpy", "strict+torch", "torch:cuda")
# tox.ini names the other decorators, which run over every op and layer only.


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backends", default="", help="comma-separated backends that must run")
    parser.addoption("--requires", default="", help="comma-separated modules that must be importable")


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def pytest_configure(config: pytest.Config) -> None:
    missing = []
    for name in names(config.getoption("--requires")):
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing.append(f"{name} ({error})")
    if missing:
        raise pytest.UsageError(f"--requires: cannot import {'; '.join(missing)}")


def named(config: pytest.Config) -> tuple[str, ...]:
    return names(config.getoption("--backends") or os.environ.get("LAMINA_BACKEND", ""))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture in ("backend", "backend64"):
        if fixture in metafunc.fixturenames:
            chosen = named(metafunc.config) or EVERY
            marks = [pytest.param(n, marks=[pytest.mark.cuda] if "cuda" in n else []) for n in chosen]
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
