"""The cache of objects: what it keeps, what it refuses, and two processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native import machines

from lamina.backends import OptionError, get_backend
from lamina.backends.decorators.jit import compiler, generate
from lamina.backends.decorators.jit.bound import Bound
from lamina.backends.decorators.jit.compiler import Native, native, native_all
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.decorators.jit.instructions import Program
from lamina.backends.decorators.jit.objects import Objects, folder, key_of, objects
from lamina.backends.decorators.jit.sources import digest_of
from lamina.backends.host import Host
from lamina.backends.meta import Meta

CODE = b"machine code"
KEY = key_of("text")


@pytest.fixture
def cache(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "deep" / "objects")


@pytest.fixture
def here(cache: Objects, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """Make the cache the one of this process."""
    monkeypatch.setenv("LAMINA_CACHE", str(cache.place))
    return cache


def test_an_object_is_found_again_by_another_instance(cache: Objects) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, CODE)
    assert Objects(cache.place).get(KEY) == CODE
    assert Objects(cache.place).get(key_of("other")) is None
    assert cache.place.stat().st_mode & 0o777 == 0o700
    assert (cache.usage().entries, cache.usage().size) == (1, 32 + len(CODE))


def test_the_key_depends_on_every_part() -> None:
    keys = {key_of("a", "b"), key_of("ab"), key_of("a", "", "b"), key_of("b", "a"), key_of(b"a", "c")}
    assert len(keys) == 5


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_a_damaged_object_is_reported_once_and_not_run(cache: Objects, damage: str) -> None:
    cache.put(KEY, CODE)
    path = cache.place / f"{KEY}.o"
    data = path.read_bytes()
    path.write_bytes(
        {"flip": data[:-1] + b"x", "cut": data[:-3], "empty": b"", "longer": data + b"x"}[damage]
    )
    other = Objects(cache.place)
    with pytest.warns(RuntimeWarning, match=r"LAMINA_CACHE: .* is damaged; .*lamina cache --clear"):
        assert other.get(KEY) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert other.get(KEY) is None
        other.put(KEY, CODE)
    assert not path.exists()
    assert Objects(cache.place).get(KEY) is None


def test_a_folder_that_others_can_write_is_not_used(cache: Objects) -> None:
    cache.put(KEY, CODE)
    cache.place.chmod(0o777)
    for use in (lambda c: c.get(KEY), lambda c: c.put(KEY, CODE)):
        with pytest.warns(RuntimeWarning, match="can be written by other users"):
            assert use(Objects(cache.place)) is None


def test_a_file_that_others_can_write_or_that_is_a_link_is_not_run(cache: Objects, tmp_path: Path) -> None:
    cache.put(KEY, CODE)
    path = cache.place / f"{KEY}.o"
    path.chmod(0o666)
    with pytest.warns(RuntimeWarning, match="cannot be read"):
        assert Objects(cache.place).get(KEY) is None
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="cannot be read"):
        assert Objects(cache.place).get(KEY) is None


def test_a_folder_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Objects(tmp_path / "file" / "objects")
    with pytest.warns(RuntimeWarning, match=r"cannot be (written|read)"):
        cache.put(KEY, CODE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEY, CODE)
        assert cache.get(KEY) is None


def test_what_was_used_the_longest_ago_is_dropped_first(tmp_path: Path) -> None:
    cache = Objects(tmp_path, largest=3 * (32 + len(CODE)))
    tmp_path.chmod(0o700)
    keys = [key_of(str(i)) for i in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.put(key, CODE)
        os.utime(tmp_path / f"{key}.o", (1000 + age, 1000 + age))
    assert cache.get(keys[0]) == CODE
    cache.put(keys[3], CODE)
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]


def test_clear_deletes_the_objects_alone(cache: Objects) -> None:
    cache.put(KEY, CODE)
    for name in ("notes.txt", "mine.o"):
        (cache.place / name).write_text("mine")
    old, new = cache.place / "unfinished-a", cache.place / "unfinished-b"
    for path in (old, new):
        path.write_text("unfinished")
    os.utime(old, (1000, 1000))
    assert cache.clear().entries == 1
    assert sorted(p.name for p in cache.place.iterdir()) == ["mine.o", "notes.txt", "unfinished-b"]
    assert cache.clear().entries == 0


def test_lamina_cache_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    assert folder() == tmp_path
    assert objects() is objects()
    monkeypatch.setenv("LAMINA_CACHE", "off")
    assert folder() is objects() is None
    monkeypatch.setenv("LAMINA_CACHE", "here")
    with pytest.raises(OptionError, match="LAMINA_CACHE: expected an absolute path or 'off', got 'here'"):
        folder()
    monkeypatch.setenv("LAMINA_CACHE", " ")
    default = folder()
    assert default is not None
    assert default.parts[-2:] == ("lamina", "objects")


# -- programs --------------------------------------------------------------------------------------

BACKEND: Any = JitBackend(get_backend("numpy"))  # type: ignore[abstract]  # made by funnelled
X = [Meta((4, 3), "float32")]
WEIGHTS, OTHERS = (np.arange(12, dtype=np.float32).reshape(4, 3) + shift for shift in (0, 1))


def traced(step: Any, numbers: Sequence[str] = (), inputs: Sequence[Meta] = X) -> Program:
    return BACKEND.trace(step, inputs, numbers).program  # type: ignore[no-any-return]


def simple(batch: Any, numbers: Any) -> Any:
    b = BACKEND
    scaled = b.multiply(b.add(batch[0], WEIGHTS), numbers["lr"] * 0.5)
    return b.sum(scaled, axis=1), b.take(b.arange(0, 100), b.argmax(batch[0], axis=1), axis=0)


def run(code: Native, numbers: dict[str, Host]) -> list[Host]:
    x = np.arange(24, dtype=np.float32).reshape(8, 3)
    outputs = [np.empty((2 * m.shape[0], *m.shape[1:]), m.dtype) for m in code.table.outputs]
    assert Bound(code, [x], None, numbers, outputs, {}, 2).run()
    return outputs


def test_a_program_is_compiled_once(here: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the cache it needs neither the passes nor LLVM, and computes the same with its own constants."""
    first = native(traced(simple, ["lr"]))
    assert here.usage().entries == 1
    monkeypatch.setattr(generate, "generate", lambda *_, **__: pytest.fail("generated"))
    monkeypatch.setattr(compiler, "compiled", lambda *_: pytest.fail("compiled"))
    second = native(traced(simple, ["lr"]))
    assert [first.cached, second.cached] == [False, True]
    numbers = {"lr": np.array([0.1, 0.2])}
    for one, other in zip(run(first, numbers), run(second, numbers), strict=True):
        np.testing.assert_array_equal(one, other)
    assert second.table.constants[0].tolist() == WEIGHTS.tolist()
    for name in ("outputs", "buffers", "workspace", "flagged", "kernels"):
        assert getattr(first.table, name) == getattr(second.table, name)
    for one, other in zip(first.table.numbers, second.table.numbers, strict=True):
        assert one.key == other.key


