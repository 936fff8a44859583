"""The host, the compiler and its absence."""

from __future__ import annotations

import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from native import function, machines

from lamina.backends import BackendError, OptionError
from lamina.backends.decorators.jit import machine as module
from lamina.backends.decorators.jit.ir import INDEX, POINTER, Code, Value


def test_lesser_units_of_a_machine() -> None:
    every = machines()
    assert every[-1].unit == ""
    assert not every[-1].fused
    assert [m.vector_bytes for m in every] == sorted((m.vector_bytes for m in every), reverse=True)
    for narrow in every[1:]:
        assert "+avx512f" not in narrow.features
    with pytest.raises(OptionError, match=r"jit: expected a vector unit of .*, got 'sse9'"):
        module.host("sse9")


@pytest.fixture
def fresh() -> object:
    """Forget that llvmlite was found, before and after."""
    module.binding.cache_clear()
    yield None
    module.binding.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_llvmlite_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    with pytest.raises(BackendError, match=r"jit: expected llvmlite, got .*; pip install 'llvmlite>=0\.45'"):
        module.binding()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("version", ["0.44.0", "0.39.1rc1", "0.9"])
def test_an_old_llvmlite_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    old = types.SimpleNamespace(__version__=version)
    monkeypatch.setitem(sys.modules, "llvmlite", old)
    with pytest.raises(BackendError, match=f"llvmlite 0.45 or later, got {version}; pip install"):
        module.binding()


def test_llvmlite_is_imported_at_the_first_compile() -> None:
    code = (
        "import sys, lamina.backends.decorators.jit.kernels.contract\n"
        "import lamina.backends.decorators.jit.machine as m\n"
        "assert 'llvmlite' not in sys.modules; m.host(); assert 'llvmlite' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_call_releases_the_interpreter() -> None:
    """A loop sees what another thread of Python writes while it runs."""

    def write(code: Code, flag: Value, turns: Value) -> None:
        waited = code.at(flag, (1, 8))
        with code.loop(turns):
            seen = code.new(INDEX, f"load volatile i64, {flag}, align 8")
            with code.when(code.compare("eq", seen, code.number(INDEX, 0))):
                code.store(code.add(code.load(waited, INDEX), code.number(INDEX, 1)), waited)

    run = function(module.host(), [POINTER, INDEX], write)
    memory, turns = np.zeros(2, np.int64), 1_000_000_000
    timer = threading.Timer(0.01, memory.__setitem__, (0, 1))
    timer.start()
    run(memory.ctypes.data, turns)
    timer.join()
    assert 0 < memory[1] < turns
