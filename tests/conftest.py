"""Options of a test run.

`--backends a,b`: the backends to test; else LAMINA_BACKEND, else the raw backends that can run here. A named
backend must run: its tests fail if it cannot. `stacks` means those of `STACKS`, each over what it can break.
`--dependent`: only the tests that depend on the backend. Another environment runs the rest, once; tests
marked `without_torch` also run where torch is not installed, since an import of torch could break them. Tests
marked `raw_only` do not run on stacks.
`--requires a,b`: modules that the run must be able to import, so that no test is skipped for lack of one.
`--fuzz-seconds N`: in tests/fuzz, how long each loader gets new inputs; else the same few each time.
`--rows TEXT`: in a test over the rows of a table, only rows with this text in their name (`helpers/rows.py`).
"""

from __future__ import annotations

import functools
import gc
import hashlib
import importlib
import importlib.util
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before numpy and torch are imported. Tests run side by side, and small ops lose by threads.
for _name in ("LAMINA_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402

from lamina.backends import Backend, BackendError, get_backend  # noqa: E402

HERE = Path(__file__).parent
EVERY = ("numpy", "torch", "torch:cuda")
"""The raw backends."""
OPS = ("backends/test_conformance",)
MISTAKES = ("test_bad_input",)
STACKS = {
    "autodiff+numpy": (*OPS, *MISTAKES),
    # What layers may offend: all of their tests.
    "strict+numpy": ("backends/test_", "layers/", "train/optimizers/", "train/loop/", *MISTAKES),
    # All decorators at once: ops, loops, every row of the layers, optimizers, a training.
    "strict+autodiff+crosscheck(numpy)+profile+torch": (
        *OPS,
        "backends/test_loop",
        "layers/proofs/",
        "train/optimizers/test_optimizers",
        "train/loop/test_trainer",
    ),
}
"""How the tests begin that a stack runs: what its decorators can break."""
FIXTURES = ("backend", "backend64")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backends", default="", help="comma-separated backends that must run")
    parser.addoption("--dependent", action="store_true", help="only tests that depend on the backend")
    parser.addoption("--requires", default="", help="comma-separated modules that must be importable")
    parser.addoption("--fuzz-seconds", type=float, default=0, help="seconds of tests/fuzz for each loader")
    parser.addoption("--rows", default="", help="only rows of tables with this text in their name")


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def pytest_configure(config: pytest.Config) -> None:
    if "LAMINA_CACHE" not in os.environ:
        os.environ["LAMINA_CACHE"] = _kept(config)
    missing = []
    # The process that only distributes the tests has the modules looked for; the others import them at once.
    distributes = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    for name in names(config.getoption("--requires")):
        try:
            if not distributes:
                importlib.import_module(name)
            elif importlib.util.find_spec(name) is None:
                missing.append(f"{name} (there is none)")
        except ImportError as error:
            missing.append(f"{name} ({error})")
    if missing:
        raise pytest.UsageError(f"--requires: cannot import {'; '.join(missing)}")


def _kept(config: pytest.Config) -> str:
    """Return the folder of what the next run need not compute again, as long as no test is changed.

    The key of a compiled program holds Lamina's sources, and not what a test has replaced in them.
    `pytest --cache-clear` empties it. The processes of a parallel run share it.
    """
    cache = getattr(config, "cache", None)
    if cache is None:  # -p no:cacheprovider
        return "off"
    tests = hashlib.sha256()
    for path in sorted(HERE.rglob("*.py")):
        tests.update(path.read_bytes())
    place = cache.mkdir("lamina") / tests.hexdigest()[:16]
    if not place.exists():
        for old in place.parent.iterdir():
            shutil.rmtree(old, ignore_errors=True)
        place.mkdir(mode=0o700, exist_ok=True)
    return str(place)


def named(config: pytest.Config) -> tuple[str, ...]:
    return names(config.getoption("--backends") or os.environ.get("LAMINA_BACKEND", ""))


def chosen(config: pytest.Config, test: str) -> tuple[str, ...]:
    """Return the backends that a test of some file runs on, by default every raw one."""
    backends = named(config) or tuple(filter(_can_run, EVERY))
    stacks = tuple(stack for stack, parts in STACKS.items() if test.startswith(parts))
    return tuple(itertools.chain(*(stacks if name == "stacks" else (name,) for name in backends)))


@functools.cache
def _can_run(name: str) -> bool:
    try:
        get_backend(name)
    except BackendError:
        return False
    return True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    test = metafunc.definition.path.relative_to(HERE).as_posix()
    for fixture in FIXTURES:
        if fixture in metafunc.fixturenames:
            marks = [pytest.mark.cuda]
            every = chosen(metafunc.config, test)
            names = [pytest.param(name, marks=marks) if "cuda" in name else name for name in every]
            metafunc.parametrize(fixture, names, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept, dropped = [], []
    for item in items:
        (kept if _runs(item, config.getoption("--dependent")) else dropped).append(item)
    config.hook.pytest_deselected(items=dropped)
    # ONNX's cases take seconds to load. The tests that a process begins with stay with it.
    items[:] = sorted(kept, key=lambda item: "external" not in item.path.parts)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process a part of the tests in order; one that is ready early takes some of another's.

    So what a folder's tests share is made in one process, and no process waits long at the end.
    """
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("--dist") == "load" else None


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the run: the tests, and the modules they import."""
    gc.collect()
    gc.freeze()


def _runs(item: pytest.Item, dependent: bool) -> bool:
    """Whether a test is one of this run's."""
    depends = any(fixture in getattr(item, "fixturenames", ()) for fixture in FIXTURES)
    if not depends:
        alone = importlib.util.find_spec("torch") is None and item.get_closest_marker("without_torch")
        return not dependent or bool(alone)
    params = getattr(item, "callspec").params  # noqa: B009  # of a parametrised test
    backends = [params[fixture] for fixture in FIXTURES if fixture in params]
    if not all(isinstance(name, str) for name in backends):
        return False  # no stack runs it
    stacked = any("+" in name for name in backends)
    ways = [value for value in params.values() if isinstance(value, str)]
    # jit is innermost: a test that puts it around the backend runs on raw ones.
    return not (stacked and (item.get_closest_marker("raw_only") or "jit" in ways))


@pytest.fixture(autouse=True, scope="session")
def no_wait_for_the_disk() -> Iterator[None]:
    """Files that a test writes need not survive a power failure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def _resolve(request: pytest.FixtureRequest, dtype: str) -> Backend:
    try:
        return get_backend(request.param, dtype=dtype)
    except BackendError as error:
        pytest.fail(f"{request.param} cannot run: {error}")


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend and stack, in float32."""
    return _resolve(request, "float32")


@pytest.fixture
def backend64(request: pytest.FixtureRequest) -> Backend:
    """Each backend and stack, in float64."""
    return _resolve(request, "float64")