def different(b: Any) -> dict[str, Program]:
    """Return programs that differ from another one in one thing."""
    flat, views = b.cells({"a": (2, 3), "b": (2, 3)})
    whole, _ = b.cells({"a": (12,)})

    def fill(value: Any) -> Any:
        return lambda batch, numbers: (b.maximum(batch[0], value),)

    def stored(flat: Any) -> Any:
        return lambda batch, numbers: b.assign(flat, b.multiply(flat, 2.0)) or (batch[0],)

    return {
        "simple": traced(simple, ["lr"]),
        "a number more": traced(simple, ["lr", "more"]),
        "a shape": traced(simple, ["lr"], [Meta((4, 1), "float32")]),
        "a constant": traced(lambda batch, numbers: (b.add(batch[0], WEIGHTS),)),
        "its values": traced(lambda batch, numbers: (b.add(batch[0], OTHERS),)),
        "zero": traced(fill(0.0)),
        "minus zero": traced(fill(-0.0)),
        "an integer": traced(fill(0)),
        "not a number": traced(fill(float("nan"))),
        "cells": traced(stored(flat)),
        "cells cut otherwise": traced(stored(whole)),
        "two results": traced(lambda batch, numbers: (batch[0], batch[0])),
        "one result": traced(lambda batch, numbers: (batch[0],)),
        "a region": traced(lambda batch, numbers: (b.add(batch[0], b.sum(views["a"])),)),
        "another region": traced(lambda batch, numbers: (b.add(batch[0], b.sum(views["b"])),)),
    }


def test_other_programs_have_other_keys(here: Objects) -> None:
    """Also those that print alike: 0.0 and -0.0, constants of other values, cells that are cut otherwise."""
    programs = different(BACKEND)
    assert len({program.text for program in programs.values()}) == len(programs)
    for name, program in programs.items():
        assert not native(program).cached, name
    program = programs["simple"]
    assert native(program).cached
    assert not native(program, ordered=True).cached
    for machine in machines()[1:]:
        assert not native(program, machine=machine).cached
    assert not native_all([program, program])[1].cached
    assert here.usage().entries == len(programs) + 1 + len(machines())


def test_layers_paths_are_not_in_the_key() -> None:
    def inside(name: str) -> Any:
        def step(batch: Any, numbers: Any) -> Any:
            with BACKEND.scope(name):
                return (BACKEND.exp(batch[0]),)

        return step

    assert traced(inside("0")).text == traced(inside("1")).text


def test_the_sources_are_in_the_key(here: Objects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An object belongs to the code that wrote it."""
    program = traced(simple, ["lr"])
    native(program)
    monkeypatch.setattr(compiler, "digest", lambda: "of other sources")
    assert not native(program).cached
    assert native(program).cached
    monkeypatch.setattr(compiler, "digest", lambda: None)  # changed since they were imported: no cache
    assert not native(program).cached
    assert here.usage().entries == 2
    paths = [tmp_path / "a.py", tmp_path / "b.py"]
    for path in paths:
        path.write_text("x = 1")
    later = time.time() + 10
    first = digest_of(paths, later)
    assert first == digest_of(paths[::-1], later)
    paths[0].write_text("x = 2")
    assert first != digest_of(paths, later)
    assert digest_of(paths, time.time() - 10) is None
    assert digest_of([], later) is None  # a distribution without sources


def test_a_damaged_program_is_compiled_anew(here: Objects) -> None:
    program = traced(simple, ["lr"])
    native(program)
    (path,) = here.place.iterdir()
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(bytes(data))
    with pytest.warns(RuntimeWarning, match="is damaged; programs are compiled anew"):
        code = native(program)
    assert not code.cached
    assert run(code, {"lr": np.zeros(2)})[0].tolist() == [0.0] * 8


RUN = """
import warnings
warnings.simplefilter("error")
import lamina
b = lamina.get_backend("jit+numpy")
for i in range(8):
    run = b.compile(lambda batch, numbers: (b.add(batch[0], float(i)),))
    (y,) = run((b.full((4, 1), 1.0),), batch_size=2)
    assert b.to_host(y).tolist() == [[1.0 + i]] * 4
"""


def test_two_processes_may_fill_one_cache(tmp_path: Path) -> None:
    place = tmp_path / "shared"
    environment = {**os.environ, "LAMINA_CACHE": str(place)}
    command = [sys.executable, "-c", RUN]
    running = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert sorted(p.suffix for p in place.iterdir()) == [".o"] * 8
