"""Races: the same work on every backend and in torch.nn, in the same run, threads pinned, rounds interleaved.

`pytest bench --benchmark-json=.benchmarks/latest.json`, then `python bench/table.py .benchmarks/latest.json`.
Contenders: `--contenders a,b`, else LAMINA_BACKEND, else numpy, torch and, where there is one, torch:cuda.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, LaminaError, get_backend
from lamina.backends.host import blas_threads, limit_threads
from lamina.backends.select import environment

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

REFERENCE = "torch.nn"
DTYPE = "float32"
TOLERANCE = 1e-5
MIN_ROUND = 1e-2
"""Seconds: below this a single interruption would show."""
WARM_IN, WARM_CALLS = 1e-2, 24
"""Seconds and calls before each round's clock starts (at most twice those seconds). Whoever takes its turn
finds the caches full of the others' code and data: of a step on a tiny network, torch.nn's first call takes
three times as long as a later one, and it needs some twenty to settle where we need five. Timed cold, it
would look 1.5 times slower than it is."""
MIN_ROUNDS, MAX_ROUNDS = 7, 400

Call = Callable[[], Any]
Context = Callable[[], AbstractContextManager[Any]]


@dataclass
class Contender:
    """One that does the work: a backend of ours, or torch.nn on a device (backend None)."""

    name: str
    device: str
    backend: Backend | None = None

    @property
    def reference(self) -> str:
        """The torch.nn that this one is compared with: the one on the same device."""
        return REFERENCE if self.device == "cpu" else f"{REFERENCE}:{self.device.partition(':')[0]}"


@dataclass
class Entry:
    """A contender with the work that it was given, and how long each round took."""

    call: Call
    reset: Call
    context: Context
    synchronize: Call
    host: Callable[[Any], Any]
    iterations: int = 1
    seconds: list[float] = field(default_factory=list)
    peak: int | None = None
    """Bytes that a call takes for a time, its results included; None where that cannot be seen."""

    def once(self) -> list[Any]:
        """Run the work once; return its results as host arrays."""
        with self.context():
            result = self.call()
        return [self.host(handle) for handle in (result if isinstance(result, tuple) else (result,))]

    def round(self, iterations: int) -> float:
        """Return how long `iterations` calls take, warm, from about the same state each time."""
        self.reset()
        call, repeat = self.call, itertools.repeat(None, iterations)
        with self.context():
            self._warm_in()
            start = time.perf_counter()
            for _ in repeat:
                call()
            self.synchronize()
            return time.perf_counter() - start

    def _warm_in(self) -> None:
        start, calls, took = time.perf_counter(), 0, 0.0
        while took < WARM_IN or (calls < WARM_CALLS and took < 2 * WARM_IN):
            self.call()
            self.synchronize()
            calls, took = calls + 1, time.perf_counter() - start

    def calibrate(self) -> float:
        """Choose the iterations of a round, and return how long one takes."""
        while (took := self.round(self.iterations)) < MIN_ROUND:
            # A little further than it looks, but never far on the word of a short round.
            self.iterations = int(self.iterations * min(max(1.2 * MIN_ROUND / took, 2.0), 20.0))
        return took


# -- who takes part, and how it is said ------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--contenders", default="", help="comma-separated backends to time beside torch.nn")


CONTENDERS = pytest.StashKey[dict[str, Contender]]()


def pytest_configure(config: pytest.Config) -> None:
    text = environment("LAMINA_THREADS") or "1"
    if not text.isdecimal() or int(text) < 1:
        raise pytest.UsageError(f"LAMINA_THREADS must be a whole number of at least 1, got {text!r}")
    os.environ["LAMINA_THREADS"] = text  # for libraries that a backend loads later
    limit_threads(int(text))
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    config.stash[CONTENDERS] = _contenders(config)
    # pytest-benchmark opens the file at the end of the run, and would lose it for want of a folder.
    if target := config.getoption("benchmark_json", None):
        Path(target).parent.mkdir(parents=True, exist_ok=True)


def _contenders(config: pytest.Config) -> dict[str, Contender]:
    option = config.getoption("--contenders")
    text, source = (
        (option, "--contenders") if option else (environment("LAMINA_BACKEND") or "", "LAMINA_BACKEND")
    )
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        names = ["numpy", *(["torch"] if torch is not None else [])]
        if torch is not None and torch.cuda.is_available():
            names.append("torch:cuda")
    ours = []
    for name in names:
        try:
            backend = get_backend(name, dtype=DTYPE)
        except LaminaError as error:
            raise pytest.UsageError(f"{source}: {error}") from error
        ours.append(Contender(name, backend.device, backend))
    devices = dict.fromkeys(["cpu", *(c.device for c in ours)])
    theirs = [Contender(Contender("", device).reference, device) for device in devices]
    return {c.name: c for c in ([*ours, *theirs] if torch is not None else ours)}


def settings() -> dict[str, str | int]:
    """Return what a time depends on."""
    found: dict[str, str | int] = {
        "cpu": _cpu(),
        "dtype": DTYPE,
        "blas_threads": blas_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if torch is not None:
        found |= {"torch_threads": torch.get_num_threads(), "torch": torch.__version__}
        if torch.cuda.is_available():
            found["cuda"] = torch.cuda.get_device_name()
    return found


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def pytest_report_header(config: pytest.Config) -> list[str]:
    values = ", ".join(f"{name} {value}" for name, value in settings().items())
    everyone: dict[str, Contender] = config.stash[CONTENDERS]
    return [f"lamina bench: {values}", f"contenders: {', '.join(everyone)}"]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["lamina"] = settings()


# Last, so that the contenders of one work come one after the other.
@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "contender" in metafunc.fixturenames:
        everyone: dict[str, Contender] = metafunc.config.stash[CONTENDERS]
        metafunc.parametrize("contender", list(everyone))


# -- the race --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def results() -> dict[str, dict[str, Entry]]:
    """What has been run so far, by group and contender."""
    return {}


@pytest.fixture
def race(
    benchmark: Any, contender: str, results: dict[str, dict[str, Entry]], request: pytest.FixtureRequest
) -> Callable[..., None]:
    """Return `race(group, ours, theirs, ...)`: check that all compute the same, time them, report this one.

    ours(backend) and theirs(device) build the work: a function without arguments, or (function, reset).
    The first test of a group times all contenders, a round each in turn, so that whatever else the
    machine does hits them alike; the tests of the others report what was timed then.
    """
    if torch is None:
        pytest.skip("the races are against torch.nn, and torch is not installed")
    everyone = request.config.stash[CONTENDERS]

    def run(
        group: str,
        ours: Callable[[Backend], Any],
        theirs: Callable[[str], Any],
        *,
        seconds: float = 0.15,
        repeats: int = 1,
        session: bool = True,
        gradients: bool = True,
        tolerance: float = TOLERANCE,
        memory: bool = False,
    ) -> None:
        """Race.

        group: what the work is. seconds: how long each contender is timed. repeats: how often the work is
        run and compared before. session: whether the rounds run inside the backend's session (else the
        work enters it). gradients: whether torch.nn records what its backward pass needs. memory: whether to
        report what a call takes of it.
        """
        if group not in results:
            entries = {c.name: _entry(c, ours, theirs, session, gradients) for c in everyone.values()}
            _check(group, entries, repeats, tolerance)
            if not benchmark.disabled:
                _time(entries, seconds)
                for name, entry in entries.items():
                    entry.peak = peak_memory(entry, everyone[name].device) if memory else None
            for entry in entries.values():
                entry.call = entry.reset = int  # lets go of the tensors
            results[group] = entries
        entry, who = results[group][contender], everyone[contender]
        benchmark.group = group
        benchmark.extra_info.update(settings(), contender=contender, reference=who.reference)
        if entry.peak is not None:
            benchmark.extra_info["peak_bytes"] = entry.peak
        # pytest-benchmark can only time one function after the other; what it makes of times, it
        # makes of these.
        benchmark._mode = "race"
        if not benchmark.disabled:
            stats = benchmark._make_stats(entry.iterations)
            for value in entry.seconds:
                stats.update(value)

    return run


@pytest.fixture
def race_layer(race: Callable[..., None]) -> Callable[..., None]:
    """Return `race_layer(group, ours, theirs, shape, which)`: a layer's forward, backward pass or both.

    ours(backend) and theirs() make the layer; torch.nn's weights go into ours. All gradients are asked
    for, the input's too.
    """

    def run(
        group: str,
        make_ours: Callable[[Backend], Any],
        make_theirs: Callable[[], Any],
        shape: tuple[int, ...],
        which: str,
        **options: Any,
    ) -> None:
        torch.manual_seed(0)
        initial = {k: v.numpy() for k, v in make_theirs().state_dict().items()}
        with torch.no_grad():
            out = tuple(make_theirs()(torch.zeros(shape)).shape)
        data, slope = (
            np.random.default_rng(i).standard_normal(s, np.float32) for i, s in ((1, shape), (2, out))
        )

        def ours(backend: Backend) -> Any:
            layer = make_ours(backend)
            layer.load_state_dict(initial)
            parameters = list(layer.parameters())
            x, g = backend.from_host(data), backend.from_host(slope)

            def backward() -> Any:
                for parameter in parameters:
                    parameter.zero_grad()
                return (layer.backward(g), *(p.grad for p in parameters))

            def both() -> Any:
                y = layer(x)
                return (y, *backward())

            with backend.session():
                layer(x)
            return {"forward": lambda: layer(x), "backward": backward, "both": both}[which]

        def theirs(device: str) -> Any:
            layer = make_theirs()
            layer.load_state_dict({k: torch.tensor(v) for k, v in initial.items()})
            layer.to(device)
            x, g = torch.tensor(data, device=device, requires_grad=True), torch.tensor(slope, device=device)
            leaves = (x, *layer.parameters())
            kept = layer(x)

            def both() -> Any:
                y = layer(x)
                return (y, *torch.autograd.grad(y, leaves, g))

            return {
                "forward": lambda: layer(x),
                "backward": lambda: torch.autograd.grad(kept, leaves, g, retain_graph=True),
                "both": both,
            }[which]

        race(group, ours, theirs, **options)

    return run


def _entry(
    contender: Contender,
    ours: Callable[[Backend], Any],
    theirs: Callable[[str], Any],
    session: bool,
    grad: bool,
) -> Entry:
    backend = contender.backend
    work = theirs(contender.device) if backend is None else ours(backend)
    call, reset = work if isinstance(work, tuple) else (work, int)
    if backend is not None:
        context: Context = backend.session if session else contextlib.nullcontext
        return Entry(call, reset, context, backend.synchronize, backend.to_host)
    wait: Call = torch.cuda.synchronize if contender.device.startswith("cuda") else int
    context = contextlib.nullcontext if grad else torch.inference_mode
    return Entry(call, reset, context, wait, lambda x: x.detach().cpu().numpy().copy())


def _check(group: str, entries: dict[str, Entry], repeats: int, tolerance: float) -> None:
    """Fail unless all get what torch.nn on the CPU gets, each of `repeats` times."""
    __tracebackhide__ = True
    for turn in range(repeats):
        expected = entries[REFERENCE].once()
        for name, entry in entries.items():
            found = entry.once() if name != REFERENCE else expected
            assert len(found) == len(expected), (
                f"{group}: {name} gave {len(found)}, not {len(expected)} results"
            )
            for i, (mine, right) in enumerate(zip(found, expected, strict=True)):
                assert mine.shape == right.shape, (
                    f"{group}: {name}, result {i}: {mine.shape}, not {right.shape}"
                )
                error = float(np.max(np.abs(mine - right))) / max(1.0, float(np.max(np.abs(right))))
                assert error <= tolerance, (
                    f"{group}: {name} is off by {error:.2g} in result {i}, run {turn + 1}"
                )


def _time(entries: dict[str, Entry], seconds: float) -> None:
    field_ = list(entries.values())
    once = sum(entry.calibrate() for entry in field_)
    rounds = min(max(int(seconds * len(field_) / once), MIN_ROUNDS), MAX_ROUNDS)
    for i in range(rounds):
        start = i % len(field_)
        for entry in _rotated(field_, start):
            entry.seconds.append(entry.round(entry.iterations))


def peak_memory(entry: Entry, device: str) -> int | None:
    """Return the bytes that one call takes at its height, by the device's own count or Linux's."""
    entry.reset()
    with entry.context():
        entry.call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            entry.call()
            torch.cuda.synchronize()
            return int(torch.cuda.max_memory_allocated() - before)
        try:
            ctypes.CDLL(None).malloc_trim(0)  # else memory that was freed, but kept, would not be seen taken
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        except (OSError, AttributeError):
            return None
        before = _resident("VmRSS")
        entry.call()
        return _resident("VmHWM") - before


def _resident(which: str) -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition(f"{which}:")[2].split()[0])


def _rotated(entries: list[Entry], start: int) -> Iterator[Entry]:
    yield from entries[start:]
    yield from entries[:start]
