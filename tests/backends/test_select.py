"""Which backend is chosen, and what is said when it cannot be."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lamina.backends import BackendError, OptionError, describe_backends, get_backend, select, use_backend
from lamina.backends.base import DERIVED, PRIMITIVES
from lamina.backends.numpy_backend import NumpyBackend
from lamina.backends.wrapper import Wrapper

pytestmark = pytest.mark.without_torch
VARIABLES = ("LAMINA_BACKEND", "LAMINA_DTYPE", "LAMINA_THREADS")


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(select, "_instances", {})
    monkeypatch.setattr(select, "_by_text", {})
    select.set_command_line()
    yield
    select.set_command_line()


def python(code: str, folder: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES} | variables
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, cwd=folder
    )


def hide_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "installed", lambda name: name == "numpy")


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_torch(monkeypatch)
    assert get_backend().spec == "numpy"
    monkeypatch.setenv("LAMINA_BACKEND", "strict+numpy")
    assert get_backend().spec == "strict+numpy"
    select.set_command_line(backend="numpy")
    assert get_backend().spec == "numpy"
    with use_backend("strict+numpy") as chosen:
        assert get_backend() is chosen
        assert get_backend("numpy").spec == "numpy"
        with use_backend("numpy"):
            assert get_backend().spec == "numpy"
        assert get_backend() is chosen
    assert get_backend().spec == "numpy"


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        (("numpy", "torch", "llvmlite"), "jit+numpy"),
        (("numpy", "llvmlite"), "jit+numpy"),
        (("numpy", "torch"), "torch"),
        (("numpy",), "numpy"),
    ],
)
def test_the_default(monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...], expected: str) -> None:
    for package in packages:
        pytest.importorskip(package, reason="a default needs its package")
    monkeypatch.setattr(select, "installed", lambda name: name in packages)
    assert get_backend().spec == expected
    assert get_backend() is get_backend()


def test_the_default_imports_neither_llvmlite_nor_torch() -> None:
    code = (
        "import sys\nfrom lamina.backends import get_backend\n"
        "b = get_backend(); b.item(b.sum(b.full((2,), 1.0)))\n"
        "print(b.spec, {'torch', 'llvmlite'} & set(sys.modules))"
    )
    pytest.importorskip("llvmlite", reason="it decides the default")
    assert python(code).stdout == "jit+numpy set()\n"


def test_an_op_on_the_default_is_the_inner_backends() -> None:
    pytest.importorskip("llvmlite", reason="it decides the default")
    default, inner = get_backend(), get_backend("numpy")
    for op in PRIMITIVES:
        if op not in ("compile", "cells"):
            assert getattr(default, op) == getattr(inner, op), op


def test_use_backend_ends_with_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_torch(monkeypatch)

    class StopError(Exception):
        pass

    with pytest.raises(StopError), use_backend("strict+numpy"):
        raise StopError
    assert get_backend().spec == "numpy"


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_value_means_unset(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    hide_torch(monkeypatch)
    for name in VARIABLES:
        monkeypatch.setenv(name, empty)
    backend = get_backend()
    assert (backend.spec, backend.default_dtype) == ("numpy", "float32")


def test_dtype_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_DTYPE", "float64")
    assert get_backend("numpy").default_dtype == "float64"
    select.set_command_line(dtype="float32")
    assert get_backend("numpy").default_dtype == "float32"
    assert get_backend("numpy", dtype="float64").default_dtype == "float64"
    with use_backend("strict+numpy", dtype="float64"):
        assert get_backend().default_dtype == "float64"
        narrow = get_backend(dtype="float32")
        assert (narrow.spec, narrow.default_dtype) == ("strict+numpy", "float32")


def test_names_inside_use_backend_take_its_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_DTYPE", "float32")
    select.set_command_line(dtype="float32")
    with use_backend("numpy", dtype="float64") as wide:
        assert get_backend("numpy") is get_backend() is wide
        assert get_backend("numpy", dtype="float32").default_dtype == "float32"
        with use_backend("strict+numpy") as inner:
            assert inner.default_dtype == "float64"
    with use_backend(wide):
        assert get_backend("strict+numpy").default_dtype == "float64"
    assert get_backend("numpy").default_dtype == "float32"


def test_an_instance_keeps_its_dtype() -> None:
    backend = get_backend("numpy", dtype="float32")
    assert get_backend(backend) is backend
    assert get_backend(backend, dtype="float32") is backend
    with pytest.raises(OptionError, match="float64"):
        get_backend(backend, dtype="float64")
    with pytest.raises(OptionError, match="float64"), use_backend(backend, dtype="float64"):
        pass


ERRORS = [
    ("numpi", r"Unknown backend 'numpi' \(from the argument\)\. Available: numpy.*Did you mean 'numpy'\?"),
    ("", r"Unknown backend ''"),
    ("jax", r"Unknown backend 'jax'"),
    ("stric+numpy", r"Unknown decorator 'stric' in backend 'stric\+numpy'.*Did you mean 'strict'\?"),
    ("strict+strict+numpy", r"decorators stand once each, in this order: .*strict"),
    ("strict", r"must end in one that computes: .*'strict\+(numpy|torch)'"),
    ("numpy+strict", r"Unknown decorator 'numpy'"),
    ("strict+", r"Backend 'strict\+' .* must end in one that computes: .*, for example 'strict\+\w+'"),
    ("numpy:cuda", r"Backend 'numpy:cuda' cannot run: numpy has no device 'cuda'"),
    ("strict+numpy:gpu", r"numpy has no device 'gpu'"),
    ("no_such_module:Backend", r"cannot import 'no_such_module'"),
    ("pathlib:Path", r"pathlib\.Path is no subclass"),
    ("pathlib:Nothing", r"pathlib\.Nothing is no subclass"),
]


@pytest.mark.parametrize(("name", "message"), ERRORS)
def test_what_was_named_and_cannot_run_is_an_error(name: str, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        get_backend(name)


def test_the_error_says_where_the_name_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_BACKEND", "numpi")
    with pytest.raises(BackendError, match="from LAMINA_BACKEND"):
        get_backend()
    select.set_command_line(backend="nunpy")
    with pytest.raises(BackendError, match=r"'nunpy' \(from --backend"):
        get_backend()


def test_no_silent_fallback_where_torch_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_torch(monkeypatch)
    with pytest.raises(BackendError, match=r"torch is not installed \(pip install 'lamina\[torch\]'\)"):
        get_backend("torch")
    monkeypatch.setenv("LAMINA_BACKEND", "strict+torch")
    with pytest.raises(BackendError, match="not installed"):
        get_backend()


@pytest.mark.parametrize("name", ["jit+numpy", "strict+jit+numpy", "crosscheck(numpy)+jit+numpy"])
def test_no_silent_fallback_where_llvmlite_is_absent(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    hide_torch(monkeypatch)
    message = r"needs llvmlite, which is not installed \(pip install 'lamina\[jit\]'\).*without jit: 'numpy'"
    with pytest.raises(BackendError, match=message):
        get_backend(name)


def test_stack_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        select, "DECORATORS", {"outer": ("decorators.strict", "StrictBackend"), **select.DECORATORS}
    )
    assert get_backend("outer+strict+numpy").spec.endswith("strict+numpy")
    with pytest.raises(BackendError, match="in this order: outer, strict"):
        get_backend("strict+outer+numpy")


@pytest.mark.parametrize("name", ["torch:cuda", "torch:cuda:99", "strict+torch:cuda"])
def test_cuda_that_is_not_there(name: str) -> None:
    torch = pytest.importorskip("torch", reason="the error is the torch backend's")
    if torch.cuda.is_available() and "99" not in name:
        pytest.skip("this machine has CUDA")
    raw = name.rpartition("+")[2]
    with pytest.raises(BackendError, match=f"Backend '{raw}' cannot run: "):
        get_backend(name)


@pytest.mark.parametrize("device", ["mps", "nonsense", "meta"])
def test_devices_that_torch_or_we_do_not_have(device: str) -> None:
    pytest.importorskip("torch", reason="the error is the torch backend's")
    with pytest.raises(BackendError, match=f"Backend 'torch:{device}' cannot run"):
        get_backend(f"torch:{device}")


def test_wrong_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"'float46' \(from the argument\).*Did you mean 'float64'"):
        get_backend("numpy", dtype="float46")
    monkeypatch.setenv("LAMINA_DTYPE", "float16")
    with pytest.raises(OptionError, match="from LAMINA_DTYPE"):
        get_backend("numpy")


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5"])
def test_wrong_threads_raise_every_time(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("LAMINA_THREADS", threads)
    for _ in range(2):
        with pytest.raises(
            OptionError, match=f"LAMINA_THREADS: expected an integer of at least 1, got '{threads}'"
        ):
            get_backend("numpy")


def test_threads_are_pinned() -> None:
    code = "from lamina.backends import get_backend; print(get_backend('numpy').details()['threads'])"
    assert python(code, LAMINA_THREADS="1").stdout.strip() == "1"


def test_raw_backends_are_one_instance_and_stacks_are_new() -> None:
    assert get_backend("numpy") is get_backend("numpy") is get_backend("numpy:cpu")
    assert get_backend("numpy") is not get_backend("numpy", dtype="float64")
    one, two = get_backend("strict+numpy"), get_backend("strict+numpy")
    assert one is not two
    assert isinstance(one, Wrapper)
    assert one.inner is get_backend("numpy")  # type: ignore[attr-defined]


def test_the_current_stack_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_BACKEND", "strict+numpy")
    assert get_backend() is get_backend()


def test_spec_names_the_backend_again(backend: Any) -> None:
    assert get_backend(backend.spec, dtype=backend.default_dtype).spec == backend.spec


def test_a_class_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from lamina.backends.numpy_backend import NumpyBackend\n"
        "class Mine(NumpyBackend):\n    name = 'mine:Mine'\n"
    )
    code = (
        "from lamina.backends import get_backend\n"
        "b = get_backend(); print(b.spec, type(b.inner).__name__, get_backend('mine:Mine') is b.inner)"
    )
    done = python(code, tmp_path, LAMINA_BACKEND="strict+mine:Mine")
    assert done.stdout.split() == ["strict+mine:Mine", "Mine", "True"], done.stderr


def test_a_class_of_ones_own_is_named_again(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from lamina.backends.numpy_backend import NumpyBackend\n"
        "class Mine(NumpyBackend):\n    name = 'my own'\n"
        "class Nameless(NumpyBackend):\n    name = ''\n"
        "class Heir(NumpyBackend):\n    pass\n"  # not what numpy stands for
    )
    code = (
        "import pickle, mine\nfrom lamina.backends import get_backend, use_backend\n"
        "for text in ('mine:Mine', 'strict+mine:Mine', mine.Nameless(), mine.Heir()):\n"
        "    with use_backend(text) as b:\n"
        "        wide = get_backend(dtype='float64')\n"
        "        print(b.spec, wide.spec, wide.default_dtype, get_backend(dtype='float32') is b)\n"
        "b = get_backend('mine:Mine')\nassert pickle.loads(pickle.dumps(b)) is b"
    )
    done = python(code, tmp_path)
    assert done.stdout.splitlines() == [
        f"{spec} {spec} float64 True"
        for spec in ("mine:Mine", "strict+mine:Mine", "mine:Nameless", "mine:Heir")
    ], done.stderr
    assert done.returncode == 0, done.stderr


def test_threads_that_ask_at_once_get_one_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    made = NumpyBackend.__init__

    def slow(self: NumpyBackend, *args: Any) -> None:
        time.sleep(0.01)
        made(self, *args)

    monkeypatch.setattr(NumpyBackend, "__init__", slow)
    monkeypatch.setenv("LAMINA_BACKEND", "numpy")
    together = threading.Barrier(8)

    def ask(i: int) -> Any:
        together.wait()
        return get_backend() if i % 2 else get_backend("numpy")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(ask, range(8))))) == 1


def test_a_pickled_raw_backend_is_the_one_instance(backend: Any) -> None:
    for dtype in ("float32", "float64"):
        found = get_backend(backend.spec, dtype=dtype)
        again = pickle.loads(pickle.dumps(found))
        assert (again.spec, again.default_dtype) == (found.spec, dtype)
        if isinstance(found, Wrapper):
            assert again.raw is found.raw
        else:
            assert again is found
            assert copy.copy(found) is copy.deepcopy(found) is found


def test_a_backend_made_by_hand_is_pickled_as_it_is() -> None:
    again = pickle.loads(pickle.dumps(NumpyBackend("cpu", "float64")))
    assert type(again) is NumpyBackend
    assert again is not get_backend("numpy", dtype="float64")
    assert again.default_dtype == "float64"


def test_a_missing_primitive_is_named() -> None:
    from lamina.backends import Backend

    class Partial(Backend):
        name = "partial"

    for op in PRIMITIVES:
        if op not in ("matmul", "fold") and op not in DERIVED:
            setattr(Partial, op, getattr(NumpyBackend, op))
    Partial.__abstractmethods__ = frozenset()
    with pytest.raises(TypeError, match="Partial lacks the primitives matmul, fold"):
        Partial()  # type: ignore[abstract]


def test_a_name_of_a_million_letters_is_no_work() -> None:
    for text in ("(" * 10**6, "strict+" * 10**5 + "numpy", "a" * 10**6):
        assert not select.is_lamina_own(text)
        assert select.with_decorator(text, "jit")
        assert select.without_decorator(text, "strict")


def test_importing_never_resolves() -> None:
    done = python(
        "import lamina, lamina.backends; print('fine')", LAMINA_BACKEND="nonsense", LAMINA_DTYPE="x"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def test_numpy_does_not_import_torch() -> None:
    code = (
        "import sys\nfrom lamina.backends import get_backend\nimport lamina.backends.conformance\n"
        "b = get_backend(); b.item(b.sum(b.full((2,), 1.0)))\nprint(b.spec, 'torch' in sys.modules)"
    )
    assert python(code, LAMINA_BACKEND="numpy").stdout.split() == ["numpy", "False"]


def test_describe_backends() -> None:
    found = {line.name: line for line in describe_backends()}
    assert found["numpy"].available
    assert set(found["numpy"].details) == {"version", "device", "threads"}
    assert all(line.reason for line in found.values() if not line.available)
    compiled = found["jit+numpy"]
    assert compiled.available == select.installed("llvmlite")
    assert not compiled.available or set(compiled.details) == {"version", "device", "threads", "llvmlite"}


def test_describe_backends_without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_torch(monkeypatch)
    found = {line.name: line for line in describe_backends()}
    assert found["numpy"].available
    assert "lamina[jit]" in found["jit+numpy"].reason
    assert "lamina[torch]" in found["torch"].reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy", "profile+numpy"),
        ("torch:cuda:1", "profile+torch:cuda:1"),
        ("profile+numpy", "profile+numpy"),
        ("strict+numpy", "strict+profile+numpy"),
        ("autodiff + crosscheck(strict+numpy) + torch", "autodiff+crosscheck(strict+numpy)+profile+torch"),
    ],
)
def test_a_decorator_is_put_in_its_place(text: str, expected: str) -> None:
    assert select.with_decorator(text, "profile") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jit+numpy", "numpy"),
        ("numpy", "numpy"),
        ("strict + crosscheck(jit+numpy) + jit + torch", "strict+crosscheck(jit+numpy)+torch"),
    ],
)
def test_a_decorator_is_taken_away(text: str, expected: str) -> None:
    assert select.without_decorator(text, "jit") == expected
